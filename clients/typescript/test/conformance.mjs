// Digests what clients/conformance/make.py wrote, and tells where this client and `selfsame digest` differ. Run: node conformance.mjs CASES
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { create, toJson } from "@bufbuild/protobuf";
import { DigestError, Digester, instrument, ProgrammeKey } from "@selfsame/client/digesting";
import { DeviceSignalsSchema, EmailSignalsSchema, NameSignalsSchema, NetworkSignalsSchema, PaymentSignalsSchema } from "@selfsame/client/v1/signals";

export const digester = new Digester(new ProgrammeKey("k1", Uint8Array.from({ length: 32 }, (_, at) => at)));

const inJson = (schema, init) => toJson(schema, create(schema, init));
const digestsInJson = (digests) => digests.map(({ keyId, value }) => ({ keyId, value: Buffer.from(value).toString("base64") }));

function digested(kind, typed) {
  switch (kind) {
    case "email": {
      const plusFolded = digestsInJson(digester.plusFolded(typed));
      return [{ ...inJson(EmailSignalsSchema, digester.email(typed)), ...(plusFolded.length > 0 ? { plusFolded } : {}) }];
    }
    case "name":
      return [inJson(NameSignalsSchema, digester.name(typed))];
    case "device":
      return [inJson(DeviceSignalsSchema, digester.device({ fingerprint: typed }))];
    case "browser":
      return [inJson(DeviceSignalsSchema, digester.device({ browser: typed }))];
    case "ip":
      return digester.networks(typed).map((entry) => inJson(NetworkSignalsSchema, entry));
    case "payment:":
      return [{ instrument: digestsInJson(digester.digests("payment.instrument", instrument(undefined, typed))) }];
    default: {
      const { purpose, ...signals } = inJson(PaymentSignalsSchema, digester.payment({ kind: kind.split(":")[1], purpose: "PAYOUT", instrument: typed }));
      return [signals];
    }
  }
}

/** How often this client did as the command, refused for a character that is too new, and differed; with the cases that differ. */
export async function compare(path) {
  const counted = { same: 0, tooNew: 0 };
  const different = [];
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const { kind, typed, expected } = JSON.parse(line);
    let found = null;
    try {
      found = digested(kind, typed);
    } catch (fault) {
      if (!(fault instanceof DigestError)) throw fault;
      if (fault.refusal === "NEW_CHARACTER" && expected !== null) {
        counted.tooNew++;
        continue;
      }
    }
    if (isDeepStrictEqual(found, expected)) counted.same++;
    else different.push({ kind, typed: JSON.stringify(typed), refusedThere: expected === null, refusedHere: found === null });
  }
  return { counted, different };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { counted, different } = await compare(process.argv[2]);
  console.log(different.slice(0, 40), counted, different.length);
}
