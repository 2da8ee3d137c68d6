// The declarations as a product uses them; `npm run types` compiles it.
import { start, type Collector, type Payload } from "../index.js";
import { attributionOf, bundleOf, readPayload, renewedCookie } from "../server/index.js";

export async function use(body: string): Promise<void> {
  const collector: Collector = start({ endpoint: "/selfsame", consent: "pending", handOver: ["app.example"], path: (path) => path.slice(1) });
  collector.consent("granted");
  const arrived: boolean = await collector.track("SIGNUP");
  const ucc: string | undefined = await window.selfsame("ucc");
  await window.selfsame("start", { consent: "granted", fingerprint: async () => "fp" });
  // @ts-expect-error a kind that there is not
  await collector.track("SIGN_OFF");
  const payload: Payload = readPayload(body);
  const keys = [{ id: "k1", secret: Buffer.alloc(32) }];
  const bundle = bundleOf(payload, { keys, accountId: "acc-7", address: "203.0.113.9" });
  console.log(arrived, ucc, bundle.accountId, attributionOf(payload)?.ucc, renewedCookie("selfsame=1", {}));
}
