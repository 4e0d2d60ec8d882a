"""Thread posts, rendered from timeline entries: a customer's words, one grey line per automatic change, alerts.

What it reads from `Entry.data`: `from`, `to` and `reason` (ids or stable words); `kind` of an incoming message, and
`offer_reopen` where it did not reopen by itself; for an answer that did not arrive `reason`, `outbox_id`, `agent` and
`state` ("unclear" where nobody knows), `what` for a change of one ("edit" or "delete"), and `sent_as`, the kind of the
delivery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.desk import blocks, changed, lost, reasons, words
from bot.desk.blocks import Block
from bot.desk.words import Names
from domain import text
from domain.changes import DeliveryKind, settling
from domain.model import Attachment, Entry, EntryKind, Reach
from domain.ports import CardView
from domain.retention import What
from handlers.leaving import LEFT, QUESTIONS
from handlers.reopening import UNDONE

BLOCK_TEXT = 2900
"""UTF-16 units of one text block: Slack takes 3,000 characters."""
MAX_BLOCKS = 4
"""Slack takes some 13,000 characters in the blocks of one message (`msg_blocks_too_long`); what is longer is cut."""
EDIT_EXCERPT = 1200
QUOTED = 120
ANSWER_EXCERPT = 120
"""Enough to tell which of several answers it was."""
COUNTED = ("looks", "lookers", *(what.value for what in What))
"""What a notice may say the number of."""
CHANGES = frozenset({"edit", "delete"})
"""What may be done to an answer that was sent."""
TOO_LONG = "too_long"
HOPELESS = frozenset({"empty", "file_gone", "file_too_large", "no_file", "too_large", TOO_LONG})
"""Why the very same will never go out: there is no Retry that would help."""
PLAIN_KINDS = frozenset({"text", "photo", "document", ""})


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """What one message at the desk consists of: blocks, and the escaped text that stands for them."""

    text: str
    blocks: list[Block]


def entry_post(
    entry: Entry, names: Names, card: CardView | None = None, part: int = 0, earlier: Entry | None = None
) -> Post:
    """A timeline entry as a post in its thread."""
    kind = entry.kind
    if kind in (EntryKind.INCOMING, EntryKind.INCOMING_EDIT):
        return _incoming(entry)
    if kind in (EntryKind.OUTGOING, EntryKind.AUTOMATIC, EntryKind.NOTE):
        return _ours(entry, names)
    if kind is EntryKind.PROMISE:
        return _promise(entry, names)
    if kind is EntryKind.NOT_DELIVERED:
        return _not_delivered(entry, part, earlier)
    if kind is EntryKind.CHECK:
        return _check(entry, card)
    if kind is EntryKind.HELD:
        return question(entry, earlier)
    return _line(changed.line(entry, names, changed.titles_of(card)))


def message(entry: Entry) -> Post:
    """A customer's message in the words it has now."""
    return edited_post(entry) if entry.data.get("edited") else _incoming(entry)


def earlier(post: Post, entry: Entry) -> Post:
    """Something said before the channel was connected: marked as history, with its time."""
    line = words.say("thread.history", at=blocks.date(entry.at))
    return Post(text=post.text, blocks=[blocks.context(line), *post.blocks])


def together(posts: Sequence[Post]) -> Post:
    """Several messages as one post, in their order."""
    if len(posts) == 1:
        return posts[0]
    said = "\n".join(post.text for post in posts)
    return Post(text=_cut(said), blocks=[block for post in posts for block in post.blocks])


def edited_post(entry: Entry) -> Post:
    """The changed words of a customer, to stand where the old ones stood."""
    shown = _incoming(entry)
    said = words.say("thread.edited")
    return Post(text=f"{shown.text} {said}", blocks=[*shown.blocks, blocks.context(said)])


def edit_line(entry: Entry, earlier: Entry | None) -> Post:
    """The line in the thread that says what was changed: before and after."""
    made = [blocks.context(words.say("thread.edit" if earlier is None else "thread.edit_both"))]
    if earlier is not None:
        before = text.excerpt(earlier.body, EDIT_EXCERPT)
        made.append(_quotes([{"type": "text", "text": before or words.say("thread.empty"), "style": {"strike": True}}]))
    after = text.excerpt(entry.body, EDIT_EXCERPT)
    made.append(blocks.quote(after or words.say("thread.empty")))
    return Post(text=_fallback(f"{words.say('thread.edited')} {after}"), blocks=made)


def file_line(attachment: Attachment | None, code: str) -> Post:
    """A file that cannot be put into the thread: its name, size and the reason."""
    if attachment is None:
        return _line(words.say("thread.file_not_shown", reason=text.escape_mrkdwn(words.reason(code))))
    size = words.size(attachment.size)
    named = text.safe_filename(attachment.name) + (words.say("list.brackets", what=size) if size else "")
    what = text.inert_mrkdwn(named)
    return _line(words.say("thread.named_not_shown", what=what, reason=text.escape_mrkdwn(words.reason(code))))


def whisper(key: str, data: Mapping[str, Any], **ready: str) -> str:
    """The words for one person, values escaped; those in `ready` are mrkdwn already."""
    why = data.get("why")
    kept = [words.named("guarded", one) for one in why] if isinstance(why, list) else []
    values = _escaped({**data, "key": key, "what": words.say("list.and").join(kept)}) | ready
    if "unfit" in data:
        values["said"] = words.unfit(data["unfit"], values)
    return words.whisper(key, values)


def whisper_blocks(said: str, data: Mapping[str, Any]) -> list[Block] | None:
    """The words with the buttons below them, where there are any; of a copy the words to be taken."""
    if body := str(data.get("body") or ""):
        pieces = [{"type": "section", "text": blocks.plain(piece)} for piece in _pieces(body)]
        return [blocks.context(said), *pieces]
    conversation = str(data.get("conversation") or "")
    buttons = [
        blocks.button(words.say(f"button.{label}"), str(action), blocks.button_value(conversation, None, str(value)))
        for label, action, value in data.get("buttons") or ()
    ]
    if not buttons:
        return None
    return [{"type": "section", "text": blocks.mrkdwn(said)}, {"type": "actions", "elements": buttons}]


def notice(key: str, data: Mapping[str, Any]) -> Post:
    """The words for the operator's channel, values escaped; the channel it is about becomes a link to it."""
    values = _escaped({**data, "key": key})
    for name in {"channel", "where"} & data.keys():
        place = str(data[name] or "")
        if place.isascii() and place.isalnum() and place.isupper():
            values[name] = f"<#{place}>"
        elif name == "where":
            values[name] = words.upper(values[name])  # a chat channel
    if "who" in data:
        values["who"] = blocks.mention(str(data["who"]).removeprefix("agent:"))
    for name in {"since", "until"} & data.keys():
        values[name] = blocks.date(datetime.fromtimestamp(int(data[name]), UTC))
    if "reason" in data:
        values["reason"] = text.escape_mrkdwn(words.reason(data["reason"]))
    counts = (words.say(f"counted.{what}", count=data[what]) for what in COUNTED if what in data)
    values["counts"] = words.listed(counts)
    said = words.notice(key, values)
    return Post(text=said, blocks=[{"type": "section", "text": blocks.mrkdwn(said[: blocks.SECTION_LIMIT])}])


def _incoming(entry: Entry) -> Post:
    kind = str(entry.data.get("kind") or "")
    made = _quoted_words(entry.body)
    if kind not in PLAIN_KINDS:
        made.insert(0, blocks.context(words.say("thread.sent", what=text.escape_mrkdwn(words.kind(kind)))))
    elif not made:
        made = [blocks.context(words.say("thread.sent_file" if entry.attachments else "thread.sent_empty"))]
    made[:0] = [blocks.grey(line) for line in _came_with(entry)]
    if told := _told(entry.data.get("told")):
        made.append(blocks.context(told))
    if entry.data.get("offer_reopen"):
        value = blocks.button_value(entry.conversation_id, None)
        made.append({"type": "actions", "elements": [blocks.button(words.say("card.reopen"), "reopen", value)]})
    if entry.details.get("contact_phone") and not entry.details.get("contact_own") and entry.platform_id:
        value = blocks.button_value(entry.conversation_id, None, entry.platform_id)
        made.append(
            {"type": "actions", "elements": [blocks.button(words.say("thread.note_contact"), "note_contact", value)]}
        )
    if entry.data.get("masked"):
        made.append({"type": "actions", "elements": [reasons.of_message(entry)]})
    return Post(text=_fallback(entry.body or (words.kind(kind) if kind else words.say("thread.file"))), blocks=made)


def _came_with(entry: Entry) -> Iterator[str]:
    """Grey lines above a customer's words: what they answer, and whose they are."""
    said, name = entry.details.get("quoted", ""), entry.details.get("forwarded_from", "")
    kind = entry.details.get("quoted_kind", "")
    if not kind and said.startswith("[") and said.endswith("]"):  # so the record had it once
        kind = said[1:-1].replace(" ", "_")
    if words.has("kind", kind):
        said = words.kind(kind)
    if said:
        yield words.say("thread.answered", line=text.excerpt(said, QUOTED))
    if name:
        yield words.say("thread.forwarded", name=text.clean_name(name))
    elif entry.details.get("forwarded"):
        yield words.say("thread.forwarded_unknown")


def _told(said: object) -> str:
    """What the customer was told automatically about this message, as one grey line."""
    if not isinstance(said, Mapping):
        return ""
    at = changed.moment(said.get("at"))
    if at is None:
        return words.say("thread.told_received")
    closed = said.get("text") == "acknowledgement_closed"
    return words.say("thread.told_closed" if closed else "thread.told_by", at=blocks.date(at))


def _promise(entry: Entry, names: Names) -> Post:
    """The question whether to track a promise, or the line that it is tracked."""
    until = changed.moment(entry.data.get("due_at") or entry.data.get("to"))
    if until is None:
        return _line(words.say("promise.plain"))
    if entry.data.get("sla"):
        tracked = words.say("promise.tracked", until=blocks.date(until))
        return _line(blocks.SEPARATOR.join((tracked, words.say("thread.by", who=changed.who(entry, names)))))
    said = words.say("promise.question", until=blocks.date(until))
    value = blocks.button_value(entry.conversation_id, None, str(int(until.timestamp())))
    track = blocks.button(words.say("promise.track"), "promise", value)
    return Post(text=said, blocks=[blocks.context(said), {"type": "actions", "elements": [track]}])


def _ours(entry: Entry, names: Names) -> Post:
    key = {EntryKind.AUTOMATIC: "automatic", EntryKind.NOTE: "note_by"}.get(entry.kind, "answer_by")
    heading = words.say(f"thread.{key}", who=changed.who(entry, names))
    body = [{"type": "section", "text": blocks.plain(piece)} for piece in _pieces(entry.body)]
    return Post(text=_fallback(entry.body), blocks=[blocks.context(heading), *body])


def _not_delivered(entry: Entry, part: int, answer: Entry | None) -> Post:
    outbox_id = str(entry.data.get("outbox_id") or "")
    value = blocks.button_value(entry.conversation_id, None, settling(outbox_id, entry.id))
    who = blocks.mention(str(entry.data.get("agent") or ""))
    why = text.escape_mrkdwn(words.reason(entry.data.get("reason")) + lost.measured(entry, answer))
    what = str(entry.data.get("what") or "")
    what = what if what in CHANGES else "answer"
    lost_words, lost_files = lost.of(entry, answer)
    if entry.data.get("state") == Reach.UNCLEAR.value:
        head, act = words.say(f"failed.unclear_{what}", reason=why), words.say("failed.unclear_act")
        buttons = [
            blocks.button(words.say("failed.again"), "retry", value),
            blocks.button(words.say("failed.arrived"), "mark_arrived", value),
        ]
    elif what in CHANGES:
        head, act = words.say(f"failed.{what}", reason=why), words.say("failed.change_act")
        buttons = []
    else:
        is_hopeless, advice = entry.data.get("reason") in HOPELESS, _advice(entry)
        head, act = words.say("failed.answer", reason=why), words.say(f"failed.answer_{advice}")
        buttons = [] if is_hopeless else [blocks.button(words.say("failed.retry"), "retry", value)]
        if answer is not None and lost_words.strip():
            if answer.data.get("spans") and not is_hopeless:
                buttons.append(blocks.button(words.say("failed.plain"), "retry_plain", value))
            buttons.append(blocks.button(words.say("failed.copy"), "copy", value))
    said = words.say("list.space").join((head, _asked(who, act)))
    made: list[Block] = [{"type": "section", "text": blocks.mrkdwn(said)}]
    made += [blocks.quote(shown) for one in (lost_words, lost_files) if (shown := text.excerpt(one, ANSWER_EXCERPT))]
    if outbox_id and buttons:
        made.append({"type": "actions", "block_id": f"settle:{outbox_id}:{part}", "elements": buttons})
    return Post(text=said, blocks=made)


def settled_failure(entry: Entry, how: Entry, names: Names) -> Post:
    """The line about what did not arrive, or not for certain, once somebody has settled it: what was, and how."""
    why = text.escape_mrkdwn(words.reason(entry.data.get("reason")))
    was = "unclear" if entry.data.get("state") == Reach.UNCLEAR.value else "failed"
    again = "sent_plain" if how.data.get("plain") else "sent_again"
    become = again if how.kind is EntryKind.STATUS else "did_arrive"
    said = (words.say(f"failed.was_{was}", reason=why), words.say(f"failed.{become}", who=changed.who(how, names)))
    return _line(words.say("list.space").join(said))


def _advice(entry: Entry) -> str:
    """What helps an answer that did not arrive."""
    reason = entry.data.get("reason")
    if reason not in HOPELESS:
        return "act"
    if reason == TOO_LONG:
        return "shorter"
    return "words" if entry.data.get("sent_as") == DeliveryKind.CHAT_TEXT else "else"


def question(entry: Entry, line: Entry | None) -> Post:
    """The question whether an answer that came in late is to leave, with the words its `line` has now and when they
    were written; once that is settled, a grey line that says how.
    """
    if settled := _settled(entry, line):
        return _line(settled)
    data = entry.data if line is None else {**entry.data, **line.data}
    carried = [words.named("guarded", one) for one in data.get("kept") or () if words.has("guarded", one)]
    asked = "left" if LEFT in (entry.data.get("kept") or ()) or entry.data.get("quiet") else "question"
    said = words.say(
        "held.changed" if "edit_of" in data and asked == "question" else f"held.{asked}",
        who=blocks.mention(str(entry.data.get("agent") or "")),
        at=blocks.date(entry.at if line is None else line.at),
    )
    if entry.data.get("overtaken"):
        said += words.say("held.overtaken")
    if carried:
        said += words.say("held.carries", what=words.say("list.and").join(carried))
    said += words.say("held.act")
    value = blocks.button_value(entry.conversation_id, None, str(entry.data.get("line") or ""))
    buttons = [
        blocks.button(words.say("button.send"), "send_reply", value, primary=True),
        blocks.button(words.say("button.keep"), "keep_note", value),
    ]
    made: list[Block] = [{"type": "section", "text": blocks.mrkdwn(said)}]
    if line is not None and (words_of_it := text.excerpt(line.body, ANSWER_EXCERPT)):
        made.append(blocks.quote(words_of_it))
    made.append({"type": "actions", "block_id": f"held:{entry.id}", "elements": buttons})
    return Post(text=said, blocks=made)


def _settled(entry: Entry, line: Entry | None) -> str | None:
    """What has become of the line that was asked about; None while somebody has to say, once it was called back too."""
    if line is None or {*QUESTIONS, UNDONE} & set(line.data.get("kept") or ()):
        return None
    author = str(entry.data.get("agent") or "")
    if "into" in line.data:
        return words.say("held.joined", number=line.data["into"])
    if "deleted" in line.data:
        how, who = "deleted", author
    elif line.kind is EntryKind.OUTGOING:
        how, who = "sent", str(line.data.get("sent_by") or line.actor.id)
    else:
        how, who = "inside", str(line.data.get("kept_by") or author)
    return words.say(f"held.{how}", who=blocks.mention(who), author=blocks.mention(author))


def _check(entry: Entry, card: CardView | None) -> Post:
    """The question of a spot check, with the machine's topic and its next two guesses one press away."""
    topic = str(entry.data.get("to") or "")
    names = dict(card.intents) if card is not None else {}
    name = names.get(topic, topic.replace("_", " "))
    said = words.say("check.question", topic=text.escape_mrkdwn(name))

    def value(intent: str) -> str:
        return blocks.button_value(entry.conversation_id, None, intent)

    others = [guess for guess in (card.guesses if card is not None else ()) if guess[0] != topic][:2]
    buttons = [blocks.button(words.say("check.confirm", topic=name), "confirm", value(topic), primary=True)]
    buttons += [
        blocks.button(other, f"relabel:{place}", value(intent)) for place, (intent, other, _) in enumerate(others, 2)
    ]
    made: list[Block] = [
        {"type": "section", "text": blocks.mrkdwn(said)},
        {"type": "actions", "block_id": f"check:{entry.id}", "elements": buttons},
    ]
    return Post(text=said, blocks=made)


def _asked(who: str, act: str) -> str:
    return words.say("ask.named", who=who, act=act) if who else words.say("ask.plain", act=act)


def _quoted_words(body: str) -> list[Block]:
    return [blocks.quote(piece) for piece in _pieces(body)]


def _pieces(body: str) -> list[str]:
    pieces = text.split_utf16(text.clean(body), BLOCK_TEXT)
    if len(pieces) <= MAX_BLOCKS:
        return pieces
    return [*pieces[:MAX_BLOCKS], words.say("thread.rest_kept")]


def _quotes(elements: list[Block]) -> Block:
    return {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": elements}]}


def _line(said: str) -> Post:
    return Post(text=said, blocks=[blocks.context(said)])


def _cut(escaped: str) -> str:
    """Escaped text that stands for blocks, no longer than Slack takes, cut between lines."""
    kept = escaped[: blocks.FALLBACK_LIMIT + 1]
    return kept if len(kept) <= blocks.FALLBACK_LIMIT else kept.rpartition("\n")[0] or kept[: blocks.FALLBACK_LIMIT]


def _fallback(words_: str) -> str:
    return (text.split_escaped(text.clean(words_), blocks.FALLBACK_LIMIT) or [words.say("thread.no_text")])[0]


def _escaped(data: Mapping[str, Any]) -> dict[str, str]:
    return {key: text.inert_mrkdwn(text.clean(str(value))) for key, value in data.items()}
