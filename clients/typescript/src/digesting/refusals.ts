/** Why a value is not digested. No refusal ever shows the value. */

const SENTENCES = {
  EMPTY: "is empty",
  TOO_LONG: "is too long",
  NOT_TEXT: "is not text: it holds half of a character",
  NEW_CHARACTER: "holds a character that languages fold differently, such as one that came after Unicode 14.0; send the bundle without it",
  CONTROL_CHARACTER: "holds a control character",
  PLACEHOLDER: "is a placeholder (such as `n/a`, `null` or zeros), not a value; leave it out",
  NOT_AN_EMAIL: "is not an e-mail address",
  INVALID_DOMAIN: "has no valid domain of the internet behind its `@`",
  NOT_AN_ADDRESS: "is neither an IPv4 nor an IPv6 address; give it without port, prefix length or zone",
  NOT_OF_A_USER: "is an address that tells nothing of a user (loopback, link-local, multicast); a proxy may hide the real one",
  NOT_AN_IBAN: "looks like an IBAN, and its length or its check digits do not fit",
  MASKED: "shows a part of a number only, which many people share; give the fingerprint of your payment processor",
  TEST_CARD: "is a test card of a payment provider's documentation, which everybody's test accounts share; leave it out",
  INVALID_KEY: "is not a programme key",
  INVALID_DOMAIN_RULE: "is not a rule for a domain",
} as const;

/** The reason, for a program; the error's message has the sentence, for a person. */
export type Refusal = keyof typeof SENTENCES;

/** A value that is not digested: leave it out of the bundle, and send the rest. */
export class DigestError extends Error {
  override readonly name = "DigestError";

  constructor(
    readonly refusal: Refusal,
    detail?: string,
  ) {
    super(detail ?? `the value ${SENTENCES[refusal]}`);
  }
}
