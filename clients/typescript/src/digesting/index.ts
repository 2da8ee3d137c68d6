/** From raw values to pseudonyms, byte for byte as `selfsame digest` does it; docs/digests.md has the rules. */

export { type Digest, Digester, dice, ProgrammeKey, type RawBundle, type RawDevice, type RawPayment, type Sketch, type SketchKind } from "./digester.js";
export { type DomainClass, DomainRules, EmailAddress, Mailbox } from "./email.js";
export { foldedName, personOfMailbox, personOfName } from "./name.js";
export { network } from "./network.js";
export { identifier, instrument, type PaymentKindWord } from "./payment.js";
export { DigestError, type Refusal } from "./refusals.js";
