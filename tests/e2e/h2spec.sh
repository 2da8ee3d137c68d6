#!/usr/bin/env bash
# h2spec against a method of a server of its own. Passes when what fails is what docs/operations.md names, and nothing else.
#   bash tests/e2e/h2spec.sh [PATH OF THE BINARY]
set -euo pipefail
cd "$(dirname "$0")/../.."

binary="${1:-target/release/selfsame}"
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$folder"' EXIT
"$binary" serve --memory --listen 127.0.0.1:0 --metrics none --log-format json >/dev/null 2>"$folder/log" &
server=$!
port=""
for _ in $(seq 100); do
  port=$(sed -n 's/.*"message":"selfsame serves".*"address":"127.0.0.1:\([0-9]*\)".*/\1/p' "$folder/log")
  [ -n "$port" ] && break
  sleep 0.1
done
[ -n "$port" ] || { cat "$folder/log"; echo "the server does not listen"; exit 1; }

h2spec -h 127.0.0.1 -p "$port" --path /selfsame.v1.AccessService/WhoAmI --timeout 5 -j "$folder/report.xml" >"$folder/said" || true
tail -1 "$folder/said"
failed=$(python3 - "$folder/report.xml" <<'PYTHON'
import sys, xml.etree.ElementTree as xml
for suite in xml.parse(sys.argv[1]).getroot().iter("testsuite"):
    for number, case in enumerate(suite.iter("testcase"), 1):
        if case.find("failure") is not None or case.find("error") is not None:
            print(f"{case.get('package')}/{number}")
PYTHON
)
known=$(sed -n 's/^| `\([a-z0-9./]*\)` | .*/\1/p' docs/operations.md | grep -E '^(generic|http2|hpack)/' || true)
unknown=$(comm -23 <(sort <<<"$failed") <(sort <<<"$known"))
[ -z "${unknown//[[:space:]]/}" ] || { echo "these fail, and docs/operations.md does not say whose they are:"; echo "$unknown"; exit 1; }
