/**
 * Folding of Unicode text that every canonical form shares, by tables that are the same in every language.
 *
 * A character that came after Unicode 14.0 is refused: what a language knows of it depends on the language's age. All that an older character is
 * folded to has been the same in every version since.
 */

import { readFileSync } from "node:fs";
import { DigestError } from "./refusals.js";

interface Provider {
  domains: string[];
  canonical: string;
  tags: string;
  ignored: string;
  same: string;
  account: boolean;
}

interface Tables {
  characters: Record<CharacterSet, string>;
  placeholders: Record<string, string[]>;
  providers: Provider[];
  letters: Record<string, string>;
  iban_lengths: Record<string, number>;
  test_cards: string[];
  suffixes: string[];
  domains: Record<string, string[]>;
}

type CharacterSet = "new" | "new_in_domains" | "alphabetic_marks" | "latin" | "greek" | "cyrillic" | "white_space" | "invisible";

/** The tables of clients/tables.py. */
export const TABLES = JSON.parse(readFileSync(new URL("./tables.json", import.meta.url), "utf8")) as Tables;

const APOSTROPHES = new Set("'`\u02bb\u02bc\u05f3\u0640\u2018\u2019\u2032\uff07");

/** Whether a character is in a named set of the tables. */
export type Contains = (character: string) => boolean;

/** A named set of characters of the tables. */
export function characters(name: CharacterSet): Contains {
  const ranges = TABLES.characters[name].split(" ").map((part) => part.split("-").map((digits) => Number.parseInt(digits, 16)));
  return (character) => {
    const point = character.codePointAt(0)!;
    let [first, last] = [0, ranges.length];
    while (first < last) {
      const middle = (first + last) >> 1;
      if (ranges[middle]![0]! <= point) first = middle + 1;
      else last = middle;
    }
    const range = ranges[first - 1];
    return range !== undefined && point <= (range[1] ?? range[0]!);
  };
}

/** Whether the character is Unicode's `White_Space`. */
export const isSpace = characters("white_space");
/** Whether no screen shows the character: Unicode's `Default_Ignorable_Code_Point`. */
export const isInvisible = characters("invisible");
const isNew = characters("new");
const isAlphabeticMark = characters("alphabetic_marks");

/** An apostrophe, what is used as one, the stroke that only stretches an Arabic word, or what no screen shows. */
export function isSilent(character: string): boolean {
  return APOSTROPHES.has(character) || isInvisible(character);
}

/** The first letter of the character's general category, where that matters: `L`, `M`, `N`, `Cc`, or nothing. */
export function category(character: string): "L" | "M" | "N" | "Cc" | "" {
  if (/^\p{L}$/u.test(character)) return "L";
  if (/^\p{M}$/u.test(character)) return "M";
  if (/^\p{N}$/u.test(character)) return "N";
  return /^\p{Cc}$/u.test(character) ? "Cc" : "";
}

/** Whether the character is Unicode's `Alphabetic`. */
export function isLetter(character: string): boolean {
  return category(character) === "L" || /^\p{Nl}$/u.test(character) || isAlphabeticMark(character);
}

/** Whether the character is alphabetic or a number. */
export function isLetterOrNumber(character: string): boolean {
  return category(character) === "N" || isLetter(character);
}

/** The text without white space and invisible characters at its ends: what copying and pasting leaves there. */
export function trim(text: string): string {
  const all = [...text];
  let [first, last] = [0, all.length];
  while (first < last && (isSpace(all[first]!) || isInvisible(all[first]!))) first++;
  while (last > first && (isSpace(all[last - 1]!) || isInvisible(all[last - 1]!))) last--;
  return all.slice(first, last).join("");
}

/** The trimmed text, refused when a language could fold it in a way of its own. */
export function typedText(typed: string): string {
  const text = trim(typed);
  for (const character of text) {
    if (character >= "\ud800" && character <= "\udfff" && character.length === 1) throw new DigestError("NOT_TEXT");
    if (character > "\u007f" && isNew(character)) throw new DigestError("NEW_CHARACTER");
  }
  return text;
}

/** NFKC, lower case one character at a time, every sigma the same, NFKC again. */
export function foldCase(text: string): string {
  const lower = Array.from(text.normalize("NFKC"), (character) => character.toLowerCase()).join("");
  return lower.replaceAll("ς", "σ").normalize("NFKC");
}

/** Unicode's full case folding (`CaseFolding.txt`, C and F), which JavaScript has no function for. */
export function foldCaseFully(text: string): string {
  return Array.from(text, (character) => {
    const upper = character.toUpperCase();
    if (upper >= "\u13a0" && upper <= "\u13f5") return upper; // Cherokee folds to capitals.
    if (character === "ı") return character;
    return character === "ẞ" ? "ss" : Array.from(upper, (one) => one.toLowerCase()).join("");
  }).join("");
}

/** The length in bytes of UTF-8. */
export function size(text: string): number {
  return Buffer.byteLength(text);
}

/** Sorts by code point, as other languages do. */
export function byCodePoint(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
