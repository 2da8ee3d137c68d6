// The receiving side, held to the schema, to the proto files and to the vectors of docs/digests.md.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import Ajv from "ajv/dist/2020.js";
import { attributionOf, bundleOf, canonicalAddress, digests, InvalidPayload, readPayload, renewedCookie } from "../server/index.js";

const text = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const schema = JSON.parse(text("../payload.schema.json"));
const validate = new Ajv({ strict: true, strictRequired: false }).compile(schema);
const digestsPage = text("../../../docs/digests.md");
const keys = [{ id: "k1", secret: Buffer.alloc(32, 7) }];
const hex = (digit) => String(digit).repeat(31) + "a";
const at = "2026-11-28T12:00:00.000Z";
const receivedAt = new Date("2026-11-28T12:00:01.000Z");

const payload = (fields = {}) => ({
  version: 1,
  messageId: hex(9),
  sentAt: at,
  browserIds: [hex(1), hex(2)],
  device: { userAgent: "Mozilla/5.0", platform: "MacIntel", timeZone: "Europe/Berlin", languages: ["de"], screenWidthPx: 1440, screenHeightPx: 900, seenAt: at },
  attribution: { capturedVia: "CAPTURED_VIA_LINK", ucc: "ANN-10", previousUcc: "BOB-1", capturedAt: "2026-11-28T11:59:00.000Z" },
  journey: { touchpoints: [{ kind: "TOUCHPOINT_KIND_LINK_CLICK", occurredAt: "2026-11-28T11:59:00.000Z" }, { kind: "TOUCHPOINT_KIND_SIGNUP", occurredAt: at, pathToken: "signup" }] },
  ...fields,
});
const read = (fields) => readPayload(JSON.stringify(payload(fields)));

// The fields of a message and the values of an enum, as the proto files have them.
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const proto = text("../../../proto/selfsame/v1/signals.proto") + text("../../../proto/selfsame/v1/conversion.proto");
const fieldsOf = (message) => [...new RegExp(`^message ${message} \\{([^]*?)^\\}`, "m").exec(proto)[1].matchAll(/^  (?:repeated |optional )?[\w.]+ (\w+) = \d+;/gm)].map((found) => camel(found[1]));
const valuesOf = (name) => [...new RegExp(`^enum ${name} \\{([^]*?)^\\}`, "m").exec(proto)[1].matchAll(/^  (\w+) = [1-9]\d*;/gm)].map((found) => found[1]);
const without = (all, ...some) => all.filter((one) => !some.includes(one));
const sorted = (all) => [...all].sort();

test("the payload's fields are the API's, less what the receiver makes", () => {
  const { device, attribution, journey } = schema.properties;
  const touchpoint = journey.properties.touchpoints.items;
  const has = (part, expected) => assert.deepEqual(sorted(Object.keys(part.properties)), sorted(expected));
  has(device, without(fieldsOf("DeviceSignals"), "fingerprint", "browser"));
  has(attribution, without(fieldsOf("Attribution"), "codeValidity", "attachedBy"));
  has(journey, fieldsOf("Journey"));
  has(touchpoint, without(fieldsOf("Touchpoint"), "device", "browser"));
  assert.deepEqual(touchpoint.properties.kind.enum, valuesOf("TouchpointKind"));
  assert.deepEqual(attribution.properties.capturedVia.enum, without(valuesOf("CapturedVia"), "CAPTURED_VIA_API", "CAPTURED_VIA_MANUAL"));
});

test("a payload becomes the fields of a bundle that the API has", () => {
  const bundle = bundleOf(read(), { keys, accountId: "acc-7", address: "203.0.113.9", receivedAt });
  const known = (value, message) => assert.deepEqual(without(Object.keys(value), ...fieldsOf(message)), [], message);
  known(bundle, "SignalBundle");
  bundle.devices.forEach((device) => known(device, "DeviceSignals"));
  bundle.networks.forEach((network) => known(network, "NetworkSignals"));
  known(bundle.journey, "Journey");
  bundle.journey.touchpoints.forEach((step) => known(step, "Touchpoint"));
  known(attributionOf(read(), { isValid: true, receivedAt }), "Attribution");
  assert.equal(bundle.devices.length, 2, "a browser's other id is a device entry of its own");
  assert.equal(bundle.devices[0].browser[0].value, bundle.journey.touchpoints[0].browser[0].value);
  const said = JSON.stringify(bundle);
  for (const raw of [hex(1), hex(2), "203.0.113"]) assert.ok(!said.includes(raw), `${raw} is raw`);
});

test("what the account did is added when the page did not tell it", () => {
  const kinds = (did) => bundleOf(read(), { keys, accountId: "acc-7", did, receivedAt }).journey.touchpoints.map((step) => step.kind.replace("TOUCHPOINT_KIND_", "")).join();
  assert.equal(kinds("SIGNUP"), "LINK_CLICK,SIGNUP");
  assert.equal(kinds("PURCHASE"), "LINK_CLICK,SIGNUP,PURCHASE");
  assert.equal(kinds(undefined), "LINK_CLICK,SIGNUP");
  const cut = bundleOf(read({ journey: { ...payload().journey, touchpointCountTotal: 200 } }), { keys, accountId: "acc-7", did: "PURCHASE", receivedAt });
  assert.equal(cut.journey.touchpointCountTotal, 201);
  assert.equal(bundleOf(read({ journey: undefined }), { keys, accountId: "acc-7", did: "SIGNUP", receivedAt }).journey.touchpoints.length, 1);
});

test("the browser's clock is put right, and nothing is of the future", () => {
  const fast = { sentAt: "2027-11-28T12:00:00.000Z", journey: { touchpoints: [{ kind: "TOUCHPOINT_KIND_SIGNUP", occurredAt: "2027-11-28T11:50:00.000Z" }, { kind: "TOUCHPOINT_KIND_PURCHASE", occurredAt: "2030-01-01T00:00:00Z" }] } };
  const { journey } = bundleOf(read(fast), { keys, accountId: "acc-7", receivedAt });
  assert.deepEqual(journey.touchpoints.map((step) => step.occurredAt), ["2026-11-28T11:50:01.000Z", receivedAt.toISOString()]);
  assert.equal(bundleOf(read(), { keys, accountId: "acc-7", receivedAt }).journey.touchpoints[1].occurredAt, at, "a second is no wrong clock");
});

test("whoever posts something else is told which field is wrong, and no value", () => {
  for (const [fields, wrong] of [
    [{ version: 2 }, "version"], [{ messageId: undefined }, "messageId"], [{ browserIds: ["jane@mail.example"] }, "browserIds"],
    [{ fingerprint: "jane@mail.example" }, "fingerprint"], [{ attribution: { ...payload().attribution, ucc: "jane@mail.example" } }, "attribution.ucc"],
    [{ attribution: { ...payload().attribution, capturedVia: "CAPTURED_VIA_MANUAL" } }, "attribution.capturedVia"],
    [{ journey: { touchpoints: [{ kind: "TOUCHPOINT_KIND_SIGNUP", occurredAt: at, pathToken: "a@b" }] } }, "journey.touchpoints[0].pathToken"],
    [{ journey: { touchpoints: Array(129).fill(payload().journey.touchpoints[0]) } }, "journey.touchpoints"], [{ device: "x" }, "device.seenAt"],
    [{ device: { ...payload().device, screenWidthPx: 1e9 } }, "device.screenWidthPx"], [{ sentAt: "2026-13-99T99:99:99Z" }, "sentAt"],
  ]) {
    assert.ok(wrong === "sentAt" || !validate(JSON.parse(JSON.stringify(payload(fields)))), `the schema takes it: ${wrong}`);
    assert.throws(() => read(fields), (error) => error instanceof InvalidPayload && error.fields.includes(wrong) && !error.message.includes("jane"), wrong);
  }
  for (const body of ["", "{", "[]", "null", "7", `"${"x".repeat(200_000)}"`]) assert.throws(() => readPayload(body), InvalidPayload);
  assert.ok(validate(payload()), JSON.stringify(validate.errors));
  assert.equal(JSON.stringify(readPayload('{"__proto__":{"x":1},' + JSON.stringify(payload({ unknown: "jane@mail.example" })).slice(1))).includes("jane"), false);
  assert.throws(() => bundleOf(read(), { keys, accountId: "jane@mail.example" }), TypeError);
});

test("a fingerprint that says that there is none is not digested", () => {
  for (const none of ["undefined", "null", "0000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "---"]) {
    assert.equal(bundleOf(read({ fingerprint: none }), { keys, accountId: "a" }).devices[0].fingerprint, undefined, none);
  }
  assert.ok(bundleOf(read({ fingerprint: "fp_8f3a" }), { keys, accountId: "a" }).devices[0].fingerprint);
});

// Rows of a table of the page, by its heading.
const rows = (heading) => digestsPage.split(`### ${heading}\n`)[1].split("\n###")[0].split("\n").filter((line) => line.startsWith("| `")).map((line) => line.split("|").slice(1, -1).map((cell) => [...cell.matchAll(/`([^`]*)`/g)].map((found) => found[1])));

test("digests are those of docs/digests.md", () => {
  const key = /(?:key|hex)[^\n]*?`((?:[0-9a-f]{2}){32,})`/i.exec(digestsPage.split("## Test vectors")[1] ?? digestsPage)[1];
  const vectors = rows("Digest vectors").filter(([[kind]]) => /^(device|network)\./.test(kind));
  assert.ok(vectors.length >= 8);
  for (const [[kind], [canonical], [digest]] of vectors) {
    assert.equal(Buffer.from(digests([{ id: "k", secret: Buffer.from(key, "hex") }], kind, canonical)[0].value, "base64").toString("hex"), digest, `${kind} ${canonical}`);
  }
});

test("addresses and prefixes are those of docs/digests.md, and those of no user are left out", () => {
  const vectors = rows("Network vectors");
  assert.ok(vectors.length >= 6);
  for (const [[typed], [address], prefixes] of vectors) assert.deepEqual(canonicalAddress(typed), { address, prefixes }, typed);
  for (const none of ["", "unknown", "203.0.113.9:443", "203.0.113.0/24", "fe80::1%eth0", "127.0.0.1", "::1", "0.1.2.3", "224.0.0.1", "255.255.255.255", "169.254.3.4", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "::192.0.2.1"]) {
    assert.equal(canonicalAddress(none), undefined, none);
  }
});

test("the server can renew the cookie, and nothing but the cookie", () => {
  assert.match(renewedCookie(`a=b; selfsame=1*${hex(1)}*abc****; c=d`, { domain: "a.example" }), /^selfsame=1\*[^;]*; Path=\/; Max-Age=7776000; SameSite=Lax; Domain=a\.example; Secure$/);
  for (const header of [undefined, "", "a=b", "selfsame=", "selfsame=x", "selfsame=1*\r\nSet-Cookie: x", `selfsame=1*${"x".repeat(2000)}`]) assert.equal(renewedCookie(header, {}), undefined);
});
