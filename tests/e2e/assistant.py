"""An assistant asks: "Is my integration working?", "Why was this reward held?", by another implementation of the Model Context Protocol.

Starts a server of its own, sends it a conversion that is held, and asks over both transports. SELFSAME_BINARY: the program. One line for each claim.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

try:  # The name of the client changed in 2026.
    from mcp.client.streamable_http import streamable_http_client as http_client
except ImportError:
    from mcp.client.streamable_http import streamablehttp_client as http_client

BINARY = os.path.abspath(os.environ.get("SELFSAME_BINARY", "target/release/selfsame"))
TOOLS = ["check_integration", "next_steps", "search_docs", "why_held"]
failed = 0


def claim(what, holds, told=""):
    global failed
    print(f"{'ok     ' if holds else 'BROKEN '} {what}{'' if holds else ': ' + str(told)}")
    failed += not holds


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def ask(rest, verb, path, body=None):
    headers = {"selfsame-actor": "rita"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{rest}{path}", data=data, method=verb, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def side(account, device):
    digest = [{"keyId": "k1", "value": device}]
    return {"accountId": account, "devices": [{"fingerprint": digest}]}


def conversion(number, referrer, referee, devices, now):
    return {
        "conversionId": f"cv-{number}",
        "kind": "CONVERSION_KIND_NEW_SIGNUP",
        "occurredAt": now,
        "attribution": {"capturedVia": "CAPTURED_VIA_LINK", "ucc": "CODE", "codeValidity": "CODE_VALIDITY_VALID"},
        "referrer": side(referrer, devices[0]),
        "referee": side(referee, devices[1]),
        "rewards": [{"rewardId": f"r-{number}", "beneficiary": "SIDE_REFERRER", "amount": {"amountMinor": "500", "currency": "EUR"}}],
    }


async def called(session, tool, **arguments):
    answer = await session.call_tool(tool, arguments)
    failed_there = getattr(answer, "is_error", None) or getattr(answer, "isError", False)
    return failed_there, "\n".join(part.text for part in answer.content)


async def look(session, transport):
    await session.initialize()
    tools = (await session.list_tools()).tools
    claim(f"{transport}: the tools are there", sorted(tool.name for tool in tools) == TOOLS, tools)
    read_only = [getattr(tool.annotations, "read_only_hint", None) or getattr(tool.annotations, "readOnlyHint", None) for tool in tools if tool.name != "search_docs"]
    claim(f"{transport}: they say that they only read", all(read_only), tools)
    _, text = await called(session, "check_integration", program_id="shop")
    claim(f"{transport}: is my integration working? tells what arrives", "Conversions: 2 looked at" in text, text)
    claim(f"{transport}: and that no payment was told", "No payment was told" in text, text)
    _, text = await called(session, "why_held", program_id="shop", conversion_id="cv-1")
    claim(f"{transport}: why was this reward held? names the reason and the gate", "device" in text and "r-1 " in text and "HOLD" in text, text)
    claim(f"{transport}: and who decides", "Case case-cv-1 is open" in text, text)
    wrong, text = await called(session, "why_held", program_id="shop", conversion_id="cv-9")
    claim(f"{transport}: what is not known is an error that says so", wrong and "NotFound" in text, text)
    _, text = await called(session, "search_docs", question="CONTENT_DIFFERS")
    claim(f"{transport}: the documents are searched", "CONTENT_DIFFERS" in text and "docs/errors.md" in text, text)


async def main():
    grpc, rest, http = (f"127.0.0.1:{port()}" for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen([BINARY, "serve", "--memory", "--metrics", "none", "--listen", grpc, "--rest", rest], **quiet)
        web = None
        try:
            for _ in range(200):
                try:
                    ask(rest, "GET", "/v1/programs")
                    break
                except OSError:
                    time.sleep(0.1)
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            one, other = ("A" * 43 + "=", "B" * 42 + "A=")
            ask(rest, "POST", "/v1/programs/shop/conversions", conversion(1, "ann", "bob", (one, one), now))
            ask(rest, "POST", "/v1/programs/shop/conversions", conversion(2, "eve", "mal", (one, other), now))
            environment = {**os.environ, "SELFSAME_SERVER": f"http://{grpc}"}
            child = StdioServerParameters(command=BINARY, args=["mcp"], env=environment)
            async with stdio_client(child) as (reading, writing), ClientSession(reading, writing) as session:
                await look(session, "stdio")
            web = subprocess.Popen([BINARY, "mcp", "--listen", http], env=environment, **quiet)
            for _ in range(200):
                try:
                    socket.create_connection(http.split(":"), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            async with http_client(f"http://{http}/mcp") as streams, ClientSession(streams[0], streams[1]) as session:
                await look(session, "HTTP")
        finally:
            for process in (web, server):
                if process:
                    process.terminate()
                    process.wait(20)
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
