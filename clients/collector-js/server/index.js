// The receiving side, in a product's backend: a payload and what the backend itself knows of the request become the fields of a `SignalBundle` and an
// `Attribution`, in the API's JSON form. No dependency; Node 18 or later. Digests follow docs/digests.md; e-mail addresses, names and cards, which no payload
// holds, are digested with `selfsame digest` or a client library.
import { createHmac } from "node:crypto";
import { isIP } from "node:net";

const BODY_BYTES_MAX = 128 * 1024;
const KINDS = ["LINK_CLICK", "LANDING", "PAGE_VIEW", "SIGNUP", "SIGN_IN", "SHARE", "CHECKOUT", "PURCHASE"].map((kind) => `TOUCHPOINT_KIND_${kind}`);
const VIAS = ["LINK", "COOKIE", "FORM", "DEEP_LINK"].map((via) => `CAPTURED_VIA_${via}`);
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
const BROWSER_ID = /^[0-9a-f]{32}$/;
const PLAIN = /^[!-?A-~]{1,1024}$/;
const TOKEN = /^[!->A-~]{1,128}$/;
const CODE = /^[\w.~:+=/-]{1,128}$/;
const ACCOUNT_ID = /^[!#-&(-?A-[\]-_a-~]{1,128}$/;
// Below this a clock is right enough: the network takes time too.
const SKEW_MS_MIN = 120_000;

/** A body that is no payload. `fields` names each one that is wrong; no value is shown. */
export class InvalidPayload extends Error {
  constructor(fields) {
    super(`not a payload of the collector: ${fields.join(", ")}`);
    this.name = "InvalidPayload";
    this.fields = fields;
  }
}

/** Reads a posted body or the form field. Takes what the schema allows and nothing else; unknown fields are left out. */
export function readPayload(body) {
  if (Buffer.byteLength(body) > BODY_BYTES_MAX) throw new InvalidPayload([`more than ${BODY_BYTES_MAX} bytes`]);
  let raw;
  try {
    raw = JSON.parse(body);
  } catch {
    throw new InvalidPayload(["not JSON"]);
  }
  const wrong = [];
  const payload = payloadOf(object(raw), wrong);
  if (wrong.length) throw new InvalidPayload(wrong);
  return payload;
}

function payloadOf(raw, wrong) {
  const check = (name, value, holds) => {
    if (value === undefined) return undefined;
    if (holds(value)) return value;
    wrong.push(name);
    return undefined;
  };
  const text = (pattern) => (value) => typeof value === "string" && pattern.test(value);
  const ofLength = (max) => (value) => typeof value === "string" && value.length <= max;
  const listOf = (max, holds) => (value) => Array.isArray(value) && value.length <= max && value.every(holds);
  const time = (value) => text(TIME)(value) && !Number.isNaN(Date.parse(value));
  const pixels = (value) => Number.isInteger(value) && value > 0 && value <= 32768;
  const required = (name, value, holds) => (value === undefined ? void wrong.push(name) : check(name, value, holds));
  const part = (name, read) => (raw[name] === undefined ? undefined : read(object(raw[name])));

  return compact({
    version: required("version", raw.version, (value) => value === 1),
    messageId: required("messageId", raw.messageId, text(BROWSER_ID)),
    sentAt: required("sentAt", raw.sentAt, time),
    browserIds: check("browserIds", raw.browserIds, listOf(4, text(BROWSER_ID))),
    fingerprint: check("fingerprint", raw.fingerprint, text(PLAIN)),
    device: part("device", (device) => ({
      userAgent: check("device.userAgent", device.userAgent, ofLength(512)),
      platform: check("device.platform", device.platform, ofLength(128)),
      timeZone: check("device.timeZone", device.timeZone, ofLength(128)),
      languages: check("device.languages", device.languages, listOf(16, ofLength(128))),
      screenWidthPx: check("device.screenWidthPx", device.screenWidthPx, pixels),
      screenHeightPx: check("device.screenHeightPx", device.screenHeightPx, pixels),
      seenAt: required("device.seenAt", device.seenAt, time),
    })),
    attribution: part("attribution", (attribution) => ({
      capturedVia: required("attribution.capturedVia", attribution.capturedVia, (value) => VIAS.includes(value)),
      ucc: required("attribution.ucc", attribution.ucc, text(CODE)),
      previousUcc: check("attribution.previousUcc", attribution.previousUcc, text(CODE)),
      capturedAt: required("attribution.capturedAt", attribution.capturedAt, time),
    })),
    journey: part("journey", (journey) => {
      const steps = required("journey.touchpoints", journey.touchpoints, listOf(128, (step) => typeof step === "object")) ?? [];
      return {
        touchpoints: steps.map(object).map((step, at) => ({
          kind: required(`journey.touchpoints[${at}].kind`, step.kind, (value) => KINDS.includes(value)),
          occurredAt: required(`journey.touchpoints[${at}].occurredAt`, step.occurredAt, time),
          pathToken: check(`journey.touchpoints[${at}].pathToken`, step.pathToken, text(TOKEN)),
        })),
        touchpointCountTotal: check(
          "journey.touchpointCountTotal",
          journey.touchpointCountTotal,
          (value) => Number.isInteger(value) && value >= steps.length && value <= 1e9,
        ),
      };
    }),
    account: part("account", (account) => ({
      accountId: required("account.accountId", account.accountId, text(TOKEN)),
      token: check("account.token", account.token, ofLength(8192)),
    })),
  });
}

/**
 * The `SignalBundle` of the account that is signed in, not of the one that the payload names.
 *
 * `keys`: one programme key, or two during a rotation: `{ id, secret }`. `address`: of the request, behind your proxies. `did`: what the account just did, like
 * `SIGNUP`; it is added when the page did not tell it. `receivedAt`: default now.
 * Times are put right where the browser's clock is wrong, and none is later than `receivedAt`.
 */
export function bundleOf(payload, { keys, accountId, address, accountCreatedAt, did, receivedAt = new Date() }) {
  if (!ACCOUNT_ID.test(accountId)) throw new TypeError("`accountId` is the product's own id: printable ASCII without spaces, `@`, quotes or backslashes");
  const time = clock(payload, receivedAt);
  const [own, ...others] = (payload.browserIds ?? []).map((id) => digests(keys, "device.browser", id));
  const fingerprint = payload.fingerprint && !isPlaceholder(payload.fingerprint) ? digests(keys, "device.fingerprint", payload.fingerprint) : undefined;
  const seenAt = receivedAt.toISOString();
  const device = compact({ ...payload.device, fingerprint, browser: own, seenAt });
  const steps = (payload.journey?.touchpoints ?? []).map((step) => compact({ ...step, occurredAt: time(step.occurredAt), device: fingerprint, browser: own }));
  if (did && !steps.some((step) => step.kind === `TOUCHPOINT_KIND_${did}`)) {
    steps.push(compact({ kind: `TOUCHPOINT_KIND_${did}`, occurredAt: seenAt, device: fingerprint, browser: own }));
  }
  return compact({
    accountId,
    accountCreatedAt: accountCreatedAt?.toISOString(),
    devices: [device, ...others.map((browser) => ({ browser, seenAt }))].filter((one) => Object.keys(one).length > 1),
    networks: address ? networksOf(address, keys, seenAt) : undefined,
    journey: steps.length ? compact({ touchpoints: steps, touchpointCountTotal: payload.journey?.touchpointCountTotal && payload.journey.touchpointCountTotal + steps.length - payload.journey.touchpoints.length }) : undefined,
  });
}

/** The `Attribution`, when a code was captured. `isValid`: whether the code is somebody's and usable; leave it out when you do not know. */
export function attributionOf(payload, { isValid, receivedAt = new Date() } = {}) {
  if (!payload.attribution) return undefined;
  const codeValidity = isValid === undefined ? undefined : `CODE_VALIDITY_${isValid ? "VALID" : "INVALID"}`;
  return compact({ ...payload.attribution, capturedAt: clock(payload, receivedAt)(payload.attribution.capturedAt), codeValidity });
}

/** The collector's cookie as a `Set-Cookie` value, for browsers that end a script's cookies after seven days; nothing when it did not come with the request. */
export function renewedCookie(cookieHeader, { name = "selfsame", domain, days = 90, secure = true }) {
  const pair = (cookieHeader ?? "").split(/; */).find((one) => one.startsWith(`${name}=1*`) || one.startsWith(`${name}=1%2A`) || one.startsWith(`${name}=1%2a`));
  if (!pair || pair.length > 1024 || !/^[\w.*%=~!'()-]+$/.test(pair)) return undefined;
  return `${pair}; Path=/; Max-Age=${days * 86400}; SameSite=Lax${domain ? `; Domain=${domain}` : ""}${secure ? "; Secure" : ""}`;
}

/** The digest of one canonical value under each key. */
export function digests(keys, kind, canonical) {
  return keys.map(({ id, secret }) => {
    if (secret.length < 32) throw new TypeError("a programme key has at least 32 bytes");
    return { keyId: id, value: createHmac("sha256", secret).update(`${kind}\0${canonical}`).digest("base64") };
  });
}

/** The entries of `networks` for one address: the address with its narrowest prefix, then the wider ones. None when it is no user's. */
export function networksOf(address, keys, seenAt) {
  const forms = canonicalAddress(address);
  if (!forms) return undefined;
  return forms.prefixes.map((prefix, at) =>
    compact({ address: at ? undefined : digests(keys, "network.address", forms.address), prefix: digests(keys, "network.prefix", prefix), seenAt }),
  );
}

/** An address and its prefixes in the one form that is digested; nothing for loopback, link-local, multicast and the like. */
export function canonicalAddress(typed) {
  const bare = typed.trim().replace(/^\[(.*)\]$/, "$1");
  const version = isIP(bare);
  if (version === 4) return ofIPv4(bare);
  if (version !== 6 || bare.includes("%")) return undefined;
  const groups = groupsOf(bare);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return ofIPv4([groups[6] >> 8, groups[6] & 255, groups[7] >> 8, groups[7] & 255].join("."));
  }
  const isOfAUser = !groups.slice(0, 6).every((group) => group === 0) && (groups[0] & 0xffc0) !== 0xfe80 && groups[0] >> 8 !== 0xff;
  if (!isOfAUser) return undefined;
  const long = (some) => some.map((group) => group.toString(16).padStart(4, "0")).join(":");
  const prefix = (bits) => long(groups.map((group, at) => (at * 16 >= bits ? 0 : bits - at * 16 >= 16 ? group : group & (0xffff << (16 - (bits - at * 16)))))) + `/${bits}`;
  return { address: long(groups), prefixes: [64, 56, 48].map(prefix) };
}

function ofIPv4(text) {
  const [a, b, c] = text.split(".").map(Number);
  if (a === 0 || a === 127 || a >= 224 || (a === 169 && b === 254)) return undefined;
  return { address: text, prefixes: [`${a}.${b}.${c}.0/24`] };
}

function groupsOf(text) {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain = dotted ? `${dotted[1]}${((+dotted[2] << 8) | +dotted[3]).toString(16)}:${((+dotted[4] << 8) | +dotted[5]).toString(16)}` : text;
  const [left, right] = plain.split("::").map((half) => (half ? half.split(":") : []));
  const all = right ? [...left, ...Array(8 - left.length - right.length).fill("0"), ...right] : left;
  return all.map((group) => parseInt(group, 16));
}

// The commonest of what docs/digests.md lists: a fingerprint that says that there is none makes one device of all.
const PLACEHOLDER = /^(0x)?(0+|(.)\3{7,}|null|nil|none|undefined|unknown|na|nan|notavailable|true|false|error|invalid|default|test|anonymous|fingerprint|disabled|blocked|denied)$/;

function isPlaceholder(text) {
  const squeezed = text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  return !squeezed || PLACEHOLDER.test(squeezed);
}

function clock(payload, receivedAt) {
  const ahead = Date.parse(payload.sentAt) - receivedAt.getTime();
  const shift = Math.abs(ahead) < SKEW_MS_MIN ? 0 : ahead;
  return (time) => new Date(Math.min(Date.parse(time) - shift, receivedAt.getTime())).toISOString();
}

function object(value) {
  return value && typeof value === "object" && !Array.isArray(value) ? Object.assign(Object.create(null), value) : Object.create(null);
}

function compact(value) {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined && one !== ""));
}
