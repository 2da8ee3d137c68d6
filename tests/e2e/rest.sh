#!/usr/bin/env bash
# The API as JSON over HTTP, as strangers meet it: the document is judged by a validator of OpenAPI, and the server by a fuzzer that knows nothing but
# the document. SELFSAME_BINARY: the program; PYTHON: a Python with openapi-spec-validator and schemathesis.
set -euo pipefail
cd "$(dirname "$0")/../.."
binary="$(realpath "${SELFSAME_BINARY:-target/release/selfsame}")"
python="${PYTHON:-python3}"
folder="$(mktemp -d)"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT

port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
rest="127.0.0.1:$(port)"
(cd "$folder" && exec "$binary" serve --memory --metrics none --log warn --listen "127.0.0.1:$(port)" --rest "$rest") >"$folder/said" 2>&1 &
server=$!
for _ in $(seq 100); do curl -sf "http://$rest/openapi.json" -o "$folder/openapi.json" && break || sleep 0.1; done

"$binary" openapi | cmp - "$folder/openapi.json"
"$python" -m openapi_spec_validator "$folder/openapi.json"
# Who may call is left alone: the first identity ends that anybody may.
"$(dirname "$python")/schemathesis" run "http://$rest/openapi.json" --header 'selfsame-actor: rita' --request-timeout 5 \
  --checks not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance \
  --max-examples "${SELFSAME_REST_EXAMPLES:-10}" --exclude-path-regex '/(feed|labels|lines)$|^/v1/(backup|identities|tokens)' --no-color
kill -0 "$server"
