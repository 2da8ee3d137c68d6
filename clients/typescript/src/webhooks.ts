/** Verification of webhooks by the Standard Webhooks specification: `webhook-id`, `webhook-timestamp`, `webhook-signature`. */

import { createHmac, timingSafeEqual } from "node:crypto";

const PREFIX = "whsec_";
const SECRET_BYTES_MIN = 16;

/** A delivery that is not to be trusted: answer it with 400, and do nothing. */
export class WebhookRefused extends Error {
  override readonly name = "WebhookRefused";
}

/** Headers as frameworks give them. */
export type HeadersLike = Headers | Record<string, string | string[] | undefined>;

/** Knows the secrets of an endpoint: one, or several while they are exchanged; each `whsec_` and base64. */
export class WebhookVerifier {
  readonly #secrets: Buffer[];
  readonly #toleranceSeconds: number;
  readonly #now: () => number;

  /** `toleranceSeconds`: how far the time of a delivery may lie from now, on either side. `now`: the clock, in milliseconds since 1970. */
  constructor(secrets: string | string[], options: { toleranceSeconds?: number; now?: () => number } = {}) {
    this.#secrets = [secrets].flat().map(secretOf);
    if (this.#secrets.length === 0) throw new TypeError("a verifier needs a secret");
    this.#toleranceSeconds = options.toleranceSeconds ?? 300;
    this.#now = options.now ?? Date.now;
  }

  /**
   * The payload, from JSON. Throws {@link WebhookRefused}. `body` is what arrived, byte for byte, before anything parsed it.
   *
   * A delivery may come twice: remember its `webhook-id`.
   */
  verify(headers: HeadersLike, body: string | Uint8Array): unknown {
    const [id, sentAt, signatures] = ["id", "timestamp", "signature"].map((name) => header(headers, `webhook-${name}`)) as [string, string, string];
    if (!/^[0-9]{1,12}$/.test(sentAt)) throw new WebhookRefused("the header webhook-timestamp is no time");
    if (Math.abs(this.#now() / 1000 - Number(sentAt)) > this.#toleranceSeconds) {
      throw new WebhookRefused("the delivery is too old or too new, or a clock is wrong");
    }
    const content = Buffer.from(body as Uint8Array);
    const signed = Buffer.concat([Buffer.from(`${id}.${sentAt}.`), content]);
    const expected = this.#secrets.map((secret) => createHmac("sha256", secret).update(signed).digest());
    const shown = signatures.split(" ").filter((part) => part.startsWith("v1,")).map((part) => decoded(part.slice(3)));
    // Every pair is compared, so that the time taken tells nothing.
    const fits = expected.flatMap((one) => shown.map((other) => one.length === other.length && timingSafeEqual(one, other)));
    if (!fits.includes(true)) throw new WebhookRefused("no signature fits any secret");
    return JSON.parse(content.toString("utf8"));
  }
}

function header(headers: HeadersLike, name: string): string {
  const shown = headers instanceof Headers ? headers.get(name) : Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  if (typeof shown !== "string") throw new WebhookRefused(`the header ${name} is missing`);
  return shown;
}

function secretOf(text: string): Buffer {
  const secret = decoded(text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text);
  if (secret.length < SECRET_BYTES_MIN) throw new TypeError(`a webhook secret is \`${PREFIX}\` and at least ${SECRET_BYTES_MIN} bytes in base64`);
  return secret;
}

/** The bytes of a text in base64 with padding; none when it is not. */
function decoded(text: string): Buffer {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text) ? Buffer.from(text, "base64") : Buffer.alloc(0);
}
