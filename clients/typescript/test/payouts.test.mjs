// Reserve, pay, mark, against the real server: no reward is paid twice, wherever it breaks.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PaymentFailed, payRewards, SelfsameClient } from "@selfsame/client";
import { GateReason } from "@selfsame/client/v1/payout";
import { conversion, serve } from "./server.mjs";

/** A payment provider that is idempotent by key, and a process that may end before or after it was asked. */
class Provider {
  payments = new Map();
  asked = [];

  constructor(breaks) {
    this.breaks = breaks;
  }

  /** A process that ends never comes back: its promise stays open, and the test goes on without it. */
  crashed = new Promise((resolve) => {
    this.crash = resolve;
  });

  pay = (order) => {
    this.asked.push(order);
    const breaks = this.breaks;
    this.breaks = undefined;
    if (breaks !== "before" && !this.payments.has(order.key)) this.payments.set(order.key, { amount: order.amount });
    if (breaks === undefined) return this.payments.get(order.key);
    this.crash("crashed");
    return new Promise(() => {});
  };

  lookUp = (key) => this.payments.get(key);
}

let server;
let client;
let number = 0;
before(async () => {
  server = await serve();
  client = new SelfsameClient(server.address, { actor: "tests" });
});
after(async () => {
  client?.close();
  await server?.stop();
});
beforeEach(async () => {
  number += 1;
  await client.screening.screenConversion(conversion(number));
});

async function run(provider, options = {}) {
  const { runId = "run", ...others } = options;
  const rewards = [{ rewardId: `rw-${number}`, conversionId: `cv-${number}` }];
  const paying = payRewards(client, { programId: "shop", runId: `${runId}-${number}`, rewards, pay: provider.pay, ...others });
  const settled = await Promise.race([paying, provider.crashed]);
  provider.crashed = new Promise(() => {});
  return settled === "crashed" ? settled : settled[0];
}

test("what is released is paid once and marked", async () => {
  const provider = new Provider();
  assert.equal((await run(provider)).outcome, "PAID");
  assert.equal(provider.asked[0].amount.amountMinor, 2000n);
  assert.equal((await run(provider)).outcome, "ALREADY_PAID");
  assert.equal((await run(provider, { runId: "another" })).outcome, "ALREADY_PAID");
  assert.equal(provider.asked.length, 1);
});

for (const where of ["before", "after"]) {
  test(`after a crash ${where} the payment the same run pays under the same key`, async () => {
    const provider = new Provider(where);
    assert.equal(await run(provider), "crashed");
    assert.equal((await run(provider, { runId: "another" })).outcome, "HELD");
    assert.equal((await run(provider)).outcome, "PAID");
    assert.equal(provider.payments.size, 1);
    assert.equal(new Set(provider.asked.map(({ key }) => key)).size, 1);
  });

  test(`a run that crashed ${where} the payment and whose reservation ended asks the provider`, async () => {
    const [provider, brief] = [new Provider(where), { lifetimeSeconds: 1 }];
    assert.equal(await run(provider, brief), "crashed");
    await sleep(1_500); // A reservation's end is no event that could be awaited.
    assert.equal((await run(provider, brief)).outcome, "UNSETTLED");
    const settled = await run(provider, { ...brief, lookUp: provider.lookUp });
    assert.equal(settled.outcome, where === "after" ? "PAID" : "LAPSED");
    assert.equal((await run(provider, { runId: "another" })).outcome, where === "after" ? "ALREADY_PAID" : "PAID");
    assert.equal(provider.payments.size, 1);
  });
}

test("a payment that failed frees the reward", async () => {
  const pay = () => {
    throw new PaymentFailed("account_closed", "the bank said no");
  };
  assert.equal((await run(new Provider(), { pay })).outcome, "FAILED");
  assert.equal((await run(new Provider(), { runId: "another" })).outcome, "PAID");
});

test("what broke is told and stays reserved", async () => {
  const pay = () => {
    throw new RangeError("no answer");
  };
  const settled = await run(new Provider(), { pay });
  assert.ok(settled.outcome === "UNSETTLED" && settled.error instanceof RangeError);
  assert.equal((await run(new Provider())).outcome, "PAID");
});

test("what the gate does not release is not paid", async () => {
  await client.screening.screenConversion(conversion("delayed", { campaignId: "" }));
  const rewards = ["delayed", "nobody"].map((of) => ({ rewardId: `rw-${of}`, conversionId: `cv-${of}` }));
  const provider = new Provider();
  const settled = await payRewards(client, { programId: "shop", runId: "run-held", rewards, pay: provider.pay });
  assert.deepEqual(settled.map(({ outcome, gate }) => [outcome, gate.reason]), [["HELD", GateReason.DELAY_RUNNING], ["HELD", GateReason.UNKNOWN_CONVERSION]]);
  assert.equal(provider.asked.length, 0);
});
