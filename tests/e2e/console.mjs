// The reviewer's day in a real browser: signs in, works the queue by keyboard, decides a cluster at once, undoes it, and looks at every page with
// axe-core for accessibility, without a script, in the dark, on a phone and at 200 %. Starts `selfsame demo --keep` by itself.
//
// Needs `puppeteer-core` and `axe-core` (from npm, found by NODE_PATH or beside this file), and Chromium (CHROMIUM, or /usr/bin/chromium).
// SELFSAME_BINARY: the binary [target/release/selfsame]. SCREENSHOTS: a folder to keep pictures in.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import process from "node:process";

const require = createRequire(process.env.NODE_MODULES ? `${process.env.NODE_MODULES}/` : import.meta.url);
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const binary = process.env.SELFSAME_BINARY ?? "target/release/selfsame";
const pictures = process.env.SCREENSHOTS;
let claims = 0;

function claim(words, holds, detail = "") {
  claims += 1;
  if (!holds) throw new Error(`${words}\n${detail}`);
}

function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

// Starts the demo and waits until it serves.
async function serve() {
  const [api, console_] = [await freePort(), await freePort()];
  const demo = spawn(binary, ["demo", "--keep", "--listen", `127.0.0.1:${api}`, "--console", `127.0.0.1:${console_}`], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  demo.stdout.on("data", (bytes) => (said += bytes));
  // The day is played before anybody looks.
  for (let tries = 0; tries < 600; tries += 1) {
    if (demo.exitCode !== null) throw new Error(`the demo ended with ${demo.exitCode}`);
    if (said.includes("stays up")) return { demo, address: `http://127.0.0.1:${console_}` };
    await new Promise((done) => setTimeout(done, 200));
  }
  throw new Error("the console does not answer");
}

async function main() {
  const { demo, address } = await serve();
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  try {
    await day(browser, address);
  } finally {
    await browser.close();
    demo.kill("SIGINT");
  }
  console.log(`${claims} claims hold`);
}

// A page that tells what it should not have done: errors, and requests to elsewhere.
async function open(browser, address, before = async () => {}) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && !/40[0-9]|status of/.test(message.text()) && page.faults.push(message.text()));
  page.on("request", (request) => {
    const to = request.url();
    if (!to.startsWith(address) && !to.startsWith("data:")) page.faults.push(`a request to ${to}`);
  });
  await page.setViewport({ width: 1280, height: 900 });
  await before(page);
  return page;
}

async function signIn(page, address, name) {
  await page.goto(`${address}/queue?program=demo`);
  claim("who is not signed in is asked to", page.url().includes("/login"), page.url());
  await page.type("#shown", name);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  claim("signing in leads to where one wanted to go", page.url().includes("/queue?program=demo"), page.url());
}

async function accessible(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
  const told = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`);
  claim(`${where} is accessible (axe-core, WCAG AA)`, told.length === 0, told.join("\n"));
}

async function picture(page, name) {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: false });
}

const press = (page, key) => Promise.all([page.waitForNavigation(), page.keyboard.press(key)]);
const text = (page) => page.evaluate(() => document.querySelector("main").innerText);
const title = (page) => page.$eval("h1", (heading) => heading.innerText);
const follow = (page, selector) => Promise.all([page.waitForNavigation(), page.click(selector)]);

async function day(browser, address) {
  const page = await open(browser, address);
  await page.goto(`${address}/login`);
  await accessible(page, "signing in");
  await signIn(page, address, "rita");
  await accessible(page, "the queue");
  await picture(page, "queue");
  const waiting = await page.$$eval("tr[data-row]", (rows) => rows.length);
  claim("the queue shows a page of cases", waiting === 50, waiting);

  // By keyboard alone: down, open, reject, undo.
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  const second = await page.evaluate(() => document.activeElement.innerText);
  await press(page, "Enter");
  claim("Enter opens the row that is focused", (await title(page)).startsWith(second), second);
  await accessible(page, "a case");
  await picture(page, "case");
  const parts = await page.$$eval("details td.number", (cells) => cells.map((cell) => cell.innerText));
  claim("the risk is explained", parts.length > 2, parts.join(" "));
  await press(page, "r");
  claim("r rejects", (await text(page)).includes("rejected by rita"), await text(page));
  await press(page, "u");
  claim("u puts it back", (await text(page)).includes("open"), await text(page));

  // One after the other: n takes the next, a decides it and takes the one after.
  await page.goto(`${address}/queue?program=demo`);
  await press(page, "n");
  const first = await title(page);
  claim("n takes the next case", (await text(page)).includes("claimed by rita"), first);
  await press(page, "a");
  claim("a decides, and the next is there", (await title(page)) !== first && page.url().includes("working=1"), page.url());
  await press(page, "s");

  // Hidden: neither the score nor the reasons.
  await page.goto(`${page.url()}&blind=1`);
  claim("blind, no reason and no score is shown", (await page.$("#why")) === null && (await page.$("h1 .risk")) === null, await text(page));

  // A cluster is previewed, decided at once, and undone at once.
  await page.goto(`${address}/clusters?program=demo`);
  await accessible(page, "the clusters");
  await picture(page, "clusters");
  await follow(page, "tr[data-row] th a");
  await accessible(page, "a cluster");
  await picture(page, "cluster");
  const cases = await page.$$eval("table.queue tr[data-row]", (rows) => rows.length);
  claim("a cluster has several cases and is drawn", cases > 1 && (await page.$("svg[role=img]")) !== null, cases);
  await follow(page, "button[value=reject]");
  await accessible(page, "a preview");
  await picture(page, "preview");
  claim("a preview tells how many would change", (await text(page)).includes(`${cases} would change`), await text(page));
  await follow(page, "form[action='/act'] button");
  claim("all of it changed at once", (await title(page)).startsWith(`${cases} changed`), await title(page));
  await press(page, "u");
  claim("all of it is undone at once", (await title(page)).startsWith(`${cases} changed`), await title(page));

  // The whole person.
  await page.goto(`${address}/queue?program=demo`);
  await follow(page, "tr[data-row] td:nth-of-type(5) a, tr[data-row] td a");
  await accessible(page, "an account");
  await picture(page, "account");
  claim("an account shows its money", (await text(page)).includes("Held"), await text(page));
  await page.goto(`${address}/health?program=demo`);
  await accessible(page, "the health of the programme");
  await picture(page, "health");
  await page.goto(`${address}/account?program=demo&id=nobody`);
  claim("an account that is not known is said to be so", (await text(page)).includes("nobody"), await text(page));
  claim("nothing failed on any page, and nothing came from elsewhere", page.faults.length === 0, page.faults.join("\n"));

  await others(browser, address);
}

async function others(browser, address) {
  const dark = await open(browser, address, (page) => page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]));
  await signIn(dark, address, "sam");
  await accessible(dark, "the queue in the dark");
  await picture(dark, "queue-dark");
  await follow(dark, "tr[data-row] th a");
  await accessible(dark, "a case in the dark");

  const phone = await open(browser, address, (page) => page.setViewport({ width: 360, height: 740, isMobile: true, hasTouch: true }));
  await signIn(phone, address, "sam");
  for (const path of ["/queue?program=demo", "/clusters?program=demo", "/health?program=demo"]) {
    await phone.goto(address + path);
    const wider = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    claim(`${path} is not wider than a phone`, wider <= 0, `${wider} px too wide`);
  }
  await phone.goto(`${address}/queue?program=demo`);
  await picture(phone, "queue-phone");
  const zoomed = await open(browser, address, (page) => page.setViewport({ width: 640, height: 450, deviceScaleFactor: 2 }));
  await signIn(zoomed, address, "sam");
  const wider = await zoomed.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  claim("at 200 % nothing is cut off", wider <= 0, `${wider} px too wide`);

  // Without a script a case is decided all the same.
  const plain = await open(browser, address, (page) => page.setJavaScriptEnabled(false));
  await signIn(plain, address, "tom");
  await follow(plain, "tr[data-row] th a");
  await follow(plain, "button[value=accept]");
  const decided = await plain.content();
  claim("without a script a case is decided", decided.includes("accepted by tom"));

  await forged(plain, address);
  await light(plain, address);
}

// What another site, or a forged form, can do: nothing.
async function forged(page, address) {
  const cookies = await page.cookies(address);
  const session = cookies.find((cookie) => cookie.name === "selfsame");
  claim("the cookie is for the server alone", session.httpOnly && session.sameSite === "Strict", JSON.stringify(session));
  const send = (headers, body) =>
    fetch(`${address}/step`, { method: "POST", headers: { cookie: `selfsame=${session.value}`, "content-type": "application/x-www-form-urlencoded", ...headers }, body, redirect: "manual" });
  const body = "form_token=made-up&program=demo&id=case-x&step=accept";
  claim("a form without the session's token is refused", (await send({}, body)).status === 403);
  claim("a form from another site is refused", (await send({ origin: "https://evil.example" }, body)).status === 403);
  const elsewhere = await fetch(`${address}/login?back=//evil.example/`, { redirect: "manual" });
  claim("signing in leads nowhere else", elsewhere.status === 200);
  const unknown = await fetch(`${address}/case?program=demo&id=case-x`, { redirect: "manual" });
  claim("without a session every page asks to sign in", unknown.status === 303 && unknown.headers.get("location").startsWith("/login"));
  const policy = unknown.headers.get("content-security-policy") ?? "";
  claim("nothing inline and nothing from elsewhere is allowed", policy.includes("default-src 'none'") && !policy.includes("unsafe"), policy);
}

// What it takes on the wire.
async function light(page, address) {
  const cookies = await page.cookies(address);
  const headers = { cookie: `selfsame=${cookies.find((cookie) => cookie.name === "selfsame").value}` };
  const queue = await fetch(`${address}/queue?program=demo`, { headers }).then((answer) => answer.text());
  const assets = [...queue.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map((found) => found[1]);
  const sizes = await Promise.all(assets.map((path) => fetch(address + path).then((answer) => answer.arrayBuffer()).then((bytes) => bytes.byteLength)));
  const all = queue.length + sizes.reduce((sum, size) => sum + size, 0);
  claim("the queue with all that it loads is below 150 kB", assets.length === 2 && all < 150_000, `${all} bytes, ${assets}`);
  console.log(`the queue with all that it loads: ${all} bytes`);
}

main().catch((error) => {
  console.error(`${claims} claims held until: ${error.message}`);
  process.exit(1);
});
