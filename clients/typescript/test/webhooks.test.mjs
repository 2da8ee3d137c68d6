// Webhooks: signed by another implementation of Standard Webhooks, and by nobody.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebhookRefused, WebhookVerifier } from "@selfsame/client";
import { Webhook } from "standardwebhooks";

const [OLD, NEW] = [0, 100].map((first) => `whsec_${Buffer.from(Array.from({ length: 24 }, (_, at) => first + at)).toString("base64")}`);
const BODY = JSON.stringify({ type: "decision.made", é: 1 });
const NOW = Date.UTC(2026, 10, 28, 12);

function headers({ secret = NEW, sent = NOW, ...changes } = {}) {
  const signature = new Webhook(secret).sign("msg_1", new Date(sent), BODY);
  return { "Webhook-Id": "msg_1", "Webhook-Timestamp": String(sent / 1000), "Webhook-Signature": signature, ...changes };
}

const verifier = (...secrets) => new WebhookVerifier(secrets.length > 0 ? secrets : NEW, { now: () => NOW });
const refused = (shown, body = BODY) => assert.throws(() => verifier().verify(shown, body), WebhookRefused);

test("what another implementation signs is taken", () => {
  for (const shown of [headers(), new Headers(headers())]) {
    for (const body of [BODY, Buffer.from(BODY)]) assert.deepEqual(verifier().verify(shown, body), JSON.parse(BODY));
  }
});

test("either of several secrets and signatures will do", () => {
  for (const secret of [OLD, NEW]) assert.ok(verifier(OLD, NEW).verify(headers({ secret }), BODY));
  const both = `v1a,xyz v1,AAAA ${headers({ secret: OLD })["Webhook-Signature"]} ${headers()["Webhook-Signature"]}`;
  assert.ok(verifier(OLD).verify(headers({ "Webhook-Signature": both }), BODY));
});

test("what is not signed so is refused", () => {
  const good = headers();
  refused(headers({ secret: OLD }));
  refused({ ...good, "Webhook-Id": "msg_2" });
  refused({ ...good, "Webhook-Timestamp": String(NOW / 1000 + 1) });
  refused({ ...good, "Webhook-Timestamp": "soon" });
  for (const signature of ["", "v1,", good["Webhook-Signature"].replace("v1,", "v2,")]) refused({ ...good, "Webhook-Signature": signature });
  refused({ "Webhook-Id": "msg_1" });
  refused(good, `${BODY} `);
});

test("an old delivery is refused however well it is signed", () => {
  for (const seconds of [-300, 300]) assert.ok(verifier().verify(headers({ sent: NOW + seconds * 1000 }), BODY));
  for (const seconds of [-301, 301]) refused(headers({ sent: NOW + seconds * 1000 }));
});

test("a secret that is none is refused at once", () => {
  for (const secrets of [[], [""], ["whsec_"], ["whsec_!"], [OLD, "whsec_AAAA"]]) assert.throws(() => new WebhookVerifier(secrets), TypeError);
});
