"""What a person does with the app: presses, chooses, submits, commands, shortcuts. Payloads as Slack sends them."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.slack import blocks as block_kit
from sandbox.slack import messages, modals, workspace
from sandbox.slack.choices import chosen, missing
from sandbox.slack.delivery import Answer, Delivery, Kind
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Ephemeral, Json, Message, User, View

if TYPE_CHECKING:
    from sandbox.slack.side import SlackSide

TEAM: Json = {"id": workspace.TEAM_ID, "domain": workspace.TEAM_DOMAIN}
NO_ANSWER = "operation_timeout"
"""What the person is told when the app did not acknowledge in time."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an element stands: in a message of a channel, in an ephemeral message, or in a view."""

    blocks: list[Json]
    state: dict[str, Json]
    channel: Channel | None = None
    message: Message | None = None
    ephemeral: Ephemeral | None = None
    view: View | None = None


def place_in_channel(user: User, channel: Channel, ts: str) -> Place:
    """The message that the user sees under this ts, or SlackError `message_not_found`."""
    if user.id not in channel.members:
        raise SlackError("not_in_channel")
    for ephemeral in channel.ephemerals:
        if ephemeral.body["ts"] == ts and ephemeral.user == user.id:
            return Place(
                blocks=ephemeral.body.get("blocks", []), state=ephemeral.state, channel=channel, ephemeral=ephemeral
            )
    message = messages.find(channel, ts)
    return Place(blocks=message.body.get("blocks", []), state=message.state, channel=channel, message=message)


def place_in_view(side: "SlackSide", user: User, view_id: str) -> Place:
    """The user's open modal or home tab, or SlackError `not_found`."""
    view = modals.find(side, view_id)
    if view.user != user.id:
        raise SlackError("not_found")
    return Place(blocks=view.body["blocks"], state=view.state, view=view)


async def press(
    side: "SlackSide", user: User, place: Place, *, action_id: str, block_id: str | None, given: Json
) -> Answer:
    """block_actions. SlackError if there is no such element, the choice is impossible, or nobody answered."""
    block, element, looked_at = _element(place, action_id, block_id)
    if place.message is not None and place.message.body.get("bot_id") not in (None, side.bot.bot_id):
        raise SlackError("app_not_installed")
    if place.channel is not None and place.channel.is_archived:
        raise SlackError("is_archived")
    value = chosen(side, element, given)
    if element["type"] in modals.VALUE_NAMES:
        place.state.setdefault(block["block_id"], {})[action_id] = {"type": element["type"], **value}
    action: Json = {
        "action_id": action_id,
        "block_id": block["block_id"],
        "type": element["type"],
        **value,
        "action_ts": side.event_ts(),
    }
    payload: Json = {
        **_common(side, "block_actions", user, place),
        "state": {"values": place.state},
        "actions": [action],
    }
    if place.view is not None and looked_at:  # with the hash of the view that was pressed
        payload["view"] |= place.view.earlier[looked_at - 1]
    if place.channel is not None:
        body = _body(place)
        payload["response_url"] = side.new_response_url(
            place.channel.id, user.id, message_ts=body["ts"], thread_ts=body.get("thread_ts")
        )
    return await _answered(side, "interactive", "block_actions", payload)


async def suggest(
    side: "SlackSide", user: User, place: Place, *, action_id: str, block_id: str | None, typed: str
) -> list[Json]:
    """block_suggestion: what the app offers for what was typed; groups are flattened."""
    block, element, _ = _element(place, action_id, block_id)
    if element["type"] not in ("external_select", "multi_external_select"):
        raise SlackError("not_an_external_select")
    payload = {
        **_common(side, "block_suggestion", user, place),
        "action_id": action_id,
        "block_id": block["block_id"],
        "value": typed,
    }
    del payload["trigger_id"]
    answer = await _answered(side, "interactive", "block_suggestion", payload, url_kind="options")
    options: list[Json] = list(answer.payload.get("options") or [])
    for group in answer.payload.get("option_groups") or []:
        options += group.get("options") or []
    if len(options) > block_kit.MAX_OPTIONS["static_select"]:
        raise SlackError("too_many_options")
    return options


async def submit(side: "SlackSide", user: User, view: View, values: Json) -> Json:
    """view_submission, and what the app's answer does to the modal.

    Returns `{"closed": bool, "errors": {block_id: words}, "view": …}`. What the Slack client refuses by itself
    (a required field left empty) comes back in `errors` without reaching the app.
    """
    for block, element in block_kit.elements(view.body["blocks"]):
        entered = values.get(block["block_id"], {}).get(element["action_id"])
        if entered is not None:
            value = chosen(side, element, entered if isinstance(entered, dict) else {"value": entered})
            view.state.setdefault(block["block_id"], {})[element["action_id"]] = {"type": element["type"], **value}
    if errors := missing(view):
        return {"closed": False, "errors": errors, "view": view.json()}
    place = Place(blocks=view.body["blocks"], state=view.state, view=view)
    payload = {**_common(side, "view_submission", user, place), "response_urls": []}
    del payload["container"]
    answer = await _answered(side, "interactive", "view_submission", payload)
    return _follow(side, view, answer.payload)


async def close(side: "SlackSide", user: User, view: View, *, whole_stack: bool) -> None:
    """The user closes the modal; the app hears of it if it asked to."""
    told = [v for v in modals.close(side, view, whole_stack=whole_stack) if v.body.get("notify_on_close")]
    for closed in told:
        place = Place(blocks=closed.body["blocks"], state=closed.state, view=closed)
        payload = {**_common(side, "view_closed", user, place), "is_cleared": whole_stack}
        del payload["container"], payload["trigger_id"]
        await _answered(side, "interactive", "view_closed", payload)


async def command(side: "SlackSide", user: User, channel: Channel, name: str, text: str) -> Json:
    """A slash command; an answer in the acknowledgement is shown at once."""
    if user.id not in channel.members:
        raise SlackError("not_in_channel")
    if channel.is_archived:
        raise SlackError("is_archived")
    fields = {
        "token": workspace.VERIFICATION_TOKEN,
        "team_id": workspace.TEAM_ID,
        "team_domain": workspace.TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": channel.name or "directmessage",
        "user_id": user.id,
        "user_name": user.name,
        "command": name,
        "text": text,
        "api_app_id": workspace.APP_ID,
        "is_enterprise_install": "false",
        "response_url": side.new_response_url(channel.id, user.id),
        "trigger_id": side.new_trigger(user.id),
    }
    delivery = Delivery(
        id=side.new_id("Cm"),
        kind="slash_commands",
        label=name,
        body=json.dumps(fields),
        url_kind="slash_commands",
        fields=fields,
    )
    answer = await side.deliveries.ask(delivery)
    if answer is None:
        raise SlackError(NO_ANSWER)
    if answer.payload.get("text") or answer.payload.get("blocks"):
        show_answer(side, channel, user, answer.payload, thread_ts=None, via="command")
    return answer.payload


async def shortcut(side: "SlackSide", user: User, callback_id: str, place: Place | None) -> Json:
    """A global shortcut, or one on a message."""
    payload: Json = {
        "type": "shortcut" if place is None else "message_action",
        "token": workspace.VERIFICATION_TOKEN,
        "action_ts": side.event_ts(),
        "team": TEAM,
        "user": side.user_in_payload(user),
        "is_enterprise_install": False,
        "enterprise": None,
        "callback_id": callback_id,
        "trigger_id": side.new_trigger(user.id),
    }
    if place is not None and place.channel is not None:
        body = _body(place)
        payload |= {
            "channel": {"id": place.channel.id, "name": place.channel.name or "directmessage"},
            "message_ts": body["ts"],
            "message": body,
            "response_url": side.new_response_url(place.channel.id, user.id, thread_ts=body.get("thread_ts")),
        }
    answer = await _answered(side, "interactive", str(payload["type"]), payload)
    return answer.payload


def show_answer(
    side: "SlackSide", channel: Channel, user: User, said: Json, *, thread_ts: str | None, via: str
) -> None:
    """A message that came with an acknowledgement or over a response_url: to one person, or to the channel."""
    blocks = said.get("blocks")
    if blocks is not None and (errors := block_kit.check(blocks)):
        raise SlackError("invalid_blocks", errors=errors)
    text = str(said.get("text") or "")
    if said.get("response_type") == "in_channel":
        bot = side.bot
        messages.post(side, channel, bot, text, blocks=blocks, thread_ts=thread_ts, via=via)
    else:
        messages.show_ephemeral(side, channel, user, text, blocks=blocks, thread_ts=thread_ts, via=via)


def _element(place: Place, action_id: str, block_id: str | None) -> tuple[Json, Json, int]:
    """What was pressed: its block, itself, and how many changes ago it stood there.

    Somebody whose screen does not show a change yet presses what stood there before it.
    """
    shown = [place.blocks]
    if block_id is not None and place.message is not None:
        shown += place.message.earlier
    if block_id is not None and place.view is not None:
        shown += [one["blocks"] for one in place.view.earlier]
    for ago, blocks in enumerate(shown):
        for block, element in block_kit.elements(blocks):
            if element["action_id"] == action_id and block_id in (None, block["block_id"]):
                return block, element, ago
    raise SlackError("action_not_found")


def _body(place: Place) -> Json:
    if place.ephemeral is not None:
        return place.ephemeral.body
    if place.message is None:
        raise SlackError("message_not_found")
    return place.message.body


def _common(side: "SlackSide", kind: str, user: User, place: Place) -> Json:
    payload: Json = {
        "type": kind,
        "user": side.user_in_payload(user),
        "api_app_id": workspace.APP_ID,
        "token": workspace.VERIFICATION_TOKEN,
        "team": TEAM,
        "enterprise": None,
        "is_enterprise_install": False,
    }
    if place.view is not None:
        payload |= {
            "container": {"type": "view", "view_id": place.view.id},
            "view": place.view.json(),
            "trigger_id": side.new_trigger(user.id, place.view.id),
        }
    elif place.channel is not None:
        body = _body(place)
        container: Json = {
            "type": "message",
            "message_ts": body["ts"],
            "channel_id": place.channel.id,
            "is_ephemeral": place.ephemeral is not None,
        }
        if body.get("thread_ts"):
            container["thread_ts"] = body["thread_ts"]
        payload |= {
            "container": container,
            "trigger_id": side.new_trigger(user.id),
            "channel": {"id": place.channel.id, "name": place.channel.name or "directmessage"},
        }
        if place.message is not None:
            payload["message"] = body
    return payload


async def _answered(
    side: "SlackSide", kind: Kind, label: str, payload: Json, *, url_kind: str = "interactive"
) -> Answer:
    delivery = Delivery(id=side.new_id("In"), kind=kind, label=label, body=json.dumps(payload), url_kind=url_kind)
    answer = await side.deliveries.ask(delivery)
    if answer is None:
        raise SlackError(NO_ANSWER)
    return answer


def _follow(side: "SlackSide", view: View, said: Json) -> Json:
    """Do what the answer to a submission asks for."""
    action = said.get("response_action")
    if action == "errors":
        errors = said.get("errors")
        known = {block["block_id"] for block in view.body["blocks"] if block["type"] == "input"}
        if not isinstance(errors, dict) or not errors or set(errors) - known:
            raise SlackError("invalid_response_errors", known_blocks=sorted(known))
        return {"closed": False, "errors": errors, "view": view.json()}
    if action in ("update", "push"):
        body = modals.checked(said.get("view"), surface="modal")
        if action == "update":
            modals.replace(side, view, body, None)
            return {"closed": False, "errors": {}, "view": view.json()}
        if modals.stack_height(side, view.body["root_view_id"]) >= modals.MAX_STACK:
            raise SlackError("push_limit_reached")
        return {"closed": False, "errors": {}, "view": modals.show(side, view.user, body, below=view).json()}
    modals.close(side, view, whole_stack=action == "clear" or bool(view.body.get("clear_on_close")))
    return {"closed": True, "errors": {}, "view": None}
