"""The manifest grants what the code uses, no scope and no event more or less."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.desk import forms, listeners, methods, payloads
from bot.desk.client import SlackApi

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The manifest as Slack reads it."""
    return dict(yaml.safe_load((ROOT / "slack-manifest.yaml").read_text("utf-8")))


def called() -> set[str]:
    """Every Slack method named in a call in the desk's source."""
    names: set[str] = set()
    for path in sorted((ROOT / "bot" / "desk").glob("*.py")):
        if path.name == "methods.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in methods.METHODS:
                names.add(node.value)
    return names


def test_every_listed_method_is_called() -> None:
    """A method that nobody calls any more costs no scope."""
    assert called() == set(methods.METHODS)


async def test_a_method_that_is_not_listed_cannot_be_called() -> None:
    """Nothing can be called without having told the manifest."""
    api = SlackApi(bot_token="xoxb-none")
    with pytest.raises(KeyError):
        await api.call("chat.scheduleMessage", channel="C1")
    await api.close()


def test_the_scopes_are_those_of_the_calls(manifest: dict[str, Any]) -> None:
    """Scopes follow from methods, events and commands."""
    assert sorted(methods.bot_scopes()) == manifest["oauth_config"]["scopes"]["bot"]


def test_the_events_are_those_that_are_read(manifest: dict[str, Any]) -> None:
    """Every subscribed event is read, and every reader's event is subscribed."""
    assert sorted(methods.EVENTS) == manifest["settings"]["event_subscriptions"]["bot_events"]
    read = {
        "message",
        "member_left_channel",
        "reaction_added",
        "reaction_removed",
        "app_home_opened",
        *listeners.NOTICES,
        *payloads.DIRECTORY_EVENTS,
    }
    assert {name.split(".")[0] for name in methods.EVENTS} == read


def test_the_command_is_declared(manifest: dict[str, Any]) -> None:
    """The slash command that the texts name exists, and escapes who is mentioned."""
    (command,) = manifest["features"]["slash_commands"]
    assert (command["command"], command["should_escape"]) == (methods.COMMAND, True)
    assert manifest["settings"]["interactivity"]["is_enabled"] is True


def test_the_shortcuts_are_those_that_are_read(manifest: dict[str, Any]) -> None:
    """Every shortcut on a message leads to an action, and every such action has one; Slack takes ten."""
    declared = manifest["features"]["shortcuts"]
    known = [(f"{forms.PREFIX}{name}", label) for name, label in forms.SHORTCUTS.items()]
    assert [(one["callback_id"], one["name"]) for one in declared] == known
    assert set(forms.SHORTCUTS) == (forms.WITH_A_FORM - {"assign", "correct"}) | forms.STRAIGHT | {forms.ANSWER}
    assert {one["type"] for one in declared} == {"message"}
    assert len(declared) <= 10


def test_what_slack_shows_in_one_language_is_in_both(manifest: dict[str, Any]) -> None:
    """Slack has one name of a shortcut and one line for a command, whoever reads it: each is English and Chinese."""
    features = manifest["features"]
    said = [*features["slash_commands"], *features["shortcuts"]]
    for line in (*(one["description"] for one in said), *(one["name"] for one in features["shortcuts"])):
        english, _, chinese = line.partition(" · ")
        assert english.isascii(), line
        assert any("\u4e00" <= character <= "\u9fff" for character in chinese), line
    assert max(len(one["name"]) for one in features["shortcuts"]) <= 24, "what Slack takes"
    assert max(len(one["description"]) for one in features["shortcuts"]) <= 150


def test_no_shared_distribution(manifest: dict[str, Any]) -> None:
    """Each company installs the app as its own: no organisation deployment, no rotating token that nobody renews."""
    assert manifest["settings"]["org_deploy_enabled"] is False
    assert manifest["settings"]["token_rotation_enabled"] is False


def test_the_app_has_a_page_and_may_write_to_people(manifest: dict[str, Any]) -> None:
    """The Home tab is published; the messages tab must be on, or Slack refuses the direct messages that alerts are."""
    home = manifest["features"]["app_home"]
    assert home == {
        "home_tab_enabled": True,
        "messages_tab_enabled": True,
        "messages_tab_read_only_enabled": True,
    }
