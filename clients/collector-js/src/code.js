// The referral code (ucc): what may be one, and where an address holds it.
import { attempt, decoded } from "./guard.js";

// Narrower than the API's ids: no `@`, so that an address is never taken for a code, and nothing that means something in a page.
const CODE = /^[\w.~:+=/-]{1,128}$/;
// A link whose template was not filled in.
const NOT_FILLED_IN = /^(null|undefined|nan|none|ucc|code)$/i;
// Longer addresses are read this far. Judgement.
const READ_MAX = 16384;

/** The code in a text, or nothing when it is none. */
export function codeOf(text) {
  const code = typeof text === "string" ? text.trim() : "";
  return CODE.test(code) && !NOT_FILLED_IN.test(code) ? code : "";
}

/** The values of the parameters of these names, in query string or fragment, in their order. */
export function parameters(address, names) {
  const values = [];
  for (const pair of address.slice(0, READ_MAX).split(/[?&#]/)) {
    const cut = pair.indexOf("=");
    if (cut > 0 && names.includes(decoded(pair.slice(0, cut)).toLowerCase())) values.push(decoded(pair.slice(cut + 1)));
  }
  return values;
}

/** The code that an address brings, and how: in a parameter of its own, or in a deep link that is a parameter's value. */
export function codeIn(address, names, deepLinks) {
  const query = address.replace(/^[^?#]*/, "");
  const first = (text) => parameters(text, names).map(codeOf).find(Boolean);
  const ucc = first(query);
  if (ucc) return { ucc, via: "LINK" };
  const inside = parameters(query, deepLinks).map(first).find(Boolean);
  return inside && { ucc: inside, via: "DEEP_LINK" };
}

/** The address without one parameter; all else stays byte for byte. */
export function without(address, name) {
  const [main, query, hash] = parts(address);
  const kept = query.split("&").filter((pair) => pair.split("=")[0] !== name);
  return main + (kept.length && query ? "?" + kept.join("&") : "") + hash;
}

/** The address with one parameter set; all else stays byte for byte. */
export function withParameter(address, name, value) {
  const [main, query, hash] = parts(without(address, name));
  return main + "?" + (query && query + "&") + name + "=" + encodeURIComponent(value) + hash;
}

const parts = (address) => /^([^?#]*)\??([^#]*)([^]*)$/.exec(address).slice(1);

/** Host and scheme of an address; nothing when it is none. */
export const urlOf = (address) => attempt(() => new URL(address, location.href), {});
