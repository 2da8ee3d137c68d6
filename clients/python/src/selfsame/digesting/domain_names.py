"""Domain names in ASCII, by UTS #46 without transitional processing. The characters' table is that of the package `idna`."""

from __future__ import annotations

import ipaddress
import unicodedata

from .refusals import DigestError, Refusal
from .text import characters, typed_text

_LABEL_BYTES_MAX = 63
_DOMAIN_BYTES_MAX = 253
_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def ascii_domain(folded: str) -> str:
    """The domain, folded as an address is, in lower-case ASCII and without the root dot."""
    domain = folded.removesuffix(".")
    if domain == "":
        raise DigestError(Refusal.NOT_AN_EMAIL)
    if domain.startswith("[") or _is_address(domain):
        raise DigestError(Refusal.INVALID_DOMAIN)
    is_plain = domain.isascii() and not any(label.startswith("xn--") for label in domain.lower().split("."))
    found = domain.lower() if is_plain else _to_ascii(domain)
    labels = found.split(".")
    fits = all(0 < len(label) <= _LABEL_BYTES_MAX and label[0] != "-" and label[-1] != "-" for label in labels)
    if not (fits and len(found) <= _DOMAIN_BYTES_MAX and _HOST_CHARACTERS.issuperset("".join(labels)) and len(labels) > 1):
        raise DigestError(Refusal.INVALID_DOMAIN)
    return found


def _is_address(domain: str) -> bool:
    try:
        ipaddress.ip_address(domain)
        return "%" not in domain
    except ValueError:
        return False


def _to_ascii(domain: str) -> str:
    # Late, so that everything but such domains works where the package is not installed.
    import idna

    try:
        labels = [_decoded(label) for label in idna.uts46_remap(domain, std3_rules=True).split(".")]
        is_bidi = any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for label in labels for c in label)
        for label in labels:
            _check(label, is_bidi)
        return ".".join(label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii") for label in labels)
    except (ValueError, IndexError) as fault:
        if isinstance(fault, DigestError):
            raise
        # The fault names the domain; it must not be seen with the refusal.
        raise DigestError(Refusal.INVALID_DOMAIN) from None


def _decoded(label: str) -> str:
    """The label, from its form in ASCII where it has that; refused when it is not what its own form would be."""
    import idna

    if not label.startswith("xn--"):
        return label
    decoded = label[len("xn--") :].encode("ascii").decode("punycode")
    if decoded.isascii() or typed_text(decoded) != decoded or idna.uts46_remap(decoded, std3_rules=True) != decoded or "." in decoded:
        raise DigestError(Refusal.INVALID_DOMAIN)
    return decoded


def _check(label: str, is_bidi: bool) -> None:
    import idna

    if label == "":
        raise DigestError(Refusal.INVALID_DOMAIN)
    if any(character in characters("new_in_domains") for character in label):
        raise DigestError(Refusal.NEW_CHARACTER)
    if label[0] == "-" or label[-1] == "-" or unicodedata.category(label[0])[0] == "M":
        raise DigestError(Refusal.INVALID_DOMAIN)
    if is_bidi:
        idna.check_bidi(label, check_ltr=True)
