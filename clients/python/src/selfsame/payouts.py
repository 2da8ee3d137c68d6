"""Reserve, pay, mark: how rewards are paid so that none is paid twice, whatever breaks in between.

Store the id of the run and its rewards before the first call. After a crash call `pay_rewards` again with the same id and the same rewards:

| it broke | what the same call does next time |
|---|---|
| before or while reserving | reserves, or is told what it holds |
| while paying | renews the reservation, and pays under the same key: your provider answers as the first time |
| between paying and marking | the same; then it marks |
| while marking | is told that the reward is paid |
| and the reservation has ended since | asks `look_up` for the key: marks what was paid, and leaves the rest alone |
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import hashlib
import time
from typing import Callable, Iterable

from google.protobuf import duration_pb2, timestamp_pb2

from .client import Client
from .errors import NotPossible
from .v1 import conversion_pb2, payout_pb2

_MARK_SECONDS = 300.0
_MARK_ATTEMPTS = 1_000


@dataclasses.dataclass(frozen=True)
class PayOrder:
    """One payment to make. `amount` is absent when the reward's worth is not known to Selfsame."""

    reward_id: str
    conversion_id: str
    amount: conversion_pb2.Money | None
    # The idempotency key for your payment provider: one for a reward of a run, and the same after a crash.
    key: str


@dataclasses.dataclass(frozen=True)
class Payment:
    """What was paid, as your provider tells it. Absent: now, and the amount that was reserved."""

    paid_at: datetime.datetime | None = None
    amount: conversion_pb2.Money | None = None


class PaymentFailed(Exception):
    """Raise it in `pay` when the money certainly did not leave. Raise anything else when you do not know."""

    def __init__(self, reason_code: str = "", note: str = "") -> None:
        super().__init__(note or reason_code)
        self.reason_code, self.note = reason_code, note


class Outcome(enum.Enum):
    """What became of one reward of a run."""

    PAID = "paid in this call"
    ALREADY_PAID = "paid before"
    HELD = "not now: ask again in another run"
    DENIED = "never"
    FAILED = "the payment failed and the reward is free: another run may have it"
    LAPSED = "the reservation ended before it was paid: another run may have it"
    UNSETTLED = "not known: call again with the same run, or look at your provider"


@dataclasses.dataclass(frozen=True)
class Settled:
    """One reward's outcome, with the gate's answer and, where something broke, what."""

    reward_id: str
    conversion_id: str
    outcome: Outcome
    gate: payout_pb2.GateAnswer
    error: Exception | None = None


Pay = Callable[[PayOrder], "Payment | None"]
LookUp = Callable[[str], "Payment | None"]


def pay_rewards(
    client: Client,
    program_id: str,
    run_id: str,
    rewards: Iterable[payout_pb2.PayoutWanted],
    pay: Pay,
    look_up: LookUp | None = None,
    lifetime_seconds: int = 900,
) -> list[Settled]:
    """Reserves the rewards, pays what is released, and marks it; one answer a reward, in order.

    `pay` makes one payment, under the key of its order. `look_up` tells what your provider knows of a key: the payment, or None when there is none and will
    be none. Without it, what is left of a run whose reservation ended is `UNSETTLED`. One process runs a run at a time. Raises `SelfsameError` when
    nothing could be reserved.
    """
    began, lifetime = time.monotonic(), duration_pb2.Duration(seconds=lifetime_seconds)
    request = payout_pb2.ReservePayoutsRequest(program_id=program_id, request_id=run_id, payouts=rewards, lifetime=lifetime)
    reserved = client.payouts.ReservePayouts(request)
    run = _Run(client, program_id, reserved.reservation_id or run_id, pay, look_up, lifetime)
    # How long a replayed reservation still lasts is told by the server's clock, not by ours: then it is renewed first.
    run.renew_after = began if reserved.replayed else began + lifetime_seconds / 2
    return [run.settle(answer) for answer in reserved.answers]


@dataclasses.dataclass
class _Run:
    client: Client
    program_id: str
    reservation_id: str
    pay: Pay
    look_up: LookUp | None
    lifetime: duration_pb2.Duration
    renew_after: float = 0.0

    def settle(self, answer: payout_pb2.ReserveAnswer) -> Settled:
        gate = answer.gate
        settled = lambda outcome, error=None: Settled(gate.reward_id, gate.conversion_id, outcome, gate, error)
        try:
            if gate.gate == payout_pb2.GATE_RELEASE and answer.HasField("reserved_until"):
                return settled(self._paid(answer))
            if gate.reason == payout_pb2.GATE_REASON_RESERVATION_ENDED:
                return settled(self._looked_up(gate))
            if gate.reason == payout_pb2.GATE_REASON_ALREADY_PAID:
                return settled(Outcome.ALREADY_PAID)
            return settled(Outcome.DENIED if gate.gate == payout_pb2.GATE_DENY else Outcome.HELD)
        except Exception as error:  # One reward that breaks must not keep the others from being paid; whoever called is told.
            return settled(Outcome.UNSETTLED, error)

    def _paid(self, answer: payout_pb2.ReserveAnswer) -> Outcome:
        gate = answer.gate
        if time.monotonic() >= self.renew_after and not self._renewed(gate.reward_id):
            return self._looked_up(gate)
        amount = answer.amount if answer.HasField("amount") else None
        try:
            payment = self.pay(PayOrder(gate.reward_id, gate.conversion_id, amount, self._key("pay", gate))) or Payment()
        except PaymentFailed as failed:
            self._mark_failed(gate, failed)
            return Outcome.FAILED
        self._mark_paid(gate, payment)
        return Outcome.PAID

    def _renewed(self, reward_id: str) -> bool:
        request = payout_pb2.RenewReservationRequest(
            program_id=self.program_id, reservation_id=self.reservation_id, reward_ids=[reward_id], lifetime=self.lifetime
        )
        try:
            self.client.payouts.RenewReservation(request)
            return True
        except NotPossible:
            return False

    def _looked_up(self, gate: payout_pb2.GateAnswer) -> Outcome:
        if self.look_up is None:
            return Outcome.UNSETTLED
        payment = self.look_up(self._key("pay", gate))
        if payment is None:
            return Outcome.LAPSED
        self._mark_paid(gate, payment)
        return Outcome.PAID

    def _mark_paid(self, gate: payout_pb2.GateAnswer, payment: Payment) -> None:
        request = payout_pb2.MarkPaidRequest(
            program_id=self.program_id,
            reward_id=gate.reward_id,
            conversion_id=gate.conversion_id,
            paid_at=_timestamp(payment.paid_at),
            amount=payment.amount,
            reservation_id=self.reservation_id,
            request_id=self._key("paid", gate),
        )
        # Money has left, and the ledger must know: this one is repeated for long.
        self.client.payouts.MarkPaid(request, timeout=_MARK_SECONDS, attempts=_MARK_ATTEMPTS)

    def _mark_failed(self, gate: payout_pb2.GateAnswer, failed: PaymentFailed) -> None:
        request = payout_pb2.MarkFailedRequest(
            program_id=self.program_id,
            reward_id=gate.reward_id,
            conversion_id=gate.conversion_id,
            failed_at=_timestamp(None),
            reason_code=failed.reason_code,
            note=failed.note,
            request_id=self._key("failed", gate),
        )
        self.client.payouts.MarkFailed(request)

    def _key(self, step: str, gate: payout_pb2.GateAnswer) -> str:
        named = "\0".join((self.program_id, self.reservation_id, gate.conversion_id, gate.reward_id))
        return f"{step}-{hashlib.sha256(named.encode()).hexdigest()[:40]}"


def _timestamp(moment: datetime.datetime | None) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(moment or datetime.datetime.now(datetime.timezone.utc))
    return stamp
