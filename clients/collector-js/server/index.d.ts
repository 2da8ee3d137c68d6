import type { Kind, Payload } from "../index.js";

/** A programme key. `id`: 1 to 32 characters of `a-z 0-9 . _ -`; `secret`: at least 32 bytes. */
export interface ProgrammeKey {
  id: string;
  secret: Uint8Array;
}

/** A digest in the API's JSON form. */
export interface Digest {
  keyId: string;
  /** 32 bytes in base64. */
  value: string;
}

/** `NetworkSignals` of the API, as far as an address fills it. */
export interface Network {
  address?: Digest[];
  prefix: Digest[];
  seenAt?: string;
}

/** `SignalBundle` of the API, as far as a payload fills it. Add e-mails, names and payments from what you know. */
export interface Bundle {
  accountId: string;
  accountCreatedAt?: string;
  devices: Array<Omit<NonNullable<Payload["device"]>, "seenAt"> & { fingerprint?: Digest[]; browser?: Digest[]; seenAt: string }>;
  networks?: Network[];
  journey?: {
    touchpoints: Array<NonNullable<Payload["journey"]>["touchpoints"][number] & { device?: Digest[]; browser?: Digest[] }>;
    touchpointCountTotal?: number;
  };
}

export interface Attribution {
  capturedVia: string;
  ucc: string;
  previousUcc?: string;
  capturedAt: string;
  codeValidity?: "CODE_VALIDITY_VALID" | "CODE_VALIDITY_INVALID";
}

/** A body that is no payload. */
export class InvalidPayload extends Error {
  fields: string[];
}

/** Throws `InvalidPayload`: answer 400. */
export function readPayload(body: string): Payload;
export function bundleOf(
  payload: Payload,
  known: { keys: ProgrammeKey[]; accountId: string; address?: string; accountCreatedAt?: Date; did?: Kind; receivedAt?: Date },
): Bundle;
export function attributionOf(payload: Payload, known?: { isValid?: boolean; receivedAt?: Date }): Attribution | undefined;
export function renewedCookie(
  cookieHeader: string | undefined,
  options: { name?: string; domain?: string; days?: number; secure?: boolean },
): string | undefined;
export function digests(keys: ProgrammeKey[], kind: string, canonical: string): Digest[];
export function networksOf(address: string, keys: ProgrammeKey[], seenAt?: string): Network[] | undefined;
export function canonicalAddress(typed: string): { address: string; prefixes: string[] } | undefined;
