"""Recomputes every test vector of docs/digests.md with the Python client's digesting, clients/python/src/selfsame/digesting.

Needs the standard library alone; with the package `idna` beside it, vectors with domains that are not ASCII too.
Run: python3 tests/python/digest_vectors.py
"""

import importlib.util, pathlib, sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "clients/python/src"))

from selfsame import digesting
from selfsame.digesting import DigestError, Digester, DomainRules, EmailAddress, ProgrammeKey, Refusal

DOCUMENT = (ROOT / "docs/digests.md").read_text(encoding="utf-8")
DIGESTER = Digester(ProgrammeKey("k1", bytes(range(32))))
RULES = DomainRules()
HAS_IDNA = importlib.util.find_spec("idna") is not None


def table(heading):
    """The rows of the table below a heading, as lists of the texts between backticks (or of the bare cells)."""
    lines = DOCUMENT.split(heading + "\n", 1)[1].split("\n#", 1)[0].split("\n")
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|")]
    return [[cell[1:-1] if cell.startswith("`") and cell.count("`") == 2 else cell for cell in row] for row in rows[2:]]


def email(typed):
    address = EmailAddress.parse(typed)
    mailbox = address.mailbox(RULES)
    shown = lambda text: text or "absent"
    bare = mailbox.bare_local_part
    return [address.exact, mailbox.address, shown(address.plus_folded(RULES)), shown(mailbox.pattern), bare, mailbox.domain, RULES.class_of(address.domain)]


def person(of, typed):
    if of == "name":
        return digesting.person_of_name(digesting.folded_name(typed)[1]) or "absent"
    return digesting.person_of_mailbox(EmailAddress.parse(typed).mailbox(RULES)) or "absent"


def network(typed):
    address, prefixes = digesting.network(typed)
    return [address, "`, `".join(prefixes)]


def is_placeholder(of, typed):
    parse = {
        "identifier": digesting.identifier,
        "payment": lambda text: digesting.instrument(None, text),
        "name": digesting.folded_name,
        "e-mail": EmailAddress.parse,
    }[of]
    try:
        parse(typed)
        return "no"
    except DigestError as fault:
        return "yes" if fault.refusal in (Refusal.PLACEHOLDER, Refusal.TEST_CARD) else fault.refusal


CHECKS = [
    ("### E-mail vectors", lambda row: (email(row[0]), row[1:])),
    ("### Name vectors", lambda row: (digesting.folded_name(row[0])[0], row[1])),
    ("### Person vectors", lambda row: (person(row[0], row[1]), row[2])),
    ("### Network vectors", lambda row: (network(row[0]), [row[1], row[2].strip("`")])),
    ("### Payment vectors", lambda row: (digesting.instrument(row[0] or None, row[1]), row[2])),
    ("### Placeholder vectors", lambda row: (is_placeholder(row[0], row[1]), row[2])),
    ("### Digest vectors", lambda row: (DIGESTER.digests(row[0], row[1])[0]["value"].hex(), row[2])),
    ("### Sketch vectors", lambda row: (DIGESTER.sketches(row[0], row[1])[0]["bits"].hex(), row[2])),
]


def main():
    passed, failed, skipped = 0, 0, 0
    for heading, check in CHECKS:
        for row in table(heading):
            try:
                found, stated = check(row)
            except ModuleNotFoundError:
                skipped += 1
                continue
            passed, failed = passed + (found == stated), failed + (found != stated)
            if found != stated:
                print(f"{heading}: {row[0]!r}: found {found}, the document states {stated}")
    if skipped:
        print("skipped: domains that are not ASCII need the package `idna`")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed or (skipped and HAS_IDNA) else 0)


if __name__ == "__main__":
    main()
