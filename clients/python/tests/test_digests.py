"""Digests: what `selfsame digest` makes of inputs at random, and what the client does beyond that."""

import pathlib
import subprocess
import sys

import conformance
import pytest
from conftest import BINARY, ROOT

from selfsame.digesting import DigestError, Digester, DomainRules, EmailAddress, ProgrammeKey, Refusal, dice, identifier

CASES = 4_000


def test_inputs_at_random_are_digested_as_the_command_does(tmp_path):
    cases = tmp_path / "cases.jsonl"
    subprocess.run([sys.executable, ROOT / "clients/conformance/make.py", BINARY, cases, "15", str(CASES)], check=True)
    counted, different = conformance.compare(cases)
    assert different == []
    assert counted["same"] > 0.95 * CASES and counted["too new"] < 0.02 * CASES


def test_every_vector_of_the_document_holds():
    run = subprocess.run([sys.executable, ROOT / "tests/python/digest_vectors.py"], capture_output=True, text=True)
    assert run.returncode == 0 and " 0 skipped" in run.stdout, run.stdout


def test_a_bundle_keeps_what_is_a_value_and_tells_what_is_none(digester):
    bundle, left_out = digester.bundle(
        "ann",
        emails=["ann@mail.example", "test@test.com"],
        names=["N/A"],
        devices=[{"fingerprint": "fp_8f3a", "time_zone": "Europe/Berlin"}],
        addresses=["2001:db8::1", "127.0.0.1"],
        payments=[("SEPA", "PAYOUT", "AT61 1904 3002 3457 3201"), ("CARD", "BILLING", "4242 4242 4242 4242")],
    )
    assert [len(bundle.get(field, [])) for field in ("emails", "names", "devices", "networks", "payments")] == [1, 0, 1, 3, 1]
    assert [(place, fault.refusal) for place, fault in left_out] == [
        ("emails[1]", Refusal.PLACEHOLDER),
        ("names[0]", Refusal.PLACEHOLDER),
        ("networks[1]", Refusal.NOT_OF_A_USER),
        ("payments[1]", Refusal.TEST_CARD),
    ]


def test_a_character_that_is_too_new_is_refused_and_not_digested_otherwise():
    for typed in ("fp_\U0001e5d0", "fp_\ud800"):
        with pytest.raises(DigestError):
            identifier(typed)


def test_two_keys_give_two_digests(digester):
    both = Digester(ProgrammeKey("k2", bytes(range(9, 41))), ProgrammeKey("k1", bytes(range(32))))
    exact = both.email("jane@example.com")["exact"]
    assert [digest["key_id"] for digest in exact] == ["k1", "k2"]
    assert exact[0] == digester.email("jane@example.com")["exact"][0]
    with pytest.raises(DigestError):
        Digester(ProgrammeKey("k1", bytes(range(9, 41))), ProgrammeKey("k1", bytes(range(32))))


def test_a_key_is_read_as_the_command_reads_it():
    digits = bytes(range(32)).hex()
    for text in (digits, "hex:" + digits.upper(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"):
        assert ProgrammeKey.from_text("k1", text).mac(b"x") == ProgrammeKey("k1", bytes(range(32))).mac(b"x")
    for text in ("", digits[:62], digits[:63], "0" * 64, "correct horse battery staple, and more", "raw:short"):
        with pytest.raises(DigestError):
            ProgrammeKey.from_text("k1", text)
    assert "0001" not in repr(ProgrammeKey.from_text("k1", digits))


def test_your_own_domains_go_before_the_shipped_lists():
    rules = DomainRules("ThrowAway.example disposable\nmailinator.com corporate # odd\ncompany.example folds_plus\ngmail.com keeps_plus\n")
    assert [rules.class_of(domain) for domain in ("a.throwaway.example", "inbox.mailinator.com", "gmail.com")] == ["DISPOSABLE", "CORPORATE", "FREE_MAIL"]
    assert EmailAddress.parse("anna+1@mail.company.example").mailbox(rules).address == "anna@mail.company.example"
    assert EmailAddress.parse("an.na+1@gmail.com").mailbox(rules).address == "anna+1@gmail.com"
    for line in ("not a domain", "company.example", "company.example good"):
        with pytest.raises(DigestError):
            rules.add_file(f"ok.example relay\n{line}\n")
    assert rules.class_of("ok.example") == "CORPORATE"


def test_no_error_shows_the_value(digester):
    for refused in (lambda: digester.email("secret@b\u0153\u2260.example.."), lambda: digester.name("secret" * 99), lambda: digester.networks("secret")):
        with pytest.raises(DigestError) as fault:
            refused()
        assert "secret" not in str(fault.value) and fault.value.__cause__ is None


def test_a_typo_keeps_most_of_a_sketch(digester):
    one, typo, stranger = (digester.name(name)["sketch"][0]["bits"] for name in ("Jane Robinson", "Jane Robinsom", "Muhammad Cox"))
    assert dice(one, typo) > 0.75 > 0.25 > dice(one, stranger)


def test_the_tables_are_what_their_sources_give():
    assert pathlib.Path(ROOT / "clients/go/digest/tables.json").is_file()
    subprocess.run([sys.executable, ROOT / "clients/tables.py", "--check"], check=True)
