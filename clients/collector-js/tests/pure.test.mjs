// What needs no browser: codes in addresses, path tokens, records, hand-overs, text.
import assert from "node:assert/strict";
import { test } from "node:test";
import { codeIn, codeOf, without, withParameter } from "../src/code.js";
import { json, own, randomId } from "../src/guard.js";
import { handOver, isOf, takenOver } from "../src/handover.js";
import { optionsOf, optionsOfElement } from "../src/options.js";
import { pathToken, token } from "../src/path.js";
import { aged, cardOf, emptyRecord, merged, mergedCode, ofText, stepped, textOf } from "../src/record.js";

const DAY = 864e5;
const NOW = Date.UTC(2026, 10, 28);
const ID = (digit) => String(digit).repeat(31) + "f";
const names = ["ucc", "cello_ucc"];
const deepLinks = ["deep_link", "referrer"];

test("a code is found wherever an address holds it", () => {
  for (const [address, ucc, via] of [
    ["https://a.example/?ucc=ANN-10", "ANN-10", "LINK"],
    ["https://a.example/?x=1&UCC=ANN-10#top", "ANN-10", "LINK"],
    ["https://a.example/#/join?ucc=ANN-10", "ANN-10", "LINK"],
    ["https://a.example/?cello_ucc=pNRB1aYqArN", "pNRB1aYqArN", "LINK"],
    ["https://a.example/?ucc=&ucc=ANN-10", "ANN-10", "LINK"],
    ["https://a.example/?u%63c=ANN%2D10", "ANN-10", "LINK"],
    ["https://a.example/?deep_link=myapp%3A%2F%2Fjoin%3Fucc%3DANN-10", "ANN-10", "DEEP_LINK"],
    ["https://a.example/?referrer=utm_source%3Dmail%26ucc%3DANN-10", "ANN-10", "DEEP_LINK"],
  ]) {
    assert.deepEqual(codeIn(address, names, deepLinks), { ucc, via }, address);
  }
});

test("what is no code is not taken for one", () => {
  for (const address of [
    "https://a.example/", "https://a.example/?ucc", "https://a.example/?ucc=jane%40mail.example", "https://a.example/?ucc=%E0%A4%A",
    "https://a.example/?ucc=null", "https://a.example/?ucc={{ucc}}", "https://a.example/?ucc=<script>", `https://a.example/?ucc=${"x".repeat(129)}`,
    "https://a.example/ucc=ANN-10", "https://a.example/?xucc=ANN-10", "https://a.example/?ucc=ANN%0010", `https://a.example/?${"a=b&".repeat(9e3)}ucc=ANN-10`,
  ]) {
    assert.ok(!codeIn(address, names, deepLinks), address);
  }
  for (const value of [null, undefined, 7, {}, [], "", "  ", "a b"]) assert.equal(codeOf(value), "");
});

test("a parameter is put in and taken out, and all else stays byte for byte", () => {
  for (const address of [
    "https://a.example/p", "https://a.example/p?a=b%20c+d&e", "https://a.example/p?a#x?y=z", "/p#", "https://a.example?a=%E0%A4%A", "https://a.example/p?a=1&a=2#",
  ]) {
    const with_ = withParameter(address, "selfsame", "1*2");
    assert.match(with_, /[?&]selfsame=1\*2(#|$)/);
    assert.equal(without(with_, "selfsame"), address);
    assert.equal(withParameter(with_, "selfsame", "1*2"), with_, "twice is once");
  }
});

test("a path token holds nothing but words of the list and the product's", () => {
  for (const [path, expected] of [
    ["/", "/"], ["", "/"], ["/pricing", "pricing"], ["/Pricing/", "pricing"], ["/pricing.html", "pricing"], ["/en/pricing", "pricing"], ["/de-AT/pricing", "pricing"],
    ["/users/4711/settings", "users/:id/settings"], ["/users/jane.doe@mail.example/settings", "users/:id/settings"],
    ["/users/jane%40mail.example", "users/:id"], ["/users/jane-doe", "users/:id"], ["/profile/Jane", "profile/:id"], ["/jane-doe", ""], ["/@jane", ""],
    ["/pricing;jsessionid=AB12", "pricing"], ["/studio/7/share", "studio/:id/share"], ["/signup/amFuZUBtYWls", "signup/:id"],
    ["/login/".repeat(50), "login/login/login/login/login/login"], ["/sign-up", "sign-up"], ["/signup", "signup"], ["/orders", "orders"],
  ]) {
    assert.equal(pathToken(path, ["studio"]), expected, path);
  }
  for (const text of ["a@b", "a?b", "a*b", "a b", "ü", "\u0000", 7, null, undefined]) assert.equal(token(text), "");
  assert.equal(token("x".repeat(200)).length, 128);
});

test("an option of another type counts as not given, whoever gives it", () => {
  const usual = optionsOf({});
  assert.deepEqual(optionsOf({ days: NaN, timeoutMs: "7", params: "ucc", gpc: null, name: 5, consent: undefined, unknown: 1 }), usual);
  for (const none of [undefined, null, "x", 7, []]) assert.deepEqual(optionsOf(none), usual);
  const given = optionsOfElement({ dataset: { endpoint: "/selfsame", handOver: "a.example, b.example", gpc: "false", timeoutMs: "500", days: "x", src: "/selfsame.js" } });
  const { endpoint, handOver, gpc, timeoutMs, days } = optionsOf(given);
  assert.deepEqual([endpoint, handOver, gpc, timeoutMs, days], ["/selfsame", ["a.example", "b.example"], false, 500, 90]);
  assert.equal(usual.consent, "pending", "without a word nothing is kept");
});

// Enough of chance for records of every shape, the same in each run.
function* records(seed) {
  let state = seed;
  const next = (below) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8) % below;
  for (;;) {
    const record = emptyRecord();
    if (next(3)) Object.assign(record, { id: ID(next(5)), born: NOW - next(4) * DAY - 1 });
    if (next(2)) record.others = [ID(next(5))];
    if (next(3)) record.code = { ucc: ["A", "B", "C"][next(3)], via: ["LINK", "FORM"][next(2)], at: NOW - next(4) * DAY, previous: "" };
    let walked = record;
    for (let steps = next(6); steps > 0; steps -= 1) walked = stepped(walked, "PAGE_VIEW", NOW - next(9) * 1000, ["", "pricing", "/", "a,b%c"][next(4)]);
    yield { ...walked, owed: next(2) };
  }
}

test("what two tabs know is merged in any order, and once is as good as twice", () => {
  const all = records(7);
  for (let run = 0; run < 2000; run += 1) {
    const [a, b] = [all.next().value, all.next().value];
    const one = merged(a, b);
    const sorted = (record) => ({ ...record, steps: record.steps.map(String).sort() });
    assert.deepEqual(sorted(merged(b, a)), sorted(one));
    assert.deepEqual(sorted(merged(one, b)), sorted(one));
    assert.ok(!one.code || one.code.previous !== one.code.ucc);
    assert.ok(!one.others.includes(one.id));
  }
});

test("a record is what its text says, and a card is its ids and code", () => {
  const all = records(11);
  for (let run = 0; run < 2000; run += 1) {
    const record = merged(all.next().value, emptyRecord());
    assert.deepEqual(ofText(textOf(record)), record);
    const { id, born, code } = record;
    assert.deepEqual(ofText(cardOf(record)), { ...emptyRecord(), id, born, code });
    assert.ok(cardOf(record).length < 400);
  }
});

test("what somebody else wrote into the homes is nothing, or what is right of it", () => {
  for (const text of [null, undefined, "", "wiped", "{}", "1", "1*", "1***", "2*" + ID(1), "x".repeat(1e6), "1*" + "*".repeat(1e5), "%", "1*%E0%A4%A*1*LNK*1*A*", "__proto__"]) {
    assert.deepEqual(ofText(text), emptyRecord(), String(text).slice(0, 20));
  }
  const some = ofText(`1*${ID(1)}*${NOW.toString(36)}*LINK*zz*jane%40mail.example**x,${ID(2)}*-5*99*PAGE_VIEW,${NOW.toString(36)},a%40b*HACKED,1,x*PAGE_VIEW,-1,x`);
  assert.equal(some.code, null);
  assert.deepEqual(some.others, [ID(2)]);
  assert.deepEqual(some.steps, [["PAGE_VIEW", NOW, ""]]);
  assert.equal(some.owed, 99 & 7, "of a count that nobody would reach, something is left that ends");
  assert.equal(ofText("1********Infinity*1e99").total, 0);
  assert.equal(ofText("1********7.5*-3").total, 7);
  assert.ok(ofText("1********7.5*-3").owed >= 0);
});

test("the first 32 and the last 96 steps are kept, and all are counted", () => {
  let record = emptyRecord();
  for (let at = 1; at <= 500; at += 1) record = stepped(record, "PAGE_VIEW", at, "pricing");
  assert.equal(record.steps.length, 128);
  assert.equal(record.total, 500);
  assert.equal(record.steps[31][1], 32);
  assert.equal(record.steps[32][1], 405);
});

test("everything ends after its days, and a wrong clock does not keep it for ever", () => {
  let record = { ...emptyRecord(), id: ID(1), born: NOW - 394 * DAY, code: { ucc: "A", via: "LINK", at: NOW - 91 * DAY, previous: "" } };
  record = stepped(stepped(record, "LINK_CLICK", NOW - 91 * DAY, ""), "PAGE_VIEW", NOW + 400 * DAY, "");
  const old = aged(record, NOW, 90);
  assert.equal(old.code, null);
  assert.deepEqual(old.steps, [["PAGE_VIEW", NOW, ""]]);
  assert.equal(old.id, ID(1));
  assert.equal(aged(record, NOW + 2 * DAY, 90).id, "", "an id ends after 395 days");
});

test("the code changed on the way: the later counts, the one before it is told", () => {
  const code = (ucc, at, previous = "") => ({ ucc, via: "LINK", at, previous });
  assert.deepEqual(mergedCode(code("B", 2), code("A", 1)), code("B", 2, "A"));
  assert.deepEqual(mergedCode(code("A", 3), code("B", 2, "A")), code("A", 3, "B"));
  assert.deepEqual(mergedCode(code("A", 2), code("A", 1)), code("A", 2));
});

test("what is handed over lives for two minutes, in this browser alone", () => {
  const record = { ...emptyRecord(), id: ID(1), born: NOW, code: { ucc: "A*B".replace("*", ":"), via: "LINK", at: NOW, previous: "C" } };
  const text = handOver(record, NOW);
  assert.deepEqual(takenOver(text, NOW + 12e4), record);
  for (const [value, at] of [[text, NOW + 12e4 + 1], [text, NOW - 1], [text.replace("LINK", "FORM"), NOW], [text.slice(1), NOW], ["", NOW], ["*", NOW], ["a*b*c", NOW], ["x".repeat(1e5), NOW]]) {
    assert.ok(!takenOver(value, at), value.slice(0, 20));
  }
  assert.ok(isOf("a.example", ["a.example"]) && isOf("x.a.example", ["a.example"]));
  assert.ok(!isOf("a.example.evil.example", ["a.example"]) && !isOf("eviла.example", ["a.example"]) && !isOf("evila.example", ["a.example"]) && !isOf("", ["a.example"]));
});

test("text is JSON in ASCII whatever the page did to its prototypes", () => {
  const value = { a: "ü\"\\\n\u2028😀</script>", b: ["x", "y"], c: 1, d: "", e: undefined, f: null, g: { h: true } };
  const expected = { a: value.a, b: ["x", "y"], c: 1, g: { h: true } };
  const before = JSON.stringify;
  Array.prototype.toJSON = String.prototype.toJSON = Object.prototype.toJSON = () => "broken";
  Object.prototype.polluted = "polluted";
  JSON.stringify = () => "broken";
  try {
    const text = json(value);
    assert.match(text, /^[ -~]*$/);
    assert.deepEqual(JSON.parse(text), expected);
    assert.equal(own({}, "polluted"), undefined);
    assert.equal(own(undefined, "x"), undefined);
  } finally {
    JSON.stringify = before;
    delete Array.prototype.toJSON;
    delete String.prototype.toJSON;
    delete Object.prototype.toJSON;
    delete Object.prototype.polluted;
  }
  assert.match(randomId(), /^[\da-f]{32}$/);
});
