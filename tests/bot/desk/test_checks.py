"""What doctor says about Slack: each check with what was found and, when it is not well, what to do."""

from __future__ import annotations

import pytest

from bot.desk.methods import bot_scopes
from bot.desk.slack import SlackDesk
from domain.ports import Probe
from domain.roles import Role
from tests.bot.desk.kit import LEADS, RANDOM, SUPPORT, Slack, config


async def probed(slack: Slack, **more: object) -> dict[str, Probe]:
    """All checks by name."""
    desk = SlackDesk(config(slack.url, **more))
    try:
        return {probe.name: probe for probe in await desk.probe()}
    finally:
        await desk.close()


async def test_a_good_installation_has_nothing_to_mend(slack: Slack) -> None:
    """Tokens, scopes, channels and people are all well, over Socket Mode and over HTTP."""
    for mode in ("socket", "http"):
        checks = await probed(slack, mode=mode)
        assert all(check.ok and not check.fix for check in checks.values()), checks
        assert f"slack channel {SUPPORT}" in checks
        assert f"slack channel {LEADS}" in checks


@pytest.mark.parametrize("token", ["bot_token", "app_token"])
async def test_a_wrong_token_is_named(slack: Slack, token: str) -> None:
    """Which token, where it is found, and under which name it belongs into the environment."""
    checks = await probed(slack, **{token: "xoxb-wrong"})
    bad = [check for check in checks.values() if not check.ok]
    assert len(bad) == 1
    assert "invalid_auth" in bad[0].found
    assert f"RELAYDESK_SLACK_{token.upper()}" in bad[0].fix
    assert "wrong" not in bad[0].found


async def test_missing_scopes_are_listed(slack: Slack) -> None:
    """An app that was not reinstalled after a change says which scopes are missing."""
    await slack.post("slack/settings", scopes=sorted(bot_scopes() - {"reactions:write", "files:read"}))
    checks = await probed(slack)
    assert checks["slack scopes"].found == "missing: files:read, reactions:write"
    assert "reinstall" in checks["slack scopes"].fix


async def test_a_channel_without_the_bot_shows_the_invite_line(slack: Slack) -> None:
    """Not invited, archived, unknown: three causes, three fixes."""
    await slack.post("slack/archive", channel=SUPPORT)
    checks = await probed(slack, channels=(SUPPORT, RANDOM, "C0NOWHERE"))
    assert checks[f"slack channel {RANDOM}"].fix == "type in #random: /invite @relaydesk"
    assert "archived" in checks[f"slack channel {SUPPORT}"].found
    assert "channel_not_found" in checks["slack channel C0NOWHERE"].found


async def test_nobody_who_may_answer_is_a_fault(slack: Slack) -> None:
    """An installation in which nobody can answer is not well, whatever the reason."""
    for roles in ({}, {Role.AGENT: ("S0UNKNOWN",)}):
        checks = await probed(slack, roles=roles)
        assert not checks["slack roles"].ok
        assert checks["slack roles"].fix


async def test_an_unreachable_slack_is_no_wrong_token(slack: Slack) -> None:
    """A network fault sends nobody looking for tokens."""
    desk = SlackDesk(config("http://127.0.0.1:9"))
    (check,) = await desk.probe()
    assert "unreachable" in check.found
    assert "network" in check.fix
    await desk.close()
