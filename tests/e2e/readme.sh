#!/usr/bin/env bash
# The README's examples, pasted as they stand and in their order into one shell, in a folder of their own.
# Needs a release build and grpcurl on the PATH. Prints one line for each example; exits non-zero when one fails or an expected word is missing.
#
# Two things are not as on the page: the server's port, so that nothing of the machine's is touched, and `cargo`, which CI has run before.
set -uo pipefail
cd "$(dirname "$0")/../.."

binary=$(realpath "${SELFSAME_BINARY:-${CARGO_TARGET_DIR:-target}/release/selfsame}")
readme=$PWD/README.md
address=127.0.0.1:${SELFSAME_README_PORT:-50963}
folder=$(mktemp -d)
pasted="$folder/pasted.sh"
log="$folder/log"

trap 'rm -rf "$folder"' EXIT

# The shell examples, each followed by a word about it. A line that leaves something running is followed by waiting until it serves.
awk -v address="$address" '
  /^```sh$/ { inside = 1; number++; line = NR; print "example=\"" number " (line " line ")\"; echo \"# example $example\""; next }
  /^```$/ && inside { inside = 0; print "echo \"ok      example $example\""; next }
  inside {
    gsub(/localhost:50051/, address)
    print
    if ($0 ~ /&$/) print ($0 ~ /demo/ ? "played" : "serves")
  }
' "$readme" > "$folder/examples.sh"

# Nobody writes into it: whoever reads waits. (A process substitution would do, and become `$!`.)
mkfifo "$folder/never"
cat > "$pasted" <<EOF
set -euo pipefail
trap 'kill \$(jobs -p) 2>/dev/null || true' EXIT
trap 'echo "BROKEN  example \$example: \$BASH_COMMAND"' ERR
serves() {
  local _
  for _ in \$(seq 1 300); do
    grpcurl -plaintext -max-time 1 $address list >/dev/null 2>&1 && return 0
    kill -0 \$! || return 1
    read -rt 0.2 <> "$folder/never" || true
  done
  return 1
}
# The demo serves while its day is played; what it prints last is what to try.
played() {
  local _
  for _ in \$(seq 1 600); do
    grep -q 'Ctrl-C' "$log" && return 0
    kill -0 \$! || return 1
    read -rt 0.2 <> "$folder/never" || true
  done
  return 1
}
cargo() {
  case "\$*" in
    "run --release -- demo --keep") exec_demo ;;
    "run --release -- "*) shift 3; selfsame "\$@" ;;
    test*) echo "(cargo test is a step of its own)" ;;
    *) echo "cargo \$*: this script does not know it"; return 1 ;;
  esac
}
exec_demo() { exec "$binary" demo --keep --listen $address; }
EOF
cat "$folder/examples.sh" >> "$pasted"

# What the examples call `selfsame` is the build under test, wherever it lies.
mkdir -p "$folder/tour/target/release"
ln -s "$binary" "$folder/tour/target/release/selfsame"
(
  cd "$folder/tour" || exit 1
  export PATH="$folder/tour/target/release:$PATH" SELFSAME_LISTEN=$address SELFSAME_SERVER=http://$address SELFSAME_METRICS__LISTEN=none
  exec bash "$pasted"
) >"$log" 2>&1
status=$?

grep -E '^(ok|BROKEN) ' "$log"
broken=0
for word in 'Verdicts against the known truth' 'selfsame.v1.PayoutService' 'VERDICT_IN_REVIEW' 'device.same_device' 'case-cv-1' \
  'CASE_STATE_CLAIMED' 'CASE_STATE_RESOLVED' 'GATE_HOLD' 'FEED_EVENT_KIND_DECIDED' 'shop-1'; do
  grep -qF -- "$word" "$log" || { broken=$((broken + 1)); echo "BROKEN  \`$word\` was not said"; }
done
examples=$(grep -c '^```sh$' "$readme")
done=$(grep -c '^ok ' "$log")
[ "$done" -eq "$examples" ] || broken=$((broken + 1))
echo "$done of $examples examples of the README ran, exit status $status"
if [ "$status" -ne 0 ] || [ "$broken" -ne 0 ]; then tail -40 "$log"; exit 1; fi
