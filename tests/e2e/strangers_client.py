"""A client that shares no code with Selfsame: it learns the API from server reflection alone.

Starts the release build on a folder of its own and makes claims about races, retries, streams and malformed messages. Needs the packages
`grpcio`, `grpcio-reflection` and `protobuf`. Prints one line for each claim; exits non-zero when one does not hold.
"""

import base64
import concurrent.futures
import datetime
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SELFSAME_BINARY") or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "selfsame")
ADDRESS = "127.0.0.1:50962"
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)

results = {"passed": 0, "failed": 0}


def claim(text, holds, seen=""):
    results["passed" if holds else "failed"] += 1
    print(("ok      " if holds else "BROKEN  ") + text + ("" if holds else f"\n        saw: {seen}"))


class Api:
    """Calls methods by name with messages as dictionaries."""

    def __init__(self, channel):
        self.channel = channel
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        # Learned once, before threads share it: a descriptor pool does not like to be asked by many at first.
        self.methods = {
            (service, name): (f"/selfsame.v1.{service}/{name}", GetMessageClass(method.input_type), GetMessageClass(method.output_type))
            for service in ("ScreeningService", "ReviewService", "PayoutService", "ProgramService")
            for name, method in pool.FindServiceByName(f"selfsame.v1.{service}").methods_by_name.items()
        }

    def method(self, service, name):
        return self.methods[service, name]

    def call(self, service, name, body, timeout=20):
        path, request, answer = self.method(service, name)
        stub = self.channel.unary_unary(path, request.SerializeToString, answer.FromString)
        # Who acts, where nobody is asked who calls.
        shown = (("selfsame-actor", "stranger"),)
        return json_format.MessageToDict(stub(json_format.ParseDict(body, request()), timeout=timeout, metadata=shown))

    def stream(self, service, name, bodies, timeout=60):
        path, request, answer = self.method(service, name)
        stub = self.channel.stream_stream(path, request.SerializeToString, answer.FromString)
        messages = (json_format.ParseDict(body, request()) for body in bodies)
        return [json_format.MessageToDict(message) for message in stub(messages, timeout=timeout)]

    def watch(self, body, timeout=20):
        path, request, answer = self.method("PayoutService", "WatchDecisions")
        stub = self.channel.unary_stream(path, request.SerializeToString, answer.FromString)
        answers = [json_format.MessageToDict(message) for message in stub(json_format.ParseDict(body, request()), timeout=timeout)]
        return [event for message in answers for event in message.get("events", [])]


def refusal(call):
    """The status code and text that a call ends with; None when it succeeds."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), f"{error.details()} {dict(error.trailing_metadata() or ())}"
    return None


def digest(number, key="k1"):
    return [{"keyId": key, "value": base64.b64encode(number.to_bytes(32, "big")).decode()}]


def moment(seconds_ago):
    return (NOW - datetime.timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")


def own_mailbox(account):
    """A mailbox that no other account has: two sides with one can be compared."""
    value = base64.b64encode(hashlib.sha256(account.encode()).digest()).decode()
    return {"mailbox": [{"keyId": "k1", "value": value}]}


def conversion(number, referrer, referee, device=None, address=None, **changes):
    """An honest conversion; `device` and `address` are put on the referee's side."""
    body = {
        "programId": "shop",
        "conversionId": f"cv-{number}",
        "kind": "CONVERSION_KIND_NEW_SIGNUP",
        "occurredAt": moment(5),
        "attribution": {"capturedVia": "CAPTURED_VIA_LINK", "ucc": f"CODE-{referrer}", "codeValidity": "CODE_VALIDITY_VALID"},
        "referrer": {"accountId": referrer, "emails": [own_mailbox(referrer)]},
        "referee": {
            "accountId": referee,
            "emails": [own_mailbox(referee)],
            "journey": {
                "touchpoints": [
                    {"kind": "TOUCHPOINT_KIND_LINK_CLICK", "occurredAt": moment(4000)},
                    {"kind": "TOUCHPOINT_KIND_SIGNUP", "occurredAt": moment(3600)},
                ]
            },
        },
    }
    if device is not None:
        body["referee"]["devices"] = [{"fingerprint": digest(device)}]
    if address is not None:
        body["referee"]["networks"] = [{"address": digest(address)}]
        body["referrer"]["networks"] = [{"address": digest(address)}]
    body.update(changes)
    return body


def screen(api, body):
    return api.call("ScreeningService", "ScreenConversion", {"conversion": body})


def races(api):
    bodies = [conversion(f"race-{n}", f"ref-{n}", f"new-{n}", device=777) for n in range(200)]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        decisions = [answer["decision"] for answer in pool.map(lambda body: screen(api, body), bodies)]
    full = [
        api.call("ScreeningService", "GetDecision", {"programId": "shop", "conversionId": body["conversionId"], "view": "DECISION_VIEW_FULL"})
        for body in bodies
    ]
    crowds = [
        int(next((item.get("accounts", 0) for item in answer["evidence"] if item["code"] == "device.crowded"), 0)) for answer in full
    ]
    claim("of 200 conversions racing on one device exactly one is the first", crowds.count(0) == 1, sorted(crowds)[:5])
    claim("and each sees another number of accounts before it", sorted(crowds) == list(range(200)), sorted(crowds)[-5:])
    claim("all 200 were answered", len(decisions) == 200)

    same = conversion("retry", "rita", "rob")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: screen(api, same), range(64)))
    claim("64 racing retries get one answer", len({str(answer["decision"]) for answer in answers}) == 1)
    claim("one of them made it", sum(not answer.get("replayed", False) for answer in answers) == 1)


def households(api):
    verdicts = [screen(api, conversion(f"office-{n}", f"boss-{n}", f"colleague-{n}", address=55))["decision"]["verdict"] for n in range(200)]
    claim("400 accounts on one address: none is rejected", "VERDICT_REJECTED" not in verdicts, verdicts[-3:])
    review = verdicts.count("VERDICT_IN_REVIEW") / len(verdicts)
    claim(f"honest colleagues sent to review: {review:.1%}", review <= 0.05, review)


def loops(api):
    for length in range(2, 6):
        ring = [f"loop{length}-{n}" for n in range(length)]
        for n in range(length):
            answer = screen(api, conversion(f"loop{length}-{n}", ring[n], ring[(n + 1) % length]))
        codes = [reason["code"] for reason in answer["decision"].get("reasons", [])]
        claim(f"a loop of {length} is seen when it closes", "ring.loop" in codes, codes)


def floods(api):
    """Small messages, sent without waiting: each a frame of its own, more of them unread than HTTP/2 libraries like."""
    api.call("ProgramService", "CreateProgram", {"program": {"programId": "flood", "stage": "PROGRAM_STAGE_SANDBOX"}})
    path, request, _ = api.method("ScreeningService", "ScreenConversions")
    runs, whole = 20, 0
    for run in range(runs):
        bodies = (
            {"conversion": {"programId": "flood", "conversionId": f"c{run}-{n}", "kind": 1, "occurredAt": moment(5),
                            "attribution": {"capturedVia": 1}, "referrer": {"accountId": f"r{n % 977}"}, "referee": {"accountId": f"u{run}-{n}"}}}
            for n in range(30_000)
        )
        sent = [json_format.ParseDict(body, request()).SerializeToString() for body in bodies]
        with grpc.insecure_channel(ADDRESS, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = channel.stream_stream(path, lambda message: message, lambda message: message)
            failed = refusal(lambda: results.update(answers=sum(1 for _ in stub(iter(sent), timeout=240))))
        whole += failed is None and results.pop("answers") == len(sent)
    claim(f"30,000 tiny messages sent without waiting are all answered, {runs} times", whole == runs, whole)


def malformed(api):
    def broken(change):
        body = conversion("malformed", "ann", "bob", device=1)
        change(body)
        return refusal(lambda: screen(api, body))

    def at(*path):
        def change(value):
            def apply(body):
                for step in path[:-1]:
                    body = body[step]
                body[path[-1]] = value

            return apply

        return change

    kinds = {
        "conversion.program_id": [at("programId")(""), at("programId")("a b"), at("programId")("x" * 129)],
        "conversion.conversion_id": [at("conversionId")(""), at("conversionId")("jane@example.org")],
        "conversion.kind": [at("kind")("CONVERSION_KIND_UNSPECIFIED"), at("kind")(99)],
        "conversion.occurred_at": [at("occurredAt")("1971-01-01T00:00:00Z"), at("occurredAt")("2100-01-01T00:00:00Z"), lambda body: body.pop("occurredAt")],
        "conversion.referrer": [lambda body: body.pop("referrer"), at("referrer", "accountId")("")],
        "conversion.referee": [lambda body: body.pop("referee"), at("referee", "accountId")("a\nb")],
        "conversion.attribution": [lambda body: body.pop("attribution"), at("attribution", "capturedVia")(0), at("attribution", "capturedVia")("CAPTURED_VIA_MANUAL")],
        "conversion.value": [at("value")({"amountMinor": "-1", "currency": "EUR"}), at("value")({"amountMinor": "1", "currency": "eur"})],
        "conversion.referee.devices[0].fingerprint": [
            at("referee", "devices", 0, "fingerprint")([{"keyId": "k1", "value": "YWJj"}]),
            at("referee", "devices", 0, "fingerprint")([{"keyId": "", "value": digest(1)[0]["value"]}]),
            at("referee", "devices", 0, "fingerprint")(digest(1) + digest(2)),
            at("referee", "devices", 0, "fingerprint")(digest(1, "a") + digest(2, "b") + digest(3, "c")),
        ],
        "conversion.referee.journey": [at("referee", "journey", "touchpoints")([{"kind": 0, "occurredAt": moment(1)}])],
        "conversion.rewards": [at("rewards")([{"rewardId": "r", "beneficiary": 1}, {"rewardId": "r", "beneficiary": 1}])],
    }
    for field, changes in kinds.items():
        for number, change in enumerate(changes):
            seen = broken(change)
            named = seen is not None and seen[0] == grpc.StatusCode.INVALID_ARGUMENT and field.split(".")[-1].split("[")[0] in seen[1]
            claim(f"malformed {field} ({number + 1}) is refused by name", named, seen)
    trace = refusal(lambda: api.call("ScreeningService", "GetDecision", {"programId": "shop", "conversionId": "cv-malformed"}))
    claim("no malformed message left a trace", trace is not None and trace[0] == grpc.StatusCode.NOT_FOUND, trace)
    soft = conversion("soft", "ann", "bob", device=1)
    soft["referee"]["networks"] = [{"country": "Germany"}]
    warnings = screen(api, soft).get("warnings", [])
    told = [warning for warning in warnings if warning.get("field", "").endswith("referee.networks[0].country")]
    claim("a soft signal that is wrong is told beside the decision", len(told) == 1, warnings)
    huge = conversion("huge", "ann2", "bob2")
    huge["referee"]["journey"]["touchpoints"] = [{"kind": "TOUCHPOINT_KIND_PAGE_VIEW", "occurredAt": moment(3000)}] * 10_000
    claim("10,000 touchpoints are taken", "decision" in screen(api, huge))
    huge = conversion("huge-2", "ann2", "bob3")
    huge["referee"]["journey"]["touchpoints"] = [{"kind": "TOUCHPOINT_KIND_PAGE_VIEW", "occurredAt": moment(3000)}] * 10_001
    seen = refusal(lambda: screen(api, huge))
    claim("10,001 are refused", seen is not None and seen[0] == grpc.StatusCode.INVALID_ARGUMENT, seen)


def streams(api):
    bodies = [{"conversion": conversion(f"bulk-{n}", f"bulk-ref-{n % 7}", f"bulk-new-{n}")} for n in range(300)]
    bodies[150] = {"conversion": {"programId": "shop", "conversionId": "cv-bulk-150"}}
    answers = api.stream("ScreeningService", "ScreenConversions", bodies)
    claim("a stream answers every conversion", len(answers) == 300, len(answers))
    claim("in order", [answer["conversionId"] for answer in answers] == [body["conversion"]["conversionId"] for body in bodies])
    failed = [answer["conversionId"] for answer in answers if "error" in answer]
    claim("and a bad one fails alone", failed == ["cv-bulk-150"], failed)


def feed(api):
    events = api.watch({"programId": "shop", "mode": "WATCH_MODE_STOP_AT_END"})
    places = [int(event["cursor"].split("-")[0]) for event in events]
    claim("the feed is in order", places == sorted(places) and len(places) > 500, len(places))
    middle = events[len(events) // 2]["cursor"]
    later = [event for event, place in zip(events, places) if place > places[len(events) // 2]]
    watch = {"programId": "shop", "mode": "WATCH_MODE_STOP_AT_END"}
    claim("it resumes after any cursor without a gap", api.watch({**watch, "afterCursor": middle}) == later)
    seen = refusal(lambda: api.watch({**watch, "afterCursor": middle.split("-")[0] + "-0123456789abcdef"}))
    claim("a cursor of another ledger is refused", seen is not None and seen[0] == grpc.StatusCode.OUT_OF_RANGE, seen)


def main():
    with tempfile.TemporaryDirectory() as folder:
        log = open(pathlib.Path(folder) / "server.log", "w+", encoding="utf-8")
        command = [BINARY, "serve", "--listen", ADDRESS, "--data-dir", f"{folder}/ledger", "--metrics", "none"]
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            channel = grpc.insecure_channel(ADDRESS)
            grpc.channel_ready_future(channel).result(timeout=30)
            api = Api(channel)
            for part in (races, households, loops, malformed, streams, floods, feed):
                print(f"# {part.__name__}")
                part(api)
            channel.close()
        finally:
            server.terminate()
            server.wait(timeout=30)
            log.seek(0)
            claim("the server never panicked", "panic" not in log.read().lower())
    print(f"{results['passed']} passed, {results['failed']} failed")
    sys.exit(results["failed"] > 0)


if __name__ == "__main__":
    main()
