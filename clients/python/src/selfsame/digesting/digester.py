"""Keyed digests and sketches, under one programme key or, while keys rotate, two."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Any, Iterable

from .email import DomainRules, EmailAddress
from .name import folded_name, person_of_mailbox, person_of_name
from .network import network
from .payment import identifier, instrument
from .refusals import DigestError, Refusal

KEY_BYTES_MIN = 32
_DISTINCT_BYTES_MIN = 8
_SKETCH_BYTES = 128
_POSITIONS = 10
_RING = "sketch.person"

Signals = dict[str, Any]


class ProgrammeKey:
    """A secret with its name. Whoever holds it can test guesses: keep it in a secret store, out of logs and away from the Selfsame service."""

    def __init__(self, key_id: str, secret: bytes) -> None:
        if not re.fullmatch("[a-z0-9._-]{1,32}", key_id):
            raise DigestError(Refusal.INVALID_KEY, "a key id is 1 to 32 characters of a-z 0-9 . _ -")
        if len(secret) < KEY_BYTES_MIN:
            raise DigestError(Refusal.INVALID_KEY, f"a programme key needs at least {KEY_BYTES_MIN} bytes")
        if len(set(secret)) < _DISTINCT_BYTES_MIN:
            raise DigestError(Refusal.INVALID_KEY, "the programme key repeats a few bytes; make one with `selfsame digest --generate-key`")
        self.key_id = key_id
        self._secret = bytes(secret)

    @classmethod
    def from_text(cls, key_id: str, text: str) -> "ProgrammeKey":
        """Hexadecimal, base64 (standard or URL alphabet), or `hex:`, `base64:`, `raw:` and the key."""
        text = text.lstrip("\ufeff").strip()
        prefix, _, rest = text.partition(":")
        if prefix == "raw":
            return cls(key_id, rest.encode())
        if prefix == "base64":
            return cls(key_id, _from_base64(rest))
        digits = rest if prefix == "hex" else text
        if prefix == "hex" or re.fullmatch("[0-9A-Fa-f]*", text):
            if not re.fullmatch("(?:[0-9A-Fa-f]{2})*", digits):
                raise DigestError(Refusal.INVALID_KEY, "the programme key is not hexadecimal, or a digit is missing")
            return cls(key_id, bytes.fromhex(digits))
        return cls(key_id, _from_base64(text))

    def __repr__(self) -> str:
        return f"ProgrammeKey({self.key_id!r})"

    def mac(self, *parts: bytes) -> bytes:
        """HMAC-SHA-256 under the key."""
        return hmac.digest(self._secret, b"".join(parts), "sha256")


class Digester:
    """Turns raw values into the signals of a bundle: dictionaries as the messages of `selfsame.v1` take them.

    Every method raises `DigestError` for a value that is not digested. `bundle` tells such values apart and keeps the rest.
    """

    def __init__(self, key: ProgrammeKey, previous: ProgrammeKey | None = None, rules: DomainRules | None = None) -> None:
        if previous is not None and previous.key_id == key.key_id:
            raise DigestError(Refusal.INVALID_KEY, "the current and the previous programme key have one key id; give each its own")
        self._keys = [key] if previous is None else [key, previous]
        self._rules = rules or DomainRules()
        kinds = ("sketch.email.local_part", "sketch.name", _RING)
        self._sub_keys = {(key.key_id, kind): key.mac(kind.encode(), b"\0") for key in self._keys for kind in kinds}

    def digests(self, kind: str, canonical: str) -> list[Signals]:
        """The digests of a canonical value, one for each key, ordered by key id."""
        value = lambda key: key.mac(kind.encode(), b"\0", canonical.encode())
        return [{"key_id": key.key_id, "value": value(key)} for key in sorted(self._keys, key=lambda key: key.key_id)]

    def sketches(self, kind: str, folded: str | None) -> list[Signals]:
        """The sketches of a folded text, one for each key, the current first; none of an absent text."""
        if folded is None:
            return []
        return [{"key_id": key.key_id, "bits": _bits(self._sub_keys[key.key_id, kind], kind, folded)} for key in self._keys]

    def email(self, typed: str) -> Signals:
        """The `EmailSignals` of an address."""
        address = EmailAddress.parse(typed)
        mailbox = address.mailbox(self._rules)
        bare = mailbox.bare_local_part
        return {
            "exact": self.digests("email.exact", address.exact),
            "mailbox": self.digests("email.mailbox", mailbox.address),
            "pattern": self.digests("email.pattern", mailbox.pattern) if mailbox.pattern else [],
            "local_part": self.digests("email.local_part", bare),
            "domain": self.digests("email.domain", mailbox.domain),
            "domain_class": "EMAIL_DOMAIN_CLASS_" + self._rules.class_of(address.domain),
            "local_part_sketch": self.sketches("sketch.email.local_part", bare),
            "person_sketch": self.sketches(_RING, person_of_mailbox(mailbox)),
        }

    def plus_folded(self, typed: str) -> list[Signals]:
        """The digests of the address cut at its `+`; none where the mailbox has the answer. The API has no field for it yet."""
        folded = EmailAddress.parse(typed).plus_folded(self._rules)
        return self.digests("email.plus_folded", folded) if folded else []

    def name(self, typed: str) -> Signals:
        """The `NameSignals` of a person's whole name."""
        folded, in_order = folded_name(typed)
        return {
            "exact": self.digests("name.exact", folded),
            "sketch": self.sketches("sketch.name", folded),
            "person_sketch": self.sketches(_RING, person_of_name(in_order)),
        }

    def device(self, fingerprint: str | None = None, browser: str | None = None, **attributes: Any) -> Signals:
        """The `DeviceSignals` of a fingerprint and a browser's id; `attributes` are its plain fields, such as `time_zone`."""
        signals = dict(attributes)
        if fingerprint is not None:
            signals["fingerprint"] = self.digests("device.fingerprint", identifier(fingerprint))
        if browser is not None:
            signals["browser"] = self.digests("device.browser", identifier(browser))
        return signals

    def networks(self, typed: str) -> list[Signals]:
        """All `NetworkSignals` of an address: one of IPv4; three of IPv6, whose wider prefixes stand in entries of their own."""
        address, prefixes = network(typed)
        entries = [{"prefix": self.digests("network.prefix", prefix)} for prefix in prefixes]
        return [{"address": self.digests("network.address", address), **entries[0]}, *entries[1:]]

    def payment(self, kind: str, purpose: str, typed: str, **fields: Any) -> Signals:
        """The `PaymentSignals` of an instrument: `kind` like `CARD`, `purpose` `BILLING` or `PAYOUT`; `fields` are its others, such as `country`."""
        kind, purpose = kind.removeprefix("PAYMENT_KIND_"), purpose.removeprefix("PAYMENT_PURPOSE_")
        return {
            "instrument": self.digests("payment.instrument", instrument(kind, typed)),
            "kind": f"PAYMENT_KIND_{kind}",
            "purpose": f"PAYMENT_PURPOSE_{purpose}",
            **fields,
        }

    def bundle(
        self,
        account_id: str,
        *,
        emails: Iterable[str] = (),
        names: Iterable[str] = (),
        devices: Iterable[dict[str, Any]] = (),
        addresses: Iterable[str] = (),
        payments: Iterable[tuple[str, str, str]] = (),
        **fields: Any,
    ) -> tuple[Signals, list[tuple[str, DigestError]]]:
        """A `SignalBundle` of raw values, and what was left out of it: where it stood (`emails[0]`), and why.

        A device is the arguments of `device`, a payment those of `payment`. `fields` are the bundle's others, such as `journey`.
        """
        bundle: Signals = {"account_id": account_id, **fields}
        left_out: list[tuple[str, DigestError]] = []
        for field, values, digest in (
            ("emails", emails, lambda typed: [self.email(typed)]),
            ("names", names, lambda typed: [self.name(typed)]),
            ("devices", devices, lambda device: [self.device(**device)]),
            ("networks", addresses, self.networks),
            ("payments", payments, lambda payment: [self.payment(*payment)]),
        ):
            for at, value in enumerate(values):
                try:
                    bundle.setdefault(field, []).extend(digest(value))
                except DigestError as fault:
                    left_out.append((f"{field}[{at}]", fault))
        return bundle, left_out


def dice(one: bytes, other: bytes) -> float:
    """How similar two sketches of one kind and key are, [0, 1]."""
    count = lambda bits: int.from_bytes(bits, "big").bit_count()
    total = count(one) + count(other)
    return 2 * count(bytes(a & b for a, b in zip(one, other))) / total if total else 0.0


def _bigrams(kind: str, folded: str) -> set[str]:
    words = [word for word in folded.split(" ") if word]
    if kind == _RING:
        joined = "".join(words)
        return {joined[at] + joined[(at + 1) % len(joined)] for at in range(len(joined))} | {"_" + word[0] for word in words}
    padded = [f"_{word}_" for word in words]
    return {word[at : at + 2] for word in padded for at in range(len(word) - 1)}


def _bits(sub_key: bytes, kind: str, folded: str) -> bytes:
    bits = bytearray(_SKETCH_BYTES)
    for bigram in _bigrams(kind, folded):
        drawn = hmac.digest(sub_key, bigram.encode(), hashlib.sha256)
        for at in range(_POSITIONS):
            position = int.from_bytes(drawn[2 * at : 2 * at + 2], "big") % (8 * _SKETCH_BYTES)
            bits[position // 8] |= 1 << (position % 8)
    return bytes(bits)


def _from_base64(text: str) -> bytes:
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        raise DigestError(Refusal.INVALID_KEY, "the programme key is neither hexadecimal nor base64; write `raw:` before it to use it as it stands") from None
