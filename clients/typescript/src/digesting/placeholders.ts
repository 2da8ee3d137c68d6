/** Placeholders: what programs, forms and people write where there is no value. Digested, they would make one person of all who have none. */

import { foldCase, isLetter, isLetterOrNumber, TABLES, trim } from "./text.js";

const REPEATED_CHARACTERS_MIN = 8;
const ROWS = new Map(Object.entries(TABLES.placeholders).map(([kind, texts]) => [kind, new Set(texts)]));

function isListed(kind: string, squeezed: string): boolean {
  return ROWS.get(kind)!.has(squeezed);
}

function squeezed(typed: string): string {
  return Array.from(foldCase(typed)).filter(isLetterOrNumber).join("");
}

/** Whether the text says that there is no value, whatever the value would be. */
export function isPlaceholder(typed: string): boolean {
  const text = squeezed(typed);
  return trim(typed) !== "" && (text === "" || isListed("any", text));
}

/** Whether the text stands where an identifier is missing: none, a made-up one, zeros, or the hash of nothing. */
export function isPlaceholderIdentifier(typed: string): boolean {
  const text = squeezed(typed);
  const digits = [...(text.startsWith("0x") ? text.slice(2) : text)];
  const isOne = new Set(digits).size === 1 && (digits[0] === "0" || digits.length >= REPEATED_CHARACTERS_MIN);
  return isPlaceholder(typed) || isListed("identifier", text) || isOne;
}

/** Whether a name, typed and folded, is of nobody. `Na` is a family name, and `Jennifer Null` a person. */
export function isPlaceholderName(typed: string, folded: string): boolean {
  const isWrittenApart = !Array.from(trim(foldCase(typed))).every(isLetterOrNumber);
  const isOfListedWords = folded.split(" ").every((word) => isListed("name, each word", word));
  return (isWrittenApart && isPlaceholder(typed)) || isOfListedWords || !Array.from(folded).some(isLetter);
}

/** Whether an address, folded, is nobody's mailbox. */
export function isPlaceholderEmail(localPart: string, domain: string): boolean {
  const labels = domain.split(".");
  const [name, label, last] = [squeezed(localPart), squeezed(labels[0]!), labels.at(-1)!];
  if (isListed("local part", name) || isListed("last label", last)) return true;
  if (!(labels.length === 2 || (labels.length === 3 && ["co", "com", "net", "org"].includes(labels[1]!)))) return false;
  const isMadeUp = isListed("made-up domain", label);
  const isNobodys = isListed("nobody's domain", label) || (isMadeUp && ["test", "example"].includes(last));
  if (isListed("made-up local part", name)) return isMadeUp || isNobodys;
  return isListed("everyday local part", name) && (isNobodys || (isMadeUp && name === label));
}
