"""Recomputes every test vector of docs/digests.md with nothing but Python's standard library.

Written from the document alone, to show that the document is enough. Run: python3 tests/python/digest_vectors.py
"""

import hashlib, hmac, ipaddress, pathlib, re, sys, unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs/digests.md").read_text(encoding="utf-8")
KEY = bytes(range(32))
SPACE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"


def table(heading):
    """The rows of the table below a heading, as lists of the texts between backticks (or of the bare cells)."""
    lines = DOCUMENT.split(heading + "\n", 1)[1].split("\n#", 1)[0].split("\n")
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|")]
    return [[cell[1:-1] if cell.startswith("`") and cell.count("`") == 2 else cell for cell in row] for row in rows[2:]]


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def fold_case(text):
    lower = "".join(c.lower() for c in unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", lower)


def trim(text):
    while text and (text[0].isspace() or text[0] in SPACE):
        text = text[1:]
    while text and (text[-1].isspace() or text[-1] in SPACE):
        text = text[:-1]
    return text


def providers():
    for _, domains, canonical, tags, ignored, same, label, _ in table("### Provider rules"):
        marks = lambda cell: re.findall("`(.)`", cell) or ([cell] if len(cell) == 1 else [])
        yield domains.replace("`", "").split(", "), canonical, marks(tags), marks(ignored), marks(same), label


def email(typed):
    local, domain = fold_case(trim(typed)).rsplit("@", 1)
    domain = domain.rstrip(".").encode("idna").decode()
    exact, tags, ignored, same = f"{local}@{domain}", ["+"], [], []
    name = local
    for domains, canonical, *rule, label in providers():
        parent = domain.split(".", 1)[1]
        if domain in domains or (label == "account" and parent in domains):
            if domain not in domains:
                name, domain = domain.split(".", 1)
            (tags, ignored, same), domain = rule, canonical or domain
    cuts = [i for i, c in enumerate(name) if i and c in tags]
    name = name[: cuts[0]] if cuts else name
    name = "".join(c for c in name if c not in ignored) or name
    name = name.replace(*same) if same else name
    letters = re.sub("[0-9]", "", name).strip("._-")
    bare = re.sub("[._-]", "", name) or name
    return [exact, f"{name}@{domain}", f"{letters}@{domain}" if len(letters) >= 3 else "absent", bare, domain]


def person(typed):
    letters = dict(row[:2] for row in table("### Letters spelled out"))
    typed = "".join(c for c in typed if c not in "'\u2018\u2019\u02bc`\u00b4" + SPACE)
    plain = unicodedata.normalize("NFKD", "".join(c.lower() for c in unicodedata.normalize("NFKD", typed)))
    plain = "".join(c for c in plain if unicodedata.category(c)[0] != "M" and c != "'")
    plain = "".join(letters.get(c, c if c.isalnum() else " ") for c in plain)
    return " ".join(sorted(plain.split()))


def network(typed):
    address = ipaddress.ip_address(trim(typed).strip("[]"))
    address = getattr(address, "ipv4_mapped", None) or address
    length = 24 if address.version == 4 else 48
    first = ipaddress.ip_network((address, length), strict=False).network_address
    return [address.exploded, f"{first.exploded}/{length}"]


def sketch(kind, folded):
    sub_key, bits = mac(KEY, kind.encode(), b"\0"), bytearray(128)
    for word in folded.split():
        padded = f"_{word}_"
        for start in range(len(padded) - 1):
            words = mac(sub_key, padded[start : start + 2].encode())
            for at in range(0, 20, 2):
                position = int.from_bytes(words[at : at + 2], "big") % 1024
                bits[position // 8] |= 1 << (position % 8)
    return bytes(bits).hex()


CHECKS = [
    ("### E-mail vectors", lambda row: (email(row[0]), row[1:6])),
    ("### Name vectors", lambda row: (person(row[0]), row[1])),
    ("### Network vectors", lambda row: (network(row[0]), row[1:3])),
    ("### Digest vectors", lambda row: (mac(KEY, row[0].encode(), b"\0", row[1].encode()).hex(), row[2])),
    ("### Sketch vectors", lambda row: (sketch(row[0], row[1]), row[2])),
]

if __name__ == "__main__":
    passed, failed = 0, 0
    for heading, check in CHECKS:
        for row in table(heading):
            found, stated = check(row)
            passed, failed = passed + (found == stated), failed + (found != stated)
            if found != stated:
                print(f"{heading}: {row[0]!r}: found {found}, the document states {stated}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
