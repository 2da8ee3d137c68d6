// A reward service in forty lines: screens a purchase, pays what may be paid, and follows the feed.
//
// SELFSAME_SERVER=127.0.0.1:50051 SELFSAME_PROGRAMME_KEY=$(selfsame digest --generate-key) node reward_service.js
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { Digester, type Payment, payRewards, ProgrammeKey, SelfsameClient } from "@selfsame/client";
import { CapturedVia, CodeValidity, ConversionKind, Side } from "@selfsame/client/v1/conversion";
import { Verdict } from "@selfsame/client/v1/decision";
import { FeedEventKind } from "@selfsame/client/v1/payout";

const { SELFSAME_SERVER, SELFSAME_TOKEN, SELFSAME_PROGRAMME_KEY, SELFSAME_PROGRAM: programId = "shop", SELFSAME_CAMPAIGN: campaignId = "" } = process.env;
const client = new SelfsameClient(SELFSAME_SERVER!, SELFSAME_TOKEN ? { token: SELFSAME_TOKEN } : {});
const digester = new Digester(ProgrammeKey.fromText("k1", SELFSAME_PROGRAMME_KEY!));

// 1. Somebody whom Ann referred has paid an invoice. Raw values become pseudonyms here; what is no value is left out and told.
const ann = digester.bundle({ accountId: "ann", emails: ["ann@mail.example"], names: ["Ann Lee"], addresses: ["203.0.113.9"] });
const ben = digester.bundle({ accountId: "ben", emails: ["ben.ode@company.example"], names: ["Ben Ode", "N/A"], addresses: ["198.51.100.7"] });
console.log("left out:", [...ann.leftOut, ...ben.leftOut].map(({ place, error }) => `${place}: ${error.message}`));
const { decision } = await client.screening.screenConversion({
  conversion: {
    programId, conversionId: "cv-in-7", campaignId, kind: ConversionKind.INVOICE_PAID, occurredAt: timestampNow(),
    invoiceId: "in-7", value: { amountMinor: 4900n, currency: "EUR" }, referrer: ann.bundle, referee: ben.bundle,
    attribution: { capturedVia: CapturedVia.LINK, ucc: "ANN-10", codeValidity: CodeValidity.VALID },
    rewards: [{ rewardId: "rw-in-7", beneficiary: Side.REFERRER, amount: { amountMinor: 2000n, currency: "EUR" } }],
  },
}); // prettier-ignore
console.log("verdict:", Verdict[decision!.verdict], decision!.reasons.map(({ sentence }) => sentence));

// 2. The payout run: its id and its rewards are stored before this. After a crash it is called again with the same.
const provider = new Map<string, Payment>(); // your payment provider, idempotent by key
const pay = ({ key, amount }: { key: string; amount: Payment["amount"] | undefined }) => provider.set(key, amount ? { amount } : {}).get(key);
const rewards = [{ rewardId: "rw-in-7", conversionId: "cv-in-7" }];
for (const settled of await payRewards(client, { programId, runId: "run-1", rewards, pay, lookUp: (key) => provider.get(key) })) {
  console.log("payout:", settled.rewardId, settled.outcome, settled.gate.sentence, settled.error ?? "");
}

// 3. The feed, from the last cursor that was kept; without `stopAtEnd` it goes on for ever.
for await (const { events } of client.follow(programId, "", { stopAtEnd: true })) {
  for (const { kind, conversionId, rewardId } of events) console.log("feed:", FeedEventKind[kind], conversionId, rewardId);
}
client.close();
