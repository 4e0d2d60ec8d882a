"""What the tests of the sandbox share: a running sandbox as a process, its control interface, a real bot."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
from telegram import Bot
from telegram.request import HTTPXRequest

from tests import patience

Json = dict[str, Any]
TOKEN = "8400000001:AAsandboxsandboxsandboxsandboxsandb"
ROOT = Path(__file__).resolve().parents[2]
STOPS_WITHIN_S = 1.0
PLAIN: Json = {"trust_env": False, "verify": False}  # no TLS here: reading the certificates takes 20 ms a client


class Desk:
    """A sandbox that runs as a process of its own, and its control interface."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str) -> None:
        self.process = process
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=patience.LONG_S, **PLAIN)

    def get(self, path: str, **query: object) -> Json:
        """A GET on the control interface; the answer must be a success."""
        answer: Json = self.http.get(f"/control/{path}", params={k: str(v) for k, v in query.items()}).json()
        assert answer["ok"], answer
        return answer

    def post(self, path: str, **fields: object) -> Json:
        """A POST on the control interface; the answer must be a success."""
        body = json.dumps(fields)  # httpx's own encoder refuses lone surrogates
        answer: Json = self.http.post(f"/control/{path}", content=body).json()
        assert answer["ok"], answer
        return answer

    def join(self, **fields: object) -> int:
        """A new customer; the chat id."""
        chat_id: int = self.post("telegram/customers", **{"first_name": "Ada", "language_code": "en", **fields})[
            "chat_id"
        ]
        return chat_id

    def say(self, chat_id: int, text: str, **fields: object) -> Json:
        """A customer writes."""
        return self.post("telegram/send", chat_id=chat_id, text=text, **fields)

    def log(self, kind: str, **query: object) -> list[Json]:
        """The records of one kind."""
        records: list[Json] = self.get("log", kind=kind, **query)["records"]
        return records

    def fault(self, method: str, fault: str, **fields: object) -> int:
        """Add a fault to the Telegram side."""
        rule: int = self.post("faults", platform="telegram", method=method, fault=fault, **fields)["id"]
        return rule

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the process to end and wait for it; the exit code."""
        self.http.close()
        self.process.send_signal(number)
        return self.process.wait(timeout=patience.LONG_S)


def start(*arguments: str) -> Desk:
    """Start `python -m sandbox` on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0", *arguments], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    return Desk(process, json.loads(line)["url"])


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Desk]:
    """A sandbox for the length of a `with` block."""
    desk = start(*arguments)
    try:
        yield desk
    finally:
        desk.http.close()
        if desk.process.poll() is None:
            desk.process.terminate()
        desk.process.wait(timeout=patience.LONG_S)


@contextlib.asynccontextmanager
async def bot(desk: Desk, token: str = TOKEN) -> AsyncIterator[Bot]:
    """python-telegram-bot's Bot, talking to the sandbox over a real socket, not yet initialised."""
    made = Bot(
        token,
        base_url=f"{desk.url}/telegram/bot",
        base_file_url=f"{desk.url}/telegram/file/bot",
        request=HTTPXRequest(read_timeout=patience.LONG_S, connect_timeout=patience.LONG_S, httpx_kwargs=PLAIN),
        get_updates_request=HTTPXRequest(
            read_timeout=patience.LONG_S, connect_timeout=patience.LONG_S, httpx_kwargs=PLAIN
        ),
    )
    requests = made._request
    for request in requests:
        await request.initialize()
    try:
        yield made
    finally:
        for request in requests:
            await request.shutdown()
