/** Domain names in ASCII, by UTS #46 without transitional processing; the package `tr46` does it. */

import { isIP } from "node:net";
import tr46 from "tr46";
import { DigestError } from "./refusals.js";
import { characters } from "./text.js";

const LABEL_BYTES_MAX = 63;
const DOMAIN_BYTES_MAX = 253;
const RULES = { checkBidi: true, checkJoiners: true, useSTD3ASCIIRules: true, verifyDNSLength: true };
const isNewInDomains = characters("new_in_domains");

/** The domain, folded as an address is, in lower-case ASCII and without the root dot. */
export function asciiDomain(folded: string): string {
  const domain = folded.endsWith(".") ? folded.slice(0, -1) : folded;
  if (domain === "") throw new DigestError("NOT_AN_EMAIL");
  if (domain.startsWith("[") || isIP(domain) !== 0) throw new DigestError("INVALID_DOMAIN");
  const ascii = tr46.toASCII(domain, RULES);
  const labels = ascii === null ? [] : ascii.split(".");
  const shown = ascii === null ? [] : tr46.toUnicode(ascii, RULES).domain.split(".");
  if ([domain, ...shown].some((label) => Array.from(label).some(isNewInDomains))) throw new DigestError("NEW_CHARACTER");
  const fits = [...labels, ...shown].every((label) => label !== "" && !label.startsWith("-") && !label.endsWith("-"));
  const isShort = labels.every((label) => label.length <= LABEL_BYTES_MAX) && ascii !== null && ascii.length <= DOMAIN_BYTES_MAX;
  if (ascii === null || !fits || !isShort || labels.length < 2) throw new DigestError("INVALID_DOMAIN");
  return ascii;
}
