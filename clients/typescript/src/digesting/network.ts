/** Network addresses: one text for each, and the prefixes that a household or a site shares. */

import { isIPv4, isIPv6 } from "node:net";
import { DigestError } from "./refusals.js";
import { trim } from "./text.js";

const V6_PREFIXES_BITS = [64, 56, 48];

/** The canonical address, and its prefixes, the narrowest first. Throws {@link DigestError}. */
export function network(typed: string): { address: string; prefixes: string[] } {
  let text = trim(typed);
  if (text.length > 1 && text.startsWith("[") && text.endsWith("]")) text = text.slice(1, -1);
  if (isIPv4(text)) return ofV4(text.split(".").map(Number));
  if (!isIPv6(text) || text.includes("%")) throw new DigestError("NOT_AN_ADDRESS");
  const groups = groupsOf(text);
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return ofV4(groups.slice(6).flatMap((group) => [group >> 8, group & 0xff]));
  const first = groups[0]!;
  const isNobodys = groups.slice(0, 6).every((group) => group === 0) || (first & 0xffc0) === 0xfe80 || first >> 8 === 0xff;
  if (isNobodys) throw new DigestError("NOT_OF_A_USER");
  return { address: inFull(groups), prefixes: V6_PREFIXES_BITS.map((bits) => `${inFull(masked(groups, bits))}/${bits}`) };
}

function ofV4(bytes: number[]): { address: string; prefixes: string[] } {
  const [first, second] = [bytes[0]!, bytes[1]!];
  const isNobodys = first === 0 || first === 127 || first >= 224 || (first === 169 && second === 254);
  if (isNobodys) throw new DigestError("NOT_OF_A_USER");
  return { address: bytes.join("."), prefixes: [`${bytes.slice(0, 3).join(".")}.0/24`] };
}

function groupsOf(text: string): number[] {
  const plain = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = "", tail] = plain.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  if (tail === undefined) return groups(head);
  const [before, after] = [groups(head), groups(tail)];
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function masked(groups: number[], bits: number): number[] {
  return groups.map((group, at) => {
    const kept = Math.max(0, Math.min(16, bits - 16 * at));
    return group & (0xffff << (16 - kept)) & 0xffff;
  });
}

function inFull(groups: number[]): string {
  return groups.map((group) => group.toString(16).padStart(4, "0")).join(":");
}
