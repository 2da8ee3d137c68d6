"""People's names, folded so that order, case, accents and punctuation do not matter, and no two people of any script become one."""

from __future__ import annotations

import unicodedata

from .email import Mailbox, _without_tag
from .placeholders import is_placeholder_name
from .refusals import DigestError, Refusal
from .text import characters, is_silent, size, tables, typed_text

_NAME_BYTES_MAX = 512
_LETTERS_MIN = 3
_SPACING_ACUTE = " \u0301"


def folded_name(typed: str) -> tuple[str, str]:
    """The folded name, and its words in the order in which they were typed. Raises `DigestError`."""
    text = typed_text(typed)
    if size(text) > _NAME_BYTES_MAX:
        raise DigestError(Refusal.TOO_LONG)
    words = _words(text)
    folded = " ".join(sorted(words))
    if text == "":
        raise DigestError(Refusal.EMPTY)
    if is_placeholder_name(text, folded):
        raise DigestError(Refusal.PLACEHOLDER)
    return folded, " ".join(words)


def person_of_name(in_order: str) -> str | None:
    """The text that compares a name with an address; None when fewer than three letters are left."""
    return _person(in_order)


def person_of_mailbox(mailbox: Mailbox) -> str | None:
    """The text that compares an address with a name; None when fewer than three letters are left."""
    return _person(" ".join(_words(_without_tag(mailbox.local_part, "+"))))


def _person(words: str) -> str | None:
    kind = lambda character: unicodedata.category(character)[0]
    parts = "".join(" " if kind(character) == "N" else character for character in words).split(" ")
    kept = []
    for part in parts:
        while part and kind(part[0]) == "M":
            part = part[1:]
        if part:
            kept.append(part)
    return " ".join(kept) if sum(map(len, kept)) >= _LETTERS_MIN else None


def _words(typed: str) -> list[str]:
    return [word for word in _spelled(_folded_case(typed)).split(" ") if word]


def _folded_case(typed: str) -> str:
    """What no screen shows and apostrophes taken out, then Unicode's folding for compatibility caseless matching (D146)."""
    form = unicodedata.normalize
    shown = lambda text: "".join(character for character in text if not is_silent(character))
    visible = form("NFD", form("NFD", shown(form("NFKD", typed))).replace(_SPACING_ACUTE, ""))
    once = form("NFKD", visible.casefold())
    twice = form("NFKD", once.casefold())
    return form("NFD", form("NFC", shown(twice)))


def _spelled(decomposed: str) -> str:
    """The words, in NFC: accents dropped, other marks kept with their letters, single letters spelled, all else a space."""
    letters, kept, base = tables()["letters"], [], None
    for character in decomposed:
        kind = unicodedata.category(character)[0]
        if kind == "M":
            kept.append("" if base is None or _is_accent(base, character) else character)
        elif kind in "LN":
            base = character
            kept.append(letters.get(character, character))
        else:
            base = None
            kept.append(" ")
    return unicodedata.normalize("NFC", "".join(kept))


def _is_accent(base: str, mark: str) -> bool:
    if base in characters("latin") or base in characters("greek"):
        return True
    if base not in characters("cyrillic"):
        return False
    composed = unicodedata.normalize("NFC", base + mark)
    return len(composed) > 1 or composed in "ёѐѝ"
