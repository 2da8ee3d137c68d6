"""From raw values to pseudonyms, byte for byte as `selfsame digest` does it; docs/digests.md has the rules. Needs the standard library alone,
and for domains that are not ASCII the package `idna`.
"""

from .digester import Digester, ProgrammeKey, dice
from .email import DomainRules, EmailAddress, Mailbox
from .name import folded_name, person_of_mailbox, person_of_name
from .network import network
from .payment import KINDS, identifier, instrument
from .refusals import DigestError, Refusal

__all__ = [
    "KINDS",
    "DigestError",
    "Digester",
    "DomainRules",
    "EmailAddress",
    "Mailbox",
    "ProgrammeKey",
    "Refusal",
    "dice",
    "folded_name",
    "identifier",
    "instrument",
    "network",
    "person_of_mailbox",
    "person_of_name",
]
