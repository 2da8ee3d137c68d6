"""A reward service in forty lines: screens a purchase, pays what may be paid, and follows the feed.

SELFSAME_SERVER=127.0.0.1:50051 SELFSAME_PROGRAMME_KEY=$(selfsame digest --generate-key) python reward_service.py
"""

import os

from google.protobuf.timestamp_pb2 import Timestamp
from selfsame import Client, Digester, Payment, ProgrammeKey, pay_rewards
from selfsame.v1.conversion_pb2 import Conversion
from selfsame.v1.decision_pb2 import Verdict
from selfsame.v1.payout_pb2 import FeedEventKind, PayoutWanted
from selfsame.v1.screening_pb2 import ScreenConversionRequest

PROGRAM = os.environ.get("SELFSAME_PROGRAM", "shop")
client = Client(os.environ["SELFSAME_SERVER"], token=os.environ.get("SELFSAME_TOKEN"))
digester = Digester(ProgrammeKey.from_text("k1", os.environ["SELFSAME_PROGRAMME_KEY"]))

# 1. Somebody whom Ann referred has paid an invoice. Raw values become pseudonyms here; what is no value is left out and told.
ann, left_out = digester.bundle("ann", emails=["ann@mail.example"], names=["Ann Lee"], addresses=["203.0.113.9"])
ben, also_left_out = digester.bundle("ben", emails=["ben.ode@company.example"], names=["Ben Ode", "N/A"], addresses=["198.51.100.7"])
print("left out:", [f"{place}: {fault}" for place, fault in left_out + also_left_out])
now = Timestamp()
now.GetCurrentTime()
conversion = Conversion(
    program_id=PROGRAM, conversion_id="cv-in-7", campaign_id=os.environ.get("SELFSAME_CAMPAIGN", ""), kind="CONVERSION_KIND_INVOICE_PAID",
    occurred_at=now, invoice_id="in-7", value={"amount_minor": 4900, "currency": "EUR"}, referrer=ann, referee=ben,
    attribution={"captured_via": "CAPTURED_VIA_LINK", "ucc": "ANN-10", "code_validity": "CODE_VALIDITY_VALID"},
    rewards=[{"reward_id": "rw-in-7", "beneficiary": "SIDE_REFERRER", "amount": {"amount_minor": 2000, "currency": "EUR"}}],
)  # fmt: skip
decision = client.screening.ScreenConversion(ScreenConversionRequest(conversion=conversion)).decision
print("verdict:", Verdict.Name(decision.verdict), [reason.sentence for reason in decision.reasons])

# 2. The payout run: its id and its rewards are stored before this. After a crash it is called again with the same.
provider = {}  # your payment provider, idempotent by key
paid = lambda order: provider.setdefault(order.key, Payment(amount=order.amount))
for settled in pay_rewards(client, PROGRAM, "run-1", [PayoutWanted(reward_id="rw-in-7", conversion_id="cv-in-7")], paid, provider.get):
    print("payout:", settled.reward_id, settled.outcome.name, settled.gate.sentence, settled.error or "")

# 3. The feed, from the last cursor that was kept; without `stop_at_end` it goes on for ever.
for message in client.follow(PROGRAM, after_cursor="", stop_at_end=True):
    for event in message.events:
        print("feed:", FeedEventKind.Name(event.kind), event.conversion_id, event.reward_id)
