#!/usr/bin/env bash
# A reviewer's day, and the mistakes that people make, with the real grpcurl against the real server.
# Needs a release build and grpcurl on the PATH. Prints one line for each claim; exits non-zero when one does not hold.
set -uo pipefail
cd "$(dirname "$0")/../.."

binary="${SELFSAME_BINARY:-${CARGO_TARGET_DIR:-target}/release/selfsame}"
address=127.0.0.1:50961
folder=$(mktemp -d)
log="$folder/server.log"
held=0
broken=0
server=

# start_server [DATA_FOLDER]
start_server() {
  "$binary" serve --listen "$address" --data-dir "${1:-$folder/ledger}" --policy "$folder/policy.toml" --metrics none >>"$log" 2>&1 &
  server=$!
  local _
  for _ in $(seq 1 100); do
    grpcurl -plaintext -max-time 1 "$address" grpc.health.v1.Health/Check 2>/dev/null | grep -q SERVING && return 0
    kill -0 "$server" 2>/dev/null || break
    read -rt 0.1 <> <(:) || true
  done
  echo "the server did not start:"; cat "$log"; exit 1
}

stop_server() {
  kill "-$1" "$server" 2>/dev/null
  wait "$server" 2>/dev/null
}

trap 'stop_server KILL; rm -rf "$folder"' EXIT

# call METHOD JSON: one call, answer and errors together; of whom `actor` names.
call() {
  grpcurl -plaintext ${actor:+-H "selfsame-actor: $actor"} -emit-defaults -max-time 10 -d "$2" "$address" "selfsame.v1.$1" 2>&1
}

# claim TEXT PATTERN METHOD JSON: the answer of the call holds the pattern.
claim() {
  local answer
  answer=$(call "$3" "$4")
  if grep -qE -- "$2" <<<"$answer"; then
    held=$((held + 1)); echo "ok      $1"
  else
    broken=$((broken + 1)); echo "BROKEN  $1"; echo "        wanted /$2/ in:"; sed 's/^/        /' <<<"$answer" | head -40
  fi
}

# says TEXT PATTERN COMMAND...: the command prints the pattern, whether it succeeds or refuses.
says() {
  local text=$1 pattern=$2 answer
  shift 2
  answer=$("$@" 2>&1)
  if grep -qE -- "$pattern" <<<"$answer"; then
    held=$((held + 1)); echo "ok      $text"
  else
    broken=$((broken + 1)); echo "BROKEN  $text"; echo "        wanted /$pattern/ in:"; sed 's/^/        /' <<<"$answer" | head -20
  fi
}

# digest CHARACTER: a stand-in for a keyed digest: 32 equal bytes, in base64.
digest() {
  printf '[{"keyId":"k1","value":"%s"}]' "$(printf "$1%.0s" {1..32} | base64)"
}

now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
an_hour_ago=$(date -u -d '1 hour ago' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v-1H +%Y-%m-%dT%H:%M:%SZ)
fifty_minutes_ago=$(date -u -d '50 minutes ago' +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -v-50M +%Y-%m-%dT%H:%M:%SZ)
last_year=2025-01-01T12:00:00Z
backfill=',"campaignId":"backfill"'

# conversion ID REFERRER REFEREE REFERRER_DEVICE REFEREE_DEVICE [OCCURRED_AT] [EXTRA FIELDS]
conversion() {
  local at="${6:-$now}" click="$an_hour_ago" signup="$fifty_minutes_ago"
  [ "$at" = "$last_year" ] && click=2025-01-01T11:00:00Z && signup=2025-01-01T11:10:00Z
  printf '{"conversion":{"programId":"shop","conversionId":"%s","kind":"CONVERSION_KIND_INVOICE_PAID","occurredAt":"%s",
    "attribution":{"capturedVia":"CAPTURED_VIA_LINK","ucc":"CODE-%s","codeValidity":"CODE_VALIDITY_VALID"},
    "rewards":[{"rewardId":"rw-%s","beneficiary":"SIDE_REFERRER","amount":{"amountMinor":"2000","currency":"EUR"}}],
    "referrer":{"accountId":"%s","devices":[{"fingerprint":%s}]},
    "referee":{"accountId":"%s","devices":[{"fingerprint":%s}],"journey":{"touchpoints":[
      {"kind":"TOUCHPOINT_KIND_LINK_CLICK","occurredAt":"%s"},{"kind":"TOUCHPOINT_KIND_SIGNUP","occurredAt":"%s"}]}}%s}}' \
    "$1" "$at" "$2" "$1" "$2" "$(digest "$4")" "$3" "$(digest "$5")" "$click" "$signup" "${7:-}"
}

# The shipped policy, with a campaign whose old conversions are sent in bulk.
"$binary" policy show | sed '/^\[payout.campaigns\]/a backfill = { delay_days = 14, counts_from = "occurrence" }' >"$folder/policy.toml"
start_server

echo "# screening"
claim "an honest referral is approved" 'VERDICT_APPROVED' ScreeningService/ScreenConversion "$(conversion cv-1 ann bob a b)"
claim "a retry gets the same answer" '"replayed": true' ScreeningService/ScreenConversion "$(conversion cv-1 ann bob a b)"
claim "the same id with other content is refused" 'CONTENT_DIFFERS' ScreeningService/ScreenConversion "$(conversion cv-1 ann zoe a b)"
claim "one account on both sides is rejected" 'VERDICT_REJECTED' ScreeningService/ScreenConversion "$(conversion cv-2 eve eve c c)"
claim "a shared device goes to review" 'VERDICT_IN_REVIEW' ScreeningService/ScreenConversion "$(conversion cv-3 dan joe d d)"
claim "the decision says why in words" 'were seen on one device' ScreeningService/GetDecision '{"programId":"shop","conversionId":"cv-3"}'
claim "an unknown conversion is not found" 'NotFound' ScreeningService/GetDecision '{"programId":"shop","conversionId":"nobody"}'
claim "an old conversion is screened too" 'VERDICT_APPROVED' ScreeningService/ScreenConversion "$(conversion cv-4 ida kim f g "$last_year" "$backfill")"

echo "# bad input"
claim "an empty message names its fields" 'conversion' ScreeningService/ScreenConversion '{}'
claim "a digest that is no digest is named" 'referee.devices\[0\].fingerprint\[0\].value' ScreeningService/ScreenConversion \
  '{"conversion":{"programId":"shop","conversionId":"bad-1","referee":{"accountId":"x","devices":[{"fingerprint":[{"keyId":"k1","value":"amFuZQ=="}]}]}}}'
claim "all violations come at once" 'conversion.kind' ScreeningService/ScreenConversion \
  '{"conversion":{"programId":"shop","conversionId":"bad-1","referee":{"accountId":"x"}}}'
claim "an e-mail address as account id is refused" 'InvalidArgument' ScreeningService/ScreenConversion "$(conversion bad-2 jane@example.org bob a b)"
claim "nothing of it is kept" 'NotFound' ScreeningService/GetDecision '{"programId":"shop","conversionId":"bad-1"}'

echo "# the queue"
claim "the case is listed" '"case-cv-3"' ReviewService/ListCases '{"programId":"shop"}'
claim "the case shows both sides next to each other" 'COMPARISON_SAME' ReviewService/GetCase '{"programId":"shop","caseId":"case-cv-3"}'
claim "the queue is counted" '"openCases": "1"' ReviewService/GetQueueStats '{"programId":"shop"}'
actor=rita claim "a reviewer claims it" 'CASE_STATE_CLAIMED' ReviewService/ClaimCase '{"programId":"shop","caseId":"case-cv-3"}'
actor=sam claim "another one is told who has it" 'claimed by `rita`' ReviewService/ClaimCase '{"programId":"shop","caseId":"case-cv-3"}'
actor=sam claim "and cannot decide it" 'FailedPrecondition' ReviewService/ResolveCase \
  '{"programId":"shop","caseId":"case-cv-3","resolution":"RESOLUTION_ACCEPT"}'
actor=rita claim "the first gives it back" 'CASE_STATE_OPEN' ReviewService/ReleaseCase '{"programId":"shop","caseId":"case-cv-3"}'
actor=rita claim "a note is kept" 'case-cv-3' ReviewService/AddNote '{"programId":"shop","caseId":"case-cv-3","note":"asked the customer"}'
actor=rita claim "a reviewer accepts it" 'VERDICT_APPROVED' ReviewService/ResolveCase \
  '{"programId":"shop","caseId":"case-cv-3","resolution":"RESOLUTION_ACCEPT","reasonCode":"household","note":"a couple"}'
actor=rita claim "deciding again needs a reopening" 'reopen' ReviewService/ResolveCase \
  '{"programId":"shop","caseId":"case-cv-3","resolution":"RESOLUTION_REJECT"}'
actor=rita claim "it is reopened" 'CASE_STATE_OPEN' ReviewService/ReopenCase '{"programId":"shop","caseId":"case-cv-3","note":"new facts"}'
claim "the gate holds it again" 'GATE_HOLD' PayoutService/CheckPayouts \
  '{"programId":"shop","payouts":[{"rewardId":"rw-cv-3","conversionId":"cv-3"}]}'
actor=rita claim "and it is rejected" 'VERDICT_REJECTED' ReviewService/ResolveCase \
  '{"programId":"shop","caseId":"case-cv-3","resolution":"RESOLUTION_REJECT","reasonCode":"self_referral"}'
claim "the history tells it all" 'asked the customer' ReviewService/GetCase '{"programId":"shop","caseId":"case-cv-3"}'
claim "an unknown case is not found" 'NotFound' ReviewService/GetCase '{"programId":"shop","caseId":"case-nobody"}'

echo "# the whole person, and several cases at once"
claim "a case fits a page" '"page":' ReviewService/GetCase '{"programId":"shop","caseId":"case-cv-3","view":"CASE_VIEW_BASIC"}'
actor=rita claim "undoing is previewed" '"changing": 1' ReviewService/PreviewCases \
  '{"programId":"shop","act":"CASE_ACT_REOPEN","cases":{"caseIds":["case-cv-3","case-nobody"]}}'
token=$(actor=rita call ReviewService/PreviewCases \
  '{"programId":"shop","act":"CASE_ACT_REOPEN","cases":{"caseIds":["case-cv-3"]}}' | sed -n 's/.*"previewToken": "\(.*\)".*/\1/p')
act() { printf '{"programId":"shop","previewToken":"%s","requestId":"%s"}' "$1" "$2"; }
actor=rita claim "and done" '"changed": 1' ReviewService/ActOnCases "$(act "$token" act-1)"
actor=rita claim "sent again it is the same answer" '"changed": 1' ReviewService/ActOnCases "$(act "$token" act-1)"
actor=rita claim "done once more it is left alone" 'LEFT_ALONE_NOT_RESOLVED' ReviewService/ActOnCases "$(act "$token" act-2)"
actor=rita claim "a token that was changed is refused" 'preview_token' ReviewService/ActOnCases "$(act "${token}x" act-3)"
says "what waits around an account is shown" 'case-cv-3' "$binary" queue --server "http://$address" --program shop cluster \
  "$(call ReviewService/GetCase '{"programId":"shop","caseId":"case-cv-3","view":"CASE_VIEW_BASIC"}' | sed -n 's/.*"referrerAccountId": "\(.*\)".*/\1/p' | head -1)"
says "several are shown before they are decided" 'rejected' "$binary" queue --server "http://$address" --program shop --as rita \
  reject --showing device.same_device --preview
says "nobody is asked where nobody can answer" 'give `--yes`' "$binary" queue --server "http://$address" --program shop --as rita \
  reject case-cv-3 case-nobody
says "the reviewer takes the next, and decides it" '1 decided' bash -c "printf 'r self_referral\\nq\\n' | '$binary' queue --server 'http://$address' --program shop --as rita next --limit 1"
claim "an account is told as a whole" '"earnings":' ReviewService/GetAccount "$(printf '{"programId":"shop","accountId":"%s"}' \
  "$(call ReviewService/GetCase '{"programId":"shop","caseId":"case-cv-3","view":"CASE_VIEW_BASIC"}' | sed -n 's/.*"refereeAccountId": "\(.*\)".*/\1/p' | head -1)")"

echo "# payouts"
gate() { printf '{"programId":"shop","payouts":[{"rewardId":"%s","conversionId":"%s"}]}' "$1" "$2"; }
claim "an approved reward waits for the delay" 'GATE_REASON_DELAY_RUNNING' PayoutService/CheckPayouts "$(gate rw-cv-1 cv-1)"
claim "one past the delay is released" 'GATE_RELEASE' PayoutService/CheckPayouts "$(gate rw-cv-4 cv-4)"
claim "a rejected one is denied" 'GATE_DENY' PayoutService/CheckPayouts "$(gate rw-cv-3 cv-3)"
claim "an unknown conversion is held" 'GATE_HOLD' PayoutService/CheckPayouts "$(gate rw-x nobody)"
claim "an unknown reward is held" 'GATE_HOLD' PayoutService/CheckPayouts "$(gate rw-x cv-4)"
claim "a programme that is misspelt is refused with the right one" 'did you mean `shop`' PayoutService/CheckPayouts \
  '{"programId":"shpo","payouts":[{"rewardId":"rw-cv-4","conversionId":"cv-4"}]}'
says "a second programme is registered" 'sandbox +sandbox' "$binary" program --server "http://$address" create sandbox
claim "another programme knows nothing of it" 'GATE_HOLD' PayoutService/CheckPayouts \
  '{"programId":"sandbox","payouts":[{"rewardId":"rw-cv-4","conversionId":"cv-4"}]}'
actor=rita claim "a hold on the referrer holds it" '"replayed": false' PayoutService/PlaceHold \
  '{"programId":"shop","subject":{"referrerAccountId":"ida"},"note":"looking into it"}'
claim "the gate says so" 'GATE_REASON_REFERRER_HELD' PayoutService/CheckPayouts "$(gate rw-cv-4 cv-4)"
actor=rita claim "the hold is lifted" '"replayed": false' PayoutService/LiftHold \
  '{"programId":"shop","subject":{"referrerAccountId":"ida"},"note":"fine"}'
actor=legal claim "legal's hold is another one" '"holdId": "case-7"' PayoutService/PlaceHold \
  '{"programId":"shop","subject":{"referrerAccountId":"ida"},"holdId":"case-7"}'
actor=ops claim "operations have theirs beside it" '"replayed": false' PayoutService/PlaceHold \
  '{"programId":"shop","subject":{"referrerAccountId":"ida"}}'
actor=ops claim "lifting one leaves the other" '"holdsLeft": 1' PayoutService/LiftHold \
  '{"programId":"shop","subject":{"referrerAccountId":"ida"}}'
claim "and the gate held" 'GATE_REASON_REFERRER_HELD' PayoutService/CheckPayouts "$(gate rw-cv-4 cv-4)"
actor=legal claim "until both are lifted" '"holdsLeft": 0' PayoutService/LiftHold '{"programId":"shop","holdId":"case-7"}'
reserve() { printf '{"programId":"shop","requestId":"%s","payouts":[{"rewardId":"rw-cv-4","conversionId":"cv-4"%s}]}' "$1" "${2:-}"; }
claim "more than the reward is worth is refused by its field" 'payouts\[0\].amount.amount_minor' PayoutService/ReservePayouts \
  "$(reserve run-0 ',"amount":{"amountMinor":"2001","currency":"EUR"}')"
claim "a payer reserves it" '"reservationId": "run-1"' PayoutService/ReservePayouts "$(reserve run-1)"
claim "sending it again answers the same" '"replayed": true' PayoutService/ReservePayouts "$(reserve run-1)"
claim "another payer waits" 'GATE_REASON_RESERVED' PayoutService/ReservePayouts "$(reserve run-2)"
claim "the payment fails" '"replayed": false' PayoutService/MarkFailed \
  "{\"programId\":\"shop\",\"rewardId\":\"rw-cv-4\",\"conversionId\":\"cv-4\",\"failedAt\":\"$now\",\"reasonCode\":\"account_closed\"}"
claim "and the reward is payable again" 'GATE_RELEASE' PayoutService/CheckPayouts "$(gate rw-cv-4 cv-4)"
claim "a reward id names one reward for ever" 'conversion.rewards\[0\].reward_id' ScreeningService/ScreenConversion \
  "$(conversion cv-4b ida lou f h | sed 's/rw-cv-4b/rw-cv-4/')"
claim "it is paid" '"replayed": false' PayoutService/MarkPaid \
  "{\"programId\":\"shop\",\"rewardId\":\"rw-cv-4\",\"conversionId\":\"cv-4\",\"paidAt\":\"$now\"}"
claim "paying twice is denied" 'GATE_REASON_ALREADY_PAID' PayoutService/CheckPayouts "$(gate rw-cv-4 cv-4)"
claim "a chargeback is recorded" '"replayed": false' ScreeningService/RecordOutcome \
  "{\"programId\":\"shop\",\"outcomeId\":\"o-1\",\"outcome\":{\"kind\":\"OUTCOME_KIND_CHARGEBACK\",\"conversionId\":\"cv-4\",\"occurredAt\":\"$now\"}}"
claim "the dispute is won" '"replayed": false' ScreeningService/RecordOutcome \
  "{\"programId\":\"shop\",\"outcomeId\":\"o-2\",\"outcome\":{\"kind\":\"OUTCOME_KIND_DISPUTE_WON\",\"conversionId\":\"cv-4\",\"occurredAt\":\"$now\"}}"
claim "and one sentence says where it stands" 'Approved and paid' ScreeningService/GetDecision '{"programId":"shop","conversionId":"cv-4"}'
claim "an outcome of something unknown waits for it" '"pending": true' ScreeningService/RecordOutcome \
  "{\"programId\":\"shop\",\"outcomeId\":\"o-3\",\"outcome\":{\"kind\":\"OUTCOME_KIND_CHARGEBACK\",\"conversionId\":\"cv-5\",\"occurredAt\":\"$now\"}}"
claim "it is listed while it waits" '"outcomeId": "o-3"' ScreeningService/ListPendingOutcomes '{"programId":"shop"}'
claim "and cancels it when it comes" 'OUTCOME_KIND_CHARGEBACK' ScreeningService/ScreenConversion \
  "$(conversion cv-5 mia ned m n "$last_year" "$backfill")"
actor=rita claim "sent by mistake, it is taken back" '"replayed": false' ScreeningService/RevokeOutcome \
  '{"programId":"shop","outcomeId":"o-3","reasonCode":"mistake"}'
claim "and the gate opens" 'GATE_RELEASE' PayoutService/CheckPayouts "$(gate rw-cv-5 cv-5)"
claim "something is learned of the referrer" '"replayed": false' ScreeningService/RecordSignals \
  "{\"programId\":\"shop\",\"recordId\":\"late-1\",\"bundles\":[{\"accountId\":\"mia\",\"devices\":[{\"fingerprint\":$(digest n)}]}]}"
claim "whoever pays now is told" 'GATE_REASON_IN_REVIEW' PayoutService/ReservePayouts \
  '{"programId":"shop","requestId":"run-3","payouts":[{"rewardId":"rw-cv-5","conversionId":"cv-5"}]}'
claim "and a reviewer sees what was learned" 'learned_after_the_decision' ReviewService/GetCase '{"programId":"shop","caseId":"case-cv-5"}'
claim "the feed reports it after the payment" 'FEED_EVENT_KIND_REJECTED_AFTER_PAYMENT' PayoutService/WatchDecisions \
  '{"programId":"shop","mode":"WATCH_MODE_STOP_AT_END"}'

echo "# models"
"$binary" simulate --conversions 1200 --seed 3 --write "$folder/history.jsonl" &&
  "$binary" train --input "$folder/history.jsonl" --write "$folder/ledger/models/own.json" --families scorecard >/dev/null 2>&1
says "an output that is the input is refused" 'is also read' "$binary" screen "$folder/history.jsonl" --write "$folder/history.jsonl"
says "and the input is whole" '^ *1200 ' wc -l "$folder/history.jsonl"
says "an address that asks for TLS is not spoken to in plaintext" 'plaintext is spoken there' "$binary" queue --server "https://$address" --program shop list
own=$(grep -o '"version":"[^"]*"' "$folder/ledger/models/own.json" | cut -d'"' -f4)
shipped=$(call ModelService/ListModels '{"programId":"shop"}' | grep -o '"modelVersion": "[^"]*"' | cut -d'"' -f4)
claim "the shipped model decides" 'MODEL_ROLE_ACTIVE' ModelService/ListModels '{"programId":"shop"}'
actor=dana claim "a file that is no model is refused" 'this is not a model file' ModelService/LoadModel \
  '{"programId":"shop","content":"aGVsbG8="}'
actor=dana claim "a file outside the model folder is refused" 'file_name' ModelService/LoadModel \
  '{"programId":"shop","fileName":"../own.json"}'
actor=dana claim "a model is loaded by its file's name" 'MODEL_ROLE_IDLE' ModelService/LoadModel \
  '{"programId":"shop","fileName":"own.json","note":"fitted on our history"}'
actor=dana claim "what is not loaded is not activated" 'NotFound' ModelService/ActivateModel \
  '{"programId":"shop","modelVersion":"ghost"}'
actor=dana claim "it is activated without a restart" "\"previousVersion\": \"$shipped\"" ModelService/ActivateModel \
  "{\"programId\":\"shop\",\"modelVersion\":\"$own\",\"note\":\"two weeks in the shadow\"}"
claim "and decides at once" "\"modelVersion\": \"$own\"" ScreeningService/ScreenConversion "$(conversion cv-8 max eva h i)"
claim "another programme keeps its own" "\"modelVersion\": \"$shipped\"" ModelService/GetModelStatus '{"programId":"sandbox"}'
actor=dana claim "the earlier one becomes the challenger" 'MODEL_ROLE_CHALLENGER' ModelService/SetChallenger \
  "{\"programId\":\"shop\",\"modelVersion\":\"$shipped\"}"
claim "it scores in the shadow" "\"modelVersion\": \"$shipped\"" ScreeningService/ScreenConversion "$(conversion cv-6 tom mia j k)"
claim "its disagreements are listed" 'disagreements' ModelService/ListDisagreements '{"programId":"shop"}'

echo "# after kill -9"
stop_server KILL
start_server
claim "the decision is still there" 'VERDICT_REJECTED' ScreeningService/GetDecision '{"programId":"shop","conversionId":"cv-3"}'
claim "a retry still gets the same answer" '"replayed": true' ScreeningService/ScreenConversion "$(conversion cv-2 eve eve c c)"
claim "the case is still resolved" 'CASE_STATE_RESOLVED' ReviewService/GetCase '{"programId":"shop","caseId":"case-cv-3"}'
claim "the feed starts at the beginning again" '"cursor": "2-' PayoutService/WatchDecisions \
  '{"programId":"shop","mode":"WATCH_MODE_STOP_AT_END"}'

claim "the model that was activated decides" "\"modelVersion\": \"$own\"" ScreeningService/ScreenConversion "$(conversion cv-7 lea ben l m)"
claim "the audit trail says who and why" 'two weeks in the shadow' ModelService/GetModelStatus '{"programId":"shop"}'
actor=dana claim "a rollback brings the shipped model back" "\"previousVersion\": \"$own\"" ModelService/RollbackModel \
  '{"programId":"shop","note":"reviews doubled"}'

echo "# a backup while serving, and the server that comes of it"
says "a backup is taken" 'backed up' "$binary" ledger backup --server "$address" "$folder/backup"
says "an existing file is not overwritten" 'exists' "$binary" ledger backup --server "$address" "$folder/backup"
says "the folder of a running server is not opened" 'stop it first' "$binary" ledger check --data-dir "$folder/ledger"
says "the backup is whole" 'sound' "$binary" ledger verify "$folder/backup"
says "a damaged one is refused" 'error' "$binary" ledger restore "$folder/history.jsonl" --data-dir "$folder/damaged"
says "and leaves no folder" 'No such file' ls "$folder/damaged"
says "it is restored to a new folder" 'restored' "$binary" ledger restore "$folder/backup" --data-dir "$folder/restored"
stop_server TERM
start_server "$folder/restored"
claim "the restored server knows the decision" 'VERDICT_REJECTED' ScreeningService/GetDecision '{"programId":"shop","conversionId":"cv-3"}'
claim "and gives a retry the same answer" '"replayed": true' ScreeningService/ScreenConversion "$(conversion cv-2 eve eve c c)"

echo "# from the first token on the server asks who calls"
tokens() { "$binary" token --server "http://$address" "$@"; }
says "the first token is an administrator's" 'admin' tokens issue rita --role reviewer --in shop
tokens issue ops --role admin --all-programs > "$folder/ops.token" 2>>"$log"
claim "whoever shows none is refused" 'Unauthenticated' ReviewService/ListCases '{"programId":"shop"}'
says "the commands say what to set" 'SELFSAME_TOKEN' "$binary" queue --server "http://$address" --program shop list
export SELFSAME_TOKEN_FILE="$folder/ops.token"
says "who one is can be asked" 'ops: admin in all programmes' tokens whoami
tokens issue tess --role reviewer --in shop > "$folder/tess.token" 2>>"$log"
tokens issue payouts --role payer --in shop --days 90 --note 'the nightly run' > "$folder/payouts.token" 2>>"$log"
says "all are listed, without what they are known by" 'payouts +payer +shop +tk-[0-9a-f]+ +until .*the nightly run' tokens list
as() { printf 'authorization: Bearer %s' "$(cat "$folder/$1.token")"; }
shown() { grpcurl -plaintext -max-time 10 -H "$(as "$1")" -d "$3" "$address" "selfsame.v1.$2"; }
says "the reviewer reads the queue" '"cases"|\{\}' shown tess ReviewService/ListCases '{"programId":"shop","states":["CASE_STATE_RESOLVED"]}'
says "and moves no money" 'PermissionDenied' shown tess PayoutService/ReservePayouts '{"programId":"shop","requestId":"x","payouts":[{"rewardId":"r","conversionId":"c"}]}'
says "the payer asks the gate" 'GATE_DENY' shown payouts PayoutService/CheckPayouts "$(gate rw-cv-3 cv-3)"
says "and reads no case" 'PermissionDenied' shown payouts ReviewService/GetCase '{"programId":"shop","caseId":"case-cv-3"}'
says "nobody learns of another programme" 'PermissionDenied' shown payouts PayoutService/CheckPayouts '{"programId":"sandbox","payouts":[{"rewardId":"r","conversionId":"c"}]}'
says "she reopens a case" 'CASE_STATE_OPEN' shown tess ReviewService/ReopenCase '{"programId":"shop","caseId":"case-cv-3","note":"with a token"}'
says "and who acted is who called" '"actor": "tess"' shown tess ReviewService/GetCase '{"programId":"shop","caseId":"case-cv-3"}'
SELFSAME_TOKEN_FILE="$folder/tess.token" says "a name beside a token is refused" 'leave `--as sam`' "$binary" queue --server "http://$address" --program shop --as sam list
SELFSAME_TOKEN_FILE="$folder/tess.token" says "a reviewer takes no backup" 'may not call' "$binary" ledger backup --server "$address" "$folder/stolen"
says "a token is revoked" 'lets nobody in' tokens revoke "$(tokens list | grep -oE 'tk-[0-9a-f]+ +.*nightly' | cut -d' ' -f1)"
says "and is refused at once" 'Unauthenticated' shown payouts PayoutService/CheckPayouts "$(gate rw-cv-3 cv-3)"
says "the last administrator cannot go" 'nobody could administrate' tokens remove ops
stop_server TERM
start_server "$folder/restored"
says "all of it outlives a restart" 'ops: admin' tokens whoami
unset SELFSAME_TOKEN_FILE

echo "# a clean stop"
stop_server TERM
if grep -qi panic "$log"; then broken=$((broken + 1)); echo "BROKEN  the server panicked:"; grep -i panic "$log"; fi

echo "$held passed, $broken failed"
[ "$broken" -eq 0 ]
