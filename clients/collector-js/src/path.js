// Path tokens: which page it was, without what an address may tell of a person. Nothing of a path is kept but words of this list and of the product's
// own, so that no name, e-mail address or id can be in a token, wherever it stood.

const WORD =
  /^(about|account|billing|cart|checkout|contact|dashboard|demo|doc|help|home|invite|join|landing|log-?(in|out)|onboarding|order|pay|payment|plan|pricing|product|profile|purchase|referral|register|setting|share|shop|sign-?(in|out|up)|start|subscribe|success|support|thank-?you|upgrade|user|welcome)s?$/;
const PARTS_MAX = 6;
const TOKEN_BYTES_MAX = 128;

/**
 * `/en/users/4711/settings` is `users/:id/settings`, the root is `/`. Empty when the first word is not known: then the API counts it as absent,
 * for ways through unknown pages would all look alike.
 */
export function pathToken(path, pages) {
  const words = path
    .toLowerCase()
    .replace(/[?#].*/, "")
    .split("/")
    .map((part) => part.replace(/;.*|\.(html?|php|aspx?|jsp)$/g, ""))
    .filter(Boolean);
  // A language in front is no page: the same token in every language.
  if (/^[a-z]{2}(-[a-z]{2})?$/.test(words[0]) && !pages.includes(words[0])) words.shift();
  const parts = words.map((word) => (WORD.test(word) || pages.includes(word) ? word : ":id"));
  return parts[0] === ":id" ? "" : token(parts.slice(0, PARTS_MAX).join("/")) || "/";
}

/** Printable ASCII without spaces and `@`. */
export const PLAIN = /^[!-?A-~]{1,1024}$/;

/** The text as the API takes it; nothing when it cannot be a token, or holds what separates parts of a record. */
export const token = (text) => (typeof text === "string" && PLAIN.test(text) && !/[?*]/.test(text) ? text.slice(0, TOKEN_BYTES_MAX) : "");
