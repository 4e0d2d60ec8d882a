"""What doctor hears about a Telegram account."""

from __future__ import annotations

from dataclasses import replace
from email.utils import formatdate
from time import time

import pytest

from bot.channels.telegram import TelegramChannel
from domain.ports import Probe
from tests.bot.channels.conftest import config_at, opened
from tests.bot.channels.scripted_api import HTML, TOKEN, Reply, ScriptedApi, ok, refused
from tests.bot.channels.test_telegram_hook import PUBLIC, config_of


async def probed(channel: TelegramChannel) -> dict[str, Probe]:
    return {probe.name: probe for probe in await channel.probe()}


async def test_a_healthy_account_is_well(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Token, webhook, backlog and clock are named and need no fix."""
    probes = await probed(channel)
    assert list(probes) == ["telegram.token", "telegram.webhook", "telegram.backlog", "telegram.clock"]
    assert all(probe.ok and not probe.fix for probe in probes.values())
    assert probes["telegram.token"].found == "@support_bot"


async def test_a_wrong_token_is_told_from_a_wrong_address(api: ScriptedApi, channel: TelegramChannel) -> None:
    """One is asked from @BotFather, the other is a matter of network and settings."""
    api.say("getMe", refused(401, "Unauthorized"))
    (token,) = await channel.probe()
    assert "BotFather" in token.fix
    api.say("getMe", Reply(status=404, body=HTML, content_type="text/html"))
    (token,) = await channel.probe()
    assert "base_url" in token.fix
    async with opened(replace(config_at(api.url), base_url="http://127.0.0.1:1")) as nowhere:
        (token,) = await nowhere.probe()
    assert (token.ok, TOKEN in repr(token)) == (False, False)


async def test_a_webhook_that_does_not_fit_the_mode_is_found(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Polling with a webhook set gets nothing; a webhook that is not ours gets nothing either."""
    api.always("getWebhookInfo", ok({"url": PUBLIC, "pending_update_count": 0}))
    probes = await probed(channel)
    assert not probes["telegram.webhook"].ok
    assert PUBLIC not in repr(probes)
    async with opened(config_of(api)) as hooked:
        assert (await probed(hooked))["telegram.webhook"].ok
        api.say("getWebhookInfo", ok({"url": "", "pending_update_count": 0}))
        assert not (await probed(hooked))["telegram.webhook"].ok
        api.say("getWebhookInfo", ok({"url": PUBLIC, "last_error_message": "Connection refused"}))
        assert (await probed(hooked))["telegram.webhook"].found == "Connection refused"


async def test_a_backlog_warns_of_the_24_hours(api: ScriptedApi, channel: TelegramChannel) -> None:
    """What Telegram drops nobody can get back."""
    api.always("getWebhookInfo", ok({"url": "", "pending_update_count": 250}))
    backlog = (await probed(channel))["telegram.backlog"]
    assert not backlog.ok
    assert "250" in backlog.found
    assert "24 hours" in backlog.found


@pytest.mark.parametrize(("ahead_s", "is_well"), [(5, True), (-5, True), (600, False), (-600, False)])
async def test_a_wrong_clock_is_found(api: ScriptedApi, channel: TelegramChannel, ahead_s: int, is_well: bool) -> None:
    """Deadlines are only as right as the clock."""
    info = ok({"url": "", "pending_update_count": 0})
    api.always("getWebhookInfo", replace(info, headers={"Date": formatdate(time() + ahead_s, usegmt=True)}))
    clock = (await probed(channel))["telegram.clock"]
    assert clock.ok is is_well
    assert bool(clock.fix) is not is_well


async def test_an_answer_that_fails_halfway_is_a_finding(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Doctor never breaks."""
    api.say("getWebhookInfo", Reply(status=500), ok("odd"))
    assert not (await probed(channel))["telegram.webhook"].ok
    assert not (await probed(channel))["telegram.webhook"].ok
