"""Makes the tables that every client digests with: `clients/go/digest/tables.json`, one file for three languages.

Reads what the project states elsewhere: the tables of docs/digests.md, the lists of domains beside the Rust code, the rules of the Public Suffix List in
the crate that Cargo.lock names (where it is unpacked; without it those rules stay as they are). `--unicode` makes the character tables anew: run
it with Python 3.11, whose Unicode is 14.0, and a node at hand. `--check` writes nothing and fails when the file is not what would be written.

It lies in the Go module because a Go module cannot take files from outside; Python and TypeScript copy it when they are built.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[1]
TABLES = ROOT / "clients/go/digest/tables.json"
LISTS = ROOT / "src/digesting/lists"
DOCUMENT = (ROOT / "docs/digests.md").read_text(encoding="utf-8")
CLASSES = {"disposable": "DISPOSABLE", "relay": "RELAY", "free_mail": "FREE_MAIL"}
# What the clients ask of characters, and how node spells it.
PROPERTIES = {
    "alphabetic_marks": r"[\p{Alphabetic}--[\p{L}\p{Nl}]]",
    "latin": r"\p{Script=Latin}",
    "greek": r"\p{Script=Greek}",
    "cyrillic": r"\p{Script=Cyrillic}",
    "white_space": r"\p{White_Space}",
    "invisible": r"\p{Default_Ignorable_Code_Point}",
}
# Whose place in right-to-left domains (`Bidi_Class`) or standing in UTS #46 has changed since Unicode 14.0, and joiners, on whose neighbours libraries
# differ; found with `conformance/make.py`.
NEW_IN_DOMAINS = {0x200C, 0x200D, 0x17B4, 0x17B5, 0x1806, 0x1B3A, 0x1B3C, 0x1B42, 0x2260, 0x226E, 0x226F, 0x1171E}
RANGES_IN_NODE = """
const ranges = {};
for (const [name, source] of Object.entries(JSON.parse(process.argv[1]))) {
  const pattern = new RegExp(source, "v"), found = [];
  for (let at = 0; at < 0x110000; at++) if (!(at >= 0xd800 && at < 0xe000) && pattern.test(String.fromCodePoint(at))) found.push(at);
  ranges[name] = found;
}
console.log(JSON.stringify(ranges));
"""


def table(heading):
    """The rows of the table below a heading, as lists of cells."""
    section = DOCUMENT.split(heading + "\n", 1)[1].split("\n#", 1)[0]
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in section.split("\n") if line.startswith("|")]
    return rows[2:]


def ticked(cell):
    return re.findall("`([^`]+)`", cell)


def providers():
    for _, domains, canonical, tags, ignored, same, label, _ in table("### Provider rules"):
        yield {
            "domains": ticked(domains),
            "canonical": "".join(ticked(canonical)),
            "tags": "".join(ticked(tags)),
            "ignored": "".join(ticked(ignored)),
            "same": "".join(ticked(same)),
            "account": label == "account",
        }


def lists():
    for name, of_class in CLASSES.items():
        lines = (LISTS / f"{name}_domains.txt").read_text(encoding="utf-8").split("\n")
        yield of_class, [line for line in lines if line and not line.startswith("#")]


def suffixes(listed, kept):
    """The rules of the Public Suffix List at or below a listed domain. No other rule can change what a list says."""
    version = re.search('name = "psl"\nversion = "([^"]+)"', (ROOT / "Cargo.lock").read_text(encoding="utf-8"))[1]
    home = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")
    rules = list(home.glob(f"registry/src/*/psl-{version}/data/rules.txt"))
    if not rules:
        print(f"suffixes: kept, the crate psl {version} is not unpacked here")
        return kept
    stated = {line.strip() for line in rules[0].read_text(encoding="utf-8").split("\n") if line.strip()}
    found = {domain for domain in listed if "*." + domain.split(".", 1)[1] in stated}
    for rule in stated:
        labels = rule.removeprefix("!").removeprefix("*.").split(".")
        if any(".".join(labels[at:]) in listed for at in range(len(labels))):
            found.add(rule)
    if any(rule[0] in "!*" for rule in found):
        sys.exit("a rule with `*` or `!` is at a listed domain: the clients know plain rules only")
    return sorted(found)


def in_ranges(points):
    """`41-5a aa`: sorted code points as ranges in hexadecimal."""
    points, ranges = sorted(points), []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return " ".join(f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in ranges)


def characters():
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"--unicode needs a Python whose Unicode is 14.0, not {unicodedata.unidata_version}")
    answer = subprocess.run(["node", "-e", RANGES_IN_NODE, json.dumps(PROPERTIES)], check=True, capture_output=True, text=True).stdout
    found = {name: set(points) for name, points in json.loads(answer).items()}
    new = {point for point in range(0x110000) if unicodedata.category(chr(point)) == "Cn"} - found["invisible"]
    found["new_in_domains"] = NEW_IN_DOMAINS
    return {"new": in_ranges(new), **{name: in_ranges(points - new) for name, points in found.items()}}


def made(kept):
    lengths = re.findall("([A-Z]{2}) ([0-9]+)", DOCUMENT.split("Lengths of IBANs by country:", 1)[1].split("\n\n", 1)[0])
    domains = dict(lists())
    listed = {domain for of_class in domains.values() for domain in of_class}
    return {
        "source": "Made by clients/tables.py of docs/digests.md, src/digesting/lists and the Public Suffix List. Do not edit.",
        "characters": characters() if "--unicode" in sys.argv else kept["characters"],
        "placeholders": {row[0]: ticked(row[1]) for row in table("### Placeholder table")},
        "providers": list(providers()),
        "letters": {ticked(row[0])[0]: ticked(row[1])[0] for row in table("### Letters spelled out")},
        "iban_lengths": {country: int(length) for country, length in lengths},
        "test_cards": DOCUMENT.split("Test cards: ", 1)[1].split(".", 1)[0].split(", "),
        "suffixes": suffixes(listed, kept.get("suffixes", [])),
        "domains": domains,
    }


def main():
    kept = json.loads(TABLES.read_text(encoding="utf-8")) if TABLES.exists() else {}
    text = json.dumps(made(kept), ensure_ascii=False, indent=0) + "\n"
    if "--check" not in sys.argv:
        TABLES.write_text(text, encoding="utf-8")
    elif text != TABLES.read_text(encoding="utf-8"):
        sys.exit(f"{TABLES.relative_to(ROOT)} is not what its sources give: run python3 clients/tables.py")


if __name__ == "__main__":
    main()
