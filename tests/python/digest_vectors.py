"""Recomputes every test vector of docs/digests.md with nothing but Python's standard library.

Written from the document alone, to show that the document is enough. Run: python3 tests/python/digest_vectors.py
"""

import hashlib, hmac, ipaddress, pathlib, re, sys, unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs/digests.md").read_text(encoding="utf-8")
KEY = bytes(range(32))
IGNORABLE = (
    "00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 FFF0-FFF8 "
    "1BCA0-1BCA3 1D173-1D17A E0000-E0FFF"
)
SPACE = {
    chr(c)
    for part in IGNORABLE.split()
    for first, _, last in [part.partition("-")]
    for c in range(int(first, 16), int(last or first, 16) + 1)
}
APOSTROPHES = set("'`\u02bb\u02bc\u05f3\u2018\u2019\u2032\uff07\u0640")


def table(heading):
    """The rows of the table below a heading, as lists of the texts between backticks (or of the bare cells)."""
    lines = DOCUMENT.split(heading + "\n", 1)[1].split("\n#", 1)[0].split("\n")
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|")]
    return [[cell[1:-1] if cell.startswith("`") and cell.count("`") == 2 else cell for cell in row] for row in rows[2:]]


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def fold_case(text):
    lower = "".join(c.lower() for c in unicodedata.normalize("NFKC", text)).replace("ς", "σ")
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


def mailbox(typed):
    local, domain = fold_case(trim(typed)).rsplit("@", 1)
    domain = domain.rstrip(".").encode("idna").decode()
    exact, tags, ignored, same, is_known = f"{local}@{domain}", [], [], [], False
    plus = local[:1] + local[1:].split("+", 1)[0]
    plus_folded, name = f"{plus}@{domain}", local
    for domains, canonical, *rule, label in providers():
        below = [parent for parent in domains if label == "account" and domain.endswith("." + parent)]
        if not is_known and (domain in domains or below):
            is_known = True
            if domain not in domains:
                name, domain = domain[: -len(below[0]) - 1].split(".")[-1], below[0]
            (tags, ignored, same), domain = rule, canonical or domain
    cuts = [i for i, c in enumerate(name) if i and c in tags]
    name = name[: cuts[0]] if cuts else name
    name = "".join(c for c in name if c not in ignored) or name
    name = name.replace(*same) if same else name
    return name, domain, exact, "absent" if is_known else plus_folded


def email(typed):
    name, domain, exact, plus_folded = mailbox(typed)
    letters = re.sub("[0-9]", "", name).strip("._-+")
    bare = re.sub("[._-]", "", name) or name
    return [exact, f"{name}@{domain}", plus_folded, f"{letters}@{domain}" if len(letters) >= 3 else "absent", bare, domain]


def words(typed):
    letters = dict(row[:2] for row in table("### Letters spelled out"))
    form = unicodedata.normalize
    shown = lambda text: "".join(c for c in text if c not in APOSTROPHES and c not in SPACE)
    visible = form("NFD", shown(form("NFKD", trim(typed)))).replace(" \u0301", "")
    once = form("NFKD", form("NFD", visible).casefold())
    plain = form("NFD", form("NFC", shown(form("NFKD", once.casefold()))))
    kept, base = [], None
    for c in plain:
        category = unicodedata.category(c)[0]
        if category == "M":
            script = unicodedata.name(base, "").split(" ")[0] if base else ""
            composed = form("NFC", (base or "") + c)
            accent = script in ("LATIN", "GREEK") or (script == "CYRILLIC" and (len(composed) > 1 or composed in "ёѐѝ"))
            kept.append("" if base is None or accent else c)
        elif category in "LN":
            base = c
            kept.append(letters.get(c, c))
        else:
            base = None
            kept.append(" ")
    return form("NFC", "".join(kept)).split()


def person(typed):
    return " ".join(sorted(words(typed)))


def person_text(kind, typed):
    if kind == "e-mail":
        local = mailbox(typed)[0]
        typed = local[:1] + local[1:].split("+", 1)[0]
    category = lambda c: unicodedata.category(c)[0]
    parts = "".join(" " if category(c) == "N" else c for c in " ".join(words(typed))).split()
    while any(category(part[0]) == "M" for part in parts):
        parts = [rest for part in parts for rest in [part[1:] if category(part[0]) == "M" else part] if rest]
    return " ".join(parts) if sum(map(len, parts)) >= 3 else "absent"


def network(typed):
    address = ipaddress.ip_address(trim(typed).strip("[]"))
    address = getattr(address, "ipv4_mapped", None) or address
    first = lambda bits: ipaddress.ip_network((address, bits), strict=False).network_address.exploded
    lengths = [24] if address.version == 4 else [64, 56, 48]
    return [address.exploded, "`, `".join(f"{first(bits)}/{bits}" for bits in lengths)]


def payment(kind, typed):
    text = trim(typed)
    separators = "[\\s./\u2010-\u2015-]"
    kept = re.sub(separators, "", text)
    lengths = dict(re.findall("([A-Z]{2}) ([0-9]+)", DOCUMENT.split("Lengths of IBANs by country:", 1)[1].split("\n\n", 1)[0]))
    number = kept if re.fullmatch("[0-9]{8,}", kept) else text
    if kind == "PAYPAL":
        own_id = text.upper() if re.fullmatch("[A-Za-z0-9]{13}", text) else text
        return email(text)[0] if "@" in text else own_id
    if kind == "CARD":
        return number
    if kind in ("WALLET", "OTHER", "") and re.fullmatch("[^@\\s]+@[^@\\s]+[.][^@\\s]+", text):
        return email(text)[0]
    iban = re.sub(separators, "", re.sub("^IBAN:?", "", re.sub(separators, "", text.upper())))
    if str(len(iban)) == lengths.get(iban[:2]) and iban[2:4].isdigit() and iban.isalnum():
        if int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1:
            return iban
    return number


def is_placeholder(kind, typed):
    rows = {row[0]: set(re.findall("`([^`]+)`", row[1]) or [row[1]]) for row in table("### Placeholder table")}
    squeeze = lambda text: "".join(c for c in fold_case(text) if c.isalnum())
    text, listed = squeeze(typed), lambda row, word: word in rows[row]
    nothing = trim(typed) != "" and (text == "" or listed("any", text))
    if kind == "identifier":
        digits = text.removeprefix("0x")
        one = len(set(digits)) == 1 and (digits[0] == "0" or len(digits) >= 8)
        return nothing or listed("identifier", text) or one
    if kind == "payment":
        cards = DOCUMENT.split("Test cards: ", 1)[1].split(".", 1)[0].split(", ")
        card, behind = payment("", typed), re.sub("(?i)^iban\\W*", "", trim(typed))
        return card in cards or bool(re.fullmatch("400000[0-9]{10}", card)) or is_placeholder("identifier", behind)
    if kind == "name":
        folded = person(typed)
        apart = any(not c.isalnum() for c in trim(fold_case(typed)))
        words = all(listed("name, each word", word) for word in folded.split())
        return (apart and nothing) or words or not any(c.isalpha() for c in folded)
    if nothing:
        return True
    local, domain = fold_case(trim(typed)).rsplit("@", 1)
    labels = domain.split(".")
    name, label = squeeze(local), squeeze(labels[0])
    whole = len(labels) == 2 or len(labels) == 3 and labels[1] in ("co", "com", "net", "org")
    made_up_domain = listed("made-up domain", label)
    nobodys = listed("nobody's domain", label) or made_up_domain and labels[-1] in ("test", "example")
    by_name = listed("made-up local part", name) and (made_up_domain or nobodys)
    everyday = listed("everyday local part", name) and (nobodys or made_up_domain and name == label)
    return listed("local part", name) or listed("last label", labels[-1]) or whole and (by_name or everyday)


def bigrams(kind, folded):
    if kind == "sketch.person":
        joined = folded.replace(" ", "")
        ring = joined + joined[0]
        return [ring[at : at + 2] for at in range(len(joined))] + ["_" + word[0] for word in folded.split()]
    padded = [f"_{word}_" for word in folded.split()]
    return [word[at : at + 2] for word in padded for at in range(len(word) - 1)]


def sketch(kind, folded):
    sub_key, bits = mac(KEY, kind.encode(), b"\0"), bytearray(128)
    for bigram in bigrams(kind, folded):
        drawn = mac(sub_key, bigram.encode())
        for at in range(0, 20, 2):
            position = int.from_bytes(drawn[at : at + 2], "big") % 1024
            bits[position // 8] |= 1 << (position % 8)
    return bytes(bits).hex()


CHECKS = [
    ("### E-mail vectors", lambda row: (email(row[0]), row[1:7])),
    ("### Name vectors", lambda row: (person(row[0]), row[1])),
    ("### Person vectors", lambda row: (person_text(row[0], row[1]), row[2])),
    ("### Network vectors", lambda row: (network(row[0]), [row[1], row[2].strip("`")])),
    ("### Payment vectors", lambda row: (payment(row[0], row[1]), row[2])),
    ("### Placeholder vectors", lambda row: (["no", "yes"][is_placeholder(row[0], row[1])], row[2])),
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
