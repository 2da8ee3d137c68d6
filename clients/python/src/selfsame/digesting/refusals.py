"""Why a value is not digested. No refusal ever shows the value."""

from __future__ import annotations

import enum


class Refusal(str, enum.Enum):
    """The reason, for a program. `DigestError` has the sentence, for a person."""

    EMPTY = "EMPTY"
    TOO_LONG = "TOO_LONG"
    NOT_TEXT = "NOT_TEXT"
    NEW_CHARACTER = "NEW_CHARACTER"
    CONTROL_CHARACTER = "CONTROL_CHARACTER"
    PLACEHOLDER = "PLACEHOLDER"
    NOT_AN_EMAIL = "NOT_AN_EMAIL"
    INVALID_DOMAIN = "INVALID_DOMAIN"
    NOT_AN_ADDRESS = "NOT_AN_ADDRESS"
    NOT_OF_A_USER = "NOT_OF_A_USER"
    NOT_AN_IBAN = "NOT_AN_IBAN"
    MASKED = "MASKED"
    TEST_CARD = "TEST_CARD"
    INVALID_KEY = "INVALID_KEY"
    INVALID_DOMAIN_RULE = "INVALID_DOMAIN_RULE"


SENTENCES = {
    Refusal.EMPTY: "is empty",
    Refusal.TOO_LONG: "is too long",
    Refusal.NOT_TEXT: "is not text: it holds half of a character",
    Refusal.NEW_CHARACTER: "holds a character that languages fold differently, such as one that came after Unicode 14.0; send the bundle without it",
    Refusal.CONTROL_CHARACTER: "holds a control character",
    Refusal.PLACEHOLDER: "is a placeholder (such as `n/a`, `null` or zeros), not a value; leave it out",
    Refusal.NOT_AN_EMAIL: "is not an e-mail address",
    Refusal.INVALID_DOMAIN: "has no valid domain of the internet behind its `@`",
    Refusal.NOT_AN_ADDRESS: "is neither an IPv4 nor an IPv6 address; give it without port, prefix length or zone",
    Refusal.NOT_OF_A_USER: "is an address that tells nothing of a user (loopback, link-local, multicast); a proxy may hide the real one",
    Refusal.NOT_AN_IBAN: "looks like an IBAN, and its length or its check digits do not fit",
    Refusal.MASKED: "shows a part of a number only, which many people share; give the fingerprint of your payment processor",
    Refusal.TEST_CARD: "is a test card of a payment provider's documentation, which everybody's test accounts share; leave it out",
    Refusal.INVALID_KEY: "is not a programme key",
    Refusal.INVALID_DOMAIN_RULE: "is not a rule for a domain",
}


class DigestError(ValueError):
    """A value that is not digested: leave it out of the bundle, and send the rest."""

    def __init__(self, refusal: Refusal, detail: str = "") -> None:
        super().__init__(detail or f"the value {SENTENCES[refusal]}")
        self.refusal = refusal
