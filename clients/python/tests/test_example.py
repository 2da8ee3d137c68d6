"""The example of the README, as a stranger would run it."""

import os
import subprocess
import sys

from conftest import ROOT


def test_the_example_screens_pays_and_follows(server):
    settings = {"SELFSAME_SERVER": server, "SELFSAME_PROGRAMME_KEY": bytes(range(32)).hex(), "SELFSAME_CAMPAIGN": "tour"}
    command = [sys.executable, ROOT / "clients/python/examples/reward_service.py"]
    run = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    for told in ("names[1]: the value is a placeholder", "VERDICT_APPROVED", "payout: rw-in-7 PAID", "FEED_EVENT_KIND_PAID cv-in-7 rw-in-7"):
        assert told in run.stdout, run.stdout
