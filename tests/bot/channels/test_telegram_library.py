"""What we need of python-telegram-bot beyond its public promises. A new release has to pass here."""

from __future__ import annotations

import importlib.metadata

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
