// Builds dist/: the module, the classic script, the stub, and the snippet to paste. Fails when the classic script is 6 KB or larger, compressed.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const SIZE_MAX = 6 * 1024;
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const shared = { bundle: true, minify: true, target: "es2020", legalComments: "none", charset: "ascii", mangleProps: /^(born|others|steps|total|owed|previous|via)$/ };

await build({ ...shared, entryPoints: [at("src/collector.js")], format: "esm", outfile: at("dist/collector.mjs") });
await build({ ...shared, entryPoints: [at("src/classic.js")], format: "iife", outfile: at("dist/selfsame.js") });
await build({ ...shared, entryPoints: [at("src/stub.js")], format: "iife", outfile: at("dist/stub.js") });

const stub = readFileSync(at("dist/stub.js"), "utf8").trim();
const hash = createHash("sha256").update(stub).digest("base64");
writeFileSync(at("dist/snippet.html"), `<!-- script-src 'sha256-${hash}' -->\n<script data-src="/selfsame.js" data-endpoint="/selfsame">${stub}</script>\n`);

for (const name of ["collector.mjs", "selfsame.js", "stub.js"]) {
  const content = readFileSync(at(`dist/${name}`));
  const compressed = gzipSync(content, { level: 9 }).length;
  console.log(`dist/${name}: ${content.length} bytes, ${compressed} compressed`);
  if (compressed >= SIZE_MAX) throw new Error(`dist/${name} is ${compressed} bytes compressed; ${SIZE_MAX} is the limit`);
}
