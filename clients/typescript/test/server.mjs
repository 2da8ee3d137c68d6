// A real server for the tests: the binary that SELFSAME_BINARY names, on loopback, in a folder of its own.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { CapturedVia, CodeValidity, ConversionKind, Side } from "@selfsame/client/v1/conversion";
import { digester } from "./conformance.mjs";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
export const BINARY = process.env.SELFSAME_BINARY || join(process.env.CARGO_TARGET_DIR || join(ROOT, "target"), "release/selfsame");
const CAMPAIGN = '[payout.campaigns.tour]\ndelay_days = 0\ncounts_from = "later"\n';

/** A server whose campaign `tour` pays at once. */
export async function serve() {
  const folder = mkdtempSync(join(tmpdir(), "selfsame-client-"));
  return started(folder, withCampaign(folder), {});
}

/** A server that speaks TLS and asks who calls: also the file of whom to trust, and the administrator's token. */
export async function serveGuarded() {
  const folder = mkdtempSync(join(tmpdir(), "selfsame-client-"));
  const [cert, key, token] = ["tls.crt", "tls.key", "admin.token"].map((file) => join(folder, file));
  const subject = ["-subj", "/CN=selfsame", "-addext", "subjectAltName=IP:127.0.0.1"];
  const made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", ...subject, "-keyout", key, "-out", cert];
  execFileSync("openssl", made, { stdio: "ignore" });
  const settings = { SELFSAME_TLS__CERTIFICATE_FILE: cert, SELFSAME_TLS__KEY_FILE: key, SELFSAME_ACCESS__ADMIN_TOKEN_FILE: token };
  const server = await started(folder, [], settings);
  return { ...server, ca: cert, token: readFileSync(token, "utf8").trim() };
}

function withCampaign(folder) {
  const policy = execFileSync(BINARY, ["policy", "show"], { encoding: "utf8" }).replace(/^version = .*/m, 'version = "tour-1"');
  writeFileSync(join(folder, "tour.toml"), policy + CAMPAIGN);
  return ["--policy", join(folder, "tour.toml")];
}

async function started(folder, others, settings) {
  const flags = ["--listen", "127.0.0.1:0", "--data-dir", join(folder, "ledger"), "--metrics", "none", ...others];
  const running = spawn(BINARY, ["serve", ...flags], { stdio: ["ignore", "pipe", "ignore"], env: { ...process.env, ...settings } });
  const ended = new Promise((resolve) => running.once("exit", resolve));
  for await (const line of createInterface({ input: running.stdout })) {
    const address = /API +(127\.0\.0\.1:[0-9]+)/.exec(line)?.[1];
    if (address === undefined) continue;
    const stop = async () => {
      running.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true });
    };
    return { address, stop };
  }
  throw new Error("the server did not start");
}

/** A purchase that nothing speaks against, in the campaign that pays at once. */
export function conversion(number, changes = {}) {
  const side = (of) => digester.bundle({ accountId: `${of}-${number}`, devices: [{ fingerprint: `fp-${of}-${number}` }] }).bundle;
  return {
    conversion: {
      programId: "shop",
      conversionId: `cv-${number}`,
      campaignId: "tour",
      kind: ConversionKind.INVOICE_PAID,
      occurredAt: timestampFromDate(new Date(Date.now() - 5_000)),
      invoiceId: `in-${number}`,
      value: { amountMinor: 4900n, currency: "EUR" },
      attribution: { capturedVia: CapturedVia.LINK, ucc: `C-${number}`, codeValidity: CodeValidity.VALID },
      rewards: [{ rewardId: `rw-${number}`, beneficiary: Side.REFERRER, amount: { amountMinor: 2000n, currency: "EUR" } }],
      referrer: side("referrer"),
      referee: side("referee"),
      ...changes,
    },
  };
}

export const read = (path) => readFileSync(join(ROOT, path), "utf8");
