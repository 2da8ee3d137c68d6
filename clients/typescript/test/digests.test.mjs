// Digests: what `selfsame digest` makes of inputs at random, the vectors of docs/digests.md, and what the client does beyond that.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as digesting from "@selfsame/client/digesting";
import { compare, digester } from "./conformance.mjs";
import { BINARY, read, ROOT } from "./server.mjs";

const { DigestError, Digester, DomainRules, dice, EmailAddress, ProgrammeKey } = digesting;
const CASES = 6_000;
const RULES = new DomainRules();
const refusal = (of) => (fault) => fault instanceof DigestError && fault.refusal === of;
const bytes = (first, length = 32) => Uint8Array.from({ length }, (_, at) => first + at);

/** The rows of the table below a heading: the texts between backticks, or the bare cells. */
function table(heading) {
  const section = read("docs/digests.md").split(`${heading}\n`)[1].split("\n#")[0];
  const rows = section.split("\n").filter((line) => line.startsWith("|")).slice(2);
  const bare = (cell) => (cell.startsWith("`") && cell.split("`").length === 3 ? cell.slice(1, -1) : cell);
  return rows.map((row) => row.slice(1, -1).split("|").map((cell) => bare(cell.trim())));
}

function holds(heading, found) {
  const rows = table(heading);
  assert.ok(rows.length > 0);
  for (const row of rows) {
    const [is, stated] = found(row);
    assert.deepEqual(is, stated, `${heading}: ${row[0]}`);
  }
}

test("inputs at random are digested as the command does", async () => {
  const folder = mkdtempSync(join(tmpdir(), "selfsame-cases-"));
  execFileSync("python3", [join(ROOT, "clients/conformance/make.py"), BINARY, join(folder, "cases.jsonl"), "15", String(CASES)]);
  const { counted, different } = await compare(join(folder, "cases.jsonl"));
  rmSync(folder, { recursive: true });
  assert.deepEqual(different, []);
  assert.ok(counted.same > 0.95 * CASES && counted.tooNew < 0.02 * CASES, JSON.stringify(counted));
});

test("every vector of the document holds", () => {
  const of = (row) => ({ address: EmailAddress.parse(row), mailbox: EmailAddress.parse(row).mailbox(RULES) });
  holds("### E-mail vectors", (row) => {
    const { address, mailbox } = of(row[0]);
    const shown = [mailbox.address, address.plusFolded(RULES) ?? "absent", mailbox.pattern ?? "absent", mailbox.bareLocalPart, mailbox.domain];
    return [[address.exact, ...shown, RULES.classOf(address.domain)], row.slice(1)];
  });
  holds("### Name vectors", (row) => [digesting.foldedName(row[0]).folded, row[1]]);
  holds("### Person vectors", ([kind, typed, stated]) => {
    const text = kind === "name" ? digesting.personOfName(digesting.foldedName(typed).inOrder) : digesting.personOfMailbox(of(typed).mailbox);
    return [text ?? "absent", stated];
  });
  holds("### Network vectors", (row) => {
    const { address, prefixes } = digesting.network(row[0]);
    return [[address, prefixes.join(", ")], [row[1], row[2].replaceAll("`", "")]];
  });
  holds("### Payment vectors", (row) => [digesting.instrument(row[0] || undefined, row[1]), row[2]]);
  holds("### Placeholder vectors", ([kind, typed, stated]) => {
    const parse = { identifier: digesting.identifier, payment: (text) => digesting.instrument(undefined, text), name: digesting.foldedName, "e-mail": EmailAddress.parse };
    try {
      parse[kind](typed);
      return ["no", stated];
    } catch (fault) {
      return [["PLACEHOLDER", "TEST_CARD"].includes(fault.refusal) ? "yes" : fault, stated];
    }
  });
  holds("### Digest vectors", (row) => [Buffer.from(digester.digests(row[0], row[1])[0].value).toString("hex"), row[2]]);
  holds("### Sketch vectors", (row) => [Buffer.from(digester.sketches(row[0], row[1])[0].bits).toString("hex"), row[2]]);
});

test("a bundle keeps what is a value and tells what is none", () => {
  const { bundle, leftOut } = digester.bundle({
    accountId: "ann",
    emails: ["ann@mail.example", "test@test.com"],
    names: ["N/A"],
    devices: [{ fingerprint: "fp_8f3a", attributes: { timeZone: "Europe/Berlin" } }],
    addresses: ["2001:db8::1", "127.0.0.1"],
    payments: [
      { kind: "SEPA", purpose: "PAYOUT", instrument: "AT61 1904 3002 3457 3201" },
      { kind: "CARD", purpose: "BILLING", instrument: "4242 4242 4242 4242" },
    ],
  });
  assert.deepEqual(["emails", "names", "devices", "networks", "payments"].map((field) => bundle[field].length), [1, 0, 1, 3, 1]);
  assert.deepEqual(
    leftOut.map(({ place, error }) => [place, error.refusal]),
    [["emails[1]", "PLACEHOLDER"], ["names[0]", "PLACEHOLDER"], ["networks[1]", "NOT_OF_A_USER"], ["payments[1]", "TEST_CARD"]],
  );
});

test("a character that is too new, and half of one, are refused", () => {
  assert.throws(() => digesting.identifier("fp_\u{1e5d0}"), refusal("NEW_CHARACTER"));
  assert.throws(() => digesting.identifier("fp_\ud800"), refusal("NOT_TEXT"));
});

test("two keys give two digests, and need two names", () => {
  const previous = new ProgrammeKey("k1", bytes(0));
  const both = new Digester(new ProgrammeKey("k2", bytes(9)), { previous });
  const { exact } = both.email("jane@example.com");
  assert.deepEqual(exact.map(({ keyId }) => keyId), ["k1", "k2"]);
  assert.deepEqual(exact[0], digester.email("jane@example.com").exact[0]);
  assert.throws(() => new Digester(new ProgrammeKey("k1", bytes(9)), { previous }), refusal("INVALID_KEY"));
});

test("a key is read as the command reads it", () => {
  const digits = Buffer.from(bytes(0)).toString("hex");
  const base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
  for (const text of [digits, `hex:${digits.toUpperCase()}`, `${base64}=`, `base64:${base64}\n`]) {
    assert.deepEqual(ProgrammeKey.fromText("k1", text).mac("x"), new ProgrammeKey("k1", bytes(0)).mac("x"));
  }
  for (const text of ["", digits.slice(2), digits.slice(1), "0".repeat(64), "correct horse battery staple, and more", "raw:short"]) {
    assert.throws(() => ProgrammeKey.fromText("k1", text), refusal("INVALID_KEY"));
  }
});

test("your own domains go before the shipped lists", () => {
  const rules = new DomainRules("ThrowAway.example disposable\nmailinator.com corporate # odd\ncompany.example folds_plus\ngmail.com keeps_plus\n");
  assert.deepEqual(["a.throwaway.example", "inbox.mailinator.com", "gmail.com"].map((domain) => rules.classOf(domain)), ["DISPOSABLE", "CORPORATE", "FREE_MAIL"]);
  assert.equal(EmailAddress.parse("anna+1@mail.company.example").mailbox(rules).address, "anna@mail.company.example");
  assert.equal(EmailAddress.parse("an.na+1@gmail.com").mailbox(rules).address, "anna+1@gmail.com");
  for (const line of ["not a domain", "company.example", "company.example good"]) {
    assert.throws(() => rules.addFile(`ok.example relay\n${line}\n`), refusal("INVALID_DOMAIN_RULE"));
  }
  assert.equal(rules.classOf("ok.example"), "CORPORATE");
});

test("no error shows the value", () => {
  for (const refused of [() => digester.email("secret@b\u2260.example.."), () => digester.name("secret".repeat(99)), () => digester.networks("secret")]) {
    assert.throws(refused, (fault) => fault instanceof DigestError && !String(fault).includes("secret"));
  }
});

test("a typo keeps most of a sketch", () => {
  const [one, typo, stranger] = ["Jane Robinson", "Jane Robinsom", "Muhammad Cox"].map((name) => digester.name(name).sketch[0].bits);
  assert.ok(dice(one, typo) > 0.75 && dice(one, stranger) < 0.25);
});

test("the tables are those of the repository", () => {
  assert.equal(readFileSync(new URL("../dist/digesting/tables.json", import.meta.url), "utf8"), read("clients/go/digest/tables.json"));
});
