"""What leaves, leaves on purpose: which lines of a thread go to the customer, and how one is called back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from domain import events, formatting, guard, signing, signs, text
from domain.changes import DeliveryKind, Outgoing, Situation
from domain.formatting import Span, Style
from domain.model import Conversation, Entry, EntryKind, Identity
from domain.rulebook import Rulebook
from handlers import frame
from handlers.frame import Context

LOCK = "\N{LOCK}"
"""Before a line: it stays inside, as with the prefix of a note."""
SEND = (">>", "\uff1e\uff1e", "\N{RIGHT DOUBLE ANGLE BRACKET}\N{RIGHT DOUBLE ANGLE BRACKET}")
"""Before a line: it is meant for the customer, whatever the queue's way is."""


UNREAD = "unread"
"""Why a line stays inside: the customer has written again, and its author cannot have seen it."""
LATE = "late"
"""Why a line stays inside: it reached us long after it was written, since we were away."""
LEFT = "left"
"""Why a line stays inside: its conversation went elsewhere while somebody wrote it in a window."""
ASKED = frozenset({LATE, LEFT})
"""What is asked in the thread where a conversation goes on: whoever wrote it may be looking elsewhere."""
QUESTIONS = ASKED | guard.FINDINGS | {UNREAD}
"""What somebody is asked about: a question of its own stands in the record, and goes where the conversation goes."""
BY_WAY = (("explicit",), ("assignee",))
"""What stays inside by the queue's way alone."""
CROSSING = timedelta(seconds=3)
"""What the customer wrote in the moment of answering crosses the answer, as in any chat: nobody is asked for that."""
SHORTEST_QUOTE = 2
"""A quotation of less could stand for anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of a thread as it was meant: for the team (`is_note`), or for the customer (`is_sent`: expressly)."""

    body: str
    spans: tuple[Span, ...] = ()
    is_note: bool = False
    is_sent: bool = False


def read(written: str, spans: tuple[Span, ...], rules: Rulebook) -> Line:
    """What somebody wrote, without the sign that says where it goes."""
    for prefix in (rules.note_prefix, LOCK):
        is_note, body = text.parse_note(written, prefix)
        if is_note:
            return Line(body=body, is_note=True)
    start = len(written) - len(written.lstrip())
    for sign in SEND:
        if written.startswith(sign, start):
            begin = start + len(sign)
            begin += len(written[begin:]) - len(written[begin:].lstrip())
            return Line(body=written[begin:], spans=formatting.within(spans, begin, len(written)), is_sent=True)
    return Line(body=written, spans=spans)


def looks_back(event: events.AgentMessage | events.AgentEdit) -> bool:
    """Whether a line is judged beside all that the customer wrote: it quotes, or may say how to reach somebody."""
    return guard.may_name(event.text or "") or any(span.style is Style.QUOTE for span in event.spans)


def worded(situation: Situation) -> list[Entry]:
    """What nobody has answered, in the words that the customer has left of it."""
    newest = {one.data.get("of"): one.body for one in situation.said if one.kind is EntryKind.INCOMING_EDIT}
    return [replace(one, body=newest.get(one.id, one.body)) for one in situation.window]


def answering(line: Line, said: Sequence[Entry]) -> tuple[Line, Entry | None]:
    """The line without the quotation it begins with, and the customer's message that this quotes: the newest such.

    A quotation of anything else stays what it is: a part of the answer.
    """
    quote = _leading_quote(line)
    words = _folded(line.body[: quote.end]) if quote is not None else ""
    if quote is None or len(words) < SHORTEST_QUOTE:
        return line, None
    found = next((entry for entry in reversed(said) if entry.platform_id and words in _folded(entry.body)), None)
    return (line, None) if found is None else (unquoted(line), found)


def unquoted(line: Line) -> Line:
    """The line without the quotation it begins with; as it is where nothing else is in it."""
    quote = _leading_quote(line)
    if quote is None:
        return line
    begin = len(line.body) - len(line.body[quote.end :].lstrip())
    return replace(line, body=line.body[begin:], spans=formatting.within(line.spans, begin, len(line.body)))


def _leading_quote(line: Line) -> Span | None:
    quote = next((span for span in line.spans if span.style is Style.QUOTE and span.start == 0), None)
    return quote if quote is not None and line.body[quote.end :].strip() else None


def _folded(words: str) -> str:
    return " ".join(words.split()).casefold()


def kept(
    line: Line,
    event: events.AgentMessage | events.AgentEdit,
    situation: Situation,
    conversation: Conversation,
    rules: Rulebook,
) -> tuple[str, ...]:
    """Why a line that is no note stays inside all the same, as stable words; empty when it may leave."""
    if line.is_note:
        return ()
    queue = rules.queues.get(conversation.queue)
    way = queue.leaves if queue else "implicit"
    if way == "explicit" and not line.is_sent:
        return ("explicit",)
    if way == "assignee" and conversation.assignee not in (None, event.agent_id):
        return ("assignee",)
    return guarded(line, event, situation, rules)


def guarded(
    line: Line, event: events.AgentMessage | events.AgentEdit, situation: Situation, rules: Rulebook
) -> tuple[str, ...]:
    """What an answer carries that is asked about before it leaves; what this person wrote in any chat is theirs."""
    said = [entry.body for entry in (*situation.window, *situation.said)]
    return guard.findings(line.body, rules.guard, mentions=event.mentions, said=said)


def unseen(event: events.AgentMessage, situation: Situation, conversation: Conversation) -> bool:
    """Whether the customer has written, or changed, something that whoever wrote this cannot have seen.

    A window knows what was there when it was opened, whatever time a chat gives to what comes after it.
    """
    if event.entry_id is not None:
        return event.seen is None or event.seen < conversation.customer_version
    if situation.posted is None:
        return False
    said = (situation.posted.get(entry.id) for entry in situation.window if event.at - entry.at > CROSSING)
    return any(post is not None and (not post or _is_later(post, event.ts)) for post in said)


def why_kept(
    line: Line, event: events.AgentMessage, situation: Situation, conversation: Conversation, context: Context
) -> tuple[str, ...]:
    """The same for a line that has just come in, which may also have been overtaken, or have come in late.

    What the queue's way keeps inside was not meant to leave by itself, however late it comes.
    """
    why = kept(line, event, situation, conversation, context.rules)
    if line.is_note or why[:1] in BY_WAY:
        return why
    if not why and context.rules.asks_unread and unseen(event, situation, conversation):
        why = (UNREAD,)
    if is_late(event, context):
        return (*why, LATE)
    return (*why, LEFT) if has_left(conversation, event, situation) else why


def has_left(conversation: Conversation, event: events.AgentMessage, situation: Situation) -> bool:
    """Whether a conversation stands elsewhere than where this was written, as far as decisions of this batch go.

    Whoever wrote there is told so. What came in late is asked about where the conversation is: nobody reads a whisper
    of last night. So is what was written in a window, since no thread holds it.
    """
    thread = conversation.thread
    return situation.elsewhere or thread.channel != event.channel or thread.ts not in (None, event.thread_ts)


def goes_on(event: events.AgentMessage | events.AgentEdit, situation: Situation, context: Context) -> bool:
    """Whether this is decided in the conversation that the thread's own was joined into.

    It is asked there about what came in late or from a window, and what changes such a line is about that one.
    """
    conversation, other = situation.conversation, situation.other
    if conversation is None or conversation.merged_into is None or other is None or other.conversation is None:
        return False
    before = situation.known.get(event.ts)
    if before is not None and not (isinstance(event, events.AgentEdit) and "into" in before.data):
        return False
    return isinstance(event, events.AgentEdit) or event.entry_id is not None or is_late(event, context)


def is_late(event: events.AgentMessage, context: Context) -> bool:
    """Whether so long has passed since this was written that it may say nothing true any more."""
    limit = context.rules.asks_late
    return limit is not None and context.now - event.at > limit * max(1.0, context.speed)


def _is_later(post: str, than: str) -> bool:
    try:
        return float(post) > float(than)
    except ValueError:  # an id of something that is no post
        return False


def dressed(spans: tuple[Span, ...]) -> dict[str, Any]:
    """What an entry keeps of how its text is dressed: places only, no words."""
    return {"spans": formatting.dump(spans)} if spans else {}


def signed(entry: Entry, conversation: Conversation, context: Context) -> Entry:
    """The answer with a note of the name that it leaves under; never on what the agent wrote."""
    about = signing.noted(context.rules.signature_of(conversation.queue), conversation.queue)
    return replace(entry, data={**entry.data, **about}) if about else entry


def carried(before: Entry) -> dict[str, Any]:
    """What a change of an answer keeps of it: that it began with a quotation, how it is signed, where it stands, and
    which question asks about it.
    """
    return {name: before.data[name] for name in ("quoted", "signed", "place", "asked") if before.data.get(name)}


def still_kept(
    line: Line, event: events.AgentEdit, before: Entry, situation: Situation, rules: Rulebook
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why a line that stayed inside does so in its new words, and what of it nobody was asked about yet.

    Nothing where it is a note now. What was internal leaves by no change: a reason stays even where none is found.
    """
    if line.is_note:
        return (), ()
    asked_before = tuple(before.data["kept"])
    found = guarded(line, event, situation, rules)
    why = (*found, *(one for one in asked_before if one not in guard.FINDINGS))
    return why or asked_before, tuple(one for one in found if one not in asked_before)


def written_in(event: events.AgentMessage, conversation: Conversation) -> dict[str, Any]:
    """What an entry keeps of where its line stands: the channel, where its conversation is in another one."""
    is_post = event.entry_id is None
    return {"place": event.channel} if is_post and event.channel != conversation.thread.channel else {}


def there(quoted: Entry | None) -> dict[str, Any]:
    """What an answer keeps of where in the chat the message stands that it answers."""
    topic = None if quoted is None else quoted.data.get("topic")
    return {} if topic is None else {"topic": topic}


def told_kept(
    entry: Entry,
    conversation: Conversation,
    agent_id: str,
    why: tuple[str, ...],
    context: Context,
    *,
    ts: str | None = None,
) -> tuple[Outgoing, ...]:
    """Its author is told why it stayed inside, with the button that sends it; everybody sees a lock on it."""
    place = ts or str(entry.platform_id)
    way = why[0] if why and why[0] in ("explicit", "assignee", UNREAD) else "guard" if why else "note"
    told = frame.whisper(
        context,
        conversation.thread.channel,
        conversation.thread.ts,
        agent_id,
        f"kept_{way}",
        f"kept:{entry.id}",
        why=list(why),
        conversation=conversation.id,
        buttons=[["send", "send_reply", place]] if why else [],
    )
    return told, locked(entry, conversation, place, context)


def locked(entry: Entry, conversation: Conversation, place: str, context: Context) -> Outgoing:
    """The lock on a line that stays inside, for everybody to see."""
    return frame.react(
        context,
        conversation,
        place,
        signs.KEPT,
        f"kept:{entry.id}",
        remove=signs.WAITING,
        line=entry.data,
    )


def asked(
    entry: Entry, conversation: Conversation, why: tuple[str, ...], context: Context, *, is_overtaken: bool
) -> tuple[tuple[Entry, ...], tuple[Outgoing, ...]]:
    """How its author is asked whether a line that stayed inside is to leave; nothing where nobody asks.

    What only one person sees is seen by nobody who is not there: whether an answer that came in late, or in a window of
    another thread, is to leave is asked in the thread, with its author named, and is still found there in the morning.
    """
    if not why:
        return (), ()
    if not ASKED & set(why):
        told = told_kept(entry, conversation, str(entry.actor.id), why, context)
        return questions(entry, conversation, why, context, is_quiet=True), told
    (question,) = questions(entry, conversation, why, context, is_overtaken=is_overtaken)
    shown = frame.show(context, conversation, question)
    return (question,), (shown, locked(entry, conversation, str(entry.platform_id), context))


def questions(
    entry: Entry,
    conversation: Conversation,
    why: tuple[str, ...],
    context: Context,
    *,
    is_quiet: bool = False,
    is_overtaken: bool = False,
) -> tuple[Entry, ...]:
    """The question whether a line is to leave; none where the queue's way alone keeps it inside.

    A quiet one is asked by a whisper, and stands in a thread once the conversation has left the one of that whisper.
    """
    if not QUESTIONS & set(why):
        return ()
    question = frame.machine_entry(
        context,
        conversation,
        EntryKind.HELD,
        of=entry.id,
        agent=entry.actor.id,
        line=entry.platform_id,
        kept=list(why),
        overtaken=is_overtaken or UNREAD in why or None,
        quiet=is_quiet or None,
    )
    return (question,)


def is_asked(line: Entry) -> bool:
    """Whether a question about this line is open: it is kept inside for something that people are asked about."""
    return line.kind is EntryKind.NOTE and bool(QUESTIONS & set(line.data.get("kept") or ()))


def is_elsewhere(event: events.AgentAction, line: Entry, conversation: Conversation) -> bool:
    """Whether a button about this line was pressed where its conversation does not stand any more.

    The question is asked anew where it stands, so that nobody decides in a thread that its colleagues have left.
    """
    if not line.data.get("asked") or event.thread_ts is None:
        return False
    thread = conversation.thread
    if thread.channel != event.channel or thread.ts is None:
        return thread.channel != event.channel or thread.before is not None
    return float(event.thread_ts) < float(thread.ts)


def followed(line: Entry, before: Entry, conversation: Conversation, context: Context) -> tuple[Outgoing, ...]:
    """The question about a late answer says what its line says now, or what has become of it; nothing where none was
    asked.
    """
    question = before.data.get("asked")
    if not question:
        return ()
    return (
        Outgoing(
            id=context.new_id(),
            lane=f"thread:{conversation.id}",  # behind the question itself
            bucket=f"slack-update:{conversation.thread.channel}",
            kind=DeliveryKind.DESK_EDIT,
            idem_key=f"asked:{question}:{line.id}",
            conversation_id=conversation.id,
            entry_id=question,
            data={"line": line.id},
        ),
    )


def offer_undo(
    entry: Entry, conversation: Conversation, identity: Identity, context: Context, *, by: str
) -> tuple[Outgoing, ...]:
    """The button that calls an answer back, for as long as it waits, with the name that the customer will read.

    It is `by` who sent it that is offered it: its author may not be there.
    """
    undo = context.rules.undo
    if not undo:
        return ()
    under = {"signed": entry.data["signed"], "language": identity.language} if "signed" in entry.data else {}
    if under and by != entry.actor.id:
        under["author"] = entry.actor.id
    return (
        frame.whisper(
            context,
            conversation.thread.channel,
            conversation.thread.ts,
            by,
            "undo_signed" if under else "undo",
            f"undo:{entry.id}",
            **under,
            seconds=round(undo.total_seconds()),
            conversation=conversation.id,
            buttons=[["undo", "undo", str(entry.platform_id)], ["note", "keep_note", str(entry.platform_id)]],
        ),
    )
