"""Somebody wrote in a thread: an answer for the customer, an internal note, or a person who may not answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain import events, files, signing, signs, text
from domain.changes import ANSWER_KINDS, Changes, Delivered, DeliveryKind, OutboxRef, Outgoing, Situation
from domain.model import Actor, ActorKind, Attachment, Conversation, Entry, EntryKind, Identity, Reach, Status
from domain.roles import Act, may
from domain.sla import EventKind
from handlers import frame, leaving, moving, reopening
from handlers.frame import Context

ANSWERS = (EntryKind.OUTGOING, EntryKind.NOTE)
FILES_GO = timedelta(hours=48)
"""When a file goes from a line so late, the desk clears up: it is nobody's wish about what the customer has."""


def decide(event: events.AgentMessage | events.AgentEdit, situation: Situation, context: Context) -> Changes:
    """What a message, an edit or a deletion in a thread changes."""
    if frame.is_erased(situation):
        if isinstance(event, events.AgentMessage) and situation.conversation is not None:
            is_note = leaving.read(event.text, event.spans, context.rules).is_note
            refused = _refused(event, situation, situation.conversation, context, is_note=is_note)
            if refused is not None:
                return refused
        key = f"erased:{event.channel}:{event.ts}:{event.at.timestamp()}"
        told = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, "customer_erased", key)
        return Changes(reason="erased", outbox=(told,) if event.text is not None else ())
    if situation.other is not None and leaving.goes_on(event, situation, context):
        there = replace(situation.other, lane=situation.lane, agent=situation.agent)
        return Changes(reason="thread_joined", also=(decide(event, there, context),))
    if isinstance(event, events.AgentEdit):
        return _told_of_files(_edit(event, situation, context), event, context)
    return _message(event, situation, context)


def _message(event: events.AgentMessage, situation: Situation, context: Context) -> Changes:
    conversation, identity = situation.conversation, situation.identity
    if conversation is None or identity is None:
        return Changes(reason="not_our_thread")
    if frame.entry_known(situation, event.ts, *ANSWERS):
        return Changes(reason="already_recorded")
    is_lasting = event.entry_id is None and not leaving.is_late(event, context)  # it stands where it was written
    if is_lasting and leaving.has_left(conversation, event, situation):
        return Changes(reason="thread_moved", outbox=(moving.elsewhere(event, conversation, context),))
    if conversation.merged_into is not None:
        key = f"joined:{event.channel}:{event.ts}"
        where = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, "thread_joined", key)
        return Changes(reason="thread_joined", outbox=(where,))
    read = leaving.read(event.text, event.spans, context.rules)
    line, quoted = leaving.answering(read, leaving.worded(situation))
    if quoted is None and event.answers is not None:
        quoted = next((entry for entry in situation.window if entry.platform_id == event.answers), None)
    among_many = identity.channel in context.rules.answers_quote  # there it must say whom it answers
    if quoted is None and event.answers is None and among_many and situation.window:
        quoted = situation.window[-1]
    if (refused := _refused(event, situation, conversation, context, is_note=line.is_note)) is not None:
        return refused
    if not line.body.strip() and not event.attachments:
        return Changes(reason="empty")
    why = leaving.why_kept(line, event, situation, conversation, context)
    stays = line.is_note or bool(why)
    touches = stays and frame.awaits_touch(situation)
    entry = Entry(
        id=event.entry_id or context.new_id(),
        conversation_id=conversation.id,
        customer_id=conversation.customer_id,
        kind=EntryKind.NOTE if stays else EntryKind.OUTGOING,
        actor=Actor(kind=ActorKind.AGENT, id=event.agent_id),
        at=event.at,
        body=line.body,
        data=({"sla": EventKind.TOUCHED.value, "to": event.agent_id} if touches else {})
        | ({} if line.is_note else leaving.dressed(line.spans))
        | ({"kept": list(why)} if why else {})
        | ({} if line is read else {"quoted": True})
        | leaving.written_in(event, conversation)
        | leaving.there(quoted),
        platform_id=event.ts,
        reply_to=event.answers if quoted is None else quoted.platform_id,
        attachments=event.attachments,
    )
    if stays:
        clocks = frame.clocks(context, situation, conversation, (entry,)) if touches else None
        is_overtaken = bool(leaving.ASKED & set(why)) and leaving.unseen(event, situation, conversation)
        lines, told = leaving.asked(entry, conversation, why, context, is_overtaken=is_overtaken)
        if lines:  # the question follows what becomes of its line
            entry = replace(entry, data={**entry.data, "asked": lines[0].id})
        return Changes(
            reason="kept" if why else "note",
            conversation=frame.touched(conversation),
            entries=(entry, *lines),
            outbox=_seen(event, entry, conversation, why, told, context),
            clocks=clocks,
        )
    done = leave(entry, conversation, identity, context)
    if event.entry_id is None:
        return done
    return replace(done, outbox=(frame.show(context, conversation, entry), *done.outbox))


def _refused(
    event: events.AgentMessage, situation: Situation, conversation: Conversation, context: Context, *, is_note: bool
) -> Changes | None:
    """What whoever may not write here is told, noted in the audit trail; None for who may."""
    roles = situation.agent.roles if situation.agent else ()
    if event.is_stranger or not may(roles, Act.NOTE if is_note else Act.REPLY):
        refusal = frame.whisper(
            context, event.channel, event.thread_ts, event.agent_id, "refused_stranger", f"{event.channel}:{event.ts}"
        )
        audit = ("refused", f"conversation:{conversation.id}", "reply without the agent role")
        return Changes(reason="refused", outbox=(refusal,), audit=(audit,))
    if not context.rules.sees(event.agent_id, roles, conversation.queue):
        key = f"hidden:{event.channel}:{event.ts}"
        refusal = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, "refused_queue", key)
        audit = ("refused", f"conversation:{conversation.id}", f"reply in {conversation.queue}")
        return Changes(reason="refused", outbox=(refusal,), audit=(audit,))
    return None


def _seen(
    event: events.AgentMessage,
    entry: Entry,
    conversation: Conversation,
    why: tuple[str, ...],
    told: tuple[Outgoing, ...],
    context: Context,
) -> tuple[Outgoing, ...]:
    """What is told of a line that stays inside; one from a window is shown first, and where, if it went elsewhere."""
    if event.entry_id is not None:
        told = (frame.show(context, conversation, entry), *told)
    return (*told, moving.elsewhere(event, conversation, context, "answer_waits")) if leaving.LEFT in why else told


def leave(
    entry: Entry,
    conversation: Conversation,
    identity: Identity,
    context: Context,
    *,
    was: str | None = None,
    cancel: tuple[str, ...] = (),
) -> Changes:
    """An answer sets off: its parts are written into the outbox, where they wait as long as it can be called back.

    `was` is the echo on the agent's message that is to go; `cancel` the parts of what it stands for. Whoever pressed
    the button on a colleague's line (`sent_by`) has answered, and may call it back; its author stays its author.
    """
    agent_id, ts = str(entry.data.get("sent_by") or entry.actor.id), str(entry.platform_id)
    entry = leaving.signed(entry, conversation, context)
    entries = [entry]
    if conversation.assignee is None:
        entries.append(
            frame.machine_entry(
                context,
                conversation,
                EntryKind.ASSIGNEE,
                actor=Actor(kind=ActorKind.AGENT, id=agent_id),
                sla=EventKind.TAKEN.value,
                to=agent_id,
                why="answered first",
            )
        )
    changed = frame.touched(
        conversation,
        status=Status.OPEN if conversation.status is Status.NEW else conversation.status,
        assignee=conversation.assignee or agent_id,
        last_agent_at=entry.at,
        delivery_state=Reach.WAITING,
        delivery_reason=None,
    )
    key = "waiting" if was is None and not cancel else f"waiting:{entry.id}"
    waiting = frame.react(context, conversation, ts, signs.WAITING, key, remove=was, line=entry.data)
    return Changes(
        reason="reply",
        conversation=changed,
        entries=tuple(entries),
        outbox=(
            *parts_of(entry, identity, conversation, context),
            waiting,
            *leaving.offer_undo(entry, conversation, identity, context, by=agent_id),
            frame.card_update(context, changed),
        ),
        cancel=cancel,
    )


def parts_of(entry: Entry, identity: Identity, conversation: Conversation, context: Context) -> list[Outgoing]:
    """One outbox row per part of the text, per file and per album, so that each has its own receipt.

    A short text goes out as the caption of the first file or album.
    """
    limit = signing.limit(context.rules.channel_limits.get(identity.channel, 4096), entry.data)
    terms = context.rules.channel_files.get(identity.channel, files.Terms())
    together = files.together(entry.attachments, terms)
    is_short = bool(entry.body.strip()) and text.utf16_len(entry.body) <= signing.limit(terms.caption_limit, entry.data)
    is_caption = bool(together) and is_short and files.fits(entry.attachments[0], terms)
    pieces = text.split_utf16(entry.body, limit) if entry.body.strip() and not is_caption else []
    rows: list[tuple[DeliveryKind, dict[str, object]]] = [(DeliveryKind.CHAT_TEXT, {})] * len(pieces)
    rows += [(DeliveryKind.CHAT_FILE, {"files": list(places)}) for places in together]
    if is_caption:
        rows[0] = (DeliveryKind.CHAT_FILE, {**rows[0][1], "caption": True})
    place = {"place": entry.data["place"]} if "place" in entry.data else {}
    return [
        Outgoing(
            id=context.new_id(),
            lane=f"chat:{identity.id}",
            bucket=f"{identity.channel}:{identity.id}",
            kind=kind,
            idem_key=frame.part_key(entry.id, part),
            conversation_id=conversation.id,
            identity_id=identity.id,
            entry_id=entry.id,
            part=part,
            urgency=frame.urgency(conversation.priority),
            hold=context.rules.undo,
            data={"parts": len(rows), "texts": len(pieces), "ts": entry.platform_id, **place, **about},
        )
        for part, (kind, about) in enumerate(rows)
    ]


def _edit(event: events.AgentEdit, situation: Situation, context: Context) -> Changes:
    """What was written is changed or deleted: before it left nothing of it leaves, afterwards the chat follows."""
    conversation, identity = situation.conversation, situation.identity
    before = frame.entry_known(situation, event.ts, *ANSWERS)
    if conversation is None or identity is None or before is None:
        return Changes(reason="edit_of_unknown")
    roles = situation.agent.roles if situation.agent else ()
    if refused := _may_not_edit(event, before, roles, conversation, context):
        return refused
    line = leaving.read(event.text or "", event.spans, context.rules)
    was_quoted = bool(before.data.get("quoted"))
    if was_quoted:
        line = leaving.unquoted(line)
    entry = Entry(
        id=context.new_id(),
        conversation_id=conversation.id,
        customer_id=conversation.customer_id,
        kind=EntryKind.NOTE,
        actor=Actor(kind=ActorKind.AGENT, id=event.agent_id),
        at=event.at,
        body=line.body,
        data={"deleted": before.id}
        if event.text is None
        else {"edit_of": before.id, **leaving.dressed(line.spans), **leaving.carried(before)},
    )
    if before.kind is EntryKind.NOTE:
        # A note that loses its prefix stays a note: what was internal never leaves by an edit.
        if "kept" in before.data:  # what may be sent later is what stands there now
            entry, lines, following = _kept_on(event, line, entry, before, situation, context)
            return Changes(
                reason="note_edit", conversation=frame.touched(conversation), entries=(entry, *lines), outbox=following
            )
        return Changes(reason="note_edit", conversation=frame.touched(conversation), entries=(entry,))
    parts = [one for one in situation.outbox if one.entry_id == before.id and one.kind in ANSWER_KINDS]
    waiting = tuple(one.id for one in parts if one.state == "todo")
    if may(roles, Act.REPLY) and waiting and len(waiting) == len(parts):
        return _before_it_left(event, line, entry, before, waiting, situation, context)
    if event.lost and context.now - before.at > FILES_GO:
        return Changes(reason="old_files")
    if event.stand:
        return Changes(reason="edit")  # its author is told that files stay where they are
    sent = [d for d in situation.deliveries if d.entry_id == before.id and d.side == "chat"]
    following = _following(event, line, entry, before, parts, sent, situation, context)
    if not following or not may(roles, Act.REPLY):
        if event.text is None and parts and all(one.state in ("dead", "cancelled") for one in parts):
            return Changes(reason="edit", conversation=frame.touched(conversation), entries=(entry,))
        said = "edit_not_followed" if sent else "edit_before_sent"
        key = f"edit:{event.ts}:{entry.id}"
        told = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, said, key)
        return Changes(reason="edit_refused", conversation=conversation, entries=(entry,), outbox=(told,))
    if event.text is not None or not waiting:
        return Changes(reason="edit", conversation=frame.touched(conversation), entries=(entry,), outbox=following)
    # Of its parts some have left, which the chat takes away again, and the others never will: it answers nothing.
    entry = replace(entry, data={**entry.data, "called_back": before.id})
    changed = frame.touched(frame.recalled(conversation, situation, before.id))
    changed, opened = reopening.called_back(changed, situation, context, before, actor=entry.actor, at=event.at)
    shown = tuple(frame.show(context, changed, one) for one in opened[:1])
    return Changes(
        reason="edit",
        conversation=changed,
        entries=(entry, *opened),
        outbox=(*following, *shown, frame.card_update(context, changed)),
        clocks=frame.clocks(context, situation, changed, opened) if opened else None,
        cancel=waiting,
    )


def _told_of_files(done: Changes, event: events.AgentEdit, context: Context) -> Changes:
    """A file that was taken away after it had left stays with the customer: its author is told."""
    if not event.lost or event.text is None or done.reason != "edit":
        return done
    key = f"lost:{event.channel}:{event.ts}:{event.at.timestamp()}"
    told = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, "file_not_followed", key)
    return replace(done, outbox=(*done.outbox, told))


def _left(before: Entry, event: events.AgentEdit) -> tuple[Attachment, ...]:
    """The files of a line that its author has not taken away from it."""
    return tuple(one for one in before.attachments if one.platform_id not in event.lost)


def _may_not_edit(
    event: events.AgentEdit, before: Entry, roles: tuple[str, ...], conversation: Conversation, context: Context
) -> Changes | None:
    """The refusal of a change by somebody who may not look at the queue any more, or may write no notes.

    An answer of somebody without the role is recorded as it stands in the thread, and told as not followed: below.
    """
    if not context.rules.sees(event.agent_id, roles, conversation.queue):
        said, detail = "refused_queue", f"edit in {conversation.queue}"
    elif before.kind is EntryKind.NOTE and not may(roles, Act.NOTE):
        said, detail = "refused_stranger", "edit without the agent role"
    else:
        return None
    key = f"{said}:{event.channel}:{event.ts}:{event.at.timestamp()}"
    told = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, said, key)
    return Changes(reason="refused", outbox=(told,), audit=(("refused", f"conversation:{conversation.id}", detail),))


def _kept_on(
    event: events.AgentEdit,
    line: leaving.Line,
    entry: Entry,
    before: Entry,
    situation: Situation,
    context: Context,
) -> tuple[Entry, tuple[Entry, ...], tuple[Outgoing, ...]]:
    """A line that stayed inside in its new words: its question shows them, and what is found in them is asked about."""
    conversation = situation.conversation
    assert conversation is not None  # noqa: S101  # the caller looked
    gone = event.text is None
    why, fresh = ((), ()) if gone else leaving.still_kept(line, event, before, situation, context.rules)
    kept = {"kept": list(why)} if why else {}
    entry = replace(entry, platform_id=event.ts, attachments=_left(before, event), data={**entry.data, **kept})
    told = leaving.followed(entry, before, conversation, context)
    entry, lines = _questioned(entry, conversation, why, context)
    if fresh and not leaving.ASKED & set(why):  # the question itself says so
        told = (*told, *leaving.told_kept(entry, conversation, event.agent_id, fresh, context, ts=event.ts))
    return entry, lines, told


def _questioned(
    entry: Entry, conversation: Conversation, why: tuple[str, ...], context: Context
) -> tuple[Entry, tuple[Entry, ...]]:
    """The line with the question that it is asked about by; with a new one where there was none."""
    lines = () if entry.data.get("asked") else leaving.questions(entry, conversation, why, context, is_quiet=True)
    return (replace(entry, data={**entry.data, "asked": lines[0].id}) if lines else entry), lines


def _before_it_left(
    event: events.AgentEdit,
    line: leaving.Line,
    entry: Entry,
    before: Entry,
    waiting: tuple[str, ...],
    situation: Situation,
    context: Context,
) -> Changes:
    """Nobody has seen the first wording: the new one goes instead, or nothing."""
    conversation, identity = situation.conversation, situation.identity
    assert conversation is not None and identity is not None  # noqa: S101, PT018  # the caller looked
    why = () if event.text is None else leaving.kept(line, event, situation, conversation, context.rules)
    gone = event.text is None or not (line.body.strip() or _left(before, event))
    if not gone and not why and not line.is_note:
        fresh = replace(
            entry,
            kind=EntryKind.OUTGOING,
            platform_id=event.ts,
            reply_to=before.reply_to,
            attachments=_left(before, event),
            data={**entry.data, "first": frame.first_written(before)},
        )
        return leave(fresh, conversation, identity, context, cancel=waiting)
    entry, lines = replace(entry, data={**entry.data, "called_back": before.id}), tuple[Entry, ...]()
    if why:
        data = {**entry.data, "kept": list(why)}
        entry = replace(entry, platform_id=event.ts, attachments=_left(before, event), data=data)
        entry, lines = _questioned(entry, conversation, why, context)
    changed = frame.recalled(conversation, situation, before.id)
    changed, opened = reopening.called_back(changed, situation, context, before, actor=entry.actor, at=event.at)
    told = (
        *leaving.followed(entry, before, conversation, context),
        *(frame.show(context, changed, one) for one in opened[:1]),
    )
    if not gone:
        told = (*told, *leaving.told_kept(entry, conversation, event.agent_id, why, context, ts=event.ts))
    return Changes(
        reason="called_back",
        conversation=changed,
        entries=(entry, *lines, *opened),
        outbox=(*told, frame.card_update(context, changed)),
        clocks=frame.clocks(context, situation, changed, opened) if opened else None,
        cancel=waiting,
    )


def _following(
    event: events.AgentEdit,
    line: leaving.Line,
    entry: Entry,
    before: Entry,
    parts: list[OutboxRef],
    sent: list[Delivered],
    situation: Situation,
    context: Context,
) -> tuple[Outgoing, ...]:
    """The changes of the customer's copies; none where the chat cannot follow."""
    conversation, identity = situation.conversation, situation.identity
    assert conversation is not None and identity is not None  # noqa: S101, PT018  # the caller looked
    if any(not one.platform_id for one in sent) or any(one.state == "unclear" for one in parts):
        return ()

    def change(kind: DeliveryKind, copy: Delivered, part: int) -> Outgoing:
        return Outgoing(
            id=context.new_id(),
            lane=f"chat:{identity.id}",
            bucket=f"{identity.channel}:{identity.id}",
            kind=kind,
            idem_key=f"{kind.value}:{entry.id}:{copy.part}",
            conversation_id=conversation.id,
            identity_id=identity.id,
            entry_id=entry.id,
            part=part,
            data={"message_id": copy.platform_id},
        )

    if event.text is None:
        return tuple(change(DeliveryKind.CHAT_DELETE, copy, 0) for copy in sent)
    if line.is_note or leaving.guarded(line, event, situation, context.rules):
        return ()
    if any(one.state != "sent" for one in parts):
        return ()  # half of the old wording and half of the new one would be neither
    limit = signing.limit(context.rules.channel_limits.get(identity.channel, 4096), before.data)
    pieces = text.split_utf16(line.body, limit) if line.body.strip() else []
    texts = len(text.split_utf16(before.body, limit)) if before.body.strip() else len(sent)  # files alone: a caption
    copies = sorted((copy for copy in sent if copy.part < texts), key=lambda copy: copy.part)
    if not pieces or len(pieces) > len(copies):
        return ()
    edits = [change(DeliveryKind.CHAT_EDIT, copy, part) for part, copy in enumerate(copies[: len(pieces)])]
    return (*edits, *(change(DeliveryKind.CHAT_DELETE, copy, 0) for copy in copies[len(pieces) :]))
