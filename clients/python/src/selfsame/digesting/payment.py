"""Identifiers that somebody else made, and payment instruments: one text for each, by what the text is."""

from __future__ import annotations

import re
import unicodedata

from .email import EmailAddress
from .placeholders import is_placeholder_identifier
from .refusals import DigestError, Refusal
from .text import is_digits, is_space, size, tables, typed_text

KINDS = ("CARD", "SEPA", "PAYPAL", "BANK_ACCOUNT", "WALLET", "OTHER")

_IDENTIFIER_BYTES_MAX = 1024
_NUMBER_DIGITS_MIN = 8
_PAYPAL_ID_CHARACTERS = 13
_MASKED_DIGITS_MAX = 10
_LENGTH_SLIP_MAX = 2
_SEPARATORS = frozenset("-./\u2010\u2011\u2012\u2013\u2014\u2015")
_HIDING = frozenset("*•●·#xX…")
_LABEL = "IBAN"


def identifier(typed: str) -> str:
    """An opaque identifier: its ends are cleaned, nothing else. Raises `DigestError`."""
    text = typed_text(typed)
    if text == "":
        raise DigestError(Refusal.EMPTY)
    if size(text) > _IDENTIFIER_BYTES_MAX:
        raise DigestError(Refusal.TOO_LONG)
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise DigestError(Refusal.CONTROL_CHARACTER)
    if is_placeholder_identifier(text):
        raise DigestError(Refusal.PLACEHOLDER)
    return text


def instrument(kind: str | None, typed: str) -> str:
    """A payment instrument as it was typed or as the processor gave it; `kind`: one of `KINDS`, None when not known. Raises `DigestError`."""
    if kind is not None and kind not in KINDS:
        raise ValueError(f"a payment kind is one of {', '.join(KINDS)}, or None")
    text = identifier(typed)
    behind = _without_label(text)
    if behind is not None and is_placeholder_identifier(behind):
        raise DigestError(Refusal.PLACEHOLDER)
    if _is_masked(text):
        raise DigestError(Refusal.MASKED)
    canonical = _by_kind(kind, text) or text
    is_of_the_series = len(canonical) == 16 and is_digits(canonical) and canonical.startswith("400000")
    if canonical in tables()["test_cards"] or is_of_the_series:
        raise DigestError(Refusal.TEST_CARD)
    return canonical


def _by_kind(kind: str | None, text: str) -> str | None:
    if kind in ("SEPA", "BANK_ACCOUNT"):
        return _iban(text) or _number(text)
    if kind == "CARD":
        return _number(text)
    if kind == "PAYPAL":
        if "@" in text:
            return EmailAddress.parse(text).exact
        is_own_id = len(text) == _PAYPAL_ID_CHARACTERS and text.isascii() and text.isalnum()
        return text.upper() if is_own_id else text
    try:
        return EmailAddress.parse(text).exact
    except DigestError as fault:
        if fault.refusal in (Refusal.PLACEHOLDER, Refusal.NEW_CHARACTER):
            raise
    return _iban(text) or _number(text)


def _is_separator(character: str) -> bool:
    return character in _SEPARATORS or is_space(character)


def _kept(text: str) -> str:
    return "".join(character for character in text if not _is_separator(character))


def _number(text: str) -> str | None:
    digits = _kept(text)
    return digits if len(digits) >= _NUMBER_DIGITS_MIN and is_digits(digits) else None


def _is_masked(text: str) -> bool:
    hidden, digits = sum(c in _HIDING for c in text), sum(is_digits(c) for c in text)
    return hidden >= 2 and digits <= _MASKED_DIGITS_MAX and all(c in _HIDING or is_digits(c) or _is_separator(c) for c in text)


def _without_label(text: str) -> str | None:
    """What stands behind the word `IBAN`; None when it does not begin the text."""
    label = text[: len(_LABEL)]
    if not (label.isascii() and label.upper() == _LABEL):
        return None
    at = len(_LABEL)
    while at < len(text) and (text[at] == ":" or _is_separator(text[at])):
        at += 1
    return text[at:]


def _iban(text: str) -> str | None:
    """The IBAN in capitals without separators; None for a text that was not meant as one. Raises `DigestError`."""
    number = _without_label(text)
    if number is None:
        return _iban_number(text, False)
    if len(number) + len(_LABEL) < len(text):
        return _iban_number(number, True)
    try:
        # `IBANDE89…` without a separator is a label only if a number follows it.
        return _iban_number(number, False)
    except DigestError:
        return None


def _iban_number(text: str, is_labelled: bool) -> str | None:
    kept = _kept(text)
    iban = re.sub("[a-z]", lambda found: found[0].upper(), kept)
    expected = tables()["iban_lengths"].get(iban[:2])
    if expected is None or not re.fullmatch("[0-9]{0,2}|[0-9]{2}[A-Z0-9]*", iban[2:]):
        return None
    is_one_case = kept in (iban, iban.lower())
    is_separated = len(kept) < len(text) or is_labelled
    if len(iban) == expected:
        if int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1:
            return iban
        is_meant = is_one_case or is_separated
    else:
        is_meant = is_separated or (abs(len(iban) - expected) <= _LENGTH_SLIP_MAX and is_one_case)
    if is_meant:
        raise DigestError(Refusal.NOT_AN_IBAN)
    return None
