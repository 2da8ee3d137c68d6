/** Refusals of the server as errors, by `google.rpc` details. docs/errors.md says what each reason asks for. */

import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./v1/google/rpc/error_details_pb.js";

/** The stable reasons of docs/errors.md. */
export const REASONS = [
  "NOT_AUTHENTICATED",
  "NOT_PERMITTED",
  "PROGRAM_NOT_KNOWN",
  "PROGRAM_ARCHIVED",
  "INVALID_FIELDS",
  "INVALID_PAGE_TOKEN",
  "MALFORMED_MESSAGE",
  "CURSOR_FORGOTTEN",
  "CURSOR_OF_ANOTHER_LEDGER",
  "CONTENT_DIFFERS",
  "NOT_KNOWN",
  "REMOVED",
  "CASE_CLAIMED_BY_OTHER",
  "CASE_NOT_CLAIMED",
  "CASE_ALREADY_RESOLVED",
  "CASE_NOT_RESOLVED",
  "NOT_POSSIBLE",
  "MODEL_DOES_NOT_FIT",
  "OWN_ACT",
  "REVISION_DIFFERS",
  "LEDGER_FULL",
  "LEDGER_BUSY",
  "SERVER_BUSY",
  "TOO_MANY_STREAMS",
  "CALLER_BUSY",
  "CALLER_TOO_FAST",
  "ASKED_TOO_OFTEN",
  "CALLER_LEFT",
  "MESSAGE_TOO_LARGE",
  "DEADLINE_EXCEEDED",
  "LEDGER_UNAVAILABLE",
  "HELD_ELSEWHERE",
  "MODEL_FOLDER_UNAVAILABLE",
  "SHUTTING_DOWN",
  "RECORD_DAMAGED",
  "UNKNOWN_METHOD",
  "UNKNOWN_ENCODING",
  "INTERNAL",
] as const;

/** A reason; a server may be newer and have others. Empty when what failed was not the server's answer. */
export type Reason = (typeof REASONS)[number] | (string & {});

/** A field that is wrong, or of `CONTENT_DIFFERS` that differs, and why. */
export interface FieldViolation {
  field: string;
  description: string;
}

const TRANSIENT = [Code.Unavailable, Code.DeadlineExceeded, Code.Internal];

/** A call that was refused or failed. No refusal is ever a decision: nothing defaults to APPROVED or RELEASE. */
export class SelfsameError extends Error {
  override readonly name = "SelfsameError";

  constructor(
    readonly code: Code,
    message: string,
    readonly reason: Reason = "",
    readonly violations: FieldViolation[] = [],
    /** What the server asks to wait, in milliseconds; undefined when it says nothing. */
    readonly retryAfterMs: number | undefined = undefined,
    /** What else the reason says, such as the `cursor` of a feed that ended. */
    readonly metadata: Record<string, string> = {},
  ) {
    super(`${Code[code]} ${reason}: ${message}${violations.map(({ field, description }) => `; ${field}: ${description}`).join("")}`);
  }

  /** Whether the same call may succeed later. Whether it may be repeated is another question: `SelfsameClient` knows. */
  get isTransient(): boolean {
    return this.retryAfterMs !== undefined || TRANSIENT.includes(this.code);
  }

  /** Whether a write may have been kept all the same: repeat it under the same id. */
  get isOutcomeUnknown(): boolean {
    return TRANSIENT.includes(this.code) || this.code === Code.Canceled;
  }
}

/** The error for a call that failed. */
export function errorOf(failed: unknown): SelfsameError {
  if (failed instanceof SelfsameError) return failed;
  const error = ConnectError.from(failed);
  const [info] = error.findDetails(ErrorInfoSchema);
  const [fields] = error.findDetails(BadRequestSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const violations = (fields?.fieldViolations ?? []).map(({ field, description }) => ({ field, description }));
  const delay = retry?.retryDelay;
  const retryAfterMs = delay === undefined ? undefined : Number(delay.seconds) * 1000 + delay.nanos / 1e6;
  return new SelfsameError(error.code, error.rawMessage, info?.reason ?? "", violations, retryAfterMs, info?.metadata ?? {});
}
