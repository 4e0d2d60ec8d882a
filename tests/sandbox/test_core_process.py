"""The sandbox as a process: it starts with one line, ends at once, and remembers."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests import patience
from tests.sandbox import telegram_kit
from tests.sandbox.telegram_kit import ROOT, STOPS_WITHIN_S, Desk


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_at_once_with_open_long_polls(number: int) -> None:
    """A signal ends it within a second and with code 0, although a poll and an event stream are open."""
    with telegram_kit.running() as desk:
        async with telegram_kit.bot(desk) as bot, httpx.AsyncClient(base_url=desk.url, trust_env=False) as http:
            poll = asyncio.create_task(bot.get_updates(timeout=50))
            async with http.stream("GET", "/events") as events:
                lines = events.aiter_lines()
                assert await anext(lines) == ": hello"
                await patience.eventually(lambda: desk.get("log/counts")["requests"]["telegram"], what="a poll")
                with patience.Own(desk.process.pid) as took:
                    desk.process.send_signal(number)
                    code = await asyncio.to_thread(desk.process.wait, patience.LONG_S)
                assert took.seconds < STOPS_WITHIN_S
                assert code == 0
            assert await poll == ()


def test_the_ready_line_can_go_to_a_descriptor() -> None:
    """With --ready-fd the address is written there and standard output stays silent."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0", "--ready-fd", str(writing)],
        cwd=ROOT,
        pass_fds=[writing],
        stdout=subprocess.PIPE,
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as ready:
        line = json.loads(ready.readline())
    process.terminate()
    out, _ = process.communicate(timeout=patience.LONG_S)
    assert line["ready"] is True
    assert line["url"].startswith("http://127.0.0.1:")
    assert out == b""


def test_a_taken_port_is_said_in_one_line() -> None:
    """A port in use ends with code 2 and one line, not with a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-m", "sandbox", "--port", port],
            cwd=ROOT,
            capture_output=True,
            timeout=patience.LONG_S,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr.count(b"\n") == 1
    assert port.encode() in ended.stderr


async def test_a_restarted_sandbox_still_knows_everything(tmp_path: Path) -> None:
    """Chats, messages, files, unconfirmed updates, the webhook's absence, the clock and the log survive."""
    state = str(tmp_path / "deep" / "state.json")
    with telegram_kit.running("--state", state) as desk:
        chat = desk.join(last_name="Lovelace")
        desk.say(chat, "before")
        async with telegram_kit.bot(desk) as bot:
            sent = await bot.send_document(chat, b"hello", filename="a.txt", caption="here")
            assert sent.document is not None
            file_id = sent.document.file_id
        desk.post("clock", advance_s=86_000)
        before = desk.get(f"telegram/chat/{chat}")
        log = desk.get("log")["records"]
        now = desk.http.get("/clock").json()["now"]
        assert desk.stop() == 0
    with telegram_kit.running("--state", state) as again:
        assert again.get(f"telegram/chat/{chat}") == before
        assert again.get("log")["records"] == log
        assert again.http.get("/clock").json()["now"] >= now
        async with telegram_kit.bot(again) as bot:
            (update,) = await bot.get_updates()
            assert update.message is not None
            assert update.message.text == "before"
            assert bytes(await (await bot.get_file(file_id)).download_as_bytearray()) == b"hello"
        assert again.say(chat, "after")["message_id"] > sent.message_id


def test_an_unreadable_state_file_is_not_overwritten(tmp_path: Path) -> None:
    """A file that is no state file ends the start with code 2 and stays as it was."""
    state = tmp_path / "state.json"
    state.write_text("not ours")
    ended = subprocess.run(
        [sys.executable, "-m", "sandbox", "--port", "0", "--state", str(state)],
        cwd=ROOT,
        capture_output=True,
        timeout=patience.LONG_S,
        check=False,
    )
    assert ended.returncode == 2
    assert b"not a readable state file" in ended.stderr
    assert state.read_text() == "not ours"


async def test_a_disk_that_refuses_loses_nothing_once_it_gives_way(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """While the state cannot be written it is said and kept; when it can, everything is there, the log complete."""
    home, away = tmp_path / "home", tmp_path / "away"
    state = str(home / "state.json")
    with telegram_kit.running("--state", state) as desk:
        home.rename(away)
        chat = desk.join()
        desk.say(chat, "unwritten")
        await patience.eventually(lambda: "state not saved" in capfd.readouterr().err, what="the disk has refused")
        away.rename(home)
        desk.say(chat, "written")
        assert desk.stop() == 0
    with telegram_kit.running("--state", state) as again:
        texts = [record["data"]["text"] for record in again.log("customer_message")]
        assert texts == ["unwritten", "written"]
        assert len(again.get(f"telegram/chat/{chat}")["messages"]) == 2


async def test_a_reset_empties_the_state_file_too(tmp_path: Path) -> None:
    """After a reset a restart finds no old chats and no old log."""
    state = str(tmp_path / "state.json")
    with telegram_kit.running("--state", state) as desk:
        desk.say(desk.join(), "forget me")
        written = tmp_path / "state.json.log"
        await patience.eventually(lambda: written.exists() and "forget me" in written.read_text(), what="it is written")
        desk.post("reset")
        assert desk.stop() == 0
    with telegram_kit.running("--state", state) as again:
        assert again.get("telegram/customers")["customers"] == []
        assert again.get("log")["records"] == []
    assert "forget me" not in written.read_text()


def test_every_refusal_of_the_control_interface_has_one_shape(desk: Desk) -> None:
    """Unknown paths, wrong methods, bad JSON and wrong fields: `{"ok": false, "error": text}`."""
    http = desk.http
    answers = [
        http.get("/control/nothing"),
        http.get("/control/reset"),
        http.post("/control/faults", content=b"{"),
        http.post("/control/faults", content=b"[1]"),
        http.post("/control/faults", json={"platform": "telegram", "fault": "flood"}),
        http.post("/control/faults", json={"platform": "icq", "fault": "500"}),
        http.post("/control/faults", json={"platform": "telegram", "fault": "500", "count": 0}),
        http.post("/control/faults", json={"platform": "telegram", "fault": "500", "cuont": 1}),
        http.delete("/control/faults/77"),
        http.get("/control/log", params={"after": "soon"}),
        http.post("/control/telegram/send", json={"chat_id": 5, "text": "x"}),
        http.post("/control/telegram/send", json={"chat_id": "five", "text": "x"}),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500, answer.url
        assert set(answer.json()) == {"ok", "error"}
        assert answer.json()["ok"] is False
        assert isinstance(answer.json()["error"], str)


async def test_the_event_stream_tells_what_happens(desk: Desk) -> None:
    """Whoever listens to `/events` sees a customer's message and the clock change, in order."""
    async with (
        httpx.AsyncClient(base_url=desk.url, trust_env=False) as http,
        http.stream("GET", "/events") as events,
    ):
        lines = events.aiter_lines()
        assert await anext(lines) == ": hello"
        chat = desk.join()
        desk.say(chat, "早上好")
        desk.post("clock", speed=2)
        seen: list[dict[str, object]] = []
        async for line in lines:
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))
            if len(seen) == 3:
                break
    assert [event["type"] for event in seen] == ["telegram.customer", "telegram.message", "clock"]
    message = seen[1]["message"]
    assert isinstance(message, dict)
    assert message["text"] == "早上好"


def test_the_log_can_be_waited_for(desk: Desk) -> None:
    """With wait_s the log answers as soon as a matching record is there, and empty when the time is over."""
    chat = desk.join()
    after = desk.get("log")["last_seq"]

    def later() -> None:
        time.sleep(0.2)  # a moment in which nothing is there yet
        with httpx.Client(base_url=desk.url, trust_env=False) as http:
            http.post("/control/telegram/send", json={"chat_id": chat, "text": "at last"})

    writer = threading.Thread(target=later)
    started = time.monotonic()
    writer.start()
    (record,) = desk.log("customer_message", after=after, wait_s=50)
    assert record["data"]["text"] == "at last"
    assert 0.1 < time.monotonic() - started < 25, "long before the time is over"
    writer.join()
    assert desk.log("customer_edit", wait_s=1) == []


def test_the_state_summary_counts(desk: Desk) -> None:
    """`GET /control/state` says how much there is on each side."""
    desk.say(desk.join(), "hello")
    state = desk.get("state")
    assert state["telegram"]["customers"] == 1
    assert state["telegram"]["pending_updates"] == 1
    assert state["limits"] is False
    assert "slack" in state


def test_a_web_page_from_elsewhere_cannot_use_the_control_interface(desk: Desk) -> None:
    """A browser names the origin of a page; only the sandbox's own page may act, under its own address."""
    own = desk.http.post("/control/reset", headers={"Origin": desk.url})
    other = desk.http.post("/control/reset", headers={"Origin": "https://example.org"})
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    for path in ("/control/state", "/events"):
        assert desk.http.get(path, headers=rebound).status_code == 403
    assert desk.http.get("/control/state", headers={"Host": "localhost:8400"}).status_code == 200
    assert (own.status_code, other.status_code) == (200, 403)
    assert other.json()["ok"] is False
