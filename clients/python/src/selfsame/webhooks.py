"""Verification of webhooks by the Standard Webhooks specification: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import time
from typing import Any, Callable, Iterable, Mapping

_PREFIX = "whsec_"


class WebhookRefused(ValueError):
    """A delivery that is not to be trusted: answer it with 400, and do nothing."""


class WebhookVerifier:
    """Knows the secrets of an endpoint: one, or several while they are exchanged; each `whsec_` and base64.

    `tolerance_seconds`: how far the time of a delivery may lie from now, on either side. `now`: the clock, in seconds since 1970.
    """

    def __init__(self, secrets: str | Iterable[str], tolerance_seconds: int = 300, now: Callable[[], float] = time.time) -> None:
        self._secrets = [_secret(text) for text in ([secrets] if isinstance(secrets, str) else secrets)]
        if not self._secrets:
            raise ValueError("a verifier needs a secret")
        self._tolerance_seconds, self._now = tolerance_seconds, now

    def verify(self, headers: Mapping[str, str], body: bytes | str) -> Any:
        """The payload, from JSON. Raises `WebhookRefused`. `body` is what arrived, byte for byte, before anything parsed it.

        A delivery may come twice: remember its `webhook-id`.
        """
        shown = {name.lower(): value for name, value in headers.items()}
        try:
            message_id, sent_at, signatures = (shown[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        except KeyError as missing:
            raise WebhookRefused(f"the header {missing.args[0]} is missing") from None
        if not re.fullmatch("[0-9]{1,12}", sent_at):
            raise WebhookRefused("the header webhook-timestamp is no time")
        if abs(self._now() - int(sent_at)) > self._tolerance_seconds:
            raise WebhookRefused("the delivery is too old or too new, or a clock is wrong")
        content = body.encode() if isinstance(body, str) else body
        signed = f"{message_id}.{sent_at}.".encode() + content
        expected = [hmac.digest(secret, signed, "sha256") for secret in self._secrets]
        shown_signatures = [_decoded(part[3:]) for part in signatures.split(" ") if part.startswith("v1,")]
        # Every pair is compared, so that the time taken tells nothing.
        if not any([hmac.compare_digest(one, other) for one in expected for other in shown_signatures]):
            raise WebhookRefused("no signature fits any secret")
        return json.loads(content)


def _secret(text: str) -> bytes:
    secret = _decoded(text.removeprefix(_PREFIX))
    if len(secret) < 16:
        raise ValueError(f"a webhook secret is `{_PREFIX}` and at least 16 bytes in base64")
    return secret


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
