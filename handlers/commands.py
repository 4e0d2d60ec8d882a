"""`/relaydesk <what> #<number> <more>`: the words of a command, read as the action that a button would be.

Nothing is decided here: permission, effect and refusal are those of the button.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from domain import events
from domain.rulebook import Rulebook
from handlers import resting

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "take": ("接手",),
    "release": ("放回",),
    "assign": ("指派", "分配"),
    "handover": ("转交",),
    "resolve": ("解决",),
    "reopen": ("重开", "重新打开"),
    "snooze": ("暂停",),
    "wake": ("恢复", "唤醒"),
    "hold": ("挂起",),
    "notarequest": ("非请求",),
    "spam": ("垃圾",),
    "priority": ("优先级",),
    "topic": ("主题",),
    "move": ("转队列", "转到"),
    "join": ("合并", "合并会话"),
    "mute": ("静音",),
    "unmute": ("取消静音",),
    "start": ("发起", "联系"),
    "transcript": ("记录",),
    "why": ("依据", "分类依据", "为什么"),
    "customer": ("客户",),
    "search": ("搜索", "查找"),
    "sla": ("时限", "时限说明"),
    "reply": ("回复",),
    "fact": ("登记",),
    "on": ("上班",),
    "off": ("下班",),
    "help": ("帮助",),
}
"""Every command by its English name, with what it is called in Chinese; the first is the one that help names."""
ONESELF: Final = frozenset({"me", "myself", "我", "自己"})
"""To whom somebody assigns what they take."""
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "whose": ("take", "release", "assign", "handover"),
    "when": ("snooze", "wake", "hold"),
    "end": ("resolve", "notarequest", "spam", "reopen"),
    "sort": ("priority", "topic", "move", "join"),
    "look": ("customer", "search", "why", "sla", "transcript"),
    "others": ("reply", "start", "mute", "unmute", "fact", "on", "off", "help"),
}
"""The commands as help shows them."""
_DOES: Final[Mapping[str, str]] = {
    "take": "assign_me",
    "release": "unassign",
    "topic": "relabel",
    "notarequest": "not_a_request",
} | {
    name: name
    for name in (
        "assign",
        "handover",
        "resolve",
        "reopen",
        "snooze",
        "wake",
        "priority",
        "move",
        "hold",
        "spam",
        "mute",
        "unmute",
        "join",
        "start",
        "transcript",
        "why",
    )
}
NAMES: Final[Mapping[str, str]] = {
    word: does for english, does in _DOES.items() for word in (english, *ALIASES[english])
}
"""What the first word of a command does to a conversation, in English and in Chinese."""


def called(*english: str) -> frozenset[str]:
    """All the names of these commands."""
    return frozenset(word for name in english for word in (name, *ALIASES[name]))


def kind(first: str) -> str:
    """The English name of a command by its first word; anything else is "other": people type names into commands."""
    return next((english for english, names in ALIASES.items() if first in (english, *names)), "other")


PRIORITIES: Final = {"低": "low", "普通": "normal", "高": "high", "紧急": "urgent"}
ENDS: Final = {
    "已解决": "solved",
    "已答复": "answered",
    "无法处理": "cannot_help",
    "已撤回": "withdrawn",
    "客户撤回": "withdrawn",
    "重复": "duplicate",
    "重复提问": "duplicate",
}
UNTIL_CUSTOMER: Final = ("customer", "客户")
_NUMBER: Final = re.compile(r"[#\uff03]?(\d{1,9})")
_HEAD: Final = re.compile(r"([^\s#\uff03]+)\s*[#\uff03]\s*(\d{1,9})(?!\d)(?=[\s#]|[^\x00-\x7f]|$)\s*")
"""How a command begins that names a number: in Chinese it is written without blanks, or with full-width ones.

The number is a whole one: neither the beginning of a longer one nor of a word stands for another conversation.
"""
_USER: Final = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
_SPAM, _HOLD, _JOIN, _START = "spam", "hold", "join", "start"


def plain(typed: str) -> str:
    """A command as it is read, with one blank behind its first word and around the number that it names.

    Chinese input types full-width blanks and signs, and people none: `解决#1042`, `解决　＃1042`.
    """
    found = _HEAD.match(typed := typed.strip())
    if found is not None:
        return f"{found[1]} #{int(found[2])} {typed[found.end() :]}".rstrip()
    return " ".join(typed.split(None, 1))


def read(event: events.DeskCommand) -> events.AgentAction | None:
    """The action that a command names; None where its first word is none of `NAMES`."""
    first, _, rest = plain(event.text).partition(" ")
    name = NAMES.get(first.casefold())
    if name is None:
        return None
    number, more = _numbered(rest)
    value: str | None = more or None
    note = ""
    if name == "assign" and more.casefold() in ONESELF:
        name, value = "assign_me", None
    elif name in ("assign", "handover"):
        found = _USER.match(more)
        value, note = (found[1], more[found.end() :].strip()) if found else (None, more)
    elif name == _START:
        value, note = None, more
    elif name == _SPAM:
        name, value = "status", "spam"
    elif name == _HOLD:
        name, value = "status", "on_hold"
    elif name == "priority":
        value = PRIORITIES.get(more, more.casefold())
    elif name == "resolve" and more:
        value = ENDS.get(more, more.casefold().replace(" ", "_"))
    elif name == "snooze" and more.casefold() in UNTIL_CUSTOMER:
        value = resting.CUSTOMER
    elif name == _JOIN:
        other = _NUMBER.fullmatch(more.removeprefix("into").strip())
        value = other[1] if other else None
    return events.AgentAction(
        agent_id=event.agent_id,
        at=event.at,
        channel=event.channel,
        thread_ts=None,
        conversation_id=None,
        action=name,
        value=value,
        key=event.key,
        note=note,
        number=number,
    )


def named(event: events.Event) -> events.AgentAction | None:
    """The action that an event asks for, by a click, a form or a command; None for anything else."""
    if isinstance(event, events.DeskCommand):
        return read(event)
    if not isinstance(event, events.AgentAction):
        return None
    return in_words(event) if event.action == "act" else event


def in_words(event: events.AgentAction) -> events.AgentAction | None:
    """What a form asks for in the words of a command, of the conversation that it was opened from."""
    asked = read(events.DeskCommand(agent_id=event.agent_id, at=event.at, channel="", text=event.value or ""))
    if asked is None:
        return None
    return replace(event, action=asked.action, value=asked.value, note=asked.note, number=asked.number)


def meant(action: events.AgentAction, rules: Rulebook) -> events.AgentAction:
    """The same action with a queue or a topic by its id, where a person wrote its name."""
    word = (action.value or "").casefold()
    if action.action == "move":
        names = {queue.name: {queue.name, queue.title, *queue.titles.values()} for queue in rules.queues.values()}
    elif action.action == "relabel":
        names = {intent.id: {intent.id, *intent.names.values()} for intent in rules.intents.values()}
    else:
        return action
    exact = [key for key, known in names.items() if word in {one.casefold() for one in known}]
    near = exact or [key for key, known in names.items() if word and any(word in one.casefold() for one in known)]
    return replace(action, value=near[0]) if len(near) == 1 else action


def _numbered(words: str) -> tuple[int | None, str]:
    """The number a command names, and what is left of it."""
    first, _, rest = words.strip().partition(" ")
    found = _NUMBER.fullmatch(first)
    return (int(found[1]), rest.strip()) if found else (None, words.strip())
