// Makes what is not kept in the repository: the messages and services of the contract (src/v1), and the tables of digesting (dist).
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
execFileSync("npx", ["--no-install", "buf", "generate"], { cwd: here, stdio: "inherit" });
mkdirSync(`${here}dist/digesting`, { recursive: true });
copyFileSync(`${here}../go/digest/tables.json`, `${here}dist/digesting/tables.json`);
