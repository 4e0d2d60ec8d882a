"""Who may do what: from user ids and user groups, cached, and never by accident."""

from __future__ import annotations

import pytest

from bot.desk.client import SlackApi
from bot.desk.directory import GROUP_FRESH_S, GROUP_USABLE_S, PROFILE_FRESH_S, SILENT_S, Directory
from bot.desk.slack import SlackDesk
from domain.errors import NotYet
from domain.roles import Role
from tests.bot.desk.kit import AGENTS, JONAS, LEAD_GROUP, LINA, MAYA, STRANGER, Slack, Store, config, until


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_groups_and_user_ids_give_roles(slack: Slack, desk: SlackDesk) -> None:
    """A role belongs to whoever is listed or is in a listed group, and to nobody else."""
    assert await desk.roles_of(MAYA) == {"agent"}
    assert await desk.roles_of(JONAS) == {"lead"}
    assert await desk.roles_of(STRANGER) == frozenset()
    named = SlackDesk(config(slack.url, roles={Role.AGENT: (STRANGER, AGENTS), Role.ADMIN: (STRANGER,), Role.LEAD: ()}))
    assert await named.roles_of(STRANGER) == {"agent", "admin"}
    assert await named.roles_of(LINA) == {"agent"}
    await named.close()


async def test_who_becomes_a_guest_has_no_role(slack: Slack, desk: SlackDesk) -> None:
    """A guest, or somebody who has left, may do nothing, even while still listed."""
    for flag in ("is_restricted", "deleted"):
        await slack.post("slack/user", id=MAYA, **{flag: True})
        fresh = SlackDesk(config(slack.url, roles={Role.AGENT: (MAYA, AGENTS)}))
        assert await fresh.roles_of(MAYA) == frozenset()
        assert await fresh.roles_of(LINA) == {"agent"}
        await fresh.close()
        await slack.post("slack/user", id=MAYA, **{flag: False})
    assert await desk.roles_of(MAYA) == {"agent"}


async def test_nobody_listed_means_nobody(slack: Slack) -> None:
    """An empty table, an empty group and an unknown group let nobody in."""
    for roles in ({}, {Role.AGENT: ()}, {Role.AGENT: ("S0UNKNOWN",)}):
        desk = SlackDesk(config(slack.url, roles=roles))
        assert await desk.roles_of(MAYA) == frozenset()
        await desk.close()


async def test_a_group_is_asked_for_once_in_five_minutes(slack: Slack) -> None:
    """Roles cost no call per event; a change is seen after five minutes, or at once when Slack tells of it."""
    clock = Clock()
    api = SlackApi(base_url=f"{slack.url}/slack/api/", bot_token="xoxb-sandbox")
    directory = Directory(api, {Role.AGENT: (AGENTS,)}, clock)
    for _ in range(5):
        assert await directory.roles_of(MAYA)
    assert await slack.requests("usergroups.users.list") == 1
    await slack.post("slack/usergroup", id=AGENTS, users=[LINA])
    assert await directory.roles_of(MAYA)
    clock.now += GROUP_FRESH_S
    assert not await directory.roles_of(MAYA)
    await slack.post("slack/usergroup", id=AGENTS, users=[LINA, MAYA])
    directory.hear({"type": "subteam_members_changed", "subteam_id": AGENTS})
    assert await directory.roles_of(MAYA)
    await api.close()


async def test_a_change_of_a_group_is_taken_in_at_the_door(listening: SlackDesk, slack: Slack, store: Store) -> None:
    """Slack's event about a group makes the next decision ask again, and is stored nowhere."""
    assert await listening.roles_of(MAYA)
    await slack.post("slack/usergroup", id=AGENTS, users=[LINA])
    await until(lambda: listening.intake_counts.get("directory", 0) > 0)
    assert not await listening.roles_of(MAYA)
    assert not store.all


async def test_an_outage_takes_no_roles_and_gives_none(slack: Slack) -> None:
    """Known members stay members for an hour of outage; unknown ones wait, nobody is let in or refused by guess."""
    clock = Clock()
    api = SlackApi(base_url=f"{slack.url}/slack/api/", bot_token="xoxb-sandbox")
    directory = Directory(api, {Role.AGENT: (AGENTS,), Role.LEAD: (LEAD_GROUP,)}, clock)
    assert await directory.roles_of(JONAS) == {"lead"}
    await slack.fault("usergroups.users.list", "500", count=None)
    clock.now += GROUP_USABLE_S - 1
    assert await directory.roles_of(JONAS) == {"lead"}
    clock.now += 2
    with pytest.raises(NotYet):
        await directory.roles_of(JONAS)
    await api.close()


async def test_a_name_is_asked_for_once_a_day_and_changes_when_told(slack: Slack, desk: SlackDesk) -> None:
    """Profiles are cached for a day; Slack's event about a change is taken in at once."""
    clock = Clock()
    api = SlackApi(base_url=f"{slack.url}/slack/api/", bot_token="xoxb-sandbox")
    directory = Directory(api, {}, clock)
    assert directory.name(MAYA) is None
    for _ in range(3):
        assert (await directory.profile(MAYA)).name == "Maya"
    assert await slack.requests("users.info") == 1
    told = {"id": MAYA, "team_id": "T0SANDBOX", "profile": {"display_name": "Maya T."}}
    directory.hear({"type": "user_change", "user": told})
    directory.hear({"type": "user_change", "user": {**told, "id": LINA}})
    assert directory.name(LINA) is None  # nobody has asked for her yet
    assert directory.name(MAYA) == "Maya T."
    clock.now += PROFILE_FRESH_S
    await slack.fault("users.info", "500")
    assert (await directory.profile(MAYA)).name == "Maya T."
    assert (await directory.profile(MAYA)).name == "Maya"
    await api.close()


async def test_a_window_does_not_wait_for_a_language(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack lets a window open for three seconds: where it is slow to say who reads it, nobody's language is known."""
    monkeypatch.setattr("bot.desk.directory.SOON_S", 0.05)
    api = SlackApi(base_url=f"{slack.url}/slack/api/", bot_token="xoxb-sandbox")
    directory = Directory(api, {})
    await slack.fault("users.info", "delay", seconds=1)
    assert await directory.language_soon(MAYA) is None
    await slack.remove_faults()
    assert (await directory.profile(MAYA)).name == "Maya", "what was broken off holds up nobody"
    await api.close()


async def test_a_post_does_not_wait_for_names(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Slack is slow to say who somebody is, or does not say it, that costs a moment a minute, not each post."""
    monkeypatch.setattr("bot.desk.directory.NAMES_S", 0.05)
    clock = Clock()
    api = SlackApi(base_url=f"{slack.url}/slack/api/", bot_token="xoxb-sandbox")
    directory = Directory(api, {}, clock)
    await slack.fault("users.info", "delay", seconds=1)
    await directory.meet([LINA, MAYA])
    await slack.remove_faults()
    asked = await slack.requests("users.info")
    await directory.meet([LINA, MAYA])
    assert (await slack.requests("users.info"), directory.name(MAYA)) == (asked, None)
    clock.now += SILENT_S
    await slack.fault("users.info", "500")
    await directory.meet([LINA, MAYA])
    assert await slack.requests("users.info") == asked + 1, "where it does not know one now nobody asks for the next"
    clock.now += SILENT_S
    monkeypatch.setattr("bot.desk.directory.NAMES_S", 5.0)
    await directory.meet([LINA, MAYA])
    assert (directory.name(LINA), directory.name(MAYA)) == ("李娜", "Maya")
    await api.close()
