// A product's backend in a page: serves the example, takes the payload from the form and from the collector's posts, and prints what it would send to Selfsame.
// The session, the user and the key are made up; all else is how a product would do it. Listens on loopback.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import process from "node:process";
import { attributionOf, bundleOf, InvalidPayload, readPayload, renewedCookie } from "../server/index.js";

// From a secret store; this one is of nobody.
const keys = [{ id: "k1", secret: createHash("sha256").update("an example's key").digest() }];
const files = { "/selfsame.js": "../dist/selfsame.js", "/stub.js": "../dist/stub.js", "/example.js": "./example.js" };
const policy = "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'";

function bodyOf(request) {
  return new Promise((done, fail) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part) => {
      body += part;
      if (body.length > 200_000) fail(new InvalidPayload(["too long"]));
    });
    request.on("end", () => done(body));
    request.on("error", fail);
  });
}

// What the backend knows: who it is by its own session, and where the request came from. Loopback is nobody's address, so the example makes one up.
function tell(body, did) {
  const payload = readPayload(body);
  const referee = bundleOf(payload, { keys, accountId: "acc-7", address: "203.0.113.9", did });
  console.log(JSON.stringify({ recordId: payload.messageId, bundles: [referee], attribution: attributionOf(payload, { isValid: true }) }, null, 2));
}

async function answer(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  if (files[pathname]) {
    response.writeHead(200, { "content-type": "text/javascript" });
    return response.end(readFileSync(new URL(files[pathname], import.meta.url)));
  }
  if (request.method === "POST" && pathname === "/selfsame") {
    // A post of another site's page is none of ours.
    if (request.headers.origin && new URL(request.headers.origin).host !== request.headers.host) return response.writeHead(403).end();
    tell(await bodyOf(request));
    return response.writeHead(204).end();
  }
  if (request.method === "POST" && pathname === "/signup") {
    const form = new URLSearchParams(await bodyOf(request));
    console.log(`a sign-up with the code ${form.get("ucc") ?? "(none)"}`);
    if (form.get("selfsame")) tell(form.get("selfsame"), "SIGNUP");
    return response.writeHead(303, { location: "/welcome" }).end();
  }
  const cookie = renewedCookie(request.headers.cookie, { secure: false });
  response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy, ...(cookie ? { "set-cookie": cookie } : {}) });
  return response.end(readFileSync(new URL("./index.html", import.meta.url)));
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (!(error instanceof InvalidPayload)) console.error(error);
    response.writeHead(error instanceof InvalidPayload ? 400 : 500).end();
  });
});
server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
  console.log(`http://localhost:${server.address().port}/signup?ucc=ANN-10`);
});
