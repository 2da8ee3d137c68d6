// The example of the README, as a stranger would run it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { serve } from "./server.mjs";

test("the example screens, pays and follows", async () => {
  const server = await serve();
  try {
    const settings = { SELFSAME_SERVER: server.address, SELFSAME_PROGRAMME_KEY: Buffer.from([...Array(32).keys()]).toString("hex"), SELFSAME_CAMPAIGN: "tour" };
    const example = fileURLToPath(new URL("../.examples/reward_service.js", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [example], { env: { ...process.env, ...settings }, timeout: 60_000 });
    for (const told of ["names[1]: the value is a placeholder", "verdict: APPROVED", "payout: rw-in-7 PAID", "feed: PAID cv-in-7 rw-in-7"]) {
      assert.ok(stdout.includes(told), stdout);
    }
  } finally {
    await server.stop();
  }
});
