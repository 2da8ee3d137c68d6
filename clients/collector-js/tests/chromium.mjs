// The collector in a real browser: what it keeps, posts, hands over and never does, on pages of four hosts. One claim a line; exits non-zero when one fails.
//
// Needs `npm install` and Chromium (CHROMIUM, or /usr/bin/chromium). Listens on loopback alone.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import Ajv from "ajv/dist/2020.js";
import puppeteer from "puppeteer-core";
import { attributionOf, bundleOf, readPayload } from "../server/index.js";

const at = (path) => new URL(path, import.meta.url);
const schema = JSON.parse(readFileSync(at("../payload.schema.json"), "utf8"));
const validate = new Ajv({ strict: true, strictRequired: false }).compile(schema);
const STRICT = "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'";
const DAY_S = 86400;
const ONE_S = 1000;
// What hangs does so for ever, so this tells it from what does not, on a busy machine too.
const AT_ONCE = 3 * ONE_S;

let claims = 0;
let failures = 0;

function claim(words, holds, detail = "") {
  claims += 1;
  if (holds) return;
  failures += 1;
  console.error(`DOES NOT HOLD: ${words}\n  ${typeof detail === "string" ? detail : JSON.stringify(detail)}`);
}

// ---- pages and what they post

const pages = new Map();
const posts = [];
let heard = () => {};
const hanging = new Set();

const files = { "/selfsame.js": "../dist/selfsame.js", "/stub.js": "../dist/stub.js", "/collector.mjs": "../dist/collector.mjs", "/early.js": "./pages/early.js", "/signup.js": "./pages/signup.js" };

function answer(request, response) {
  const { pathname } = new URL(request.url, "http://host");
  const allowed = { "access-control-allow-origin": request.headers.origin ?? "*", "access-control-allow-credentials": "true" };
  if (pathname.startsWith("/hang")) return hanging.add(response);
  if (files[pathname]) {
    response.writeHead(200, { "content-type": "text/javascript", ...allowed });
    return response.end(readFileSync(at(files[pathname])));
  }
  if (request.method === "POST" && pathname.startsWith("/selfsame")) {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      posts.push({ body, headers: request.headers, host: request.headers.host, path: request.url });
      heard();
      response.writeHead(pathname.endsWith("/broken") ? 500 : 200, allowed).end();
    });
    return undefined;
  }
  const { body = "<!doctype html><title>another page</title>", csp } = pages.get(pathname) ?? {};
  response.writeHead(200, { "content-type": "text/html; charset=utf-8", ...(csp ? { "content-security-policy": csp } : {}) });
  return response.end(body);
}

// A page with the collector by its element's attributes; `csp` by header.
let pageCount = 0;
function serve({ attributes = 'data-endpoint="/selfsame" data-consent="granted"', body = "", csp, script = `<script src="/selfsame.js" ${attributes} async></script>`, path } = {}) {
  pageCount += 1;
  const name = path ?? `/signup/${pageCount}`;
  pages.set(name, { body: `<!doctype html><html><head><title>jane.title@mail.example</title>${script}</head><body>${body}</body></html>`, csp });
  return name;
}

const soon = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Waits for a number of posts since `from`; an event, not a pause.
async function postsSince(from, count = 1, within = 5 * ONE_S) {
  const end = Date.now() + within;
  while (posts.length < from + count && Date.now() < end) {
    await Promise.race([new Promise((done) => (heard = done)), soon(Math.max(1, end - Date.now()))]);
  }
  return posts.slice(from).map((post) => ({ ...post, payload: JSON.parse(post.body) }));
}

// ---- the browser

const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--host-resolver-rules=MAP *.test 127.0.0.1", "--enable-features=BackForwardCache",
];

async function launch(preferences) {
  const userDataDir = mkdtempSync(join(tmpdir(), "collector-"));
  if (preferences) {
    mkdirSync(join(userDataDir, "Default"));
    writeFileSync(join(userDataDir, "Default", "Preferences"), JSON.stringify(preferences));
  }
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, userDataDir, acceptInsecureCerts: true, args: flags,
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
  });
  return {
    browser,
    async close() {
      await browser.close();
      rmSync(userDataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

const faults = [];

// A tab that tells what it should not have done.
async function tab(context, before = async () => {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(10 * ONE_S);
  page.on("pageerror", (error) => faults.push(`${page.url()}: ${error}`));
  page.on("console", (message) => message.type() === "error" && !/ERR_|status of|favicon/.test(message.text()) && faults.push(`${page.url()}: ${message.text()}`));
  await before(page);
  return page;
}

const call = (page, ...words) => page.evaluate((given) => window.selfsame(...given), words);
const ready = (page) => page.waitForFunction(() => window.selfsame && window.selfsame.loaded);
const stored = (page) => page.evaluate(() => ({ cookie: document.cookie, local: window.localStorage.getItem("selfsame") }));
const kinds = (payload) => (payload.journey?.touchpoints ?? []).map((step) => step.kind.replace("TOUCHPOINT_KIND_", ""));
const cookiesOf = async (page) => (await (await page.createCDPSession()).send("Network.getAllCookies")).cookies;

async function goto(page, address) {
  await page.goto(address);
  await ready(page);
}

async function main() {
  const server = createServer({ maxHeaderSize: 1 << 20 }, answer).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const { port } = server.address();
  const on = (host, path) => `http://${host}:${port}${path}`;
  const { browser, close } = await launch();
  const run = async (chapter) => {
    const began = Date.now();
    const context = await browser.createBrowserContext();
    try {
      await chapter({ context, on, port });
    } catch (error) {
      failures += 1;
      console.error(`DOES NOT HOLD: ${chapter.name} ended with ${error.stack}`);
    }
    await context.close();
    claim(`${chapter.name}: nothing failed on any page`, faults.length === 0, faults.splice(0).join("\n  "));
    if (process.env.TIMES) console.log(`${chapter.name}: ${Date.now() - began} ms`);
  };
  const only = process.argv[2];
  try {
    for (const chapter of chapters) if (!only || chapter.name === only) await run(chapter);
  } finally {
    await close();
    for (const response of hanging) response.destroy();
    server.closeAllConnections();
    server.close();
  }
  console.log(`${claims} claims, ${failures} of them or of their chapters do not hold`);
  process.exitCode = failures ? 1 : 0;
}

// ---- the chapters

async function landing({ context, on }) {
  const path = serve({ csp: `${STRICT}; require-trusted-types-for 'script'; trusted-types 'none'`, body: '<form data-selfsame method="post" action="/selfsame/form"><input name="email"></form><form id="other"><input type="hidden" name="ucc"></form><form data-selfsame id="seen"><input name="ucc" value="typed"></form>' });
  const page = await tab(context);
  const before = posts.length;
  await goto(page, on("www.shop.test", `${path}?ucc=ANN-10`));
  claim("the code is known at once", (await call(page, "ucc")) === "ANN-10");
  const cookie = (await cookiesOf(page)).find((one) => one.name === "selfsame");
  const days = (cookie.expires - Date.now() / ONE_S) / DAY_S;
  claim("the cookie ends after 90 days", days > 89.9 && days < 90.1, days);
  claim("the cookie is SameSite=Lax, of this host and of every path", cookie.sameSite === "Lax" && cookie.domain === "www.shop.test" && cookie.path === "/", cookie);
  claim("over plaintext the cookie is not Secure, for it would be refused", cookie.secure === false);
  claim("the cookie is small", cookie.size < 300, cookie.size);
  claim("nothing is posted before an account does something", posts.length === before);
  const fields = await page.$$eval('form:not(#seen) input[name="ucc"]', (inputs) => inputs.map((input) => [input.type, input.value]));
  claim("hidden fields hold the code, in a form that asks for it and in one that has the field", JSON.stringify(fields) === '[["hidden","ANN-10"],["hidden","ANN-10"]]', fields);
  claim("a field that a person sees is left to the person", (await page.$$eval("#seen [name=ucc]", (inputs) => inputs.map((input) => input.value).join())) === "typed");
  claim("a sign-up is posted, and the call tells that it arrived", (await call(page, "track", "SIGNUP")) === true);
  const [{ payload, headers }] = await postsSince(before);
  claim("the payload is as its schema says", validate(payload), validate.errors);
  claim("the way is a click, a landing, a sign-up", kinds(payload).join() === "LINK_CLICK,LANDING,SIGNUP", kinds(payload));
  claim("the code came from the link", payload.attribution.capturedVia === "CAPTURED_VIA_LINK" && payload.attribution.ucc === "ANN-10", payload.attribution);
  claim("paths are tokens", payload.journey.touchpoints[1].pathToken === "signup/:id", payload.journey.touchpoints);
  const { device } = payload;
  claim("the device is told in plain attributes", device.userAgent && device.platform && device.languages.length && device.screenWidthPx > 0 && device.timeZone, device);
  claim("no address of a page goes with a post", headers.referer === undefined, headers.referer);
  const bundle = bundleOf(readPayload(JSON.stringify(payload)), { keys: [{ id: "k1", secret: Buffer.alloc(32, 1) }], accountId: "acc-7", address: "203.0.113.9" });
  claim("a backend makes a bundle of it", bundle.journey.touchpoints.length === 3 && bundle.devices[0].browser.length === 1 && bundle.networks.length === 1);
  claim("a backend makes an attribution of it", attributionOf(payload, { isValid: true }).codeValidity === "CODE_VALIDITY_VALID");
  // The next page, without the code in its address.
  await goto(page, on("www.shop.test", serve()));
  const next = await call(page, "payload");
  claim("on the next page the code comes from the cookie", next.attribution.capturedVia === "CAPTURED_VIA_COOKIE" && next.attribution.ucc === "ANN-10", next.attribution);
  claim("the browser's id stays", next.browserIds[0] === payload.browserIds[0]);
  await page.reload();
  await ready(page);
  // A form that is sent takes the payload along.
  await goto(page, on("www.shop.test", path));
  await Promise.all([page.waitForNavigation(), page.evaluate(() => document.forms[0].requestSubmit())]);
  const form = new URLSearchParams(posts.at(-1).body);
  claim("a form takes code and payload along", form.get("ucc") === "ANN-10" && validate(JSON.parse(form.get("selfsame"))), posts.at(-1).body.slice(0, 300));
}

async function reloadIsNoClick({ context, on }) {
  const page = await tab(context);
  await goto(page, on("www.shop.test", `${serve()}?ucc=ANN-10`));
  await page.reload();
  await ready(page);
  const payload = await call(page, "payload");
  claim("a page that is loaded again is not clicked again", kinds(payload).join() === "LINK_CLICK,LANDING,PAGE_VIEW", kinds(payload));
  await goto(page, on("www.shop.test", `${serve()}?ucc=BOB-20`));
  const changed = await call(page, "payload");
  claim("a code that changed on the way is told with the one before", changed.attribution.ucc === "BOB-20" && changed.attribution.previousUcc === "ANN-10", changed.attribution);
  await goto(page, on("www.shop.test", serve({ attributes: 'data-consent="granted" data-keep="first"' }) + "?ucc=EVE-30"));
  claim("a programme can keep the first code", (await call(page, "ucc")) === "BOB-20");
  await call(page, "leave");
  const left = await call(page, "payload");
  claim("who signs out leaves no code and no way", left.attribution === undefined && left.journey === undefined, left);
  claim("and the browser is still the same", left.browserIds[0] === payload.browserIds[0]);
}

async function secureCookies({ context }) {
  const folder = mkdtempSync(join(tmpdir(), "collector-tls-"));
  const made = spawnSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=www.shop.test", "-keyout", "key.pem", "-out", "cert.pem"], { cwd: folder });
  if (made.status !== 0) return console.log("Secure cookies: not checked, openssl is not here");
  const server = createSecureServer({ key: readFileSync(join(folder, "key.pem")), cert: readFileSync(join(folder, "cert.pem")) }, answer).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const page = await tab(context);
  await goto(page, `https://www.shop.test:${server.address().port}${serve()}?ucc=ANN-10`);
  const cookie = (await cookiesOf(page)).find((one) => one.name === "selfsame");
  claim("over TLS the cookie is Secure", cookie?.secure === true && cookie.sameSite === "Lax", cookie);
  server.closeAllConnections();
  server.close();
  return rmSync(folder, { recursive: true });
}

async function subdomains({ context, on }) {
  const page = await tab(context);
  const attributes = 'data-endpoint="/selfsame" data-consent="granted" data-domain="shop.test"';
  await goto(page, on("www.shop.test", `${serve({ attributes })}?ucc=ANN-10`));
  const there = await call(page, "payload");
  await goto(page, on("app.shop.test", serve({ attributes })));
  const here = await call(page, "payload");
  claim("the click is known where only the cookie came along", kinds(here).join() === "LINK_CLICK,PAGE_VIEW" && here.journey.touchpoints[0].occurredAt === here.attribution.capturedAt, kinds(here));
  claim("subdomains share the code and the browser's id", here.attribution?.ucc === "ANN-10" && here.browserIds[0] === there.browserIds[0], here);
  await goto(page, on("pay.test", `${serve({ attributes })}?ucc=BOB-20`));
  const cookie = (await cookiesOf(page)).find((one) => one.domain.includes("pay.test"));
  claim("a domain that is not the host's falls back to the host", cookie?.domain === "pay.test", cookie);
  await goto(page, on("app.shop.test", serve({ attributes })));
  await call(page, "consent", "denied");
  const left = (await cookiesOf(page)).filter((one) => one.domain.includes("shop.test"));
  claim("withdrawal takes the domain's cookie away", left.length === 0, left);
}

async function consent({ context, on }) {
  const page = await tab(context);
  const from = posts.length;
  const pending = serve({ attributes: 'data-endpoint="/selfsame" data-send="all"', body: '<form data-selfsame></form>' });
  await goto(page, on("www.shop.test", `${pending}?ucc=ANN-10`));
  const nothing = async (words) => {
    const { cookie, local } = await stored(page);
    const all = await page.evaluate(() => [localStorage.length, sessionStorage.length]);
    claim(words, cookie === "" && local === null && all.join() === "0,0" && posts.length === from, { cookie, local, all });
  };
  await nothing("before consent nothing is kept and nothing is posted");
  claim("before consent the code is known in memory", (await call(page, "ucc")) === "ANN-10");
  claim("before consent the hidden field has the code that the address has", (await page.$eval("input[name=ucc]", (input) => input.value)) === "ANN-10");
  claim("before consent a post ends at once, and says that it was none", (await call(page, "track", "SIGNUP")) === false);
  claim("before consent no id is made and no device is looked at", await call(page, "payload").then((payload) => !payload.browserIds && !payload.device));
  await call(page, "consent", "granted");
  const [{ payload }] = await postsSince(from);
  claim("what happened before consent is posted after it", kinds(payload).join() === "LINK_CLICK,LANDING,SIGNUP" && validate(payload), kinds(payload));
  claim("after consent it is kept", (await stored(page)).cookie.includes("ANN-10"));

  const other = await tab(context);
  await goto(other, on("www.shop.test", serve()));
  claim("another tab knows it too", (await call(other, "ucc")) === "ANN-10");
  const posted = posts.length;
  await call(page, "consent", "denied");
  await other.waitForFunction(() => window.selfsame("ucc").then((ucc) => ucc === ""));
  await call(other, "track", "PAGE_VIEW");
  await call(other, "track", "SIGNUP");
  const after = await stored(page);
  claim("withdrawal wipes, in every tab, for good", !after.cookie.includes("selfsame") && after.local === null && posts.length === posted, after);
  claim("after withdrawal only the address of the page is known", (await call(page, "ucc")) === "ANN-10" && (await call(page, "payload").then((left) => !left.browserIds)));
  await goto(page, on("www.shop.test", serve({ attributes: 'data-consent="denied" data-endpoint="/selfsame"' })));
  claim("denied from the start, nothing is known", (await call(page, "ucc")) === "" && (await stored(page)).cookie === "");
  await goto(page, on("www.shop.test", serve({ attributes: 'data-consent="denied" data-endpoint="/selfsame"' }) + "?ucc=BOB-20&selfsame=1*x"));
  await page.evaluate(() => history.pushState({}, "", "/pricing"));
  await call(page, "track", "CHECKOUT");
  claim("denied, the hand-over's parameter is taken off all the same", !page.url().includes("selfsame="), page.url());
  await call(page, "consent", "granted");
  const later = await call(page, "payload");
  claim("what happened while it was denied is never told", kinds(later).join() === "LINK_CLICK,PAGE_VIEW" && later.attribution.ucc === "BOB-20", later);

  const gpc = await tab(context, (one) => one.evaluateOnNewDocument(() => Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { get: () => true })));
  await goto(gpc, on("www.shop.test", `${serve()}?ucc=ANN-10`));
  claim("Global Privacy Control counts as denied", (await stored(gpc)).cookie === "" && (await call(gpc, "track", "SIGNUP")) === false);
  await goto(gpc, on("www.shop.test", serve({ attributes: 'data-consent="granted" data-gpc="false"' })));
  claim("unless the product says otherwise", (await stored(gpc)).cookie.includes("selfsame"));
}

async function hangingServers({ context, on }) {
  const page = await tab(context);
  const form = '<form action="/thanks" method="post"><button>go</button></form>';
  const hung = serve({ script: '<script src="/stub.js" data-src="/hang.js" data-endpoint="/selfsame"></script>', csp: STRICT, body: form });
  let began = Date.now();
  await page.goto(on("www.shop.test", hung));
  claim("a script that never comes does not delay the page", Date.now() - began < AT_ONCE, Date.now() - began);
  began = Date.now();
  const known = await call(page, "ucc");
  const took = Date.now() - began;
  claim("a call ends after two seconds when the script never comes", known === undefined && took > 1.5 * ONE_S && took < 2 * ONE_S + AT_ONCE, took);
  began = Date.now();
  await Promise.all([page.waitForNavigation(), page.click("button")]);
  claim("and a form is sent at once", Date.now() - began < AT_ONCE, Date.now() - began);

  const silent = serve({ attributes: 'data-endpoint="/hang" data-consent="granted" data-timeout-ms="700"', body: form });
  began = Date.now();
  await goto(page, on("www.shop.test", `${silent}?ucc=ANN-10`));
  claim("an endpoint that never answers does not delay the page", Date.now() - began < AT_ONCE);
  began = Date.now();
  const arrived = await call(page, "track", "SIGNUP");
  const waited = Date.now() - began;
  claim("a post ends within its time-out", arrived === false && waited >= 600 && waited < 700 + AT_ONCE, waited);
  began = Date.now();
  await page.evaluate(() => void window.selfsame("track", "CHECKOUT"));
  await Promise.all([page.waitForNavigation(), page.click("button")]);
  claim("a form is sent at once while a post hangs", Date.now() - began < AT_ONCE, Date.now() - began);
  const from = posts.length;
  await goto(page, on("www.shop.test", serve()));
  const [{ payload }] = await postsSince(from);
  claim("what did not arrive is posted on the next page", kinds(payload).join().startsWith("LINK_CLICK,LANDING,SIGNUP,CHECKOUT"), kinds(payload));
  await call(page, "ucc");
  await goto(page, on("www.shop.test", serve({ attributes: 'data-endpoint="/selfsame/broken" data-consent="granted"' })));
  claim("an error is no arrival", (await call(page, "track", "SIGN_IN")) === false);
  const broken = serve({ attributes: 'data-endpoint="/selfsame/broken" data-consent="granted"' });
  let visits = 0;
  for (let posted = 1; posted && visits < 20; visits += 1) {
    const tried = posts.length;
    await goto(page, on("www.shop.test", broken));
    posted = (await postsSince(tried, 1, ONE_S)).length;
    // Answered, and written down.
    await soon(100);
  }
  claim("an endpoint that stays broken is given up after some pages", visits > 4 && visits < 9, visits);
}

async function theStub({ context, on }) {
  const page = await tab(context);
  const from = posts.length;
  const path = serve({ csp: STRICT, script: '<script src="/stub.js" data-src="/selfsame.js" data-endpoint="/selfsame" data-consent="granted"></script><script src="/early.js"></script>' });
  await page.goto(on("www.shop.test", `${path}?ucc=ANN-10`));
  const [{ payload }] = await postsSince(from);
  claim("calls before the script are done once it is there", kinds(payload).join() === "LINK_CLICK,LANDING,SIGNUP" && payload.attribution.ucc === "ANN-10", payload);
  claim("and they are answered", await page.evaluate(() => window.early.then((answers) => answers.join() === "true,ANN-10")), await page.evaluate(() => window.early));

  const snippet = readFileSync(at("../dist/snippet.html"), "utf8");
  const hash = /'(sha256-[^']+)'/.exec(snippet)[1];
  await goto(page, on("www.shop.test", serve({ csp: `${STRICT.replace("script-src 'self'", `script-src 'self' '${hash}'`)}`, script: snippet })));
  claim("the snippet runs under a policy that has its hash", await page.evaluate(() => window.selfsame.loaded));
  const strictDynamic = "default-src 'none'; script-src 'nonce-n0nce' 'strict-dynamic'; connect-src 'self'";
  await goto(page, on("www.shop.test", serve({ csp: strictDynamic, script: snippet.replace("<script ", '<script nonce="n0nce" ') })));
  claim("and under one of nonces", await page.evaluate(() => window.selfsame.loaded));
  const clobbered = serve({ script: "", body: '<form id="selfsame"></form><form name="cookie"></form><script src="/stub.js" data-src="/selfsame.js"></script><script>selfsame("start", { consent: "granted" })</script>' });
  await goto(page, on("www.shop.test", `${clobbered}?ucc=CLO-1`));
  claim("an element called as the stub is in nobody's way, and a start by call is one", (await call(page, "ucc")) === "CLO-1" && (await call(page, "payload")).browserIds.length === 1);
  const routed = '<script src="/stub.js" data-src="/selfsame.js" data-consent="granted"></script><script>history.replaceState({}, "", "/pricing")</script>';
  await goto(page, on("www.shop.test", `${serve({ script: routed })}?ucc=BOB-20`));
  claim("a router that changes the address before the script is there loses no code", (await call(page, "ucc")) === "BOB-20", page.url());
}

async function handOverToAnotherDomain({ context, on, port }) {
  const attributes = 'data-endpoint="/selfsame" data-consent="granted" data-hand-over="shop.test, pay.test" data-schemes="myapp:"';
  const arrival = serve({ attributes, path: "/checkout/start" });
  const away = (name) => `<a id="${name}" href="http://pay.test:${port}${arrival}?x=%20y#part">on</a>`;
  const departure = serve({ attributes, body: '<meta name="referrer" content="no-referrer">' + `${away("on")}<a id="own" href="/pricing">own</a><a id="strange" href="http://evil.test:${port}${arrival}">off</a><form id="get" action="http://pay.test:${port}${arrival}"><input name="action" value="shadow"><button>go</button></form>` });
  const page = await tab(context);
  await goto(page, on("www.shop.test", `${departure}?ucc=ANN-10`));
  const there = await call(page, "payload");
  await Promise.all([page.waitForNavigation(), page.click("#on")]);
  await ready(page);
  const here = await call(page, "payload");
  claim("another domain takes the code over", here.attribution?.ucc === "ANN-10", here.attribution);
  claim("another domain takes the browser's id over", here.browserIds.includes(there.browserIds[0]), here.browserIds);
  claim("the click is part of the way there", kinds(here).join() === "LINK_CLICK,PAGE_VIEW", kinds(here));
  claim("the address is as it was, byte for byte", page.url() === `http://pay.test:${port}${arrival}?x=%20y#part`, page.url());
  claim("what was taken over is kept", (await stored(page)).cookie.includes("ANN-10"));

  await page.goBack();
  await ready(page);
  const links = await page.evaluate(async () => {
    const link = document.querySelector("#on");
    let during;
    addEventListener("click", (event) => { during ??= link.href; event.preventDefault(); });
    link.click();
    await new Promise((done) => setTimeout(done, 20));
    document.querySelector("#strange").click();
    document.querySelector("#own").click();
    return { during, after: link.href, strange: document.querySelector("#strange").href, own: document.querySelector("#own").href };
  });
  claim("a link holds it only while it is followed", links.during.includes("selfsame=") && !links.after.includes("selfsame="), links);
  claim("nothing is handed to strangers, and nothing to oneself", !links.strange.includes("selfsame=") && !links.own.includes("selfsame="), links);
  claim("the app's links get the code alone", (await call(page, "decorate", "myapp://join?a=b")) === "myapp://join?a=b&ucc=ANN-10", await call(page, "decorate", "myapp://join?a=b"));

  // A form that goes there by GET.
  await Promise.all([page.waitForNavigation(), page.evaluate(() => document.querySelector("#get").requestSubmit())]);
  await ready(page);
  claim("a form by GET hands over too, and its parameter is gone", (await call(page, "ucc")) === "ANN-10" && !page.url().includes("selfsame="), page.url());

  const copied = links.during;
  const stranger = await (context.browser()).createBrowserContext();
  const friend = await tab(stranger, (one) => one.setUserAgent("Mozilla/5.0 (X11; Linux) Friend/1.0"));
  await goto(friend, on("www.shop.test", serve({ attributes, body: `<a id="copied" href="${copied.replace(/&/g, "&amp;")}">a friend's</a>` })));
  await friend.evaluate(() => document.querySelector("#copied").addEventListener("click", (event) => event.stopImmediatePropagation()));
  await Promise.all([friend.waitForNavigation(), friend.click("#copied")]);
  await ready(friend);
  const theirs = await call(friend, "payload");
  claim("a link that was copied to a friend hands over nothing", !theirs.browserIds.includes(there.browserIds[0]) && !theirs.attribution, theirs);
  claim("and its parameter is taken off all the same", !friend.url().includes("selfsame="), friend.url());

  // The control of the next two: the same link is taken over where nothing is wrong with it.
  const inTime = await tab(stranger);
  await goto(inTime, on("www.shop.test", serve({ attributes: 'data-consent="denied"', body: `<a id="prompt" href="${copied.replace(/&/g, "&amp;")}">in time</a>` })));
  await Promise.all([inTime.waitForNavigation(), inTime.click("#prompt")]);
  await ready(inTime);
  claim("what was handed over a moment ago is taken", (await call(inTime, "payload")).attribution?.ucc === "ANN-10", await call(inTime, "payload"));
  await call(inTime, "consent", "denied");
  await inTime.close();
  const late = await tab(stranger, (one) => one.evaluateOnNewDocument(() => { const real = Date.now; Date.now = () => real() + 121_000; }));
  await goto(late, on("www.shop.test", serve({ attributes: 'data-consent="granted"', body: `<a id="late" href="${copied.replace(/&/g, "&amp;")}">late</a>` })));
  await Promise.all([late.waitForNavigation(), late.click("#late")]);
  await ready(late);
  claim("what was handed over two minutes ago is not taken", !(await call(late, "payload")).attribution);
  const forged = await tab(stranger);
  await goto(forged, on("evil.test", serve({ attributes: 'data-consent="granted" data-hand-over="pay.test"', body: `<a id="on" href="http://pay.test:${port}${arrival}">x</a>` }) + "?ucc=EVE-30"));
  await Promise.all([forged.waitForNavigation(), forged.click("#on")]);
  await ready(forged);
  claim("a page that is none of the product's hands over nothing", !(await call(forged, "payload")).attribution, await call(forged, "payload"));
  await stranger.close();
}

async function singlePages({ context, on }) {
  const page = await tab(context);
  const from = posts.length;
  await goto(page, on("www.shop.test", serve({ attributes: 'data-endpoint="/selfsame" data-consent="granted" data-send="all" data-pages="studio"', body: "<main></main>" })));
  await postsSince(from);
  await page.evaluate(async () => {
    const seen = () => new Promise((done) => setTimeout(done, 20));
    history.pushState({ a: 1 }, "", "/pricing");
    history.replaceState(history.state, "", "/pricing?tab=2");
    await seen();
    history.pushState({}, "", "/studio/7?ucc=ANN-10");
    history.replaceState({}, "", "/studio/7");
    await seen();
    location.hash = "#/settings/9";
    await seen();
    document.querySelector("main").innerHTML = '<form data-selfsame><input name="email"></form>';
  });
  await page.focus("input[name=email]");
  await page.waitForFunction(() => document.querySelector("input[name=ucc]"));
  const { journey } = await call(page, "payload");
  const tokens = journey.touchpoints.map((step) => step.pathToken).filter(Boolean);
  claim("a page of one document is followed through its addresses", tokens.join() === "signup/:id,pricing,studio/:id,studio/:id/settings/:id", tokens);
  claim("a code that comes with such an address is captured", (await call(page, "ucc")) === "ANN-10");
  claim("a form that was made later gets its field", (await page.$eval("input[name=ucc]", (input) => input.value)) === "ANN-10");
  const took = await page.evaluate(async () => {
    for (let i = 0; i < 200; i += 1) { history.pushState({}, "", `/orders/${i}`); await new Promise((done) => setTimeout(done, 0)); }
    const began = performance.now();
    for (let i = 0; i < 200; i += 1) history.replaceState({}, "", `/pricing?at=${i}`);
    const calls = performance.now() - began;
    const steps = performance.now();
    for (let i = 0; i < 20; i += 1) { window.selfsame("track", "PAGE_VIEW"); await Promise.resolve(); }
    return { call: calls / 200, step: (performance.now() - steps) / 20 };
  });
  claim("a page that changes its address at every move is not slowed", took.call < 5 && took.step < 50, took);
  if (process.env.TIMES) console.log(took);
  claim("the page's own history works as before", await page.evaluate(() => history.length >= 4));
  claim("page views are posted where that is asked for, several at once", await postsSince(from, 2).then((all) => all.length >= 2 && all.every((post) => validate(post.payload))));
}

async function comingBack({ context, on }) {
  const page = await tab(context);
  await goto(page, on("www.shop.test", `${serve()}?ucc=ANN-10`));
  await page.evaluate(() => addEventListener("pageshow", (event) => (window.cameBack = event.persisted)));
  await goto(page, on("www.shop.test", serve()));
  await page.goBack();
  const persisted = await page.evaluate(() => window.cameBack === true);
  claim("the collector does not keep a page from the back/forward cache", persisted);
  const payload = await call(page, "payload");
  claim("coming back is a page view, and what happened elsewhere is known", kinds(payload).join() === "LINK_CLICK,LANDING,PAGE_VIEW,PAGE_VIEW", kinds(payload));
}

async function severalTabs({ context, on }) {
  const path = serve();
  const tabs = await Promise.all(Array.from({ length: 4 }, () => tab(context)));
  await Promise.all(tabs.map((page, index) => page.goto(on("www.shop.test", `${path}?ucc=CODE-${index}`))));
  await Promise.all(tabs.map(ready));
  for (let round = 0; round < 10; round += 1) await Promise.all(tabs.map((page, index) => call(page, "track", "PAGE_VIEW", `pricing/${index}/${round}`)));
  const tokensOf = (payload) => new Set(payload.journey.touchpoints.map((step) => step.pathToken).filter((token) => token?.startsWith("pricing/")));
  await tabs[0].waitForFunction((most) => window.selfsame("payload").then((payload) => new Set(payload.journey.touchpoints.map((step) => step.pathToken).filter((token) => /^pricing\//.test(token))).size === most), { polling: 100 }, 40).catch(() => {});
  const all = await Promise.all(tabs.map((page) => call(page, "payload")));
  claim("tabs at once have one browser id", new Set(all.map((payload) => payload.browserIds[0])).size === 1, all.map((payload) => payload.browserIds));
  claim("tabs at once have one code", new Set(all.map((payload) => payload.attribution.ucc)).size === 1, all.map((payload) => payload.attribution.ucc));
  claim("tabs at once lose no step", tokensOf(all[0]).size === 40, tokensOf(all[0]).size);
  claim("all of them are as the schema says", all.every((payload) => validate(payload)), validate.errors);
}

async function personalData({ context, on }) {
  const page = await tab(context);
  const from = posts.length;
  const planted = ["jane", "doe", "mail.example", "4917012", "amFuZ"];
  const body = '<h1>jane.doe@mail.example</h1><form data-selfsame method="post" action="/selfsame/form"><input name="email" value="jane.doe@mail.example"><input name="name" value="Jane Doe"><input data-selfsame-code id="code"><button>go</button></form>';
  const attributes = 'data-endpoint="/selfsame" data-consent="granted" data-send="all"';
  serve({ attributes, body, path: "/users/jane.doe@mail.example/settings" });
  await goto(page, on("www.shop.test", "/users/jane.doe@mail.example/settings?email=jane.doe%40mail.example&ucc=jane%40mail.example&token=amFuZUBtYWls#jane.doe@mail.example"));
  await page.evaluate(async () => {
    const seen = () => new Promise((done) => setTimeout(done, 10));
    for (const path of ["/u/jane-doe", "/@jane", "/call/+491701234567", "/signup/amFuZUBtYWls", "/jane/doe", "/orders/Jane%20Doe", "/help?q=jane", "/invite/jane@mail.example"]) {
      history.pushState({}, "", path);
      await seen();
    }
    history.pushState({}, "", "/?deep_link=" + encodeURIComponent("app://x?ucc=jane@mail.example"));
  });
  await page.type("#code", "jane.doe@mail.example");
  await page.keyboard.press("Tab");
  await call(page, "code", "jane@mail.example");
  await call(page, "account", "jane@mail.example");
  await call(page, "track", "SIGNUP", "signup?email=jane@mail.example");
  await postsSince(from, 2);
  const { cookie, local } = await stored(page);
  const session = await page.evaluate(() => JSON.stringify(Object.assign({}, sessionStorage)));
  const said = [cookie, local, session, ...posts.slice(from).map((post) => `${post.path} ${post.body} ${post.headers.referer}`)].join("\n").toLowerCase();
  claim("nothing of a person is kept or posted, wherever it stood", planted.every((one) => !said.includes(one.toLowerCase())), planted.filter((one) => said.includes(one.toLowerCase())).join() + said);
  claim("and what was posted is as the schema says", posts.slice(from).every((post) => validate(JSON.parse(post.body))), validate.errors);
  await page.$eval("#code", (input) => (input.value = ""));
  await page.type("#code", " BOB-20 ");
  await page.keyboard.press("Tab");
  const { attribution } = await call(page, "payload");
  claim("a code that is typed is captured from the form", attribution?.ucc === "BOB-20" && attribution.capturedVia === "CAPTURED_VIA_FORM", attribution);
}

async function otherSources({ context, on }) {
  const page = await tab(context);
  await goto(page, on("www.shop.test", `${serve()}?deep_link=${encodeURIComponent("myapp://join?ucc=DEEP-1")}`));
  claim("a code inside a deep link is captured as such", (await call(page, "payload")).attribution?.capturedVia === "CAPTURED_VIA_DEEP_LINK");
  await goto(page, on("www.shop.test", serve()));
  claim("and stays one on the next page", (await call(page, "payload")).attribution?.capturedVia === "CAPTURED_VIA_DEEP_LINK");
  const context2 = await context.browser().createBrowserContext();
  const other = await tab(context2);
  await other.goto(on("www.shop.test", "/nothing"));
  await other.evaluate(() => (document.cookie = "cello-referral=pNRB1aYqArN; path=/"));
  await goto(other, on("www.shop.test", serve({ attributes: 'data-consent="granted" data-other-cookies="cello-referral"' })));
  const { attribution } = await call(other, "payload");
  claim("the code of another library's cookie is taken", attribution?.ucc === "pNRB1aYqArN" && attribution.capturedVia === "CAPTURED_VIA_COOKIE", attribution);
  await context2.close();
  const module = await tab(context);
  await module.goto(on("www.shop.test", serve({ script: '<script type="module">import { start } from "/collector.mjs"; window.mine = start({ endpoint: "/selfsame", consent: "granted", fingerprint: async () => "fp_8f3a" }); window.again = start();</script>' }) + "?ucc=MOD-1"));
  await module.waitForFunction(() => window.mine && window.mine.payload().fingerprint);
  claim("the module does the same, once", await module.evaluate(() => window.mine === window.again && window.mine.ucc() === "MOD-1" && window.mine.payload().fingerprint === "fp_8f3a"));
}

async function sandboxedFrame({ context, on, port }) {
  const page = await tab(context);
  const from = posts.length;
  const inner = serve({ attributes: `data-endpoint="http://www.shop.test:${port}/selfsame" data-consent="granted"` });
  await page.goto(on("www.shop.test", serve({ script: "", body: `<iframe sandbox="allow-scripts allow-forms" src="http://app.shop.test:${port}${inner}?ucc=ANN-10"></iframe>` })));
  const frame = page.frames().find((one) => one.url().includes(inner));
  await frame.waitForFunction(() => window.selfsame && window.selfsame.loaded);
  claim("in a sandboxed frame the code is known", (await frame.evaluate(() => window.selfsame("ucc"))) === "ANN-10");
  await frame.evaluate(() => window.selfsame("track", "SIGNUP"));
  const [{ payload }] = await postsSince(from);
  claim("in a sandboxed frame a sign-up is posted", validate(payload) && kinds(payload).join() === "LINK_CLICK,LANDING,SIGNUP", payload);
}

async function blockedCookies({ on }) {
  const { browser, close } = await launch({ profile: { default_content_setting_values: { cookies: 2 } } });
  try {
    const page = await tab(browser.defaultBrowserContext());
    const from = posts.length;
    await goto(page, on("www.shop.test", `${serve({ body: "<form data-selfsame></form>" })}?ucc=ANN-10`));
    const blocked = await page.evaluate(() => { try { return window.localStorage && false; } catch (_) { document.cookie = "a=b"; return document.cookie === ""; } });
    claim("the browser of this chapter does block cookies and storage", blocked);
    claim("with cookies blocked the code is known", (await call(page, "ucc")) === "ANN-10");
    claim("with cookies blocked the hidden field is filled", (await page.$eval("input[name=ucc]", (input) => input.value)) === "ANN-10");
    await page.evaluate(() => new Promise((done) => { history.pushState({}, "", "/pricing"); setTimeout(done, 20); }));
    claim("with cookies blocked a sign-up arrives", (await call(page, "track", "SIGNUP")) === true);
    const [{ payload }] = await postsSince(from);
    claim("with cookies blocked the way is that of the page", kinds(payload).join() === "LINK_CLICK,LANDING,PAGE_VIEW,SIGNUP" && validate(payload), kinds(payload));
  } finally {
    await close();
  }
}

// What pages do to a browser, by name: each is done before anything else runs, and the collector is expected to work all the same.
const breakages = {
  "JSON.stringify that lies": () => { JSON.stringify = () => "broken"; },
  "JSON.stringify that throws": () => { JSON.stringify = () => { throw new Error("no"); }; },
  "toJSON on every prototype": () => { for (const one of [Array, String, Object, Number]) one.prototype.toJSON = () => "broken"; },
  "polluted prototypes": () => { Object.assign(Object.prototype, { endpoint: "/evil", domain: "evil.test", token: "x", ucc: "EVIL", code: "EVIL", id: "EVIL", via: "LINK", signal: "x", path: "x", q: 1 }); Array.prototype.first = () => 1; },
  "no fetch": () => { delete window.fetch; },
  "no fetch options": () => { delete window.AbortController; delete window.AbortSignal; },
  "no localStorage": () => { delete Window.prototype.localStorage; Object.defineProperty(window, "localStorage", { get: () => { throw new DOMException("no", "SecurityError"); } }); },
  "full localStorage": () => { Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); }; },
  "null localStorage": () => { Object.defineProperty(window, "localStorage", { get: () => null }); },
  "no crypto": () => { Object.defineProperty(window, "crypto", { get: () => undefined }); },
  "no Intl": () => { window.Intl = undefined; },
  "no languages": () => { Object.defineProperty(Navigator.prototype, "languages", { get: () => undefined }); },
  "no client hints": () => { delete Navigator.prototype.userAgentData; },
  "no performance": () => { Object.defineProperty(window, "performance", { get: () => undefined }); },
  "a frozen clock": () => { const time = Date.now(); Date.now = () => time; },
  "a frozen history": () => { Object.defineProperty(History.prototype, "pushState", { value: History.prototype.pushState, writable: false }); Object.freeze(history); },
  "a URL that throws": () => { window.URL = function () { throw new Error("no"); }; },
  "a screen without size": () => { Object.defineProperty(Screen.prototype, "width", { get: () => 0 }); },
  "an addEventListener that throws for some": () => { const add = EventTarget.prototype.addEventListener; EventTarget.prototype.addEventListener = function (type, ...rest) { if (type === "submit" || type === "storage") throw new Error("no"); return add.call(this, type, ...rest); }; },
  "an element of every name": () => { const html = '<form name="cookie"></form><form name="referrer"></form><form id="selfsame"></form><form name="currentScript"></form>'; addEventListener("DOMContentLoaded", () => document.body.insertAdjacentHTML("beforeend", html)); },
  "cookies that throw": () => { Object.defineProperty(Document.prototype, "cookie", { get: () => { throw new Error("no"); }, set: () => { throw new Error("no"); } }); },
};

async function brokenPages({ context, on }) {
  for (const [name, work] of Object.entries(breakages)) {
    const one = await context.browser().createBrowserContext();
    const page = await tab(one, (fresh) => fresh.evaluateOnNewDocument(work));
    const from = posts.length;
    const shadows = '<form data-selfsame><input name="action"><input name="elements"><input name="method"><input name="id"></form><form><input name="getAttribute"><input name="matches"><input name="querySelectorAll"></form>';
    // Nothing is asked of the page: what it broke would break the asking.
    const script = '<script src="/selfsame.js" data-endpoint="/selfsame" data-consent="granted"></script><script src="/signup.js"></script>';
    await page.goto(on("www.shop.test", `${serve({ body: shadows, script })}?ucc=ANN-10`));
    const all = await postsSince(from, 1, 2 * ONE_S);
    const payload = all[0]?.payload;
    claim(`it works with ${name}`, payload && validate(payload) && payload.attribution?.ucc === "ANN-10" && kinds(payload).join() === "LINK_CLICK,LANDING,SIGNUP", all[0]?.body ?? "nothing was posted");
    await one.close();
  }
  faults.splice(0, faults.length, ...faults.filter((fault) => !/favicon/.test(fault)));
}

async function oddPages({ context, on }) {
  const page = await tab(context);
  await page.goto(on("www.shop.test", "/nothing"));
  await page.evaluate(() => {
    for (let i = 0; i < 60; i += 1) document.cookie = `big${i}=${"x".repeat(3000)}; path=/`;
    document.cookie = `selfsame=${"%".repeat(2000)}; path=/`;
    localStorage.setItem("selfsame", "1*" + "x*".repeat(1e5));
  });
  await goto(page, on("www.shop.test", `${serve()}?${"a=b&".repeat(1000)}ucc=ANN-10&%E0%A4%A=%&=&&&`));
  claim("among many cookies, damaged homes and odd addresses the code is kept", (await stored(page)).cookie.includes("ANN-10"), await stored(page));
  await page.evaluate(() => { const base = document.createElement("base"); base.href = "http://evil.test/"; document.head.append(base); });
  claim("an unknown word, a wrong kind, a call too many are nothing", (await call(page, "nonsense")) === undefined && (await call(page, "constructor")) === undefined && (await call(page, "__proto__")) === undefined && (await call(page, "track", "SIGN_OFF")) === false);
  const ended = await page.evaluate(async () => {
    const real = window.fetch;
    const answers = [];
    for (const broken of [async () => undefined, async () => { throw new Error("no"); }, () => { throw new Error("no"); }, () => new Promise(() => {}), async () => ({ ok: "yes" })]) {
      window.fetch = broken;
      Navigator.prototype.sendBeacon = () => false;
      answers.push(await window.selfsame("track", "SHARE"));
    }
    window.fetch = real;
    return answers;
  });
  claim("whatever a page's own fetch does, a call ends", ended.length === 5 && ended.slice(0, 4).every((one) => one === false), ended);
  await page.evaluate(async () => {
    for (const words of [["track"], ["track", null, {}], ["code"], ["code", {}], ["account"], ["account", {}], ["attach"], ["attach", [null]], ["decorate"], ["decorate", 7], ["consent"], ["start", "x"], ["start", null], []]) await window.selfsame(...words);
    document.body.innerHTML = '<svg><a href="/x"><text>svg</text></a></svg><a href="http://[bad">bad</a><a href="javascript:void 0">js</a><a id="deep" href="/pricing"><b>deep</b></a>';
    for (const link of document.querySelectorAll("a")) { const { href } = link; link.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, composed: true })); void href; }
    window.dispatchEvent(new Event("pageshow"));
    window.dispatchEvent(new StorageEvent("storage", { key: null }));
    document.dispatchEvent(new Event("submit"));
    window.dispatchEvent(new Event("change"));
  }).catch((error) => claim("odd calls end", /navigation|destroyed/i.test(String(error)), String(error)));
}

// What was captured goes through the core of the service: `selfsame screen` and `selfsame digest` (SELFSAME_BINARY, or where cargo builds it).
async function theService({ context, on }) {
  const target = process.env.CARGO_TARGET_DIR ?? new URL("../../../target", import.meta.url).pathname;
  const binary = [process.env.SELFSAME_BINARY, `${target}/release/selfsame`, `${target}/debug/selfsame`].find((one) => one && existsSync(one));
  if (!binary) return console.log("the service: not checked, the binary is not built");
  const secret = randomBytes(32);
  const known = (payload, accountId) => bundleOf(readPayload(JSON.stringify(payload)), { keys: [{ id: "k1", secret }], accountId, address: "203.0.113.9" });
  const path = serve();
  const page = await tab(context);
  await goto(page, on("www.shop.test", path));
  await call(page, "track", "SIGN_IN");
  const referrer = known(await call(page, "payload"), "ann");
  await call(page, "leave");
  const signUp = async (at, id) => {
    await goto(at, on("www.shop.test", `${path}?ucc=OLD-1`));
    await goto(at, on("www.shop.test", `${path}?ucc=ANN-10`));
    await call(at, "track", "SIGNUP");
    const payload = await call(at, "payload");
    const attribution = attributionOf(readPayload(JSON.stringify(payload)), { isValid: true });
    return { programId: "shop", conversionId: `cv-${id}`, kind: "CONVERSION_KIND_NEW_SIGNUP", occurredAt: new Date().toISOString(), attribution, referrer, referee: known(payload, id) };
  };
  const own = await signUp(page, "ann-again");
  const stranger = await context.browser().createBrowserContext();
  const honest = await signUp(await tab(stranger), "bob");
  await stranger.close();
  const screened = spawnSync(binary, ["screen", "-", "--view", "full"], { input: [honest, own].map((one) => JSON.stringify(one)).join("\n"), encoding: "utf8" });
  claim("the service takes what the collector and its receiving side made", screened.status === 0, screened.stderr);
  if (screened.status !== 0) return undefined;
  const [bob, again] = screened.stdout.trim().split("\n");
  claim("and warns of nothing that was cut or malformed", !/"warnings":\[\{"/.test(screened.stdout.replace(/\s/g, "")), screened.stdout.slice(0, 2000));
  const hit = (text, code) => JSON.parse(text).decision.reasons.some((one) => one.code === code);
  claim("who refers himself in one browser is seen to", hit(again, "device.same_browser") && hit(again, "journey.referrer_present"), again);
  claim("and a stranger's browser is not his", !hit(bob, "device.same_browser") && !hit(bob, "journey.referrer_present") && !hit(bob, "journey.no_click"), bob);
  claim("a code that changed on the way is evidence", hit(bob, "attribution.code_changed"), bob);
  const id = (await call(page, "payload")).browserIds[0];
  const digested = spawnSync(binary, ["digest", "--kind", "browser", id], { env: { ...process.env, SELFSAME_PROGRAMME_KEY: `hex:${secret.toString("hex")}` }, encoding: "utf8" });
  claim("a browser's id is digested as the service's own command does", digested.status === 0 && JSON.parse(digested.stdout).browser[0].value === own.referee.devices[0].browser[0].value, digested.stdout + digested.stderr);
  return undefined;
}

const chapters = [
  landing, reloadIsNoClick, secureCookies, subdomains, consent, hangingServers, theStub, handOverToAnotherDomain, singlePages, comingBack, severalTabs, personalData,
  otherSources, sandboxedFrame, blockedCookies, brokenPages, oddPages, theService,
];

execFileSync(process.execPath, [new URL("../build.mjs", import.meta.url).pathname], { stdio: "inherit" });
await main();
