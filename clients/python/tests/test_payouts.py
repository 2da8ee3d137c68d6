"""Reserve, pay, mark, against the real server: no reward is paid twice, wherever it breaks."""

import hashlib
import time

import pytest
from test_calls import conversion

from selfsame import Payment, PaymentFailed, pay_rewards
from selfsame.payouts import Outcome
from selfsame.v1 import payout_pb2


class Crash(BaseException):
    """The process ends here."""


class Provider:
    """A payment provider that is idempotent by key."""

    def __init__(self, breaks=None):
        self.payments, self.breaks, self.asked = {}, breaks, []

    def pay(self, order):
        self.asked.append(order)
        if self.breaks == "before":
            raise self.broken()
        payment = self.payments.setdefault(order.key, Payment(amount=order.amount))
        if self.breaks == "after":
            raise self.broken()
        return payment

    def broken(self):
        self.breaks = None
        return Crash()


@pytest.fixture
def run(client, digester, request):
    """Pays the reward of a conversion of this test's own."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    client.screening.ScreenConversion(conversion(name, digester))

    def call(provider, run_id="run", **options):
        wanted = [payout_pb2.PayoutWanted(reward_id=f"rw-{name}", conversion_id=f"cv-{name}")]
        [settled] = pay_rewards(client, "shop", f"{run_id}-{name}", wanted, provider.pay, **options)
        return settled

    return call


def test_what_is_released_is_paid_once_and_marked(run):
    provider = Provider()
    assert run(provider).outcome == Outcome.PAID
    assert provider.asked[0].amount.amount_minor == 2000
    assert run(provider).outcome == Outcome.ALREADY_PAID
    again = run(provider, run_id="another")
    assert again.outcome == Outcome.ALREADY_PAID and len(provider.asked) == 1


@pytest.mark.parametrize("where", ["before", "after"])
def test_after_a_crash_the_same_run_pays_under_the_same_key(run, where):
    provider = Provider(breaks=where)
    with pytest.raises(Crash):
        run(provider)
    assert run(provider, run_id="another").outcome == Outcome.HELD
    assert run(provider).outcome == Outcome.PAID
    assert len(provider.payments) == 1 and len({order.key for order in provider.asked}) == 1


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_run_whose_reservation_ended_asks_the_provider_what_became_of_it(run, where):
    provider = Provider(breaks=where)
    with pytest.raises(Crash):
        run(provider, lifetime_seconds=1)
    time.sleep(1.5)  # A reservation's end is no event that could be awaited.
    assert run(provider, lifetime_seconds=1).outcome == Outcome.UNSETTLED
    settled = run(provider, lifetime_seconds=1, look_up=provider.payments.get)
    assert settled.outcome == (Outcome.PAID if where == "after" else Outcome.LAPSED)
    assert run(provider, run_id="another").outcome == (Outcome.ALREADY_PAID if where == "after" else Outcome.PAID)
    assert len(provider.payments) == 1


@pytest.mark.parametrize("where", ["before", "after"])
def test_what_the_gate_holds_meanwhile_is_not_paid_and_what_was_paid_is_marked(run, client, where):
    provider = Provider(breaks=where)
    with pytest.raises(Crash):
        run(provider)
    conversion_id = provider.asked[0].conversion_id
    subject = payout_pb2.HoldSubject(conversion_id=conversion_id)
    client.payouts.PlaceHold(payout_pb2.PlaceHoldRequest(program_id="shop", subject=subject, hold_id=f"hold-{conversion_id}"))
    assert run(provider).outcome == Outcome.UNSETTLED
    assert run(provider, look_up=provider.payments.get).outcome == (Outcome.PAID if where == "after" else Outcome.LAPSED)
    assert len(provider.asked) == 1


def test_a_payment_that_failed_frees_the_reward(run):
    def refuse(_):
        raise PaymentFailed("account_closed", "the bank said no")

    provider = Provider()
    provider.pay, pay = refuse, provider.pay
    assert run(provider).outcome == Outcome.FAILED
    provider.pay = pay
    assert run(provider, run_id="another").outcome == Outcome.PAID


def test_what_broke_is_told_and_stays_reserved(run):
    def break_off(_):
        raise TimeoutError("no answer")

    provider = Provider()
    provider.pay, pay = break_off, provider.pay
    settled = run(provider)
    assert settled.outcome == Outcome.UNSETTLED and isinstance(settled.error, TimeoutError)
    provider.pay = pay
    assert run(provider).outcome == Outcome.PAID


def test_what_the_gate_does_not_release_is_not_paid(client, digester):
    client.screening.ScreenConversion(conversion("delayed", digester, campaign_id=""))
    provider, wanted = Provider(), [("rw-delayed", "cv-delayed"), ("rw-nobody", "cv-nobody")]
    wanted = [payout_pb2.PayoutWanted(reward_id=reward, conversion_id=of) for reward, of in wanted]
    settled = pay_rewards(client, "shop", "run-held", wanted, provider.pay)
    assert [(one.outcome, one.gate.reason) for one in settled] == [
        (Outcome.HELD, payout_pb2.GATE_REASON_DELAY_RUNNING),
        (Outcome.HELD, payout_pb2.GATE_REASON_UNKNOWN_CONVERSION),
    ]
    assert provider.asked == []
