"""What the log says, and above all what it never says."""

from __future__ import annotations

import io
import json
import logging
import string
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import logs

LETTERS = string.ascii_letters + string.digits + "_-"
telegram_tokens = st.builds(
    lambda number, rest: f"{number}:{rest}",
    st.integers(min_value=10**8, max_value=10**10),
    st.text(LETTERS, min_size=35, max_size=35),
)
slack_tokens = st.builds(
    lambda head, rest: head + rest,
    st.sampled_from(["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xapp-1-"]),
    st.text(LETTERS, min_size=12, max_size=60),
)
tokens = telegram_tokens | slack_tokens


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Put the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def _log(write: Callable[[], object], *, as_json: bool = True, level: logs.Level = "debug") -> str:
    out = io.StringIO()
    logs.configure(level, json=as_json, stream=out)
    write()
    return out.getvalue()


def _raise(secret: str) -> None:
    try:
        raise ConnectionError(f"cannot reach https://api.telegram.org/bot{secret}/getMe")
    except ConnectionError:
        logging.getLogger("some.library").exception("call failed for %s", secret)


@given(secret=tokens, as_json=st.booleans(), before=st.text(max_size=20), after=st.text(" /\"'&?,;", max_size=3))
def test_no_token_gets_into_a_line_by_any_way(secret: str, as_json: bool, before: str, after: str) -> None:
    """As message, argument, value, URL, header or inside a traceback: a token is never written."""
    log = logs.get("test")
    around = f"{before} {secret}{after}"
    ways: list[Callable[[], object]] = [
        lambda: logging.getLogger("x").error(around),
        lambda: logging.getLogger("x").error("sent %s to %r", around, {"token": secret}),
        lambda: logging.getLogger("x").warning("HTTP Request: POST https://api.telegram.org/bot%s/getUpdates", secret),
        lambda: log.info("event.key", value=around, nested={"headers": [f"Authorization: Bearer {secret}"]}),
        lambda: log.info(around),
        lambda: _raise(secret),
    ]
    for way in ways:
        text = _log(way, as_json=as_json)
        assert text
        assert secret not in text


@given(secret=st.text(LETTERS, min_size=8, max_size=60))
def test_what_stands_after_bearer_or_between_a_url_and_its_host_is_no_ones_business(secret: str) -> None:
    """Credentials are known by their place where their form says nothing."""
    text = _log(lambda: logging.getLogger("x").error("Bearer %s postgresql://desk:p%s@db/x", secret, secret))
    assert f"Bearer {logs.REDACTED}" in text
    assert f"://{logs.REDACTED}@db/x" in text


@pytest.mark.parametrize(
    "url",
    [
        "https://api.telegram.org/bot12345:short/getMe",
        "https://api.telegram.org/bot12345%3AAAshort-shortshortshort/getMe",
        "https://api.telegram.org/file/bot12345:AAshort/photos/1.jpg",
        "http://127.0.0.1:8400/telegram/bot1:x/sendMessage",
    ],
)
def test_a_bot_url_never_shows_its_token(url: str) -> None:
    """Also a token of an unusual form is cut out of Telegram's URLs; the method stays readable."""
    text = logs.redact(url)
    assert "short" not in text
    assert text.endswith(url.rsplit("/", 1)[1])


@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    """A line may pass several handlers."""
    assert logs.redact(logs.redact(text)) == logs.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "conversation #1042 moved to billing",
        "2026-11-22T06:00:00.000000Z",
        "delivery 01JD6Q3Z8M3V9T4K2X7B1C5N6P in 3.2 ms",
        "http://127.0.0.1:8400/clock",
        "https://desk.example.com/telegram",
        "ratio 12345:678",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    """Ids, times and addresses are what a log is for."""
    assert logs.redact(text) == text


def test_a_line_is_one_json_object_with_fixed_keys() -> None:
    """event, level, logger, timestamp, and the values that were bound or given."""

    def write() -> None:
        with logs.bound(conversation="01C", lane="ab"):
            logs.get("bot.worker").info("decision.made", reason="intake", ms=3)
        logs.get("bot.worker").info("decision.made")

    first, second = (json.loads(line) for line in _log(write).splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "decision.made",
        "level": "info",
        "logger": "bot.worker",
        "conversation": "01C",
        "lane": "ab",
        "reason": "intake",
        "ms": 3,
    }
    assert "conversation" not in second


@pytest.mark.parametrize("as_json", [True, False])
def test_nobody_can_forge_a_second_line(as_json: bool) -> None:
    """Line breaks, terminal escapes, bidi overrides and lone surrogates in a value are shown as escapes."""
    evil = "a\nb\r\x1b[31m\u202e\u2028\ud800"
    text = _log(lambda: logs.get("x").info("event.key", value=evil, nested=[evil]), as_json=as_json)
    assert len(text.splitlines()) == 1
    assert "\x1b[31m" not in text
    text.encode("utf-8")


def test_a_traceback_is_inside_its_line() -> None:
    """An exception stays one JSON object, so that a collector keeps it together."""
    line = json.loads(_log(lambda: _raise("x")))
    assert "ConnectionError" in line["exception"]
    assert line["logger"] == "some.library"


def test_http_libraries_are_quiet_even_at_debug() -> None:
    """httpx writes Telegram's token into its INFO lines: they never get that far."""
    names = ("httpx", "httpcore.http11", "aiohttp.access")
    for name in names:
        assert _log(partial(logging.getLogger(name).info, "HTTP Request: x")) == ""


def test_a_value_that_cannot_be_shown_is_named_by_its_type() -> None:
    """A log line is never the reason for a failure."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    assert json.loads(_log(lambda: logs.get("x").info("event.key", value=Broken())))["value"] == "<Broken>"


def test_configuring_again_does_not_double_the_lines() -> None:
    """A second call replaces the first."""
    logs.configure("info", json=True, stream=io.StringIO())
    assert len(_log(lambda: logs.get("x").info("event.key")).splitlines()) == 1


def test_the_level_holds() -> None:
    """What is below it is not written."""
    assert _log(lambda: logs.get("x").info("event.key"), level="warning") == ""
