#!/usr/bin/env bash
# Compiles the contract into v1. BUF: the buf to compile with, by default the one of the TypeScript client's development packages.
# The plugins are those of go.mod. With --check nothing is changed, and a difference fails.
set -euo pipefail
cd "$(dirname "$0")"
buf="${BUF:-../typescript/node_modules/.bin/buf}"
if [ "${1:-}" != --check ]; then
  rm -rf v1 && mkdir v1
  exec "$buf" generate
fi
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
mkdir "$made/v1"
"$buf" generate --output "$made"
diff -r v1 "$made/v1" || { echo "clients/go/v1 is not what the contract gives: run clients/go/generate.sh"; exit 1; }
