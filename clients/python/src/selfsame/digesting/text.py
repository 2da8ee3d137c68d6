"""Folding of Unicode text that every canonical form shares, by tables that are the same in every language.

A character that came after Unicode 14.0 is refused: what a language knows of it depends on the language's age. All that an older character is
folded to has been the same in every version since.
"""

from __future__ import annotations

import bisect
import functools
import importlib.resources
import json
import pathlib
import unicodedata

from .refusals import DigestError, Refusal

_APOSTROPHES = frozenset("'`\u02bb\u02bc\u05f3\u0640\u2018\u2019\u2032\uff07")


@functools.lru_cache(maxsize=None)
def tables() -> dict:
    """The tables of clients/tables.py; in a checkout from where they lie, since a copy could be old."""
    checkout = pathlib.Path(__file__).resolve().parents[4] / "go/digest/tables.json"
    shipped = importlib.resources.files(__package__) / "tables.json"
    return json.loads((checkout if checkout.is_file() else shipped).read_text(encoding="utf-8"))


class Characters:
    """A set of characters, as ranges."""

    def __init__(self, name: str) -> None:
        pairs = [part.partition("-") for part in tables()["characters"][name].split()]
        self._firsts = [int(first, 16) for first, _, _ in pairs]
        self._lasts = [int(last or first, 16) for first, _, last in pairs]

    def __contains__(self, character: str) -> bool:
        at = bisect.bisect_right(self._firsts, ord(character)) - 1
        return at >= 0 and ord(character) <= self._lasts[at]


@functools.lru_cache(maxsize=None)
def characters(name: str) -> Characters:
    """A named set of characters of the tables."""
    return Characters(name)


def is_space(character: str) -> bool:
    """Whether the character is Unicode's `White_Space`."""
    return character in characters("white_space")


def is_invisible(character: str) -> bool:
    """Whether no screen shows the character: Unicode's `Default_Ignorable_Code_Point`."""
    return character in characters("invisible")


def is_silent(character: str) -> bool:
    """An apostrophe, what is used as one, the stroke that only stretches an Arabic word, or what no screen shows."""
    return character in _APOSTROPHES or is_invisible(character)


def is_letter(character: str) -> bool:
    """Whether the character is Unicode's `Alphabetic`."""
    category = unicodedata.category(character)
    return category[0] == "L" or category == "Nl" or character in characters("alphabetic_marks")


def is_letter_or_number(character: str) -> bool:
    """Whether the character is alphabetic or a number."""
    return unicodedata.category(character)[0] == "N" or is_letter(character)


def trim(text: str) -> str:
    """The text without white space and invisible characters at its ends: what copying and pasting leaves there."""
    first, last = 0, len(text)
    while first < last and (is_space(text[first]) or is_invisible(text[first])):
        first += 1
    while last > first and (is_space(text[last - 1]) or is_invisible(text[last - 1])):
        last -= 1
    return text[first:last]


def typed_text(typed: str) -> str:
    """The trimmed text, refused when a language could fold it in a way of its own."""
    text = trim(typed)
    if not text.isascii():
        new = characters("new")
        for character in text:
            if "\ud800" <= character <= "\udfff":
                raise DigestError(Refusal.NOT_TEXT)
            if character in new:
                raise DigestError(Refusal.NEW_CHARACTER)
    return text


def fold_case(text: str) -> str:
    """NFKC, lower case one character at a time, every sigma the same, NFKC again."""
    lower = "".join(character.lower() for character in unicodedata.normalize("NFKC", text)).replace("ς", "σ")
    return unicodedata.normalize("NFKC", lower)


def size(text: str) -> int:
    """The length in bytes of UTF-8."""
    return len(text.encode())


def is_digits(text: str) -> bool:
    """Whether the text is of ASCII digits."""
    return text.isascii() and text.isdigit()
