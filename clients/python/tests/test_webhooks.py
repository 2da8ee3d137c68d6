"""Webhooks: signed by another implementation of Standard Webhooks, and by nobody."""

import base64
import datetime
import json

import pytest
from standardwebhooks import Webhook

from selfsame import WebhookRefused, WebhookVerifier

OLD, NEW = ("whsec_" + base64.b64encode(bytes(range(first, first + 24))).decode() for first in (0, 100))
BODY = json.dumps({"type": "decision.made", "é": 1}, ensure_ascii=False)
NOW = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.timezone.utc)


def headers(secret=NEW, body=BODY, sent=NOW, **changes):
    signature = Webhook(secret).sign("msg_1", sent, body)
    return {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(int(sent.timestamp())), "Webhook-Signature": signature, **changes}


def verifier(*secrets):
    return WebhookVerifier(secrets or [NEW], now=NOW.timestamp)


def test_what_another_implementation_signs_is_taken():
    assert verifier().verify(headers(), BODY) == verifier().verify(headers(), BODY.encode()) == json.loads(BODY)


def test_either_of_several_secrets_and_signatures_will_do():
    for secret in (OLD, NEW):
        assert verifier(OLD, NEW).verify(headers(secret), BODY)
    both = f"v1a,xyz v1,AAAA {headers(OLD)['Webhook-Signature']} {headers(NEW)['Webhook-Signature']}"
    assert verifier(OLD).verify(headers(**{"Webhook-Signature": both}), BODY)


def test_what_is_not_signed_so_is_refused():
    good = headers()
    for refused in (
        headers(OLD),
        headers(**{"Webhook-Id": "msg_2"}),
        headers(**{"Webhook-Timestamp": str(int(NOW.timestamp()) + 1)}),
        headers(**{"Webhook-Timestamp": "soon"}),
        headers(**{"Webhook-Signature": ""}),
        headers(**{"Webhook-Signature": "v1,"}),
        headers(**{"Webhook-Signature": good["Webhook-Signature"].replace("v1,", "v2,")}),
        {name: value for name, value in good.items() if name != "Webhook-Id"},
    ):
        with pytest.raises(WebhookRefused):
            verifier().verify(refused, BODY)
    with pytest.raises(WebhookRefused):
        verifier().verify(good, BODY + " ")


def test_an_old_delivery_is_refused_however_well_it_is_signed():
    for seconds, is_taken in ((-301, False), (-300, True), (300, True), (301, False)):
        sent = headers(sent=NOW + datetime.timedelta(seconds=seconds))
        if is_taken:
            assert verifier().verify(sent, BODY)
        else:
            with pytest.raises(WebhookRefused):
                verifier().verify(sent, BODY)


def test_a_secret_that_is_none_is_refused_at_once():
    for secrets in ([], [""], ["whsec_"], ["whsec_!"], [OLD, "whsec_AAAA"]):
        with pytest.raises(ValueError):
            WebhookVerifier(secrets)
