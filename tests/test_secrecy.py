"""The ear that every story's world has hears what it should, and names no words when it does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import logs, metrics
from bot.settings_secrets import SANDBOX
from tests import secrecy

WORDS, NAME, CHAT = "Where is my parcel, 包裹?", "Zoë", 510_000_001


def _told() -> secrecy.Ear:
    with secrecy.listening() as ear:
        ear.told({"text": WORDS, "from": {"first_name": NAME, "id": CHAT}})
        ear.address(CHAT)
        return ear


def _in_a_traceback() -> None:
    try:
        raise ValueError(WORDS)
    except ValueError:
        logging.getLogger("some.library").exception("it failed")


LEAKS: dict[str, tuple[Callable[[], object], str]] = {
    "words": (lambda: logs.get("bot.x").debug("event.key", said=WORDS), "text (bot.x: event.key)"),
    "words of a library": (
        lambda: logging.getLogger("asyncpg").debug("args %r", [WORDS]),
        "text (asyncpg: free words)",
    ),
    "words in a traceback": (_in_a_traceback, "text (some.library: free words)"),
    "a name": (lambda: logs.get("bot.x").info("event.key", who=f"for {NAME}!"), "person (bot.x: event.key)"),
    "a chat": (lambda: logging.getLogger("y").warning("GET /x?chat_id=%s", CHAT), "address (y: free words)"),
    "a secret": (
        lambda: logs.get("bot.x").info("event.key", value=SANDBOX["slack_signing_secret"]),
        "secret (bot.x: event.key)",
    ),
}


@pytest.mark.parametrize("leak", sorted(LEAKS))
def test_a_leak_of_any_kind_is_heard(leak: str, tmp_path: Path) -> None:
    """At DEBUG, from us or a library, as value, argument, URL or traceback; the report tells nothing."""
    write, said = LEAKS[leak]
    with secrecy.listening() as ear:
        ear.told({"text": WORDS, "from": {"first_name": NAME}})
        ear.address(CHAT)
        write()
    with pytest.raises(AssertionError) as caught:
        ear.check(tmp_path)
    assert said in str(caught.value)
    assert not any(word in str(caught.value) for word in (WORDS, NAME, str(CHAT), SANDBOX["slack_signing_secret"]))


def test_what_the_product_takes_out_or_never_had_is_no_leak(tmp_path: Path) -> None:
    """A token is redacted, a chatty library is kept quiet, and parts of words are other words."""
    with secrecy.listening() as ear:
        ear.told({"text": WORDS, "from": {"first_name": "Ann"}})
        for chatty in logs.LOUD:
            logging.getLogger(f"{chatty}.inner").info("POST https://api/bot%s/x %s", SANDBOX["telegram_token"], WORDS)
        logging.getLogger("any").warning("POST /bot%s/sendMessage", SANDBOX["telegram_token"])
        logs.get("bot.x").info("event.key", why="Announced", token=SANDBOX["slack_bot_token"])
    assert ear.heard.getvalue()
    ear.check(tmp_path)


def test_the_files_of_the_record_and_the_metrics_are_searched_too(tmp_path: Path) -> None:
    """What stands in a column in the clear is a leak, and so is a label."""
    ear = _told()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "relaydesk.db-wal").write_bytes(b"\x00\x01" + WORDS.encode() + b"\xff")
    (tmp_path / "bot.log").write_text(f"Traceback: {WORDS}\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"a process's log names a text.*relaydesk\.db-wal holds a text"):
        ear.check(tmp_path)
    counter = metrics.forged_requests.labels(source=WORDS)
    counter.inc()
    with pytest.raises(AssertionError, match="the metrics names a text"):
        _told().check(tmp_path)
    metrics.forged_requests.remove(WORDS)


def test_listening_leaves_logging_as_it_was() -> None:
    """Other tests of the process log as they did before."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("httpx").level
    _told()
    assert (root.handlers[:], root.level, logging.getLogger("httpx").level) == before
