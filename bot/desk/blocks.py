"""Block Kit, rendered from values alone: the card, its buttons, and the pieces that thread posts are made of.

Customer text goes into rich_text or plain_text, which Slack never reads as markup; mrkdwn is used for our own words
and for what has been escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from bot.desk import words
from domain import text
from domain.changes import ClockRow
from domain.model import OUTCOMES, Conversation, Priority, Reach, Status
from domain.ports import CardView
from handlers import acts

Block = dict[str, Any]

SECTION_LIMIT = 3000
EXAMPLE_LIMIT = 60
FALLBACK_LIMIT = 3000
BUTTON_LIMIT = 75
VALUE_LIMIT = 150
OPTION_VALUE_LIMIT = 75
OPTIONS_LIMIT = 100
EXCERPT_LIMIT = 120
NAME_LIMIT = 64
WIDE = re.compile("[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]")
"""Characters as wide as two others: a Chinese line says in half as many as much as any."""
SHOWN = 0.005
"""A guess that would read 0% is none."""
SEPARATOR = words.SEPARATOR
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
LEFT_TO_RIGHT = "\u200e"
"""Begins a line of ours with a name from right to left in it: else all of the line is turned around."""
CHANGE = "change"
"""The action id of the menu that sorts: topic, priority and queue; its options carry `action=value`, as do MORE's."""
MORE = "more"
"""The action id of the menu with all the rest."""


def card(view: CardView, carried: Sequence[Block] = ()) -> tuple[list[Block], str]:
    """The blocks of a card and the text that stands for it in notifications.

    `carried` are the messages it was posted with: they stand where the newest words stand otherwise, which come below
    them once they are others.
    """
    conversation = view.conversation
    name = text.excerpt(view.customer_name, NAME_LIMIT).replace(SEPARATOR, ", ")  # nobody names himself "Ann · Urgent"
    is_open = conversation.is_open
    parts = (_sorting(view), _most_like(view), _deadline(view)) if is_open else (_deadline(view), _sorting(view))
    lines = ("\n" if is_open else SEPARATOR).join(part for part in parts if part)
    if carried:
        newest = excerpt(view.excerpt) if view.excerpt != view.carried[-1].body else ""
        first = [_headline(view, name, ""), *carried, *([quote(newest)] if newest else [])]
    else:
        first = [_headline(view, name, excerpt(view.excerpt))]
    told = _section(lines) if is_open else context(lines)  # grey: who looks for what is open reads past it
    blocks = [*first, told, _actions(view)]
    where = words.say("list.brackets", what=view.channel_title)
    newest_words = text.excerpt(view.excerpt, EXCERPT_LIMIT)
    fallback = f"#{conversation.number} {name}{where}" + (
        words.say("list.colon") + newest_words if newest_words else ""
    )
    return blocks, text.escape_mrkdwn(fallback)


def excerpt(said: str) -> str:
    """The beginning of somebody's words, as much as two lines of a card hold in any script."""
    start = said[:EXCERPT_LIMIT]
    return text.excerpt(said, EXCERPT_LIMIT - min(len(WIDE.findall(start)), EXCERPT_LIMIT // 2))


def button_value(conversation_id: str, version: int | None, value: str = "") -> str:
    """What a button carries: `conversation|version|value`; the version is empty where it does not matter."""
    return f"{conversation_id}|{'' if version is None else version}|{value}"


def read_value(value: str) -> tuple[str | None, int | None, str | None]:
    """Read what `button_value` wrote. Raises ValueError for anything else."""
    parts = value.split("|", 2)
    if len(parts) != 3:
        raise ValueError("not a button value of ours")
    return parts[0] or None, int(parts[1]) if parts[1] else None, parts[2] or None


def plain(words_: str) -> Block:
    """A plain_text object: no markup, no emoji names."""
    return {"type": "plain_text", "text": words_, "emoji": False}


def mrkdwn(words_: str) -> Block:
    """A mrkdwn object that links nothing by itself."""
    return {"type": "mrkdwn", "text": words_, "verbatim": True}


def context(words_: str) -> Block:
    """One grey line; `words_` is escaped mrkdwn."""
    return {"type": "context", "elements": [mrkdwn(words_[:SECTION_LIMIT])]}


def grey(words_: str) -> Block:
    """One grey line that holds somebody's words: none of it is markup."""
    return {"type": "context", "elements": [plain(words_[:SECTION_LIMIT])]}


def button(label: str, action: str, value: str, *, primary: bool = False) -> Block:
    """A button of at most 75 characters."""
    made: Block = {
        "type": "button",
        "text": plain(text.excerpt(label, BUTTON_LIMIT)),
        "action_id": action,
        "value": value[:VALUE_LIMIT],
    }
    return made | {"style": "primary"} if primary else made


def quote(words_: str) -> Block:
    """A customer's words, quoted and never markup."""
    return {"type": "rich_text", "elements": [_quoted(words_)]}


def number(of: int, link: str | None) -> str:
    """A conversation's number as mrkdwn; it leads to its thread where the address is known."""
    return f"<{text.escape_mrkdwn(link)}|#{of}>" if link else f"#{of}"


def mention(who: str | None) -> str:
    """A user or user group as mrkdwn that notifies; anything else as escaped words, so never @here."""
    if not who:
        return ""
    if who.isascii() and who.isalnum():
        if who[0] in "UW":
            return f"<@{who}>"
        if who[0] == "S":
            return f"<!subteam^{who}>"
    return text.escape_mrkdwn(who)


def date(moment: datetime) -> str:
    """A moment in each reader's own time."""
    fallback = moment.strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(moment.timestamp())}^{{date_short_pretty}} {{time}}|{fallback}>"


def _headline(view: CardView, name: str, shown: str) -> Block:
    conversation = view.conversation
    rest = [name, view.channel_title, words.language(conversation.language), *view.segments, *view.came_about]
    elements: list[Block] = [{"type": "text", "text": f"#{conversation.number}", "style": {"bold": True}}]
    shown_as = SEPARATOR.join(text.clean(part) for part in rest if part)
    turn = LEFT_TO_RIGHT if RIGHT_TO_LEFT.search(shown_as) else ""
    elements.append({"type": "text", "text": f"{turn}  {shown_as}"})
    if conversation.priority is not Priority.NORMAL:
        elements.append({"type": "text", "text": SEPARATOR})
        style = {"style": {"bold": True}} if conversation.priority.rank > Priority.NORMAL.rank else {}
        label = words.say(f"priority_shown.{conversation.priority.value}")
        elements.append({"type": "text", "text": label} | style)
    parts: list[Block] = [{"type": "rich_text_section", "elements": elements}]
    if shown:
        parts.append(_quoted(shown))
    return {"type": "rich_text", "elements": parts}


def _sorting(view: CardView) -> str:
    who = mention(view.conversation.assignee) or (words.say("card.nobody") if view.conversation.is_open else "")
    parts = [_intent(view), text.escape_mrkdwn(view.queue_title or view.conversation.queue), who]
    return SEPARATOR.join(part for part in parts if part)


def _intent(view: CardView) -> str:
    if view.intent_name and (view.conversation.label_by_human or not view.abstained):
        name = f"*{text.escape_mrkdwn(view.intent_name)}*"
        sure = view.confidence is not None and not view.conversation.label_by_human
        return f"{name} {view.confidence:.0%}" if sure else name
    if _is_unread(view):
        return words.say("card.not_sure", guesses=words.say(f"unread.{view.doubt}"))
    if _offered(view):
        return words.say("card.unsure")  # what it may be stands on the buttons below
    guesses = [f"{text.escape_mrkdwn(name)} {confidence:.0%}" for _, name, confidence in _guesses(view)]
    return words.say("card.not_sure", guesses=words.listed(guesses)) if guesses else ""


def _is_unread(view: CardView) -> bool:
    """Whether the words are in a language or script of which the machine knows nothing: its guesses are none."""
    return view.abstained and words.has("unread", view.doubt)


def _guesses(view: CardView) -> list[tuple[str, str, float]]:
    """What is worth naming of the best three."""
    return [] if _is_unread(view) else [guess for guess in view.guesses[:3] if guess[2] >= SHOWN]


def _offered(view: CardView) -> list[tuple[str, str, float]]:
    """The guesses that are buttons, until somebody has chosen."""
    conversation = view.conversation
    return _guesses(view) if conversation.is_open and view.abstained and not conversation.label_by_human else []


def _most_like(view: CardView) -> str:
    """Beside the guesses of a card that is not sure, until somebody has chosen: the evidence."""
    conversation = view.conversation
    if (
        view.like is None
        or not view.abstained
        or _is_unread(view)
        or conversation.label_by_human
        or not conversation.is_open
    ):
        return ""
    example, topic = (text.escape_mrkdwn(text.excerpt(one, EXAMPLE_LIMIT)) for one in view.like)
    return words.say("card.most_like", example=example, topic=topic)


def _deadline(view: CardView) -> str:
    conversation = view.conversation
    due = _due(view, view.clock)
    parts = [due or _held(conversation), _asleep(conversation) if due else "", _delivery(conversation)]
    if conversation.is_open and _is_adrift(conversation) and not (due and view.clock_overdue):
        # What has to be seen to comes first.
        parts = [words.upper(_delivery(conversation)), *(_lower(part) for part in parts[:2])]
    if view.backlink:
        is_link = view.backlink.startswith("https://") or view.backlink.startswith("http://")
        target = text.escape_mrkdwn(view.backlink)
        label = words.say("card.earlier_conversation")
        parts.append(f"<{target}|{label}>" if is_link else words.say("card.follows", number=target))
    if view.muted_until is not None:
        parts.append(words.say("card.muted_until", until=date(view.muted_until)))
    if view.earlier_thread:
        parts.append(f"<{text.escape_mrkdwn(view.earlier_thread)}|{words.say('card.earlier_thread')}>")
    if conversation.is_open and view.mention:
        parts.append(mention(view.mention))
    return SEPARATOR.join(part for part in parts if part)


def _due(view: CardView, clock: ClockRow | None) -> str:
    if clock is None or clock.due_at is None or not view.conversation.is_open:
        return ""
    what, at = words.upper(words.say(f"metric.{clock.metric.value}")), date(clock.due_at)
    if view.clock_overdue:
        return f"\N{ALARM CLOCK} *{words.say('card.was_due', what=what, at=at)}*"
    return words.say("card.due", what=what, at=at)


def _asleep(conversation: Conversation) -> str:
    until = conversation.snoozed_until
    return "" if until is None else _lower(words.say("card.snoozed", until=date(until)))


def _lower(said: str) -> str:
    return said[:1].lower() + said[1:]


def _is_adrift(conversation: Conversation) -> bool:
    """Whether an answer did not arrive, or nobody knows: somebody at the desk has to see to it."""
    return conversation.delivery_state in (Reach.FAILED, Reach.UNCLEAR)


def _held(conversation: Conversation) -> str:
    if conversation.snoozed_until is not None:
        return words.say("card.snoozed", until=date(conversation.snoozed_until))
    if conversation.status in (Status.NEW, Status.OPEN):
        return words.say("card.no_deadline")
    status = words.upper(words.say(f"status.{conversation.status.value}"))
    if conversation.outcome is None:
        return status
    return words.say("card.ended", status=status, outcome=words.named("outcome", conversation.outcome))


def _delivery(conversation: Conversation) -> str:
    state = conversation.delivery_state
    if state is None or state in (Reach.SENT, Reach.CANCELLED):
        return ""
    said = words.say(f"delivery.{state.value}")
    if conversation.delivery_reason and state is Reach.FAILED:
        said += words.say("list.colon") + text.escape_mrkdwn(words.reason(conversation.delivery_reason))
    return said if state is Reach.WAITING else f"*{said}*"


def _actions(view: CardView) -> Block:
    conversation = view.conversation
    elements = _next_steps(conversation)
    elements += [
        button(f"{name} {confidence:.0%}", f"relabel:{place}", _value(conversation, intent))
        for place, (intent, name, confidence) in enumerate(_offered(view), start=1)
    ]
    if change := _change(view):
        elements.append(change)
    if _due(view, view.clock):
        elements.append(button(words.say("card.why_then"), "why_then", _value(conversation, "")))
    elements.append(_more(view))
    return {"type": "actions", "block_id": f"card:{conversation.version}", "elements": elements}


def _next_steps(conversation: Conversation) -> list[Block]:
    """The one next step first, as the only one in colour: nobody ends by mistake what nobody has answered."""
    value = _value(conversation, "")
    if conversation.merged_into is not None:  # it goes on in another one: Reopen is refused, an answer goes there
        return [button(words.say("card.reply"), "reply", value)]
    if not conversation.is_open:
        return [button(words.say("card.reopen"), "reopen", value), button(words.say("card.reply"), "reply", value)]
    if conversation.assignee is None:
        take = button(words.say("card.assign_me"), "assign_me", _value(conversation, acts.FREE), primary=True)
        return [take, button(words.say("card.reply"), "reply", value)]
    is_our_turn = conversation.status in (Status.NEW, Status.OPEN) or _is_adrift(conversation)
    reply = button(words.say("card.reply"), "reply", value, primary=is_our_turn)
    resolve = button(words.say("card.resolve"), "resolve", value, primary=not is_our_turn)
    return [reply, resolve] if is_our_turn else [resolve, reply]


def _more(view: CardView) -> Block:
    """Everything else, a tap away and in groups: whose it is, later, how it ends, and the rest."""
    conversation = view.conversation
    groups = [
        _group(conversation, label, "", steps)
        for label, steps in (
            (words.say("card.whose"), _whose(conversation)),
            (words.say("card.later"), _when(conversation)),
            (words.say("card.close"), _ends(conversation)),
            (words.say("card.rest"), _others(view)),
        )
    ]
    return {
        "type": "static_select",
        "action_id": MORE,
        "placeholder": plain(words.say("card.more")),
        "option_groups": [group for group in groups if group["options"]],
    }


def _whose(conversation: Conversation) -> list[tuple[str, str]]:
    if not conversation.is_open:
        return []
    mine = (
        [("assign_me=", words.say("card.assign_me")), ("unassign=", words.say("card.unassign"))]
        if conversation.assignee
        else []
    )
    return [*mine, ("form=handover", words.say("card.handover")), ("form=assign", words.say("card.assign"))]


def _when(conversation: Conversation) -> list[tuple[str, str]]:
    if not conversation.is_open:
        return []
    if conversation.status is Status.ON_HOLD:
        return [("wake=", words.say("card.wake")), ("form=snooze", words.say("card.snooze"))]
    fixed = [(f"snooze={span}", label) for span, label in words.group("snooze").items()]
    rest = [("form=snooze", words.say("card.snooze")), ("snooze=customer", words.say("card.snooze_customer"))]
    return [*fixed, *rest, ("status=on_hold", words.say("card.on_hold"))]


def _ends(conversation: Conversation) -> list[tuple[str, str]]:
    if not conversation.is_open:
        return []
    plainly = [] if conversation.assignee else [("resolve=", words.say("card.resolve"))]
    ends = [(f"resolve={end}", words.say("card.resolve_as", outcome=words.say(f"outcome.{end}"))) for end in OUTCOMES]
    return [
        *plainly,
        *ends,
        ("not_a_request=", words.say("card.not_a_request")),
        ("status=spam", words.say("card.spam")),
    ]


def _others(view: CardView) -> list[tuple[str, str]]:
    muted = [(f"mute={span}", label) for span, label in words.group("mute").items()]
    steps = [(f"{step}=", words.say(f"card.{step}")) for step in ("customer", "why", "transcript")]
    steps += [("unmute=", words.say("card.unmute"))] if view.muted_until is not None else muted
    if view.conversation.is_open:
        return [*steps, ("form=join", words.say("card.join"))]
    return [*steps, ("form=start", words.say("card.start"))]


def _change(view: CardView) -> Block | None:
    """What it is about, how urgent it is and whose pile it lies in: one menu, what is likeliest first."""
    conversation = view.conversation
    guessed = [(intent, f"{name} {confidence:.0%}") for intent, name, confidence in view.guesses[:3]]
    known = {intent for intent, _ in guessed}
    others = [(intent, name) for intent, name in view.intents if intent not in known]
    queues = [(queue, title) for queue, title in view.queues if queue != conversation.queue]
    priorities = [
        (p.value, words.upper(words.say(f"priority.{p.value}")))
        for p in reversed(Priority)
        if p is not conversation.priority
    ]
    groups = [
        _group(conversation, words.say("card.guesses"), "relabel", guessed),
        _group(conversation, words.say("card.priority"), "priority", priorities if conversation.is_open else []),
        _group(conversation, words.say("card.queues"), "move", queues if conversation.is_open else []),
        _group(conversation, words.say("card.topics"), "relabel", others),
    ]
    filled = [group for group in groups if group["options"]]
    if not filled:
        return None
    return {
        "type": "static_select",
        "action_id": CHANGE,
        "placeholder": plain(words.say("card.change")),
        "option_groups": filled,
    }


def _group(conversation: Conversation, label: str, action: str, choices: Sequence[tuple[str, str]]) -> Block:
    start = _value(conversation, f"{action}=" if action else "")
    room = VALUE_LIMIT - len(start)
    options = [
        {"text": plain(_label(name)), "value": start + value}
        for value, name in choices[:OPTIONS_LIMIT]
        if len(value) <= room
    ]
    return {"label": plain(label), "options": options}


@lru_cache(maxsize=1024)
def _label(label: str) -> str:
    """A choice as it is shown. A card has some sixty of them, the same on every card: names of ours, nobody's words."""
    return text.excerpt(label, BUTTON_LIMIT)


def _value(conversation: Conversation, value: str) -> str:
    return button_value(conversation.id, conversation.version, value)


def _section(words_: str) -> Block:
    return {"type": "section", "text": mrkdwn(words_[:SECTION_LIMIT])}


def _quoted(words_: str) -> Block:
    return {"type": "rich_text_quote", "elements": [{"type": "text", "text": words_}]}
