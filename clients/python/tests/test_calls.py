"""Calls: what is repeated and under which id, what is not, deadlines, tokens, typed errors, the feed."""

import concurrent.futures
import contextlib
import datetime
import re
import time

import grpc
import pytest
from conftest import ROOT
from google.protobuf import any_pb2, duration_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2

from selfsame import Client, RetryPolicy
from selfsame.errors import ContentDiffers, CursorLost, InvalidRequest, NotAllowed, NotKnown, Reason, SelfsameError, Unavailable
from selfsame.v1 import access_pb2, conversion_pb2, payout_pb2, program_pb2, screening_pb2

QUICK = RetryPolicy(attempts=4, first_wait_seconds=0.01, longest_wait_seconds=0.02, attempt_seconds=0.5)


def conversion(number, digester, **changes):
    """A purchase that nothing speaks against, in the campaign that pays at once."""
    sides = {side: digester.bundle(f"{side}-{number}", devices=[{"fingerprint": f"fp-{side}-{number}"}])[0] for side in ("referrer", "referee")}
    occurred = timestamp_pb2.Timestamp()
    occurred.FromDatetime(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5))
    fields = {
        "program_id": "shop", "conversion_id": f"cv-{number}", "campaign_id": "tour", "kind": "CONVERSION_KIND_INVOICE_PAID", "occurred_at": occurred,
        "invoice_id": f"in-{number}", "value": {"amount_minor": 4900, "currency": "EUR"},
        "attribution": {"captured_via": "CAPTURED_VIA_LINK", "ucc": f"C-{number}", "code_validity": "CODE_VALIDITY_VALID"},
        "rewards": [{"reward_id": f"rw-{number}", "beneficiary": "SIDE_REFERRER", "amount": {"amount_minor": 2000, "currency": "EUR"}}],
    }  # fmt: skip
    return screening_pb2.ScreenConversionRequest(conversion=conversion_pb2.Conversion(**{**fields, **sides, **changes}))


def refusal(code, reason, *details):
    """A status as the server sends it."""
    status = status_pb2.Status(code=code.value[0], message="as told")
    for detail in (error_details_pb2.ErrorInfo(reason=reason, domain="selfsame"), *details):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return code, (("grpc-status-details-bin", status.SerializeToString()),)


@contextlib.contextmanager
def scripted(*answers):
    """A server that answers in this order: with a message, a refusal, or (a number) after so many seconds; and what it was asked."""
    asked, script = [], list(answers)

    def answer(request, context):
        asked.append((request, dict(context.invocation_metadata())))
        step = script.pop(0)
        if isinstance(step, float):
            time.sleep(step)
        if isinstance(step, tuple):
            context.set_trailing_metadata(step[1])
            context.abort(step[0], "as told")
        return b"" if isinstance(step, float) else step

    class Any(grpc.GenericRpcHandler):
        def service(self, _):
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[Any()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", asked
    finally:
        server.stop(None)


def busy(nanos):
    """A refusal that asks to wait."""
    delay = duration_pb2.Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
    return refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "LEDGER_BUSY", error_details_pb2.RetryInfo(retry_delay=delay))


BUSY = busy(80_000_000)
GONE = refusal(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")


def test_a_retry_has_the_id_of_the_first_try_and_waits_as_it_is_told():
    with scripted(BUSY, GONE, 2.0, b"") as (address, asked), Client(address, retry=QUICK) as client:
        began = time.monotonic()
        client.payouts.MarkPaid(payout_pb2.MarkPaidRequest(program_id="shop", reward_id="rw", conversion_id="cv"))
        assert time.monotonic() - began > 0.08
        requests = {payout_pb2.MarkPaidRequest.FromString(request).request_id for request, _ in asked}
        assert len(asked) == 4 and len(requests) == 1 and "" not in requests


def test_an_id_that_was_given_stays():
    with scripted(GONE, b"") as (address, asked), Client(address, retry=QUICK) as client:
        request = payout_pb2.MarkFailedRequest(program_id="shop", reward_id="rw", conversion_id="cv", request_id="mine")
        client.payouts.MarkFailed(request)
        assert [payout_pb2.MarkFailedRequest.FromString(request).request_id for request, _ in asked] == ["mine", "mine"]


def test_what_is_not_safe_to_repeat_is_called_once():
    with scripted(GONE, b"") as (address, asked), Client(address, retry=QUICK) as client:
        with pytest.raises(Unavailable):
            client.access.IssueToken(access_pb2.IssueTokenRequest())
        assert len(asked) == 1


def test_what_a_retry_does_not_mend_is_called_once():
    for code, reason in ((grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS"), (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")):
        with scripted(refusal(code, reason), b"") as (address, asked), Client(address, retry=QUICK) as client:
            with pytest.raises(SelfsameError) as refused:
                client.screening.GetDecision(screening_pb2.GetDecisionRequest())
            assert len(asked) == 1 and refused.value.reason == Reason(reason)


def test_retries_end_with_the_attempts_and_with_the_deadline():
    with scripted(*[GONE] * 9) as (address, asked), Client(address, retry=QUICK) as client:
        with pytest.raises(Unavailable) as refused:
            client.screening.GetDecision(screening_pb2.GetDecisionRequest())
        assert len(asked) == 4 and refused.value.is_outcome_unknown
    with scripted(busy(30 * 10**9)) as (address, asked), Client(address, retry=QUICK) as client:
        with pytest.raises(SelfsameError) as refused:
            client.screening.GetDecision(screening_pb2.GetDecisionRequest(), timeout=20)
        assert len(asked) == 1 and refused.value.retry_after == 30


def test_each_try_shows_the_token_of_then():
    tokens = iter(["one", "two"])
    with scripted(GONE, b"") as (address, asked), Client(address, retry=QUICK, token=lambda: next(tokens), actor="rita") as client:
        client.screening.GetDecision(screening_pb2.GetDecisionRequest())
        assert [shown["authorization"] for _, shown in asked] == ["Bearer one", "Bearer two"]
        assert {shown["selfsame-actor"] for _, shown in asked} == {"rita"}


def test_a_token_is_not_sent_in_plaintext_beyond_loopback():
    with pytest.raises(ValueError):
        Client("http://selfsame.example:50051", token="secret")


def test_the_same_is_answered_as_before_and_something_else_is_refused_by_field(client, digester):
    request = conversion("same", digester)
    first, second = (client.screening.ScreenConversion(request) for _ in range(2))
    assert (first.replayed, second.replayed) == (False, True) and first.decision == second.decision
    request.conversion.value.amount_minor = 1
    with pytest.raises(ContentDiffers) as refused:
        client.screening.ScreenConversion(request)
    assert [violation.field for violation in refused.value.violations] == ["conversion.value.amount_minor"]


def test_a_bad_field_is_named(client, digester):
    request = conversion("bad", digester, kind="CONVERSION_KIND_UNSPECIFIED", conversion_id="")
    with pytest.raises(InvalidRequest) as refused:
        client.screening.ScreenConversion(request)
    assert refused.value.reason == Reason.INVALID_FIELDS and len(refused.value.violations) == 2
    assert "conversion.kind" in str(refused.value)


def test_what_is_not_known_has_a_type_of_its_own(client):
    with pytest.raises(NotKnown) as refused:
        client.screening.GetDecision(screening_pb2.GetDecisionRequest(program_id="shop", conversion_id="nobody"))
    assert refused.value.reason == Reason.NOT_KNOWN
    with pytest.raises(SelfsameError) as refused:
        client.programs.GetProgram(program_pb2.GetProgramRequest(program_id="shopp"))
    assert refused.value.reason == Reason.PROGRAM_NOT_KNOWN


def test_the_reasons_are_those_of_the_document():
    stated = re.findall(r"(?m)^\| `[A-Z_]+` \| `([A-Z_]+)` \|", (ROOT / "docs/errors.md").read_text(encoding="utf-8"))
    assert sorted(stated) == sorted(Reason) and len(stated) > 30


def test_a_stream_answers_each_in_order_and_a_bad_one_alone(client, digester):
    requests = [conversion(f"bulk-{number}", digester) for number in range(5)]
    requests[2].conversion.kind = 0
    sent = [screening_pb2.ScreenConversionsRequest(conversion=request.conversion) for request in requests]
    answers = list(client.screening.ScreenConversions(iter(sent), timeout=20))
    assert [answer.WhichOneof("result") for answer in answers] == ["decision", "decision", "error", "decision", "decision"]
    assert answers[2].error.reason == Reason.INVALID_FIELDS
    with pytest.raises(CursorLost):
        list(client.payouts.WatchDecisions(payout_pb2.WatchDecisionsRequest(program_id="shop", after_cursor="7-0123456789abcdef")))


def test_the_feed_goes_on_from_a_cursor_without_a_gap(client, digester):
    for number in range(3):
        client.screening.ScreenConversion(conversion(f"feed-{number}", digester))
    messages = list(client.follow("shop", stop_at_end=True))
    events = [event for message in messages for event in message.events]
    ids = [event.conversion_id for event in events]
    assert {"cv-feed-0", "cv-feed-1", "cv-feed-2"} <= set(ids)
    at = ids.index("cv-feed-1")
    after = [event for message in client.follow("shop", events[at].cursor, stop_at_end=True) for event in message.events]
    assert after == events[at + 1 :]
    follower = client.follow("shop", events[-1].cursor)
    client.screening.ScreenConversion(conversion("feed-new", digester))
    assert next(event.conversion_id for message in follower for event in message.events) == "cv-feed-new"
    follower.close()
    with pytest.raises(CursorLost) as refused:
        next(client.follow("shop", "7-0123456789abcdef"))
    assert refused.value.reason == Reason.CURSOR_OF_ANOTHER_LEDGER


def test_nobody_there_is_unavailable_and_told_in_time():
    with Client("127.0.0.1:9", retry=QUICK) as client:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            client.screening.GetDecision(screening_pb2.GetDecisionRequest(), timeout=2)
        assert time.monotonic() - began < 3
    with pytest.raises(ValueError):
        Client("ftp://127.0.0.1:9")
    assert issubclass(NotAllowed, SelfsameError)


def test_a_server_that_asks_is_shown_a_token_by_tls(guarded, digester):
    address, ca, token = guarded
    with Client(f"https://{address}", ca=ca, token=token) as client:
        assert client.access.WhoAmI(access_pb2.WhoAmIRequest()).identity.name == "admin"
        with pytest.raises(NotAllowed) as refused:
            client.screening.ScreenConversion(conversion("guarded", digester))
        assert refused.value.reason == Reason.NOT_PERMITTED
    with Client(f"https://{address}", ca=ca, token="selfsame_wrong") as client, pytest.raises(NotAllowed) as refused:
        client.access.WhoAmI(access_pb2.WhoAmIRequest())
    assert refused.value.reason == Reason.NOT_AUTHENTICATED
    with Client(f"https://{address}", token=token, retry=QUICK) as client, pytest.raises(Unavailable):
        client.access.WhoAmI(access_pb2.WhoAmIRequest(), timeout=3)
