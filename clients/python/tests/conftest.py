"""A real server for the tests: the binary that SELFSAME_BINARY names, on loopback, in a folder of its own."""

import os
import pathlib
import re
import subprocess

import pytest

from selfsame import Client, Digester, ProgrammeKey

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("SELFSAME_BINARY") or str(pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/selfsame")
CAMPAIGN = '[payout.campaigns.tour]\ndelay_days = 0\ncounts_from = "later"\n'


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of a server whose campaign `tour` pays at once."""
    folder = tmp_path_factory.mktemp("server")
    policy = subprocess.run([BINARY, "policy", "show"], check=True, capture_output=True, text=True).stdout
    (folder / "tour.toml").write_text(re.sub("(?m)^version = .*", 'version = "tour-1"', policy, count=1) + CAMPAIGN, encoding="utf-8")
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", folder / "ledger", "--policy", folder / "tour.toml", "--metrics", "none"]
    with open(folder / "log", "w", encoding="utf-8") as log:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield next(found[1] for line in running.stdout if (found := re.search("API +(127\\.0\\.0\\.1:[0-9]+)", line)))
    finally:
        running.terminate()
        running.wait(timeout=60)
        assert "panic" not in (folder / "log").read_text(encoding="utf-8")


@pytest.fixture
def client(server):
    with Client(server, actor="tests") as connected:
        yield connected


@pytest.fixture(scope="session")
def digester():
    return Digester(ProgrammeKey("k1", bytes(range(32))))


@pytest.fixture(scope="session")
def guarded(tmp_path_factory):
    """A server that speaks TLS and asks who calls: its address, the file of whom to trust, and the administrator's token."""
    folder = tmp_path_factory.mktemp("guarded")
    certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=selfsame"]
    certificate += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "tls.key", "-out", folder / "tls.crt"]
    subprocess.run(certificate, check=True, capture_output=True)
    settings = {"TLS__CERTIFICATE_FILE": "tls.crt", "TLS__KEY_FILE": "tls.key", "ACCESS__ADMIN_TOKEN_FILE": "admin.token"}
    named = {f"SELFSAME_{name}": str(folder / file) for name, file in settings.items()}
    command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data-dir", folder / "ledger", "--metrics", "none"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **named})
    try:
        address = next(found[1] for line in running.stdout if (found := re.search("API +(127\\.0\\.0\\.1:[0-9]+)", line)))
        yield address, str(folder / "tls.crt"), (folder / "admin.token").read_text(encoding="utf-8").strip()
    finally:
        running.terminate()
        running.wait(timeout=60)
