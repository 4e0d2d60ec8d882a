"""What agents press, choose and send, as Slack tells it: buttons, commands, windows, shortcuts, emoji."""

from __future__ import annotations

from typing import get_args

from bot.desk import blocks, fact_window, forms, modals
from bot.desk.directory import Directory
from bot.desk.payloads import (
    Own,
    Payload,
    emoji_of,
    is_on_card,
    mapping,
    read_form,
    received_at,
    string,
    thread_of,
    time_of,
)
from domain import signs
from domain.errors import MalformedEvent
from domain.events import (
    WRITTEN,
    ActionName,
    AgentAction,
    AgentMessage,
    AgentReaction,
    DeskCommand,
    FactEntered,
    Ignored,
)
from handlers import commands, recall

ACTIONS = frozenset(get_args(ActionName))


async def button(body: Payload, own: Own, directory: Directory) -> AgentAction | DeskCommand | Ignored:
    """A button, or an option of a menu."""
    action = mapping(body["actions"][0])
    action_id, action_ts = string(action, "action_id"), string(action, "action_ts")
    user, channel = mapping(body.get("user")), string(mapping(body.get("channel")), "id")
    thread = thread_of(body)
    name = action_id.partition(":")[0]
    given = string(mapping(action.get("selected_option")), "value") or string(action, "value")
    if not string(user, "id"):
        raise MalformedEvent("an action without a user")
    try:
        conversation_id, version, value = blocks.read_value(given)
    except ValueError:
        return Ignored(reason=f"action:{name[:40]}")
    if value and "=" in value:  # an option of a menu that holds several kinds of steps
        name, _, chosen = value.partition("=")
        value = chosen or None
    if name not in ACTIONS:
        return Ignored(reason=f"action:{name[:40]}")
    if name == "on_duty":  # on somebody's own page: the same as the command
        return DeskCommand(
            agent_id=string(user, "id"), at=time_of(action_ts), channel="", text=value or "", key=f"{action_ts}:duty"
        )
    return AgentAction(
        agent_id=string(user, "id"),
        at=time_of(action_ts),
        channel=channel or (thread[0] if thread else ""),
        thread_ts=thread[1] if thread else None,
        conversation_id=conversation_id,
        action=name,  # one of ACTIONS, which are the literal's words
        value=value,
        version=version,
        key=f"{action_ts}:{action_id}",
        is_stranger=await directory.is_stranger(string(user, "id"), string(user, "team_id"), own.team_id),
        trigger=string(body, "trigger_id") if is_on_card(body) else "",
    )


def command(body: Payload) -> DeskCommand:
    """The slash command. Raises MalformedEvent where nobody gave it."""
    user = string(body, "user_id")
    if not user:
        raise MalformedEvent("a command without a user")
    return DeskCommand(
        agent_id=user,
        at=received_at(body),
        channel=string(body, "channel_id"),
        text=commands.plain(string(body, "text")),
        key=string(body, "trigger_id"),
    )


async def window(body: Payload, own: Own, directory: Directory) -> FactEntered | AgentMessage | AgentAction | Ignored:
    """What was sent with a window: a fact, an answer (it stands in the thread as a post of ours), or a form."""
    if (noted := await _noted(body, own, directory)) is not None:
        return noted
    view, user = mapping(body.get("view")), mapping(body.get("user"))
    form = read_form(view)
    if not form:
        return await _form(body, own, directory)
    if not string(user, "id"):
        return Ignored(reason="window")
    seen, answers = form.get("v"), form.get("q")
    return AgentMessage(
        agent_id=string(user, "id"),
        at=received_at(body),
        channel=form["p"],
        thread_ts=form["t"],
        ts=f"{WRITTEN}{form['e']}",
        text=modals.typed_in(view),
        seen=seen if isinstance(seen, int) else None,
        answers=answers if isinstance(answers, str) and answers else None,
        is_stranger=await directory.is_stranger(string(user, "id"), string(user, "team_id"), own.team_id),
    )


async def shortcut(body: Payload, own: Own, directory: Directory) -> AgentAction | Ignored:
    """A shortcut on a message that needs nothing more than the click."""
    name = string(body, "callback_id").removeprefix(forms.PREFIX)
    user, thread = mapping(body.get("user")), thread_of(body)
    if name not in forms.STRAIGHT or thread is None or not string(user, "id"):
        return Ignored(reason="shortcut")
    ts = string(body, "action_ts")
    return AgentAction(
        agent_id=string(user, "id"),
        at=time_of(ts),
        channel=thread[0],
        thread_ts=thread[1],
        conversation_id=None,
        action=name,
        key=f"{ts}:{name}",
        is_stranger=await directory.is_stranger(string(user, "id"), string(user, "team_id"), own.team_id),
    )


async def reaction(
    event: Payload, body: Payload, own: Own, directory: Directory
) -> AgentReaction | AgentAction | Ignored:
    """An emoji that customers are to see, put on a post or taken away; or one that stands for a step."""
    item = mapping(event.get("item"))
    place, ts, user = string(item, "channel"), string(item, "ts"), string(event, "user")
    name, is_on = emoji_of(event), string(event, "type") == "reaction_added"
    if not (place and ts and user) or not (name in own.reactions or (name in signs.STEPS and is_on)):
        return Ignored(reason="reaction")
    author = string(event, "item_user")  # Slack names none of what was posted under a name of its own
    if name in signs.STEPS - {signs.LOOKING} and author not in (
        "",
        user,
    ):  # on a line of one's own alone it means anything
        return Ignored(reason="reaction")
    is_stranger = await directory.is_stranger(user, string(body, "team_id"), own.team_id)
    on_ours = author in ("", own.bot_user_id)
    if name not in signs.STEPS:
        return AgentReaction(
            agent_id=user,
            at=time_of(string(event, "event_ts")),
            channel=place,
            ts=ts,
            name=name,
            is_on=is_on,
            is_stranger=is_stranger,
            on_ours=on_ours,
        )
    return AgentAction(
        agent_id=user,
        at=time_of(string(event, "event_ts")),
        channel=place,
        thread_ts=ts,
        conversation_id=None,
        action="acknowledge" if name == signs.LOOKING else "take_back",
        value="reaction",
        note=recall.INSIDE if name == signs.KEPT else "",
        key=string(body, "event_id"),
        is_stranger=is_stranger,
        on_ours=on_ours,
    )


async def _noted(body: Payload, own: Own, directory: Directory) -> FactEntered | None:
    """What happened elsewhere, as a colleague noted it in a window."""
    user = mapping(body.get("user"))
    if string(mapping(body.get("view")), "callback_id") != fact_window.FACT:
        return None
    stranger = await directory.is_stranger(string(user, "id"), string(user, "team_id"), own.team_id)
    return fact_window.read(body, received_at(body), is_stranger=stranger)


async def _form(body: Payload, own: Own, directory: Directory) -> AgentAction | Ignored:
    """A form of ours that was sent: the action it stands for."""
    user, sent = mapping(body.get("user")), forms.read(body)
    if sent is None or not string(user, "id"):
        return Ignored(reason="form")
    key = string(mapping(body.get("view")), "id")
    return AgentAction(
        agent_id=string(user, "id"),
        at=received_at(body),
        channel=sent.channel,
        thread_ts=sent.thread_ts,
        conversation_id=sent.conversation_id,
        action=sent.action,
        value=sent.value,
        version=sent.version,
        note=sent.note,
        key=key,
        is_stranger=await directory.is_stranger(string(user, "id"), string(user, "team_id"), own.team_id),
    )
