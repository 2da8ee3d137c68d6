"""Network addresses: one text for each, and the prefixes that a household or a site shares."""

from __future__ import annotations

import ipaddress

from .refusals import DigestError, Refusal
from .text import trim

_NOBODYS_V4 = [ipaddress.ip_network(block) for block in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")]
_NOBODYS_V6 = [ipaddress.ip_network(block) for block in ("::/96", "fe80::/10", "ff00::/8")]


def network(typed: str) -> tuple[str, list[str]]:
    """The canonical address, and its prefixes, the narrowest first. Raises `DigestError`."""
    text = trim(typed)
    if text.startswith("[") and text.endswith("]") and len(text) > 1:
        text = text[1:-1]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise DigestError(Refusal.NOT_AN_ADDRESS) from None
    if "%" in text or not text.isascii():
        raise DigestError(Refusal.NOT_AN_ADDRESS)
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in block for block in (_NOBODYS_V4 if address.version == 4 else _NOBODYS_V6)):
        raise DigestError(Refusal.NOT_OF_A_USER)
    lengths = [24] if address.version == 4 else [64, 56, 48]
    first = lambda bits: ipaddress.ip_network((address, bits), strict=False).network_address.exploded
    return address.exploded, [f"{first(bits)}/{bits}" for bits in lengths]
