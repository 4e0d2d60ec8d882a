"""Whatever an app sends, the local Slack answers in its own words and lives on."""

import copy
import random
from typing import Any

from sandbox.slack import blocks, modals, workspace
from sandbox.slack.api import METHODS
from sandbox.slack.errors import SlackError
from tests.sandbox import slack_kit
from tests.sandbox.slack_kit import SUPPORT, App, Json, People

JUNK: list[Any] = [None, True, 0, 1.5, -1, "", "x" * 50, "\ud800", "\x00", [], [None], [[]], ["x"], {}, {"a": 1}]
JUNK += ["static_select", "input", "image"]
CALLS_PER_METHOD = 12
MUTATIONS = 4_000


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def _every_block() -> list[Json]:
    option = {"text": _plain("t"), "value": "v", "description": _plain("d")}
    confirm = {"title": _plain("t"), "text": _plain("t"), "confirm": _plain("y"), "deny": _plain("n")}
    return [
        slack_kit.section(
            "x", fields=[{"type": "mrkdwn", "text": "f"}], accessory=slack_kit.button("b", confirm=confirm)
        ),
        slack_kit.section("x", accessory={"type": "image", "image_url": "u", "alt_text": "a"}),
        slack_kit.actions(
            slack_kit.button("one", value="1"),
            {"type": "static_select", "action_id": "s", "placeholder": _plain("p"), "options": [option]},
            {
                "type": "static_select",
                "action_id": "g",
                "option_groups": [{"label": _plain("l"), "options": [option]}],
            },
            {"type": "overflow", "action_id": "o", "options": [option]},
            block_id="row",
        ),
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}]},
        {"type": "header", "text": _plain("h")},
        {"type": "divider"},
        {"type": "image", "image_url": "u", "alt_text": "a"},
        slack_kit.text_input("note", hint=_plain("h")),
    ]


def _mutate(value: object, chance: random.Random) -> object:
    """One part of a JSON value taken away or replaced by junk."""
    places: list[tuple[Any, Any]] = []

    def walk(part: object) -> None:
        inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, below in inner:
            places.append((part, key))
            walk(below)

    walk(value)
    if not places:
        return copy.deepcopy(chance.choice(JUNK))
    holder, key = chance.choice(places)
    if isinstance(holder, dict) and chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = copy.deepcopy(chance.choice(JUNK))
    return value


def test_mutilated_blocks_are_refused_or_usable() -> None:
    """Any JSON as blocks gives a list of reasons, or blocks in which every element can be pressed."""
    chance = random.Random(7)
    refused = 0
    for _ in range(MUTATIONS):
        value: object = _every_block()
        for _ in range(chance.randint(1, 3)):
            value = _mutate(value, chance)
        if blocks.check(value):
            refused += 1
            continue
        assert isinstance(value, list)
        for block, element in blocks.elements(value):
            assert isinstance(block["block_id"], str)
            assert isinstance(element["action_id"], str)
    assert 0 < refused < MUTATIONS


def test_mutilated_modals_are_refused_or_usable() -> None:
    """Any JSON as a view gives invalid_arguments with reasons, or a view with a state."""
    refused: list[SlackError] = []
    chance = random.Random(7)
    for _ in range(MUTATIONS):
        value: object = slack_kit.modal(*_every_block(), private_metadata="m")
        for _ in range(chance.randint(1, 3)):
            value = _mutate(value, chance)
        try:
            view = modals.checked(value, surface="modal")
        except SlackError as error:
            refused.append(error)
        else:
            modals.initial_state(view["blocks"])
    assert {error.code for error in refused} == {"invalid_arguments"}
    assert all(error.extra["response_metadata"] for error in refused)


async def test_no_junk_makes_a_method_fail(slack: tuple[App, People]) -> None:
    """Every method answers junk arguments with 200 and `ok`, true or false; never with a server error."""
    app, _people = slack
    chance = random.Random(7)
    names = [
        "channel",
        "ts",
        "thread_ts",
        "text",
        "blocks",
        "metadata",
        "user",
        "users",
        "name",
        "limit",
        "cursor",
        "oldest",
        "latest",
        "types",
        "view",
        "trigger_id",
        "view_id",
        "user_id",
        "files",
        "channel_id",
        "file",
        "filename",
        "length",
        "timestamp",
        "usergroup",
        "hash",
        "attachments",
    ]
    headers = {"Authorization": f"Bearer {workspace.BOT_TOKEN}"}
    for method in METHODS:
        for turn in range(CALLS_PER_METHOD):
            args = {name: chance.choice(JUNK) for name in chance.sample(names, 8)}
            if turn % 2:
                args["channel"] = SUPPORT
            async with app.session.post(f"{app.url}/slack/api/{method}", json=args, headers=headers) as response:
                assert response.status == 200, (method, args)
                assert isinstance((await response.json())["ok"], bool)
            query = {name: str(value).encode("utf-8", "replace").decode() for name, value in args.items()}
            async with app.session.get(f"{app.url}/slack/api/{method}", params=query, headers=headers) as response:
                assert response.status == 200, (method, query)


async def test_junk_from_the_page_is_refused_with_a_reason(slack: tuple[App, People]) -> None:
    """Every control request answers junk with 200 or 400 and one shape."""
    app, people = slack
    chance = random.Random(7)
    ts = await people.post(SUPPORT, "x")
    names = [
        "user",
        "channel",
        "ts",
        "text",
        "emoji",
        "action_id",
        "view_id",
        "values",
        "command",
        "callback_id",
        "files",
        "users",
        "name",
        "id",
        "reason",
    ]
    doing = [
        "post",
        "edit",
        "delete",
        "react",
        "unreact",
        "press",
        "suggest",
        "submit",
        "close",
        "command",
        "shortcut",
        "home",
        "dismiss",
        "invite",
        "kick",
        "archive",
        "unarchive",
        "rename",
        "create",
        "user",
        "usergroup",
        "disconnect",
        "settings",
    ]
    await people.do("settings", ack_timeout_s=0, retry_delays_s=[])
    for what in doing:
        for turn in range(CALLS_PER_METHOD):
            args: Json = {"user": workspace.USER_MAYA, "channel": SUPPORT, "ts": ts} if turn % 2 else {}
            args |= {name: chance.choice(JUNK) for name in chance.sample(names, 5)}
            async with app.session.post(f"{app.url}/control/slack/{what}", json=args) as response:
                answer = await response.json()
                assert (response.status, answer["ok"]) in ((200, True), (400, False)), (what, args, answer)
                assert answer["ok"] or isinstance(answer["error"], str)
