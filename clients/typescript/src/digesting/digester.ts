/** Keyed digests and sketches, under one programme key or, while keys rotate, two. */

import { createHmac } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type DeviceSignalsSchema,
  EmailDomainClass,
  type EmailSignalsSchema,
  type NameSignalsSchema,
  type NetworkSignalsSchema,
  PaymentKind,
  PaymentPurpose,
  type PaymentSignalsSchema,
  type SignalBundleSchema,
} from "../v1/selfsame/v1/signals_pb.js";
import { DomainRules, EmailAddress } from "./email.js";
import { foldedName, personOfMailbox, personOfName } from "./name.js";
import { network } from "./network.js";
import { identifier, instrument, type PaymentKindWord } from "./payment.js";
import { DigestError } from "./refusals.js";

const KEY_BYTES_MIN = 32;
const DISTINCT_BYTES_MIN = 8;
const SKETCH_BYTES = 128;
const POSITIONS = 10;
const RING = "sketch.person";

/** A digest as the messages take it. */
export interface Digest {
  keyId: string;
  value: Uint8Array;
}
/** A sketch as the messages take it. */
export interface Sketch {
  keyId: string;
  bits: Uint8Array;
}
/** The kinds of sketches. */
export type SketchKind = "sketch.email.local_part" | "sketch.name" | typeof RING;
type EmailInit = MessageInitShape<typeof EmailSignalsSchema>;
type NameInit = MessageInitShape<typeof NameSignalsSchema>;
type DeviceInit = MessageInitShape<typeof DeviceSignalsSchema>;
type NetworkInit = MessageInitShape<typeof NetworkSignalsSchema>;
type PaymentInit = MessageInitShape<typeof PaymentSignalsSchema>;
type BundleInit = MessageInitShape<typeof SignalBundleSchema>;

/** A device as it is known: `attributes` are its plain fields, such as `timeZone`. */
export interface RawDevice {
  fingerprint?: string;
  browser?: string;
  attributes?: Partial<DeviceInit>;
}

/** A payment instrument as it is known: `fields` are the message's others, such as `country`. */
export interface RawPayment {
  kind: PaymentKindWord;
  purpose: "BILLING" | "PAYOUT";
  instrument: string;
  fields?: Partial<PaymentInit>;
}

/** What is known of an account, raw. `fields` are the bundle's others, such as `journey`. */
export interface RawBundle {
  accountId: string;
  emails?: string[];
  names?: string[];
  devices?: RawDevice[];
  addresses?: string[];
  payments?: RawPayment[];
  fields?: Partial<BundleInit>;
}

/** A secret with its name. Whoever holds it can test guesses: keep it in a secret store, out of logs and away from the Selfsame service. */
export class ProgrammeKey {
  readonly #secret: Buffer;

  constructor(
    readonly keyId: string,
    secret: Uint8Array,
  ) {
    if (!/^[a-z0-9._-]{1,32}$/.test(keyId)) throw new DigestError("INVALID_KEY", "a key id is 1 to 32 characters of a-z 0-9 . _ -");
    if (secret.length < KEY_BYTES_MIN) throw new DigestError("INVALID_KEY", `a programme key needs at least ${KEY_BYTES_MIN} bytes`);
    if (new Set(secret).size < DISTINCT_BYTES_MIN) {
      throw new DigestError("INVALID_KEY", "the programme key repeats a few bytes; make one with `selfsame digest --generate-key`");
    }
    this.#secret = Buffer.from(secret);
  }

  /** Hexadecimal, base64 (standard or URL alphabet), or `hex:`, `base64:`, `raw:` and the key. */
  static fromText(keyId: string, typed: string): ProgrammeKey {
    const text = typed.replace(/^\ufeff+/, "").trim();
    const [, prefix, rest = text] = /^(raw|hex|base64):(.*)$/s.exec(text) ?? [];
    if (prefix === "raw") return new ProgrammeKey(keyId, Buffer.from(rest));
    if (prefix === "hex" || (prefix === undefined && /^[0-9A-Fa-f]*$/.test(text))) {
      if (!/^(?:[0-9A-Fa-f]{2})*$/.test(rest)) throw new DigestError("INVALID_KEY", "the programme key is not hexadecimal, or a digit is missing");
      return new ProgrammeKey(keyId, Buffer.from(rest, "hex"));
    }
    const bare = rest.replace(/=+$/, "");
    if (!/^(?:[A-Za-z0-9+/]*|[A-Za-z0-9_-]*)$/.test(bare) || bare.length % 4 === 1) {
      throw new DigestError("INVALID_KEY", "the programme key is neither hexadecimal nor base64; write `raw:` before it to use it as it stands");
    }
    return new ProgrammeKey(keyId, Buffer.from(bare, "base64"));
  }

  /** HMAC-SHA-256 under the key. */
  mac(...parts: (string | Uint8Array)[]): Buffer {
    return mac(this.#secret, ...parts);
  }
}

function mac(key: Uint8Array, ...parts: (string | Uint8Array)[]): Buffer {
  const state = createHmac("sha256", key);
  for (const part of parts) state.update(part);
  return state.digest();
}

/**
 * Turns raw values into the signals of a bundle, as the messages of `selfsame.v1` take them.
 *
 * Every method throws {@link DigestError} for a value that is not digested. `bundle` tells such values apart and keeps the rest.
 */
export class Digester {
  readonly #keys: ProgrammeKey[];
  readonly #rules: DomainRules;
  readonly #subKeys = new Map<string, Buffer>();

  constructor(key: ProgrammeKey, options: { previous?: ProgrammeKey; rules?: DomainRules } = {}) {
    if (options.previous?.keyId === key.keyId) {
      throw new DigestError("INVALID_KEY", "the current and the previous programme key have one key id; give each its own");
    }
    this.#keys = options.previous === undefined ? [key] : [key, options.previous];
    this.#rules = options.rules ?? new DomainRules();
    for (const kind of ["sketch.email.local_part", "sketch.name", RING]) {
      for (const { keyId, mac } of this.#keys.map((one) => ({ keyId: one.keyId, mac: one.mac(kind, "\0") }))) this.#subKeys.set(`${keyId} ${kind}`, mac);
    }
  }

  /** The digests of a canonical value, one for each key, ordered by key id. */
  digests(kind: string, canonical: string): Digest[] {
    const ordered = this.#keys.toSorted((one, other) => (one.keyId < other.keyId ? -1 : 1));
    return ordered.map((key) => ({ keyId: key.keyId, value: key.mac(kind, "\0", canonical) }));
  }

  /** The sketches of a folded text, one for each key, the current first; none of an absent text. */
  sketches(kind: SketchKind, folded: string | undefined): Sketch[] {
    if (folded === undefined) return [];
    return this.#keys.map((key) => ({ keyId: key.keyId, bits: bitsOf(this.#subKeys.get(`${key.keyId} ${kind}`)!, kind, folded) }));
  }

  /** The `EmailSignals` of an address. */
  email(typed: string): EmailInit {
    const address = EmailAddress.parse(typed);
    const mailbox = address.mailbox(this.#rules);
    const { bareLocalPart: bare, pattern } = mailbox;
    return {
      exact: this.digests("email.exact", address.exact),
      mailbox: this.digests("email.mailbox", mailbox.address),
      pattern: pattern === undefined ? [] : this.digests("email.pattern", pattern),
      localPart: this.digests("email.local_part", bare),
      domain: this.digests("email.domain", mailbox.domain),
      domainClass: EmailDomainClass[this.#rules.classOf(address.domain)],
      localPartSketch: this.sketches("sketch.email.local_part", bare),
      personSketch: this.sketches(RING, personOfMailbox(mailbox)),
    };
  }

  /** The digests of the address cut at its `+`; none where the mailbox has the answer. The API has no field for it yet. */
  plusFolded(typed: string): Digest[] {
    const folded = EmailAddress.parse(typed).plusFolded(this.#rules);
    return folded === undefined ? [] : this.digests("email.plus_folded", folded);
  }

  /** The `NameSignals` of a person's whole name. */
  name(typed: string): NameInit {
    const { folded, inOrder } = foldedName(typed);
    return {
      exact: this.digests("name.exact", folded),
      sketch: this.sketches("sketch.name", folded),
      personSketch: this.sketches(RING, personOfName(inOrder)),
    };
  }

  /** The `DeviceSignals` of a device. */
  device({ fingerprint, browser, attributes }: RawDevice): DeviceInit {
    return {
      ...attributes,
      fingerprint: fingerprint === undefined ? [] : this.digests("device.fingerprint", identifier(fingerprint)),
      browser: browser === undefined ? [] : this.digests("device.browser", identifier(browser)),
    } as DeviceInit;
  }

  /** All `NetworkSignals` of an address: one of IPv4; three of IPv6, whose wider prefixes stand in entries of their own. */
  networks(typed: string): NetworkInit[] {
    const { address, prefixes } = network(typed);
    const entries = prefixes.map((prefix) => ({ prefix: this.digests("network.prefix", prefix) }));
    return entries.map((entry, at) => (at === 0 ? { address: this.digests("network.address", address), ...entry } : entry));
  }

  /** The `PaymentSignals` of an instrument. */
  payment({ kind, purpose, instrument: typed, fields }: RawPayment): PaymentInit {
    const digests = this.digests("payment.instrument", instrument(kind, typed));
    return { ...fields, instrument: digests, kind: PaymentKind[kind], purpose: PaymentPurpose[purpose] } as PaymentInit;
  }

  /** A `SignalBundle` of raw values, and what was left out of it: where it stood (`emails[0]`), and why. */
  bundle(raw: RawBundle): { bundle: BundleInit; leftOut: { place: string; error: DigestError }[] } {
    const leftOut: { place: string; error: DigestError }[] = [];
    const all = <Raw, Signals>(field: string, values: Raw[] | undefined, digest: (value: Raw) => Signals[]): Signals[] =>
      (values ?? []).flatMap((value, at) => {
        try {
          return digest(value);
        } catch (error) {
          if (!(error instanceof DigestError)) throw error;
          leftOut.push({ place: `${field}[${at}]`, error });
          return [];
        }
      });
    const bundle = {
      ...raw.fields,
      accountId: raw.accountId,
      emails: all("emails", raw.emails, (typed) => [this.email(typed)]),
      names: all("names", raw.names, (typed) => [this.name(typed)]),
      devices: all("devices", raw.devices, (device) => [this.device(device)]),
      networks: all("networks", raw.addresses, (typed) => this.networks(typed)),
      payments: all("payments", raw.payments, (payment) => [this.payment(payment)]),
    } as BundleInit;
    return { bundle, leftOut };
  }
}

/** How similar two sketches of one kind and key are, [0, 1]. */
export function dice(one: Uint8Array, other: Uint8Array): number {
  const count = (bits: Uint8Array) => bits.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
  const total = count(one) + count(other);
  return total === 0 ? 0 : (2 * count(one.map((byte, at) => byte & other[at]!))) / total;
}

function bigrams(kind: SketchKind, folded: string): Set<string> {
  const words = folded.split(" ").filter((word) => word !== "").map((word) => [...word]);
  if (kind === RING) {
    const joined = words.flat();
    return new Set([...joined.map((character, at) => character + joined[(at + 1) % joined.length]!), ...words.map((word) => `_${word[0]!}`)]);
  }
  const padded = words.map((word) => ["_", ...word, "_"]);
  return new Set(padded.flatMap((word) => word.slice(1).map((character, at) => word[at]! + character)));
}

function bitsOf(subKey: Uint8Array, kind: SketchKind, folded: string): Uint8Array {
  const bits = new Uint8Array(SKETCH_BYTES);
  for (const bigram of bigrams(kind, folded)) {
    const drawn = mac(subKey, bigram);
    for (let at = 0; at < POSITIONS; at++) {
      const position = drawn.readUInt16BE(2 * at) % (8 * SKETCH_BYTES);
      bits[position >> 3]! |= 1 << (position % 8);
    }
  }
  return bits;
}
