"""Receives what the relay sends, and verifies it with the library of the standard's own project.

Needs the package `standardwebhooks`. Starts the release build (or SELFSAME_BINARY) on a folder of its own, and relays a few events to a receiver here. Prints
one line for each claim; exits non-zero when one does not hold.
"""

import http.server
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SELFSAME_BINARY") or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "selfsame")
ADDRESS = "127.0.0.1:50966"
PATIENCE_SECONDS = 60

failed = 0
received = queue.Queue()


def claim(text, holds, seen=""):
    global failed
    failed += not holds
    print(("ok      " if holds else "BROKEN  ") + text + ("" if holds else f"\n        saw: {seen}"))


class Receiver(http.server.BaseHTTPRequestHandler):
    """Accepts everything, and keeps it as it came."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.put((body, dict(self.headers.items())))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def selfsame(*arguments):
    return subprocess.run([BINARY, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def verifies(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
        return True
    except WebhookVerificationError:
        return False


def main():
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        secrets = [selfsame("relay", "secret") for _ in range(3)]
        # The newest first; the third is nobody's.
        (scratch / "secrets").write_text("\n".join(secrets[:2]) + "\n")
        (scratch / "relay.toml").write_text(
            f'folder = "{scratch / "relay"}"\n[metrics]\nlisten = "none"\n[[webhooks]]\nname = "python"\nprogram = "shop"\n'
            f'url = "http://127.0.0.1:{receiver.server_port}/hooks"\nsecrets_file = "{scratch / "secrets"}"\n'
        )
        log = open(scratch / "log", "w")
        serve = [BINARY, "serve", "--data-dir", scratch / "ledger", "--listen", ADDRESS, "--metrics", "none"]
        relay = [BINARY, "relay", "--config", scratch / "relay.toml", "run", "--server", f"http://{ADDRESS}"]
        # The relay waits for a server that is not there yet.
        running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log) for command in (relay, serve)]
        try:
            hold(running)
            look([received.get(timeout=PATIENCE_SECONDS) for _ in range(3)], secrets)
        except Exception:
            print((scratch / "log").read_text())
            raise
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(timeout=PATIENCE_SECONDS)
    print("all claims hold" if not failed else f"{failed} claims are broken")
    sys.exit(1 if failed else 0)


def hold(running):
    """Three events: a hold on each of three referrers."""
    for account in ("mallory", "trent", "walter"):
        for _ in range(PATIENCE_SECONDS * 5):
            arguments = ["hold", "--program", "shop", "--server", f"http://{ADDRESS}", "place", "--referrer", account]
            if subprocess.run([BINARY, *arguments], capture_output=True).returncode == 0:
                break
            if running[1].poll() is not None:
                raise RuntimeError("the server ended")
            threading.Event().wait(0.2)


def look(messages, secrets):
    newest, older, foreign = secrets
    body, headers = messages[0]
    claim("the newest secret verifies", all(verifies(newest, *message) for message in messages), headers)
    claim("the older secret verifies too", all(verifies(older, *message) for message in messages), headers)
    claim("another secret does not", not verifies(foreign, body, headers))
    claim("a changed body does not", not verifies(newest, body.replace(b'"version":1', b'"version":2'), headers))
    changed = {name: "shop_1-0000000000000000_0" if name.lower() == "webhook-id" else value for name, value in headers.items()}
    claim("a changed id does not", not verifies(newest, body, changed))
    told = [json.loads(message) for message, _ in messages]
    claim("the body has type, time and version", all(set(one) == {"type", "timestamp", "version", "data"} for one in told), told)
    accounts = sorted(one["data"]["referrerAccountId"] for one in told)
    claim("each event came, once", accounts == ["mallory", "trent", "walter"], accounts)
    ids = {header["webhook-id"] if "webhook-id" in header else header["Webhook-Id"] for _, header in messages}
    claim("each message has an id of its own", len(ids) == 3, ids)


main()
