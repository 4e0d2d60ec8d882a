"""A customer did something: wrote, changed a message, used a command, blocked us, moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from domain import deeplinks, events, profile, segments
from domain.assessment import Assessment
from domain.changes import Changes, DeliveryKind, Outgoing, Situation
from domain.model import (
    Actor,
    ActorKind,
    Conversation,
    Customer,
    Entry,
    EntryKind,
    Identity,
    Status,
    Thread,
)
from domain.sla import EventKind, SlaEvent
from handlers import automatic, contacts, frame, muting, privacy, triage
from handlers.frame import Context

CUSTOMER = Actor(kind=ActorKind.CUSTOMER)
COMMANDS = {"start": "start", "help": "help", "privacy": "privacy"}


def text_to_assess(situation: Situation, event: events.Event, context: Context) -> str | None:
    """The text the classifier is to read for this event: the assessment window with the new message last.

    The window holds unanswered messages not more than `window_gap` apart, the newest `window_messages` or
    `window_characters`. None when there is nothing to read.
    """
    if not isinstance(event, events.CustomerMessage) or not (event.text or event.kind == "sticker"):
        return None
    texts = [entry.body for entry in _read_together(situation, event.at, context)]
    return "\n".join((*texts, event.text))[-context.rules.window_characters :]


def _read_together(situation: Situation, at: datetime, context: Context) -> list[Entry]:
    """The earlier messages that are read together with one written at `at`, oldest first."""
    rules = context.rules
    if situation.conversation is None or not situation.conversation.is_open:
        return []
    found: list[Entry] = []
    for entry in reversed(situation.window):
        if at - entry.at > rules.window_gap or len(found) + 1 >= rules.window_messages:
            break
        found.append(entry)
        at = entry.at
    return found[::-1]


def decide(
    event: events.CustomerEvent, situation: Situation, assessment: Assessment | None, context: Context
) -> Changes:
    """What a customer's event changes."""
    match event:
        case events.CustomerMessage():
            return _message(event, situation, assessment, context)
        case events.CustomerEdit():
            return _edit(event, situation, context)
        case events.CustomerCommand():
            return _command(event, situation, context)
        case events.CustomerChoice():
            return privacy.decide(event, situation, context)
        case events.CustomerReaction():
            return _reaction(event, situation, context)
        case events.CustomerReach():
            return _reach(event, situation, context)
        case events.CustomerMoved():
            return _moved(event, situation)
        case _:
            assert_never(event)


def _person(ref: events.CustomerRef, situation: Situation, context: Context) -> tuple[Customer, Identity, bool]:
    """The customer and identity behind a message, known or new; the flag says whether anything is to be written."""
    if situation.customer is None or situation.identity is None:
        customer = Customer(id=context.new_id(), name=ref.name, language=ref.language, created_at=context.now)
        first = segments.Episode(channel=ref.channel, opened_at=context.now, last_customer_at=context.now)
        customer = replace(customer, segments=segments.of(context.rules.segments, customer, (first,), context.now))
        identity = Identity(
            id=context.new_id(),
            customer_id=customer.id,
            channel=ref.channel,
            address=ref.address,
            name=ref.name,
            username=ref.username,
            language=ref.language,
            topic=ref.topic,
        )
        return customer, identity, True
    before = situation.identity
    identity = replace(
        before,
        name=ref.name if ref.name and ref.is_named else before.name or ref.name,
        username=ref.username,
        language=ref.language or before.language,
        topic=ref.topic,
        reachable=True,
        unreachable_reason=None,
    )
    return situation.customer, identity, identity != before


def _kept(
    event: events.CustomerMessage,
    conversation: Conversation,
    customer: Customer,
    history: Sequence[SlaEvent],
    context: Context,
    *,
    stays_closed: bool,
) -> Entry:
    """The line of a message: one that opens nothing again is offered to be reopened."""
    kind = EventKind.CLOSURE_MESSAGE if stays_closed else EventKind.CUSTOMER_MESSAGE
    waits_from = frame.counts_from(history, event.at)
    return Entry(
        id=context.new_id(),
        conversation_id=conversation.id,
        customer_id=customer.id,
        kind=EntryKind.INCOMING,
        actor=CUSTOMER,
        at=event.at,
        body=event.text,
        data={"kind": event.kind, "sla": kind.value}
        | ({"offer_reopen": True} if stays_closed else {})
        | ({} if event.customer.topic is None else {"topic": event.customer.topic})
        | ({} if waits_from is None else {"counts_from": waits_from}),
        platform_id=event.message_id,
        reply_to=event.reply_to,
        attachments=event.attachments,
        details=event.details,
    )


def _message(
    event: events.CustomerMessage, situation: Situation, assessment: Assessment | None, context: Context
) -> Changes:
    if frame.entry_known(situation, event.message_id, EntryKind.INCOMING):
        return Changes(reason="already_recorded")
    customer, identity, is_changed = _person(event.customer, situation, context)
    if muting.is_muted(situation.identity, event.at):
        return muting.recorded(event, situation, identity, context)
    current = situation.conversation
    says_more = bool(event.attachments) and event.kind != "sticker"  # a sticker of thanks is thanks
    closure = assessment is not None and assessment.closure >= context.rules.closure_threshold and not says_more
    fresh = current is None or _is_over(current, event.at, context)
    if fresh:
        conversation = _opened(event, customer, identity, situation, context)
    else:
        assert current is not None  # noqa: S101  # `fresh` says so
        conversation = current
    stays_closed = not fresh and not conversation.is_open and (closure or conversation.status is Status.SPAM)
    history = () if fresh else situation.history
    entry = _kept(event, conversation, customer, history, context, stays_closed=stays_closed)
    entries: list[Entry] = []
    if fresh:
        entries.append(
            frame.machine_entry(context, conversation, EntryKind.OPENED, at=event.at, previous=conversation.previous)
        )
    if ended := muting.over(situation.identity, conversation, event.at, context):
        identity, is_changed = muting.heard(identity), True
        entries += ended
    entries.append(entry)
    if not stays_closed:
        conversation = _woken(conversation, event.at, entries, history, context)
        conversation = triage.apply(
            conversation,
            assessment,
            situation,
            customer,
            entries,
            context,
            fresh=fresh,
            at=event.at,
            read=(*(one.id for one in _read_together(situation, event.at, context)), entry.id),
        )
    plain = entry
    conversation, entry, said, acknowledgement = automatic.acknowledge(
        entry, situation, conversation, customer, identity, assessment, context, fresh=fresh
    )
    entries = [*(entry if one is plain else one for one in entries), *said]
    newest = max(event.at, conversation.last_customer_at or event.at)
    conversation = replace(conversation, last_customer_at=newest, customer_version=conversation.version + 1)
    outbox = _shown(conversation, entries, entry, context, fresh=fresh)
    customer, informed, notice = privacy.inform(customer, identity, conversation.id, context)
    points, lines = contacts.noted(event, customer, conversation.id, context)
    outbox += tuple(frame.show(context, conversation, line) for line in lines)
    lines += contacts.renamed(situation.identity, identity, customer.id, event.at, context) if is_changed else ()
    written = (*entries, *informed, *lines)
    return Changes(
        reason="opened" if fresh else "closure" if stays_closed else "message",
        customer=customer if customer != situation.customer else None,
        identity=identity if is_changed else None,
        conversation=conversation,
        entries=written,
        outbox=(*outbox, *acknowledgement, *notice),
        clocks=(
            None
            if not fresh and frame.leaves_clocks(situation, conversation, written)
            else frame.clocks(context, situation, conversation, written, fresh=fresh)
        ),
        agent=triage.assigned(conversation, situation, context),
        contacts=points,
    )


def _is_over(conversation: Conversation, at: datetime, context: Context) -> bool:
    """True when a message written at `at` opens a new conversation instead of this one."""
    if conversation.merged_into is not None:
        return True
    if conversation.status is not Status.DONE or conversation.resolved_at is None:
        return False
    return at - conversation.resolved_at > context.rules.reopen_window


def _opened(
    event: events.CustomerMessage, customer: Customer, identity: Identity, situation: Situation, context: Context
) -> Conversation:
    previous = situation.conversation
    queue = context.rules.queues[context.rules.default_queue]
    return Conversation(
        id=context.new_id(),
        number=0,  # given by storage, in order
        customer_id=customer.id,
        identity_id=identity.id,
        channel=event.customer.channel,
        lane=situation.lane,
        thread=Thread(channel=queue.slack_channel),
        queue=queue.name,
        language=event.customer.language,
        opened_at=event.at,
        previous=None if previous is None else previous.id,
        acknowledged_at=None if previous is None else previous.acknowledged_at,
        version=-1,
    )


def _woken(
    conversation: Conversation, at: datetime, entries: list[Entry], history: Sequence[SlaEvent], context: Context
) -> Conversation:
    """A customer message makes it our turn: a closed conversation reopens, a waiting one is open again."""
    unanswered = min(conversation.unanswered_since or at, at)
    if conversation.is_open and conversation.status not in (Status.WAITING_CUSTOMER, Status.ON_HOLD):
        return replace(conversation, unanswered_since=unanswered)
    at = frame.not_before(history, at)
    if not conversation.is_open:
        entries.append(
            frame.machine_entry(context, conversation, EntryKind.REOPENED, sla=EventKind.REOPENED.value, at=at)
        )
    entries.append(
        frame.machine_entry(
            context,
            conversation,
            EntryKind.STATUS,
            at=at,
            sla=EventKind.STATUS.value,
            to=Status.OPEN.value,
            was=conversation.status.value,
            slept=frame.slept(conversation),
            why="customer wrote",
        )
    )
    return replace(
        conversation,
        status=Status.OPEN,
        unanswered_since=unanswered,
        resolved_at=None,
        snoozed_until=None,
        outcome=None,
    )


def _shown(
    conversation: Conversation, entries: list[Entry], message: Entry, context: Context, *, fresh: bool
) -> tuple[Outgoing, ...]:
    outbox: list[Outgoing] = []
    if fresh:
        outbox.append(frame.card(context, conversation))
    later = (EntryKind.MUTED, EntryKind.REOPENED, EntryKind.QUEUE, EntryKind.PRIORITY)
    visible = (*later, EntryKind.ASSIGNEE, EntryKind.CHECK)
    outbox += [
        frame.show(context, conversation, entry)
        for entry in entries
        if entry is message or entry.kind in (visible[-2:] if fresh else visible)
    ]
    outbox += [
        frame.show(context, conversation, message, DeliveryKind.DESK_FILE, part=part)
        for part in range(len(message.attachments))
    ]
    if not fresh:
        outbox.append(frame.card_update(context, conversation))
    return tuple(outbox)


def _edit(event: events.CustomerEdit, situation: Situation, context: Context) -> Changes:
    """Other words of a message: shown, and read by whoever waits for the customer to write."""
    conversation = situation.conversation
    if conversation is None:
        return Changes(reason="edit_of_unknown")
    # An older conversation's message, or one from before our time: shown without what it said before.
    before = frame.entry_known(situation, event.message_id, EntryKind.INCOMING)
    entry = Entry(
        id=context.new_id(),
        conversation_id=conversation.id,
        customer_id=conversation.customer_id,
        kind=EntryKind.INCOMING_EDIT,
        actor=CUSTOMER,
        at=event.at,
        body=event.text,
        data={} if before is None else {"of": before.id},
        reply_to=event.message_id,
    )
    changed = replace(conversation, customer_version=conversation.version + 1)
    if before is not None and before.data.get("muted"):  # recorded, like what it changes
        return Changes(reason="edit", conversation=changed, entries=(entry,))
    shown = frame.changing(context, conversation, entry, DeliveryKind.DESK_EDIT, event.message_id)
    update = frame.card_update(context, conversation)
    if conversation.status is Status.ON_HOLD and (before is None or before.body != event.text):
        entries = [entry]
        awake = _woken(changed, event.at, entries, situation.history, context)
        awake = replace(awake, unanswered_since=conversation.unanswered_since)  # a correction asks nothing anew
        clocks = frame.clocks(context, situation, awake, tuple(entries))
        return Changes(reason="edit", conversation=awake, entries=tuple(entries), outbox=(shown, update), clocks=clocks)
    return Changes(
        reason="edit", conversation=changed, entries=(entry,), outbox=(shown, replace(update, data={"changing": True}))
    )


def _command(event: events.CustomerCommand, situation: Situation, context: Context) -> Changes:
    customer, identity, is_changed = _person(event.customer, situation, context)
    text = COMMANDS.get(event.command, "help")
    place = situation.conversation.id if situation.conversation else customer.id
    entry = privacy.told(customer, place, context, text=text, command=event.command)
    key = f"automatic:{event.customer.channel}:{identity.id}:{event.message_id}"
    item = frame.automatic(identity, entry, key, context, text=text)
    customer, informed, notice = privacy.inform(customer, identity, place, context)
    lines = contacts.renamed(situation.identity, identity, customer.id, event.at, context) if is_changed else ()
    is_told = text == privacy.CHOICES  # it holds the notice itself
    said = _came_about(event, customer, context)
    conversation = situation.conversation if said else None
    card = () if conversation is None or not conversation.is_open else (frame.card_update(context, conversation),)
    return Changes(
        reason="command",
        customer=customer if customer != situation.customer else None,
        identity=identity if is_changed else None,
        conversation=conversation if card else None,
        entries=(entry, *informed, *lines),
        outbox=(item, *(() if is_told else notice), *card),
        said=said,
    )


def _came_about(event: events.CustomerCommand, customer: Customer, context: Context) -> tuple[profile.Said, ...]:
    """What the link said by which they came. What does not fit the configuration is nobody's word and is not kept."""
    found = deeplinks.read(context.rules.deep_links, event.argument) if event.command == "start" else None
    if found is None:
        return ()
    name, words = found
    source = profile.Source.CUSTOMER
    value = profile.Value(value=words, source=source, actor=source.value, at=event.at)
    return (
        profile.Said(
            entry_id=context.new_id(), customer_id=customer.id, name=name, value=value, reason="came by a link"
        ),
    )


def _reaction(event: events.CustomerReaction, situation: Situation, context: Context) -> Changes:
    """Nobody has to act on it: it is told in the thread, and no clock looks at it."""
    conversation = situation.conversation
    if conversation is None:
        return Changes(reason="reaction_of_nobody")
    known = situation.known.get(event.message_id)
    of = None if known is None else known.data.get("of") if known.kind is EntryKind.DELIVERED else known.id
    entry = Entry(
        id=context.new_id(),
        conversation_id=conversation.id,
        customer_id=conversation.customer_id,
        kind=EntryKind.REACTION,
        actor=CUSTOMER,
        at=event.at,
        body=event.emoji,
        data={} if of is None else {"of": of},
        reply_to=event.message_id,
        details={"by": event.customer.name},  # several people of a group may put theirs on one message
    )
    is_told = not muting.is_muted(situation.identity, event.at)
    shown = (frame.changing(context, conversation, entry, DeliveryKind.DESK_ENTRY),) if is_told else ()
    return Changes(reason="reaction", conversation=conversation, entries=(entry,), outbox=shown)


def _reach(event: events.CustomerReach, situation: Situation, context: Context) -> Changes:
    if situation.identity is None:
        return Changes(reason="reach_of_unknown")
    identity = replace(situation.identity, reachable=event.reachable, unreachable_reason=event.reason)
    if identity == situation.identity:
        return Changes(reason="reach_unchanged")
    conversation = situation.conversation
    if conversation is None or not conversation.is_open:
        return Changes(reason="reach", identity=identity)
    entry = frame.machine_entry(
        context, conversation, EntryKind.REACHABLE, actor=CUSTOMER, at=event.at, to=event.reachable, why=event.reason
    )
    return Changes(
        reason="reach",
        identity=identity,
        conversation=conversation,
        entries=(entry,),
        outbox=(frame.show(context, conversation, entry), frame.card_update(context, conversation)),
    )


def _moved(event: events.CustomerMoved, situation: Situation) -> Changes:
    """The chat has a new address, and so have all places in it: a person's own conversation, a topic."""
    known = {one.id: one for one in (situation.identity, *situation.everyone) if one is not None}
    moved = tuple(
        replace(one, address=event.new_address + rest)
        for one in known.values()
        if (rest := _within(one.address, event.old_address)) is not None
    )
    if not moved:
        return Changes(reason="move_of_unknown")
    return Changes(reason="moved", identity=moved[0], moved=moved[1:])


def _within(address: str, chat: str) -> str | None:
    """What an address says beside its chat; None for an address elsewhere."""
    rest = address.removeprefix(chat)
    return rest if address.startswith(chat) and rest[:1] in ("", "@", "/") else None
