// Calls: what is repeated and under which id, what is not, deadlines, tokens, typed errors, the feed.
import assert from "node:assert/strict";
import { createServer } from "node:http2";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { REASONS, SelfsameClient, SelfsameError } from "@selfsame/client";
import { AccessService } from "@selfsame/client/v1/access";
import { ConversionKind } from "@selfsame/client/v1/conversion";
import { PayoutService } from "@selfsame/client/v1/payout";
import { ScreeningService } from "@selfsame/client/v1/screening";
import { ErrorInfoSchema, RetryInfoSchema } from "../dist/v1/google/rpc/error_details_pb.js";
import { conversion, read, serve, serveGuarded } from "./server.mjs";

const QUICK = { attempts: 4, firstWaitMs: 10, longestWaitMs: 20, attemptMs: 500 };

function refusal(code, reason, retryDelay) {
  const details = [{ desc: ErrorInfoSchema, value: { reason, domain: "selfsame" } }];
  if (retryDelay) details.push({ desc: RetryInfoSchema, value: { retryDelay } });
  return new ConnectError("as told", code, undefined, details);
}

const BUSY = refusal(Code.ResourceExhausted, "LEDGER_BUSY", { seconds: 0n, nanos: 80_000_000 });
const GONE = refusal(Code.Unavailable, "SHUTTING_DOWN");
const DONE = {};

/** A server that answers in this order: with a message, a refusal, or (a number) after so many milliseconds; and what it was asked. */
async function scripted(script, options, use) {
  const asked = [];
  const answer = async (request, context) => {
    asked.push({ request, headers: context.requestHeader });
    const step = script.shift();
    if (typeof step === "number") await sleep(step);
    if (step instanceof ConnectError) throw step;
    return {};
  };
  const routes = (router) => {
    router.rpc(PayoutService.method.markPaid, answer);
    router.rpc(PayoutService.method.markFailed, answer);
    router.rpc(AccessService.method.issueToken, answer);
    router.rpc(ScreeningService.method.getDecision, answer);
  };
  const server = createServer(connectNodeAdapter({ routes }));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = new SelfsameClient(`127.0.0.1:${server.address().port}`, { retry: QUICK, ...options });
  try {
    await use(client, asked);
  } finally {
    client.close();
    server.close();
  }
}

const refused = (reason, holds = () => true) => (error) => error instanceof SelfsameError && error.reason === reason && holds(error);
const rewardOf = { programId: "shop", rewardId: "rw", conversionId: "cv" };

let server;
let client;
before(async () => {
  server = await serve();
  client = new SelfsameClient(server.address, { actor: "tests" });
});
after(async () => {
  client?.close();
  await server?.stop();
});

test("a retry has the id of the first try and waits as it is told", async () => {
  await scripted([BUSY, GONE, 2_000, DONE], {}, async (client, asked) => {
    const began = performance.now();
    await client.payouts.markPaid(rewardOf);
    assert.ok(performance.now() - began > 80);
    const ids = new Set(asked.map(({ request }) => request.requestId));
    assert.ok(asked.length === 4 && ids.size === 1 && !ids.has(""));
  });
});

test("an id that was given stays, and the request is not changed", async () => {
  await scripted([GONE, DONE], {}, async (client, asked) => {
    await client.payouts.markFailed({ ...rewardOf, requestId: "mine" });
    assert.deepEqual(asked.map(({ request }) => request.requestId), ["mine", "mine"]);
  });
});

test("what is not safe to repeat is called once", async () => {
  await scripted([GONE, DONE], {}, async (client, asked) => {
    await assert.rejects(client.access.issueToken({}), refused("SHUTTING_DOWN", (error) => error.isOutcomeUnknown));
    assert.equal(asked.length, 1);
  });
});

test("what a retry does not mend is called once", async () => {
  for (const [code, reason] of [[Code.InvalidArgument, "INVALID_FIELDS"], [Code.ResourceExhausted, "MESSAGE_TOO_LARGE"]]) {
    await scripted([refusal(code, reason), DONE], {}, async (client, asked) => {
      await assert.rejects(client.screening.getDecision({}), refused(reason));
      assert.equal(asked.length, 1);
    });
  }
});

test("retries end with the attempts and with the deadline", async () => {
  await scripted(new Array(9).fill(GONE), {}, async (client, asked) => {
    await assert.rejects(client.screening.getDecision({}), refused("SHUTTING_DOWN"));
    assert.equal(asked.length, 4);
  });
  await scripted([refusal(Code.ResourceExhausted, "LEDGER_BUSY", { seconds: 30n, nanos: 0 })], {}, async (client, asked) => {
    await assert.rejects(client.screening.getDecision({}, { timeoutMs: 20_000 }), refused("LEDGER_BUSY", ({ retryAfterMs }) => retryAfterMs === 30_000));
    assert.equal(asked.length, 1);
  });
});

test("each try shows the token of then", async () => {
  const tokens = ["one", "two"];
  await scripted([GONE, DONE], { token: () => tokens.shift(), actor: "rita" }, async (client, asked) => {
    await client.screening.getDecision({});
    assert.deepEqual(asked.map(({ headers }) => headers.get("authorization")), ["Bearer one", "Bearer two"]);
    assert.equal(asked[0].headers.get("selfsame-actor"), "rita");
  });
});

test("a token is not sent in plaintext beyond loopback", () => {
  assert.throws(() => new SelfsameClient("http://selfsame.example:50051", { token: "secret" }), TypeError);
  assert.throws(() => new SelfsameClient("ftp://127.0.0.1:9"), TypeError);
});

test("the same is answered as before, and something else is refused by field", async () => {
  const request = conversion("same");
  const [first, second] = [await client.screening.screenConversion(request), await client.screening.screenConversion(request)];
  assert.deepEqual([first.replayed, second.replayed], [false, true]);
  assert.deepEqual(first.decision, second.decision);
  request.conversion.value.amountMinor = 1n;
  const named = ({ violations }) => violations.length === 1 && violations[0].field === "conversion.value.amount_minor";
  await assert.rejects(client.screening.screenConversion(request), refused("CONTENT_DIFFERS", named));
});

test("a bad field is named", async () => {
  const request = conversion("bad", { kind: ConversionKind.UNSPECIFIED, conversionId: "" });
  const named = ({ violations, message }) => violations.length === 2 && message.includes("conversion.kind");
  await assert.rejects(client.screening.screenConversion(request), refused("INVALID_FIELDS", named));
});

test("what is not known has a reason", async () => {
  await assert.rejects(client.screening.getDecision({ programId: "shop", conversionId: "nobody" }), refused("NOT_KNOWN"));
  await assert.rejects(client.programs.getProgram({ programId: "shopp" }), refused("PROGRAM_NOT_KNOWN"));
});

test("the reasons are those of the document", () => {
  const stated = [...read("docs/errors.md").matchAll(/^\| `[A-Z_]+` \| `([A-Z_]+)` \|/gm)].map(([, reason]) => reason);
  assert.deepEqual(stated.toSorted(), [...REASONS].toSorted());
});

test("the feed goes on from a cursor without a gap", async () => {
  for (const number of [0, 1, 2]) await client.screening.screenConversion(conversion(`feed-${number}`));
  const all = async (cursor) => {
    const messages = [];
    for await (const message of client.follow("shop", cursor, { stopAtEnd: true })) messages.push(message);
    return messages;
  };
  const events = (await all("")).flatMap((message) => message.events);
  const at = events.findIndex(({ conversionId }) => conversionId === "cv-feed-1");
  assert.ok(at >= 0);
  assert.deepEqual((await all(events[at].cursor)).flatMap((message) => message.events), events.slice(at + 1));
  const follower = client.follow("shop", events.at(-1).cursor);
  await client.screening.screenConversion(conversion("feed-new"));
  for await (const message of follower) {
    if (message.events.length === 0) continue;
    assert.equal(message.events[0].conversionId, "cv-feed-new");
    break;
  }
  await assert.rejects(client.follow("shop", "7-0123456789abcdef").next(), refused("CURSOR_OF_ANOTHER_LEDGER"));
});

test("nobody there is unavailable and told in time", async () => {
  const nobody = new SelfsameClient("127.0.0.1:9", { retry: QUICK });
  const began = performance.now();
  await assert.rejects(nobody.screening.getDecision({}, { timeoutMs: 2_000 }), (error) => error.code === Code.Unavailable && error.isTransient);
  assert.ok(performance.now() - began < 3_000);
  nobody.close();
});

test("a server that asks is shown a token by TLS", async () => {
  const { address, ca, token, stop } = await serveGuarded();
  const clients = [{ ca, token }, { ca, token: "selfsame_wrong" }, { token }].map((options) => new SelfsameClient(`https://${address}`, { retry: QUICK, ...options }));
  try {
    const [known, wrong, trusting] = clients;
    assert.equal((await known.access.whoAmI({})).identity.name, "admin");
    await assert.rejects(known.screening.screenConversion(conversion("guarded")), refused("NOT_PERMITTED"));
    await assert.rejects(wrong.access.whoAmI({}), refused("NOT_AUTHENTICATED"));
    await assert.rejects(trusting.access.whoAmI({}, { timeoutMs: 3_000 }), SelfsameError);
  } finally {
    for (const client of clients) client.close();
    await stop();
  }
});
