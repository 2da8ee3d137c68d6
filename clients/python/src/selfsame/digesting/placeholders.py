"""Placeholders: what programs, forms and people write where there is no value. Digested, they would make one person of all who have none."""

from __future__ import annotations

import functools

from .text import fold_case, is_letter, is_letter_or_number, tables, trim

_REPEATED_CHARACTERS_MIN = 8


@functools.lru_cache(maxsize=None)
def _row(kind: str) -> frozenset[str]:
    return frozenset(tables()["placeholders"][kind])


def _squeezed(typed: str) -> str:
    return "".join(c for c in fold_case(typed) if is_letter_or_number(c))


def is_placeholder(typed: str) -> bool:
    """Whether the text says that there is no value, whatever the value would be."""
    squeezed = _squeezed(typed)
    return trim(typed) != "" and (squeezed == "" or squeezed in _row("any"))


def is_placeholder_identifier(typed: str) -> bool:
    """Whether the text stands where an identifier is missing: none, a made-up one, zeros, or the hash of nothing."""
    squeezed = _squeezed(typed)
    digits = squeezed.removeprefix("0x")
    is_one = len(set(digits)) == 1 and (digits[0] == "0" or len(digits) >= _REPEATED_CHARACTERS_MIN)
    return is_placeholder(typed) or squeezed in _row("identifier") or is_one


def is_placeholder_name(typed: str, folded: str) -> bool:
    """Whether a name, typed and folded, is of nobody. `Na` is a family name, and `Jennifer Null` a person."""
    written_apart = any(not is_letter_or_number(c) for c in trim(fold_case(typed)))
    words = all(word in _row("name, each word") for word in folded.split(" "))
    return (written_apart and is_placeholder(typed)) or words or not any(is_letter(c) for c in folded)


def is_placeholder_email(local_part: str, domain: str) -> bool:
    """Whether an address, folded, is nobody's mailbox."""
    labels = domain.split(".")
    name, label, last = _squeezed(local_part), _squeezed(labels[0]), labels[-1]
    if name in _row("local part") or last in _row("last label"):
        return True
    if not (len(labels) == 2 or (len(labels) == 3 and labels[1] in ("co", "com", "net", "org"))):
        return False
    made_up = label in _row("made-up domain")
    nobodys = label in _row("nobody's domain") or (made_up and last in ("test", "example"))
    if name in _row("made-up local part"):
        return made_up or nobodys
    return name in _row("everyday local part") and (nobodys or (made_up and name == label))
