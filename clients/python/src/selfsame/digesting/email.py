"""E-mail addresses: the canonical form, and what is left of it as providers' aliases, digits and the domain are folded away."""

from __future__ import annotations

import dataclasses
import functools
import re
import unicodedata

from .domain_names import ascii_domain
from .placeholders import is_placeholder, is_placeholder_email
from .refusals import DigestError, Refusal
from .text import fold_case, is_invisible, is_space, size, tables, trim, typed_text

_ADDRESS_BYTES_MAX = 254
_LOCAL_PART_BYTES_MAX = 64
_PATTERN_CHARACTERS_MIN = 3
_REFUSED = frozenset('"()<>[],:;\\@')
_CLASSES = ("DISPOSABLE", "RELAY", "FREE_MAIL", "CORPORATE")


class DomainRules:
    """What is known of e-mail domains: the shipped lists and providers, and over them what your own files say.

    Mailbox digests depend on the rules, so all who digest for one programme must use the same files.
    """

    def __init__(self, *files: str) -> None:
        self._classes: dict[str, str] = {}
        self._plus: dict[str, bool] = {}
        for text in files:
            self.add_file(text)

    def add_file(self, text: str) -> None:
        """Adds the content of a file: a domain a line, then what it is; `#` begins a comment. Nothing of it counts when a line cannot be read."""
        classes, plus = dict(self._classes), dict(self._plus)
        for number, line in enumerate(text.split("\n"), 1):
            words = trim(line.split("#")[0]).split()
            if not words:
                continue
            try:
                domain = ascii_domain(fold_case(typed_text(words[0])))
            except DigestError:
                raise DigestError(Refusal.INVALID_DOMAIN_RULE, f"line {number} does not begin with a domain, like `mail.example`") from None
            for word in [word.upper().replace("-", "_") for word in words[1:]] or [""]:
                if word in _CLASSES:
                    classes[domain] = word
                elif word in ("FOLDS_PLUS", "KEEPS_PLUS"):
                    plus[domain] = word == "FOLDS_PLUS"
                else:
                    raise DigestError(Refusal.INVALID_DOMAIN_RULE, f"line {number} needs a word like `disposable` or `folds_plus` behind its domain")
        self._classes, self._plus = classes, plus

    def class_of(self, domain: str) -> str:
        """`DISPOSABLE`, `RELAY`, `FREE_MAIL` or `CORPORATE`; of a domain in ASCII."""
        own = _of_longest(self._classes, domain)
        if own is not None:
            return own
        shortest = _registrable_length(domain)
        candidates = [parent for parent in _parents(domain) if len(parent) >= shortest]
        for of_class, listed in _listed().items():
            if any(candidate in listed for candidate in candidates):
                return of_class
        return "CORPORATE"

    def folds_plus(self, domain: str) -> bool | None:
        """What your own files say of a `+` at the domain; None when they say nothing."""
        return _of_longest(self._plus, domain)


@dataclasses.dataclass(frozen=True, repr=False)
class EmailAddress:
    """A valid address in its exact form."""

    local_part: str
    domain: str

    @classmethod
    def parse(cls, typed: str) -> "EmailAddress":
        """Takes a text as it was typed. Raises `DigestError`."""
        text = typed_text(typed)
        if text == "":
            raise DigestError(Refusal.EMPTY)
        if size(text) > 4 * _ADDRESS_BYTES_MAX:
            raise DigestError(Refusal.TOO_LONG)
        if is_placeholder(text):
            raise DigestError(Refusal.PLACEHOLDER)
        local_part, at, domain = fold_case(text).rpartition("@")
        if at == "" or local_part == "":
            raise DigestError(Refusal.NOT_AN_EMAIL)
        if size(local_part) > _LOCAL_PART_BYTES_MAX:
            raise DigestError(Refusal.TOO_LONG)
        if any(c in _REFUSED or is_space(c) or is_invisible(c) or unicodedata.category(c) == "Cc" for c in local_part):
            raise DigestError(Refusal.NOT_AN_EMAIL)
        domain = ascii_domain(domain)
        if size(local_part) + 1 + size(domain) > _ADDRESS_BYTES_MAX:
            raise DigestError(Refusal.TOO_LONG)
        if is_placeholder_email(local_part, domain):
            raise DigestError(Refusal.PLACEHOLDER)
        return cls(local_part, domain)

    @property
    def exact(self) -> str:
        """`local@domain`."""
        return f"{self.local_part}@{self.domain}"

    def mailbox(self, rules: DomainRules) -> "Mailbox":
        """The mailbox that the address is delivered to, as far as its provider's rules and your own tell."""
        folds_plus, (provider, account, parent) = rules.folds_plus(self.domain), _provider(self.domain)
        if provider is None:
            return Mailbox(_without_tag(self.local_part, "+"), self.domain) if folds_plus else Mailbox(self.local_part, self.domain)
        name, domain = (account, parent) if account else (self.local_part, self.domain)
        tags = provider["tags"].replace("+", "") if folds_plus is False else provider["tags"]
        name = _without(_without_tag(name, tags), provider["ignored"])
        if provider["same"]:
            name = name.replace(*provider["same"])
        return Mailbox(name, provider["canonical"] or domain)

    def plus_folded(self, rules: DomainRules) -> str | None:
        """The address cut at its `+` where nobody knows whether that begins a tag; None where the mailbox has the answer."""
        folds_plus = rules.folds_plus(self.domain)
        if folds_plus or (folds_plus is None and _provider(self.domain)[0] is not None):
            return None
        return f"{_without_tag(self.local_part, '+')}@{self.domain}"


@dataclasses.dataclass(frozen=True, repr=False)
class Mailbox:
    """An address with the aliases folded that its provider delivers to one inbox."""

    local_part: str
    domain: str

    @property
    def address(self) -> str:
        """`local@domain`."""
        return f"{self.local_part}@{self.domain}"

    @property
    def bare_local_part(self) -> str:
        """The local part without `.`, `_` and `-`, unless nothing would remain."""
        return _without(self.local_part, "._-")

    @property
    def pattern(self) -> str | None:
        """The mailbox without digits; None when fewer than three characters would remain."""
        letters = re.sub("[0-9]", "", self.local_part).strip("._-+")
        return f"{letters}@{self.domain}" if len(letters) >= _PATTERN_CHARACTERS_MIN else None


def _without_tag(local_part: str, tags: str) -> str:
    cut = next((at for at, character in enumerate(local_part) if at and character in tags), len(local_part))
    return local_part[:cut]


def _without(local_part: str, unwanted: str) -> str:
    return "".join(character for character in local_part if character not in unwanted) or local_part


def _provider(domain: str) -> tuple[dict | None, str, str]:
    """The provider of a domain; with the account and the provider's domain, when the domain is an account's own."""
    direct, by_account = _providers()
    for parent in _parents(domain):
        if parent == domain and domain in direct:
            return direct[domain], "", ""
        if parent != domain and parent in by_account:
            return by_account[parent], domain[: -len(parent) - 1].rpartition(".")[2], parent
    return None, "", ""


@functools.lru_cache(maxsize=None)
def _providers() -> tuple[dict[str, dict], dict[str, dict]]:
    rows = [(domain, provider) for provider in tables()["providers"] for domain in provider["domains"]]
    return dict(rows), {domain: provider for domain, provider in rows if provider["account"]}


@functools.lru_cache(maxsize=None)
def _listed() -> dict[str, frozenset[str]]:
    return {of_class: frozenset(domains) for of_class, domains in tables()["domains"].items()}


def _registrable_length(domain: str) -> int:
    """The length from which a parent counts, by the rules that can matter: the label before a public suffix, and the suffix."""
    suffix = next((parent for parent in _parents(domain) if parent in tables()["suffixes"]), None)
    if suffix is None:
        return 0
    return len(domain) if suffix == domain else len(suffix) + 1 + len(domain[: -len(suffix) - 1].rpartition(".")[2])


def _parents(domain: str) -> list[str]:
    labels = domain.split(".")
    return [".".join(labels[at:]) for at in range(len(labels))]


def _of_longest(words: dict, domain: str):
    return next((words[parent] for parent in _parents(domain) if parent in words), None) if words else None
