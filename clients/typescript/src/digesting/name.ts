/** People's names, folded so that order, case, accents and punctuation do not matter, and no two people of any script become one. */

import { type Mailbox, withoutTag } from "./email.js";
import { isPlaceholderName } from "./placeholders.js";
import { DigestError } from "./refusals.js";
import { byCodePoint, category, characters, foldCaseFully, isSilent, size, TABLES, typedText } from "./text.js";

const NAME_BYTES_MAX = 512;
const LETTERS_MIN = 3;
const SPACING_ACUTE = " \u0301";
const isLatin = characters("latin");
const isGreek = characters("greek");
const isCyrillic = characters("cyrillic");

/** The folded name, and its words in the order in which they were typed. Throws {@link DigestError}. */
export function foldedName(typed: string): { folded: string; inOrder: string } {
  const text = typedText(typed);
  if (size(text) > NAME_BYTES_MAX) throw new DigestError("TOO_LONG");
  const words = wordsOf(text);
  const folded = words.toSorted(byCodePoint).join(" ");
  if (text === "") throw new DigestError("EMPTY");
  if (isPlaceholderName(text, folded)) throw new DigestError("PLACEHOLDER");
  return { folded, inOrder: words.join(" ") };
}

/** The text that compares a name with an address; undefined when fewer than three letters are left. */
export function personOfName(inOrder: string): string | undefined {
  return person(inOrder);
}

/** The text that compares an address with a name; undefined when fewer than three letters are left. */
export function personOfMailbox(mailbox: Mailbox): string | undefined {
  return person(wordsOf(withoutTag(mailbox.localPart, "+")).join(" "));
}

function person(words: string): string | undefined {
  const parts = words.replaceAll(/\p{N}/gu, " ").split(" ");
  const kept = parts.map((part) => part.replace(/^\p{M}+/u, "")).filter((part) => part !== "");
  return kept.reduce((letters, part) => letters + Array.from(part).length, 0) >= LETTERS_MIN ? kept.join(" ") : undefined;
}

function wordsOf(typed: string): string[] {
  return spelled(foldedCase(typed)).split(" ").filter((word) => word !== "");
}

/** What no screen shows and apostrophes taken out, then Unicode's folding for compatibility caseless matching (D146). */
function foldedCase(typed: string): string {
  const shown = (text: string) => Array.from(text).filter((character) => !isSilent(character)).join("");
  const visible = shown(typed.normalize("NFKD")).normalize("NFD").replaceAll(SPACING_ACUTE, "").normalize("NFD");
  const once = foldCaseFully(visible).normalize("NFKD");
  const twice = foldCaseFully(once).normalize("NFKD");
  return shown(twice).normalize("NFC").normalize("NFD");
}

/** The words, in NFC: accents dropped, other marks kept with their letters, single letters spelled, all else a space. */
function spelled(decomposed: string): string {
  let kept = "";
  let base: string | undefined;
  for (const character of decomposed) {
    const kind = category(character);
    if (kind === "M") {
      if (base !== undefined && !isAccent(base, character)) kept += character;
    } else if (kind === "L" || kind === "N") {
      base = character;
      kept += TABLES.letters[character] ?? character;
    } else {
      base = undefined;
      kept += " ";
    }
  }
  return kept.normalize("NFC");
}

function isAccent(base: string, mark: string): boolean {
  if (isLatin(base) || isGreek(base)) return true;
  if (!isCyrillic(base)) return false;
  const composed = (base + mark).normalize("NFC");
  return Array.from(composed).length > 1 || "ёѐѝ".includes(composed);
}
