"""Buttons, menus, modals, commands and shortcuts: people act through the control interface, the real SDK answers."""

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from sandbox.slack import workspace
from tests.sandbox.slack_kit import (
    JONAS,
    MAYA,
    STRANGER,
    SUPPORT,
    App,
    Json,
    People,
    actions,
    button,
    error_of,
    modal,
    section,
    text_input,
)

PRIORITY: Json = {
    "type": "static_select",
    "action_id": "priority",
    "placeholder": {"type": "plain_text", "text": "Priority"},
    "options": [{"text": {"type": "plain_text", "text": name}, "value": name.lower()} for name in ("High", "Low")],
}


async def card(app: App, *elements: Json) -> str:
    """A card with buttons in #support; its ts."""
    blocks = [section("card"), actions(*(elements or (button("assign", value="1042"),)), block_id="row")]
    return str((await app.web.chat_postMessage(channel=SUPPORT, text="card", blocks=blocks))["ts"])


async def test_a_press_carries_everything(slack: tuple[App, People]) -> None:
    """The block_actions payload names who, where, what, and how to answer."""
    app, people = slack
    await app.connect()
    ts = await card(app)
    await people.do("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="assign")
    request = await app.request("interactive")
    assert request.accepts_response_payload is True
    payload = request.payload
    assert payload["type"] == "block_actions"
    assert payload["user"]["id"] == MAYA
    assert payload["team"]["id"] == workspace.TEAM_ID
    assert payload["channel"]["id"] == SUPPORT
    assert payload["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": SUPPORT,
        "is_ephemeral": False,
    }
    assert payload["message"]["ts"] == ts
    assert payload["trigger_id"].count(".") == 2
    assert payload["response_url"].startswith(f"{app.url}/slack/response/")
    [action] = payload["actions"]
    assert (action["action_id"], action["block_id"], action["value"], action["type"]) == (
        "assign",
        "row",
        "1042",
        "button",
    )
    assert action["action_ts"]


async def test_a_choice_is_remembered_in_the_state(slack: tuple[App, People]) -> None:
    """A menu sends its option and stands in state.values of the next press; what is not offered is refused."""
    app, people = slack
    await app.connect()
    ts = await card(app, PRIORITY, button("save"))
    await people.do("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="priority", selected_option="high")
    action = (await app.request("interactive")).payload["actions"][0]
    assert action["selected_option"]["text"]["text"] == "High"
    await people.do("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="save")
    state = (await app.request("interactive")).payload["state"]["values"]
    assert state["row"]["priority"]["selected_option"]["value"] == "high"
    wrong = {"user": MAYA, "channel": SUPPORT, "ts": ts, "action_id": "priority"}
    assert await people.refused("press", **wrong, value="medium") == "invalid_choice"


async def test_impossible_presses_are_refused_by_name(slack: tuple[App, People]) -> None:
    """Not a member, no such message, no such button, an archived channel, a deactivated person."""
    app, people = slack
    await app.connect()
    ts = await card(app)
    press = {"channel": SUPPORT, "ts": ts, "action_id": "assign"}
    await people.do("kick", channel=SUPPORT, user=STRANGER)
    assert await people.refused("press", user=STRANGER, **press) == "not_in_channel"
    assert await people.refused("press", user=MAYA, **{**press, "ts": "1.0"}) == "message_not_found"
    assert await people.refused("press", user=MAYA, **{**press, "action_id": "x"}) == "action_not_found"
    await people.do("archive", channel=SUPPORT)
    assert await people.refused("press", user=MAYA, **press) == "is_archived"
    await people.do("user", id=MAYA, deleted=True)
    assert await people.refused("press", user=MAYA, **press) == "account_inactive"
    assert await people.refused("press", user="U0NOBODY", **press) == "user_not_found"


async def test_who_does_not_see_a_change_yet_presses_what_stood_there(slack: tuple[App, People]) -> None:
    """A button that has just been replaced arrives as it was, with its old value; one that never was is refused."""
    app, people = slack
    await app.connect()
    old, new = (actions(button("assign", value=word), block_id=word) for word in ("old", "new"))
    ts = (await app.web.chat_postMessage(channel=SUPPORT, text="card", blocks=[old]))["ts"]
    await app.web.chat_update(channel=SUPPORT, ts=ts, text="card", blocks=[new])
    press = {"user": MAYA, "channel": SUPPORT, "ts": ts, "action_id": "assign"}
    for place, value in (({"block_id": "old"}, "old"), ({"block_id": "new"}, "new"), ({}, "new")):
        await people.do("press", **press, **place)
        assert (await app.request("interactive")).payload["actions"][0]["value"] == value
    assert await people.refused("press", **press, block_id="never") == "action_not_found"


async def test_a_press_that_nobody_acknowledges_is_not_repeated(slack: tuple[App, People]) -> None:
    """The person is warned after the time for an acknowledgement; the app gets the press once."""
    app, people = slack
    await people.do("settings", ack_timeout_s=0.1, retry_delays_s=[0])
    app.acknowledge = lambda request: request.type != "interactive"
    await app.connect()
    ts = await card(app)
    warned = await people.refused("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="assign")
    assert warned == "operation_timeout"
    await app.request("interactive")
    await app.silence()


async def test_a_trigger_opens_one_modal_in_time(slack: tuple[App, People]) -> None:
    """Used twice, too late or made up, it is refused."""
    app, people = slack
    await app.connect()
    ts = await card(app)

    async def trigger() -> str:
        await people.do("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="assign")
        return str((await app.request("interactive")).payload["trigger_id"])

    used = await trigger()
    opened = await app.web.views_open(trigger_id=used, view=modal(text_input("note")))
    assert opened["view"]["id"].startswith("V")
    again = app.web.views_open(trigger_id=used, view=modal(text_input("note")))
    assert await error_of(again) == "exchanged_trigger_id"
    await people.do("settings", trigger_lifetime_s=0)
    late = await trigger()
    too_late = app.web.views_open(trigger_id=late, view=modal(text_input("note")))
    assert await error_of(too_late) == "expired_trigger_id"
    made_up = app.web.views_open(trigger_id="1.2.3", view=modal(text_input("note")))
    assert await error_of(made_up) == "invalid_trigger_id"
    assert [v["id"] for v in (await people.see("views", user=MAYA))["views"]] == [opened["view"]["id"]]


async def open_modal(app: App, people: People, view: Json) -> str:
    """Maya presses and gets this modal; its id."""
    ts = await card(app)
    await people.do("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="assign")
    trigger = (await app.request("interactive")).payload["trigger_id"]
    return str((await app.web.views_open(trigger_id=trigger, view=view))["view"]["id"])


async def test_a_submission_carries_what_was_entered_and_closes(slack: tuple[App, People]) -> None:
    """state.values holds every entry; an empty acknowledgement closes the modal."""
    app, people = slack
    await app.connect()
    view_id = await open_modal(
        app, people, modal(text_input("note"), section("s", accessory=PRIORITY), private_metadata="1042")
    )
    values = {"note": {"words": "call back"}}
    said = await people.do("submit", user=MAYA, view_id=view_id, values=values)
    assert said["closed"] is True
    payload = (await app.request("interactive")).payload
    assert payload["type"] == "view_submission"
    assert payload["view"]["private_metadata"] == "1042"
    assert payload["view"]["callback_id"] == "dialog"
    assert payload["view"]["state"]["values"]["note"]["words"] == {
        "type": "plain_text_input",
        "value": "call back",
    }
    assert await people.refused("submit", user=MAYA, view_id=view_id, values={}) == "not_found"


async def test_errors_keep_the_modal_open(slack: tuple[App, People]) -> None:
    """Errors for known blocks are shown; the client itself refuses an empty required field."""
    app, people = slack
    await app.connect()
    view_id = await open_modal(app, people, modal(text_input("note")))
    empty = await people.do("submit", user=MAYA, view_id=view_id, values={})
    assert empty["errors"] == {"note": "This is a required field"}
    await app.silence()
    app.answers["view_submission"] = {"response_action": "errors", "errors": {"note": "too short"}}
    refused = await people.do("submit", user=MAYA, view_id=view_id, values={"note": {"words": "x"}})
    assert (refused["closed"], refused["errors"]) == (False, {"note": "too short"})
    app.answers["view_submission"] = {"response_action": "errors", "errors": {"nowhere": "?"}}
    wrong = await people.refused("submit", user=MAYA, view_id=view_id, values={"note": {"words": "x"}})
    assert wrong == "invalid_response_errors"


async def test_modals_stack_three_high_and_clear_at_once(slack: tuple[App, People]) -> None:
    """update replaces, push stacks up to three, clear closes all; the app that asked hears of a closing."""
    app, people = slack
    await app.connect()
    view_id = await open_modal(app, people, modal(text_input("note"), notify_on_close=True))
    entry = {"note": {"words": "x"}}
    app.answers["view_submission"] = {"response_action": "update", "view": modal(text_input("other"))}
    updated = (await people.do("submit", user=MAYA, view_id=view_id, values=entry))["view"]
    assert updated["id"] == view_id
    assert updated["blocks"][0]["block_id"] == "other"
    stale = app.web.views_update(view_id=view_id, view=modal(text_input("note")), hash="1.old")
    assert await error_of(stale) == "hash_conflict"
    await app.web.views_update(
        view_id=view_id, view=modal(text_input("note"), notify_on_close=True), hash=updated["hash"]
    )
    app.answers["view_submission"] = {
        "response_action": "push",
        "view": modal(text_input("note"), notify_on_close=True),
    }
    second = (await people.do("submit", user=MAYA, view_id=view_id, values=entry))["view"]
    assert (second["previous_view_id"], second["root_view_id"]) == (view_id, view_id)
    third = (await people.do("submit", user=MAYA, view_id=second["id"], values=entry))["view"]
    assert await people.refused("submit", user=MAYA, view_id=third["id"], values=entry) == "push_limit_reached"
    await people.do("close", user=MAYA, view_id=third["id"], all=True)
    closed = [await app.request("interactive") for _ in range(7)]
    told = [r.payload for r in closed if r.payload["type"] == "view_closed"]
    assert {p["view"]["id"] for p in told} == {view_id, second["id"], third["id"]}
    assert all(p["is_cleared"] for p in told)
    assert (await people.see("views"))["views"] == []


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        ({"type": "modal"}, "missing required field: title"),
        (modal(text_input("n"), title={"type": "plain_text", "text": "x" * 25}), "less than 25 characters"),
        (modal(text_input("n"), submit=None), "a submit button is required"),
        (modal(text_input("n"), private_metadata="x" * 3001), "less than 3001 characters"),
        (modal(section("x" * 3001)), "[json-pointer:/view/blocks/0/text/text]"),
    ],
)
async def test_a_broken_modal_is_refused_with_the_reason(slack: tuple[App, People], view: Json, reason: str) -> None:
    """invalid_arguments comes with the place of the mistake, and does not cost the trigger."""
    app, people = slack
    await app.connect()
    ts = await card(app)
    await people.do("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="assign")
    trigger = (await app.request("interactive")).payload["trigger_id"]
    with pytest.raises(SlackApiError) as caught:
        await app.web.views_open(trigger_id=trigger, view=view)
    assert caught.value.response["error"] == "invalid_arguments"
    assert reason in " ".join(caught.value.response["response_metadata"]["messages"])
    await app.web.views_open(trigger_id=trigger, view=modal(text_input("n")))


async def test_a_published_home_is_one_per_person_and_its_buttons_work(slack: tuple[App, People]) -> None:
    """views.publish twice replaces; a press inside the home carries the view."""
    app, people = slack
    await app.connect()
    for text in ("first", "second"):
        home = {"type": "home", "blocks": [section(text), actions(button("refresh"))]}
        published = (await app.web.views_publish(user_id=JONAS, view=home))["view"]
    [shown] = (await people.see("views", user=JONAS))["views"]
    assert shown["blocks"][0]["text"]["text"] == "second"
    await people.do("press", user=JONAS, view_id=published["id"], action_id="refresh")
    payload = (await app.request("interactive")).payload
    assert payload["container"] == {"type": "view", "view_id": published["id"]}
    assert payload["view"]["type"] == "home"
    assert await people.refused("press", user=MAYA, view_id=published["id"], action_id="refresh") == "not_found"


async def test_a_button_of_a_home_that_was_just_published_anew_is_pressed(slack: tuple[App, People]) -> None:
    """The view keeps its id and gets another hash; who still sees the old one presses that, and the press says so."""
    app, people = slack
    await app.connect()
    views = []
    for action in ("old", "new"):
        home = {"type": "home", "blocks": [section(action), actions(button(action))]}  # block ids are Slack's
        views.append((await app.web.views_publish(user_id=JONAS, view=home))["view"])
    old, new = views
    assert old["id"] == new["id"]
    assert old["hash"] != new["hash"]
    seen = {"user": JONAS, "view_id": new["id"]}
    await people.do("press", **seen, action_id="old", block_id=old["blocks"][1]["block_id"])
    pressed = (await app.request("interactive")).payload
    assert (pressed["actions"][0]["action_id"], pressed["view"]["hash"]) == ("old", old["hash"])
    assert pressed["view"]["blocks"] == old["blocks"]
    with pytest.raises(SlackApiError) as caught:
        await app.web.views_publish(user_id=JONAS, view=home, hash=old["hash"])
    assert caught.value.response["error"] == "hash_conflict"
    assert await people.refused("press", **seen, action_id="old") == "action_not_found", "nobody says what they saw"


async def test_a_slash_command_is_answered_to_its_user(slack: tuple[App, People]) -> None:
    """The text of the acknowledgement is shown to the one who typed; in_channel shows it to all."""
    app, people = slack
    await app.connect()
    app.answers["/desk"] = {"text": "three open"}
    said = await people.do("command", user=MAYA, channel=SUPPORT, command="/desk", text="open")
    assert said["answer"] == {"text": "three open"}
    payload = (await app.request("slash_commands")).payload
    assert (payload["command"], payload["text"], payload["user_id"], payload["channel_id"]) == (
        "/desk",
        "open",
        MAYA,
        SUPPORT,
    )
    shown = await people.see(f"channel/{SUPPORT}")
    assert shown["ephemerals"][MAYA][0]["text"] == "three open"
    app.answers["/desk"] = {"text": "for all", "response_type": "in_channel"}
    await people.do("command", user=MAYA, channel=SUPPORT, command="/desk")
    assert (await people.see(f"channel/{SUPPORT}"))["messages"][0]["text"] == "for all"


async def test_shortcuts_global_and_on_a_message(slack: tuple[App, People]) -> None:
    """A message shortcut carries the message, a global one only who and a trigger."""
    app, people = slack
    await app.connect()
    ts = await people.post(SUPPORT, "please look")
    await people.do("shortcut", user=MAYA, callback_id="new_ticket")
    payload = (await app.request("interactive")).payload
    assert (payload["type"], payload["callback_id"]) == ("shortcut", "new_ticket")
    assert "message" not in payload
    await people.do("shortcut", user=MAYA, callback_id="make_ticket", channel=SUPPORT, ts=ts)
    payload = (await app.request("interactive")).payload
    assert (payload["type"], payload["message"]["text"]) == ("message_action", "please look")
    await app.web.views_open(trigger_id=payload["trigger_id"], view=modal(text_input("n")))


async def test_options_are_asked_for_what_was_typed(slack: tuple[App, People]) -> None:
    """block_suggestion returns the app's options, which can then be chosen."""
    app, people = slack
    await app.connect()
    select = {
        "type": "external_select",
        "action_id": "customer",
        "placeholder": {"type": "plain_text", "text": "Who"},
    }
    ts = await card(app, select)
    option = {"text": {"type": "plain_text", "text": "Ada"}, "value": "c1"}
    app.answers["block_suggestion"] = {"options": [option]}
    where = {"user": MAYA, "channel": SUPPORT, "ts": ts, "action_id": "customer"}
    assert (await people.do("suggest", **where, value="ad"))["options"] == [option]
    assert (await app.request("interactive")).payload["value"] == "ad"
    await people.do("press", **where, selected_option=option)
    assert (await app.request("interactive")).payload["actions"][0]["selected_option"] == option


async def test_a_response_url_answers_five_times(slack: tuple[App, People]) -> None:
    """Ephemeral by default, then replacing the original; the sixth use is refused."""
    app, people = slack
    await app.connect()
    ts = await card(app)
    await people.do("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="assign")
    hook = AsyncWebhookClient((await app.request("interactive")).payload["response_url"], session=app.session)
    assert (await hook.send(text="only for you")).body == "ok"
    assert (await people.see(f"channel/{SUPPORT}"))["ephemerals"][MAYA][0]["text"] == "only for you"
    assert (await hook.send(text="taken", replace_original=True)).status_code == 200
    assert (await app.web.conversations_history(channel=SUPPORT))["messages"][0]["text"] == "taken"
    await hook.send(text="all", response_type="in_channel")
    assert (await app.web.conversations_history(channel=SUPPORT))["messages"][0]["text"] == "all"
    await hook.send(delete_original=True)
    assert len((await app.web.conversations_history(channel=SUPPORT))["messages"]) == 1
    await hook.send(text="fifth")
    last = await hook.send(text="sixth")
    assert (last.status_code, "used_url" in last.body) == (404, True)


async def test_a_press_on_an_ephemeral_message_has_no_message_but_an_answer(
    slack: tuple[App, People],
) -> None:
    """The container says so, and the response_url can take the ephemeral message away."""
    app, people = slack
    await app.connect()
    blocks = [actions(button("retry"))]
    sent = await app.web.chat_postEphemeral(channel=SUPPORT, user=MAYA, text="failed", blocks=blocks)
    await people.do("press", user=MAYA, channel=SUPPORT, ts=sent["message_ts"], action_id="retry")
    payload = (await app.request("interactive")).payload
    assert payload["container"]["is_ephemeral"] is True
    assert "message" not in payload
    hook = AsyncWebhookClient(payload["response_url"], session=app.session)
    assert (await hook.send(delete_original=True)).status_code == 200
    assert (await people.see(f"channel/{SUPPORT}"))["ephemerals"] == {}


async def test_the_shortcuts_of_the_app_are_told_to_the_page(slack: tuple[App, People]) -> None:
    """What a manifest offers on a message is set once and shown to people; more than Slack takes is refused."""
    _, people = slack
    await people.do("settings", shortcuts={"relay_it": "Relay it"})
    assert (await people.see("people"))["shortcuts"] == {"relay_it": "Relay it"}
    assert "at most 10" in await people.refused("settings", shortcuts={str(n): "x" for n in range(11)})
