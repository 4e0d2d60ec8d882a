"""What we need of python-telegram-bot beyond its public promises. A new release has to pass here."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys

import pytest

from bot.channels import telegram_wire
from bot.channels.telegram_api import Api
from tests.bot.channels.scripted_api import TOKEN, ScriptedApi, ok


async def test_raw_results_come_through_the_library_unchanged(api: ScriptedApi) -> None:
    """`Bot._post` gives the JSON as it came, also where the library's own types would refuse it."""
    odd = [{"update_id": 1, "message": "text", "new_field": [None, 1.5]}, 7, "x"]
    api.say("getUpdates", ok(odd))
    bot_api = Api(token=TOKEN, base_url=api.url, read_timeout_s=1)
    try:
        assert await bot_api.updates(offset=5, timeout_s=1, allowed=["message"]) == odd
    finally:
        await bot_api.close()
    (call,) = api.calls
    assert call.fields == {"offset": "5", "timeout": "1", "allowed_updates": '["message"]'}


def test_the_library_is_held_to_the_line_that_was_read() -> None:
    """`_post` is protected: another major release has to be read first."""
    assert importlib.metadata.version("python-telegram-bot").startswith("22.")
    wanted = importlib.metadata.requires("relaydesk") or []
    assert any(line.startswith("python-telegram-bot") and "<23" in line for line in wanted)


def test_a_library_that_is_not_there_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpcore would look for it in every folder four times a request; one that is there stays as it is."""
    monkeypatch.delitem(sys.modules, "sniffio", raising=False)
    is_there = importlib.util.find_spec("sniffio") is not None
    for _ in range(2):
        telegram_wire.hasten()
        assert ("sniffio" in sys.modules) != is_there
