// Builds dist/: the module, the classic script, the stub, and the snippet to paste. Fails when one of them is 6,000 bytes or larger, compressed.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const COMPRESSED_BYTES_MAX = 6000;
// Names of the record's own fields: they leave the collector as cards, text and payloads alone.
const RECORD = /^(born|others|steps|total|owed|previous|via)$/;
const at = (path) => fileURLToPath(new URL(path, import.meta.url));

async function built(entry, name, format) {
  const { outputFiles } = await build({ bundle: true, write: false, target: "es2018", format, entryPoints: [at(entry)] });
  const options = { ecma: 2018, module: format === "esm", toplevel: true, compress: { passes: 3, unsafe_arrows: true }, mangle: { properties: { regex: RECORD } }, format: { ascii_only: true } };
  const { code } = await minify(outputFiles[0].text, options);
  const compressed = gzipSync(code, { level: 9 }).length;
  console.log(`dist/${name}: ${code.length} bytes, ${compressed} compressed`);
  if (compressed >= COMPRESSED_BYTES_MAX) throw new Error(`dist/${name} is ${compressed} bytes compressed; less than ${COMPRESSED_BYTES_MAX} is promised`);
  writeFileSync(at(`dist/${name}`), code + "\n");
  return code;
}

mkdirSync(at("dist"), { recursive: true });
await built("src/collector.js", "collector.mjs", "esm");
await built("src/classic.js", "selfsame.js", "iife");
const stub = await built("src/stub.js", "stub.js", "iife");
const hash = createHash("sha256").update(stub).digest("base64");
writeFileSync(at("dist/snippet.html"), `<!-- script-src 'sha256-${hash}' -->\n<script data-src="/selfsame.js" data-endpoint="/selfsame">${stub}</script>\n`);
