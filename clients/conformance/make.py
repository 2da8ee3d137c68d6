"""Makes inputs at random, digests them with `selfsame digest`, and writes both: what every client has to reproduce byte by byte.

One JSON object a line: `kind` (`email`, `name`, `device`, `browser`, `ip`, or `payment:CARD` and the like; `payment:` without a kind), `typed`, and
`expected`: the objects that the command wrote, null when it refused. Run: python3 clients/conformance/make.py BINARY OUTPUT [SEED] [COUNT]
With `characters` as COUNT every character of Unicode 14 is put into a name, an address and a domain instead (some minutes).
"""

import json
import pathlib
import random
import re
import subprocess
import sys
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLES = json.loads((ROOT / "clients/go/digest/tables.json").read_text(encoding="utf-8"))
KEY = {"SELFSAME_PROGRAMME_KEY": "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"}
KINDS = ["", "CARD", "SEPA", "PAYPAL", "BANK_ACCOUNT", "WALLET", "OTHER"]
PROVIDED = [domain for provider in TABLES["providers"] for domain in provider["domains"]]
LISTED = [domain for domains in TABLES["domains"].values() for domain in domains]
PLACEHOLDERS = [text for row in TABLES["placeholders"].values() for text in row]
SEPARATORS = [" ", "-", ".", "/", "\u00a0", "\u2010", "\u2013", "\u3000", "\t"]
# Letters, marks and signs of many scripts, and what folding trips over.
ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "äöüßéèêñçåøæœłđðþħıİŁØẞǅŉﬁﬀſKÅ", "αβγδεζηθικλμνξοπρσςτυφχψωΆΈΣΐΰᾳῼ",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюяЁЙЇЎЍ", "אבגדהוזחטילמנסעפצקרשת\u05b8\u05bc׳", "ابتثجحخدذرزسشصضطظعغفقكلمنهويـ\u064b\u0651٠١٢",
    "अआइकखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसहिीुूेैोौंः़्क़", "กขคงจฉชซญดตถทนบปผพภมยรลวสหอฮ่้๊๋ิีึืุูำเแโใไ", "あいうえおかきくけこがぎぐアイウカキクガギグｱｲｳｶﾞﾊﾟー々",
    "李小龙王伟张陳黃𠮷", "김민수박서준각힣ᄀᆨ", "ႠႡႢႣაბგⴀⴁᲐᲑ", "ᎠᎡᎢꭰꭱꭲᏸᏹ", "\u0301\u0300\u0308\u0323\u0327\u0306\u0345\u200c\u200d\u00ad\u2060", "0123456789٣４²½Ⅷⓐ", " -'’`´._+,;/&()·",
]
DOMAIN_ALPHABETS = ALPHABETS[:14] + ["0123456789-", "☃♥★·׳゛", "\u200c\u200d\u0301\u0327"]


def word(draw, alphabets=ALPHABETS, least=1, most=8):
    main = draw.choice(alphabets)
    return "".join(draw.choice(main if draw.random() < 0.85 else draw.choice(alphabets)) for _ in range(draw.randint(least, most)))


def spoiled(draw, text):
    """The text, now and then with something at its ends, in other letters, or with a character of any kind in it."""
    if draw.random() < 0.1:
        text = draw.choice([" ", "\ufeff", "\u200b", "\t", "\u3000"]) + text + draw.choice([" ", "\u00a0", "\u200b"])
    if draw.random() < 0.1:
        text = text.upper()
    if draw.random() < 0.05:
        text = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    if draw.random() < 0.05:
        at = draw.randint(0, len(text))
        text = text[:at] + chr(draw.choice([draw.randrange(0x20, 0x3000), draw.randrange(0x20, 0x20000)])) + text[at:]
    return text


def label(draw):
    if draw.random() < 0.12:
        text = word(draw, DOMAIN_ALPHABETS)
        return "xn--" + draw.choice([text, text.lower(), unicodedata.normalize("NFC", text)]).encode("punycode").decode("ascii")
    if draw.random() < 0.3:
        return word(draw, DOMAIN_ALPHABETS)
    return "".join(draw.choice("abcdefgh012-_") for _ in range(draw.randint(1, 9)))


def domain(draw):
    kind = draw.random()
    if kind < 0.3:
        found = draw.choice(PROVIDED)
    elif kind < 0.5:
        found = draw.choice(LISTED)
    elif kind < 0.6:
        found = draw.choice(PLACEHOLDERS) + draw.choice([".com", ".de", ".co.uk", ".example", ".test", ".a.b", ""])
    else:
        found = ".".join(label(draw) for _ in range(draw.randint(1, 3))) + draw.choice([".com", ".de", ".рф", ".example", ""])
    if draw.random() < 0.3:
        found = label(draw) + draw.choice([".", ".", ".", "。", "．"]) + found
    return found + draw.choice([""] * 9 + ["."])


def email(draw):
    local = draw.choice([lambda: word(draw), lambda: draw.choice(PLACEHOLDERS), lambda: word(draw, ALPHABETS[:1]) + draw.choice(["", ".", "_", "-", "+"]) + word(draw, ALPHABETS[:3])])()
    tag = draw.choice(["", "", "+" + word(draw, ALPHABETS[:1]), "-shop", "+", str(draw.randrange(100))])
    return spoiled(draw, local + tag + draw.choice(["@"] * 30 + ["", "@@", "＠"]) + domain(draw))


def name(draw):
    if draw.random() < 0.1:
        return spoiled(draw, draw.choice(PLACEHOLDERS) + draw.choice(["", " ", "/"]) + draw.choice(PLACEHOLDERS + [""] * 50))
    return spoiled(draw, draw.choice([" ", " ", "-", ", ", "´"]).join(word(draw) for _ in range(draw.randint(1, 4))))


def identifier(draw):
    found = draw.choice([
        lambda: draw.choice(PLACEHOLDERS), lambda: "0" * draw.randint(1, 36), lambda: draw.choice("0fx-") * draw.randint(1, 20), lambda: f"{draw.getrandbits(128):032x}",
        lambda: "fp_" + word(draw), lambda: "0x" + "0" * 8, lambda: word(draw, most=30), lambda: "ab" * draw.choice([510, 512, 513]),
    ])()
    return spoiled(draw, found)


def iban(draw):
    country = draw.choice(list(TABLES["iban_lengths"]))
    length = TABLES["iban_lengths"][country] + draw.choice([0] * 8 + [1, -1, 2, 3, -3])
    rest = "".join(draw.choice("0123456789" if draw.random() < 0.8 else "0123456789ABCXYZ") for _ in range(length - 4))
    check = 98 - int("".join(str(int(c, 36)) for c in rest + country + "00")) % 97
    text = f"{country}{check if draw.random() < 0.8 else draw.randrange(100):02d}{rest}"
    text = draw.choice([text, text, text.lower(), text.swapcase(), text[:1].lower() + text[1:]])
    if draw.random() < 0.5:
        separator = draw.choice(SEPARATORS)
        text = separator.join(text[at : at + 4] for at in range(0, len(text), 4))
    return draw.choice(["", "", "", "IBAN ", "iban: ", "IBAN", "Iban-", "IBAN:"]) + text


def instrument(draw):
    number = "".join(draw.choice("0123456789") for _ in range(draw.choice([4, 7, 8, 10, 13, 15, 16, 16, 19])))
    found = draw.choice([
        lambda: iban(draw), lambda: iban(draw), lambda: identifier(draw), lambda: email(draw), lambda: draw.choice(TABLES["test_cards"]), lambda: "400000" + number[:10],
        lambda: number, lambda: draw.choice(["****", "xxxx", "••••", "x", "#" * 12]) + draw.choice(["", " ", "-"]) + number[:4], lambda: number[:6] + "******" + number[:4],
        lambda: "".join(draw.choice("abcdefghjkmnpqrstuvwxyzABCDEF23456789") for _ in range(13)), lambda: draw.choice(["IBAN", "iban:", "IBAN "]) + draw.choice(PLACEHOLDERS),
    ])()
    if draw.random() < 0.2 and found.isascii():
        separator = draw.choice(SEPARATORS)
        found = separator.join(found[at : at + 4] for at in range(0, len(found), 4))
    return spoiled(draw, found)


def address(draw):
    v4 = ".".join(str(draw.choice([0, 1, 10, 127, 169, 254, 203, 224, 240, 255, 256, draw.randrange(256)])) for _ in range(4))
    groups = [f"{draw.choice([0, 1, 0x2001, 0xFE80, 0xFEBF, 0xFF02, 0xFFFF, draw.randrange(65536)]):x}" for _ in range(8)]
    at = draw.randint(0, 7)
    return spoiled(draw, draw.choice([
        v4, v4, f"::ffff:{v4}", f"::{v4}", ":".join(groups), ":".join(groups[:at]) + "::" + ":".join(groups[at + 1 :]), "[" + ":".join(groups) + "]", v4 + ":80", v4 + "/24",
        "01.2.3.4", ":".join(groups) + "%eth0", "::" + groups[0], "1.2.3", v4.replace(".", "．"), f"64:ff9b::{v4}",
    ]))


MAKERS = {"email": email, "name": name, "device": identifier, "browser": identifier, "ip": address}


def every_character():
    """Each character of Unicode 14, put where it is folded."""
    new = {point for part in TABLES["characters"]["new"].split() for point in range(int(part.split("-")[0], 16), int(part.split("-")[-1], 16) + 1)}
    points = [point for point in range(0x20, 0x110000) if not 0xD800 <= point < 0xE000 and point not in new and unicodedata.category(chr(point)) != "Co"]
    for point in points:
        yield "name", f"ab{chr(point)}c"
        yield "email", f"ab{chr(point)}c@gmail.com"
        yield "email", f"x@ab{chr(point)}c.example"
        if unicodedata.bidirectional(chr(point)) in ("R", "AL", "AN", "NSM"):
            yield "email", f"x@א{chr(point)}ב.example"


def inputs(draw, count):
    for _ in range(count):
        kind = draw.choice(["email", "email", "email", "name", "name", "device", "browser", "ip", "payment", "payment"])
        if kind == "payment":
            yield f"payment:{draw.choice(KINDS)}", instrument(draw)
        else:
            yield kind, MAKERS[kind](draw)


def digested(binary, kind, typed):
    """What the command writes for each text of one kind; None where it refuses."""
    value, _, payment_kind = kind.partition(":")
    command = [binary, "digest", "--kind", value, "--format", "lines", "--input", "-", "--on-error", "skip"]
    command += ["--plus-folded"] if value == "email" else []
    command += ["--payment-kind", payment_kind] if payment_kind else []
    run = subprocess.run(command, input="\n".join(typed).encode(), capture_output=True, env=KEY, timeout=1200, check=False)
    refused = {int(number) for number in re.findall(r"^line (\d+): ", run.stderr.decode(), re.M)}
    if run.returncode != 0:
        sys.exit(run.stderr.decode())
    groups = []
    for line in run.stdout.decode().splitlines():
        found = json.loads(line)
        if value == "ip" and "address" not in found:
            groups[-1].append(found)
        else:
            groups.append([found])
    if len(groups) + len(refused) != len(typed):
        sys.exit(f"{kind}: {len(typed)} inputs, {len(groups)} digested, {len(refused)} refused")
    rest = iter(groups)
    return [None if number in refused else next(rest) for number in range(1, len(typed) + 1)]


def main():
    binary, output, seed, count = (sys.argv[1:] + ["1", "20000"])[:4] if len(sys.argv) < 5 else sys.argv[1:5]
    cases = every_character() if count == "characters" else inputs(random.Random(int(seed)), int(count))
    by_kind = {}
    for kind, typed in cases:
        # The command reads lines, and passes over empty ones.
        if "\n" not in typed and not typed.endswith("\r") and typed.strip(" \t\r\x0b\x0c\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"):
            if not any("\ud800" <= c <= "\udfff" for c in typed):
                by_kind.setdefault(kind, []).append(typed)
    with open(output, "w", encoding="utf-8") as out:
        for kind, typed in by_kind.items():
            for text, expected in zip(typed, digested(binary, kind, typed)):
                out.write(json.dumps({"kind": kind, "typed": text, "expected": expected}) + "\n")


if __name__ == "__main__":
    main()
