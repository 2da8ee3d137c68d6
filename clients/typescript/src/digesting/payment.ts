/** Identifiers that somebody else made, and payment instruments: one text for each, by what the text is. */

import { EmailAddress } from "./email.js";
import { isPlaceholderIdentifier } from "./placeholders.js";
import { DigestError } from "./refusals.js";
import { category, isSpace, size, TABLES, typedText } from "./text.js";

/** The kind of a payment instrument, as `PaymentKind` has it. */
export type PaymentKindWord = "CARD" | "SEPA" | "PAYPAL" | "BANK_ACCOUNT" | "WALLET" | "OTHER";

const IDENTIFIER_BYTES_MAX = 1024;
const NUMBER_DIGITS_MIN = 8;
const MASKED_DIGITS_MAX = 10;
const LENGTH_SLIP_MAX = 2;
const SEPARATORS = new Set("-./\u2010\u2011\u2012\u2013\u2014\u2015");
const HIDING = new Set("*•●·#xX…");
const TEST_CARDS = new Set(TABLES.test_cards);

/** An opaque identifier: its ends are cleaned, nothing else. Throws {@link DigestError}. */
export function identifier(typed: string): string {
  const text = typedText(typed);
  if (text === "") throw new DigestError("EMPTY");
  if (size(text) > IDENTIFIER_BYTES_MAX) throw new DigestError("TOO_LONG");
  if (Array.from(text).some((character) => category(character) === "Cc")) throw new DigestError("CONTROL_CHARACTER");
  if (isPlaceholderIdentifier(text)) throw new DigestError("PLACEHOLDER");
  return text;
}

/** A payment instrument as it was typed or as the processor gave it; `kind`: undefined when not known. Throws {@link DigestError}. */
export function instrument(kind: PaymentKindWord | undefined, typed: string): string {
  const text = identifier(typed);
  const behind = withoutLabel(text);
  if (behind !== undefined && isPlaceholderIdentifier(behind)) throw new DigestError("PLACEHOLDER");
  if (isMasked(text)) throw new DigestError("MASKED");
  const canonical = byKind(kind, text) ?? text;
  if (TEST_CARDS.has(canonical) || /^400000[0-9]{10}$/.test(canonical)) throw new DigestError("TEST_CARD");
  return canonical;
}

function byKind(kind: PaymentKindWord | undefined, text: string): string | undefined {
  switch (kind) {
    case "SEPA":
    case "BANK_ACCOUNT":
      return iban(text) ?? number(text);
    case "CARD":
      return number(text);
    case "PAYPAL":
      if (text.includes("@")) return EmailAddress.parse(text).exact;
      return /^[A-Za-z0-9]{13}$/.test(text) ? text.toUpperCase() : text;
    case "WALLET":
    case "OTHER":
    case undefined:
      return wallet(text) ?? iban(text) ?? number(text);
  }
}

function wallet(text: string): string | undefined {
  try {
    return EmailAddress.parse(text).exact;
  } catch (fault) {
    if (fault instanceof DigestError && fault.refusal !== "PLACEHOLDER" && fault.refusal !== "NEW_CHARACTER") return undefined;
    throw fault;
  }
}

function isSeparator(character: string): boolean {
  return SEPARATORS.has(character) || isSpace(character);
}

function kept(text: string): string {
  return Array.from(text).filter((character) => !isSeparator(character)).join("");
}

function isDigit(character: string): boolean {
  return character >= "0" && character <= "9";
}

function number(text: string): string | undefined {
  const digits = kept(text);
  return digits.length >= NUMBER_DIGITS_MIN && /^[0-9]+$/.test(digits) ? digits : undefined;
}

function isMasked(text: string): boolean {
  const all = [...text];
  const hidden = all.filter((character) => HIDING.has(character)).length;
  const isOfThese = all.every((character) => HIDING.has(character) || isDigit(character) || isSeparator(character));
  return hidden >= 2 && all.filter(isDigit).length <= MASKED_DIGITS_MAX && isOfThese;
}

/** What stands behind the word `IBAN`; undefined when it does not begin the text. */
function withoutLabel(text: string): string | undefined {
  if (!/^[Ii][Bb][Aa][Nn]/.test(text)) return undefined;
  const rest = [...text.slice(4)];
  const at = rest.findIndex((character) => character !== ":" && !isSeparator(character));
  return at < 0 ? "" : rest.slice(at).join("");
}

/** The IBAN in capitals without separators; undefined for a text that was not meant as one. Throws {@link DigestError}. */
function iban(text: string): string | undefined {
  const behind = withoutLabel(text);
  if (behind === undefined) return ibanNumber(text, false);
  if (behind.length + 4 < text.length) return ibanNumber(behind, true);
  try {
    // `IBANDE89…` without a separator is a label only if a number follows it.
    return ibanNumber(behind, false);
  } catch {
    return undefined;
  }
}

function ibanNumber(text: string, isLabelled: boolean): string | undefined {
  const typed = kept(text);
  const capitals = typed.replaceAll(/[a-z]/g, (letter) => letter.toUpperCase());
  const country = capitals.slice(0, 2);
  const expected = Object.hasOwn(TABLES.iban_lengths, country) ? TABLES.iban_lengths[country]! : undefined;
  if (expected === undefined || !/^(?:[0-9]{0,2}|[0-9]{2}[A-Z0-9]*)$/.test(capitals.slice(2))) return undefined;
  const isOneCase = typed === capitals || typed === capitals.toLowerCase();
  const isSeparated = typed.length < text.length || isLabelled;
  if (capitals.length === expected) {
    if (remainder(capitals) === 1) return capitals;
    if (!isOneCase && !isSeparated) return undefined;
  } else {
    const isNear = Math.abs(capitals.length - expected) <= LENGTH_SLIP_MAX;
    if (!isSeparated && !(isNear && isOneCase)) return undefined;
  }
  throw new DigestError("NOT_AN_IBAN");
}

/** ISO 7064, MOD 97-10: the first four characters behind the others, letters as 10 to 35. A valid number leaves 1. */
function remainder(capitals: string): number {
  const digits = Array.from(capitals.slice(4) + capitals.slice(0, 4), (character) => Number.parseInt(character, 36)).join("");
  return Array.from(digits).reduce((rest, digit) => (rest * 10 + Number(digit)) % 97, 0);
}
