/** Client of Selfsame: digests, calls, payouts, webhooks. The messages of the contract are in `@selfsame/client/v1/…`. */

export { type Calls, type CallSettings, type ClientOptions, type RetryPolicy, SelfsameClient } from "./client.js";
export * from "./digesting/index.js";
export { type FieldViolation, REASONS, type Reason, SelfsameError } from "./errors.js";
export { type Payment, PaymentFailed, type PayOrder, type PayoutOutcome, type PayoutRun, payRewards, type Settled } from "./payouts.js";
export { type HeadersLike, WebhookRefused, WebhookVerifier } from "./webhooks.js";
