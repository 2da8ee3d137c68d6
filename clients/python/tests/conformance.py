"""Digests what clients/conformance/make.py wrote, and tells where this client and `selfsame digest` differ. Run: python conformance.py CASES"""

import base64
import collections
import json
import sys

from selfsame.digesting import DigestError, Digester, ProgrammeKey, Refusal

DIGESTER = Digester(ProgrammeKey("k1", bytes(range(32))))


def in_json(value):
    """A message as proto3 JSON."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [in_json(item) for item in value]
    if isinstance(value, dict):
        camel = lambda name: "".join(part if at == 0 else part.title() for at, part in enumerate(name.split("_")))
        return {camel(name): in_json(item) for name, item in value.items() if item not in ([], "")}
    return value


def digested(kind, typed):
    if kind == "email":
        return [{**DIGESTER.email(typed), "plus_folded": DIGESTER.plus_folded(typed)}]
    if kind == "name":
        return [DIGESTER.name(typed)]
    if kind in ("device", "browser"):
        return [DIGESTER.device(**{"fingerprint" if kind == "device" else kind: typed})]
    if kind == "ip":
        return DIGESTER.networks(typed)
    payment_kind = kind.partition(":")[2]
    if payment_kind == "":
        from selfsame.digesting import instrument

        return [{"instrument": DIGESTER.digests("payment.instrument", instrument(None, typed))}]
    signals = DIGESTER.payment(payment_kind, "PAYOUT", typed)
    del signals["purpose"]
    return [signals]


def compare(path):
    """How often this client did as the command, refused for a character that is too new, and differed; with the cases that differ."""
    count, differ = collections.Counter(), []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            try:
                found = in_json(digested(case["kind"], case["typed"]))
            except DigestError as fault:
                if fault.refusal == Refusal.NEW_CHARACTER and case["expected"] is not None:
                    count["too new"] += 1
                    continue
                found = None
            count["same" if found == case["expected"] else "different"] += 1
            if found != case["expected"]:
                differ.append((case["kind"], case["typed"], case["expected"] is None, found is None))
    return count, differ


if __name__ == "__main__":
    counted, different = compare(sys.argv[1])
    for kind, typed, refused_there, refused_here in different[:40]:
        print(kind, ascii(typed), "refused there" if refused_there else "", "refused here" if refused_here else "")
    print(dict(counted))
    sys.exit(counted["different"] > 0)
