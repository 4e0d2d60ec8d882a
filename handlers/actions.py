"""A button, a menu or a command at the desk. A double click, or a stale button, does no harm and says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from domain import events, signs
from domain.changes import RETRY, Changes, DeliveryKind, OutboxRef, Outgoing, Settle, Situation, settled_by
from domain.model import OUTCOMES, Agent, Conversation, EntryKind, Priority, Reach, Status
from domain.roles import Act, may
from domain.sla import EventKind
from handlers import (
    acts,
    alerts,
    beginning,
    commands,
    contacts,
    feedback,
    frame,
    giving,
    joining,
    moving,
    muting,
    persons,
    promises,
    recall,
    reopening,
    resting,
    satisfaction,
    transcripts,
    triage,
)
from handlers.frame import Context

HOME = "home"
"""The command that opening one's page at the desk comes as."""
SPAM = "spam"
"""The intent that sets a conversation aside."""
ALLOWED: dict[str, Act] = {
    "assign_me": Act.ASSIGN_SELF,
    "unassign": Act.ASSIGN_SELF,
    "status": Act.RESOLVE,
    "move": Act.MOVE,
    "resolve": Act.RESOLVE,
    "reopen": Act.RESOLVE,
    "priority": Act.PRIORITY,
    "relabel": Act.RELABEL,
    "retry": Act.SETTLE,
    "retry_plain": Act.SETTLE,
    "copy": Act.SETTLE,
    "mark_arrived": Act.SETTLE,
    "confirm": Act.RELABEL,
    "why": Act.SEE,
    "why_then": Act.SEE,
    "acknowledge": Act.NOTE,
    "excuse": Act.EXCUSE,
    "promise": Act.REPLY,
    "customer": Act.SEE,
    "reveal": Act.REVEAL,
    "reveal_message": Act.REVEAL,
    "correct": Act.PROFILE,
    "undo": Act.REPLY,
    "take_back": Act.REPLY,
    "keep_note": Act.REPLY,
    "send_reply": Act.REPLY,
    "note_contact": Act.NOTE,
    "ask_contact": Act.REPLY,
    "merge": Act.LINK,
    "unmerge": Act.LINK,
    "not_same": Act.LINK,
    "assign": Act.ASSIGN_OTHER,
    "handover": Act.HAND_OVER,
    "snooze": Act.SNOOZE,
    "wake": Act.SNOOZE,
    "not_a_request": Act.RESOLVE,
    "mute": Act.MUTE,
    "unmute": Act.MUTE,
    "join": Act.JOIN,
    "start": Act.START,
    "transcript": Act.TRANSCRIPT,
}


def decide(event: events.AgentAction, situation: Situation, context: Context) -> Changes:
    """What a click changes, if the person may and the card they saw still holds."""
    conversation = situation.conversation
    if conversation is None:
        return Changes(reason="action_on_unknown")
    if event.action == "act":  # in words, from a form
        named = commands.in_words(event)
        if named is None:
            return Changes(reason="unknown_action", outbox=(acts.tell(event, "act_how", context),))
        event = commands.meant(named, context.rules)
    act = ALLOWED.get(event.action)
    if act is None:
        return Changes(reason="unknown_action")
    roles = situation.agent.roles if situation.agent else ()
    if event.is_stranger or not may(roles, act):
        if event.value == alerts.REACTION:  # whoever looks at a thread may react; nothing was asked of us
            return Changes(reason="refused")
        audit = ("refused", f"conversation:{conversation.id}", f"{event.action} without the role")
        return Changes(reason="refused", outbox=(acts.tell(event, "refused_action", context),), audit=(audit,))
    if not context.rules.sees(event.agent_id, roles, conversation.queue):
        audit = ("refused", f"conversation:{conversation.id}", f"{event.action} in {conversation.queue}")
        return Changes(reason="refused", outbox=(acts.tell(event, "refused_queue", context),), audit=(audit,))
    if frame.is_erased(situation):
        is_quiet = event.value == alerts.REACTION
        return Changes(reason="erased", outbox=() if is_quiet else (acts.tell(event, "customer_erased", context),))
    decide_one = _HANDLERS[event.action]
    return decide_one(event, conversation, situation, context)


def _assign_me(
    event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context
) -> Changes:
    if conversation.assignee == event.agent_id:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_yours", context),))
    if not conversation.is_open:
        return acts.stale(event, conversation, context)
    if event.value == acts.FREE and conversation.assignee is not None:
        told = acts.tell(event, "already_taken", context, who=conversation.assignee)
        return Changes(reason="already_taken", outbox=(told, frame.card_update(context, conversation)))
    entry = acts.line(
        event,
        conversation,
        EntryKind.ASSIGNEE,
        context,
        sla=EventKind.TAKEN.value,
        to=event.agent_id,
        was=conversation.assignee,
    )
    agent = situation.agent and replace(situation.agent, last_assigned_at=context.now)
    changed = frame.touched(conversation, assignee=event.agent_id)
    if changed.status is Status.NEW:
        changed = replace(changed, status=Status.OPEN)
    return acts.changed("assigned", changed, (entry,), situation, context, agent)


def _resolve(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    if conversation.status is Status.DONE:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_resolved", context),))
    if acts.is_unread(event, conversation):
        return acts.unread(event, conversation, context)
    if acts.is_unclear(conversation, situation):
        return Changes(reason="unclear", outbox=(acts.tell(event, "answer_unclear", context),))
    if event.value is not None and event.value not in OUTCOMES:
        return acts.stale(event, conversation, context)
    entry = acts.status(event, conversation, Status.DONE, context)
    if event.value:
        entry = replace(entry, data={**entry.data, "outcome": event.value})
    changed = frame.touched(
        conversation,
        status=Status.DONE,
        outcome=event.value,
        resolved_at=event.at,
        unanswered_since=None,
        assignee=conversation.assignee or event.agent_id,
    )
    done = acts.changed("resolved", changed, (entry,), situation, context)
    if acts.is_leaving(conversation, situation):
        return done  # the customer is asked how it was when they have the answer
    asked, items = satisfaction.asked(changed, situation.identity, situation.automatic, situation.history, context)
    return replace(done, entries=(*done.entries, *asked), outbox=(*done.outbox, *items))


def _reopen(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Open again what was closed; what only rests is woken."""
    if conversation.status is Status.ON_HOLD:
        return resting.wake(event, conversation, situation, context)
    if conversation.is_open:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_open", context),))
    if conversation.merged_into is not None:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_joined", context),))
    opened, lines = reopening.again(conversation, situation, context, None, actor=acts.actor(event), at=event.at)
    return acts.changed("reopened", frame.touched(opened), lines, situation, context)


def _priority(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    if event.value not in list(Priority) or not conversation.is_open:
        return acts.stale(event, conversation, context)
    wanted = Priority(event.value)
    if wanted is conversation.priority:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_that_priority", context),))
    entry = acts.line(
        event,
        conversation,
        EntryKind.PRIORITY,
        context,
        sla=EventKind.PRIORITY.value,
        to=wanted.value,
        was=conversation.priority.value,
    )
    changed = frame.touched(conversation, priority=wanted, priority_by_human=True)
    done = acts.changed("priority", changed, (entry,), situation, context)
    return replace(done, labels=feedback.priority(event, wanted.value, situation, context))


def _relabel(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    intent = context.rules.intents.get(event.value or "")
    if intent is None:
        return acts.stale(event, conversation, context)
    if conversation.label_by_human and conversation.intent == intent.id:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_that_label", context),))
    entry = acts.line(
        event,
        conversation,
        EntryKind.LABEL,
        context,
        to=intent.id,
        was=conversation.intent,
        guessed=(conversation.assessment or {}).get("intent"),
    )
    entries = [entry]
    changed = frame.touched(conversation, intent=intent.id, label_by_human=True)
    if intent.id == SPAM:
        entries.append(acts.status(event, conversation, Status.SPAM, context, EventKind.STATUS))
        changed = replace(changed, status=Status.SPAM, resolved_at=event.at, unanswered_since=None, outcome=None)
    elif conversation.status is Status.SPAM:
        status = acts.status(event, conversation, Status.OPEN, context)
        changed, line = reopening.taken_back(changed, situation.history, status)
        entries.append(line)
    segments = situation.customer.segments if situation.customer else ()
    queue = triage.route_for(frame.facts(context, changed, segments), intent.queue, context).queue
    if queue != conversation.queue:
        entries.append(
            acts.line(event, conversation, EntryKind.QUEUE, context, to=queue, was=conversation.queue, why="label")
        )
        changed = replace(changed, queue=queue)
    done = moving.follow(acts.changed("relabelled", changed, tuple(entries), situation, context), context)
    return replace(done, labels=feedback.topic(event, intent.id, situation, context))


def _confirm(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """A spot check was answered with yes. Where the topic has changed since, what was asked about is their choice."""
    topic = event.value or ""
    if topic != conversation.intent or topic not in context.rules.intents:
        return _relabel(event, conversation, situation, context)
    if conversation.label_by_human:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_that_label", context),))
    entry = acts.line(event, conversation, EntryKind.LABEL, context, to=topic, was=topic)
    done = acts.changed("confirmed", frame.touched(conversation, label_by_human=True), (entry,), situation, context)
    return replace(done, labels=feedback.topic(event, topic, situation, context))


def _why(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Tell one person what the classifier saw; looked up and worded when it is sent."""
    del situation
    return Changes(reason="why", outbox=(acts.tell(event, "why", context, conversation=conversation.id),))


def _why_then(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Tell one person how the next deadline came about; looked up and worded when it is sent."""
    del situation
    number = str(conversation.number)
    told = acts.tell(event, "why_then", context, conversation=conversation.id, number=number)
    return Changes(reason="why_then", outbox=(told,))


def _unassign(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    if conversation.assignee is None or not conversation.is_open:
        return acts.stale(event, conversation, context)
    entry = acts.line(
        event, conversation, EntryKind.ASSIGNEE, context, sla=EventKind.TAKEN.value, was=conversation.assignee
    )
    return acts.changed("unassigned", frame.touched(conversation, assignee=None), (entry,), situation, context)


def _set_status(
    event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context
) -> Changes:
    offered = (Status.OPEN.value, Status.ON_HOLD.value, Status.SPAM.value)
    if event.value not in offered or not conversation.is_open or event.value == conversation.status.value:
        return acts.stale(event, conversation, context)
    wanted = Status(event.value)
    if wanted is not Status.OPEN and acts.is_unread(event, conversation):
        return acts.unread(event, conversation, context)
    entry = acts.status(event, conversation, wanted, context)
    changed = frame.touched(conversation, status=wanted)
    if wanted is Status.SPAM:
        changed = replace(changed, resolved_at=event.at, unanswered_since=None)
    done = acts.changed("status", changed, (entry,), situation, context)
    if wanted is Status.SPAM and SPAM in context.rules.intents:
        done = replace(done, labels=feedback.topic(event, SPAM, situation, context))
    return done


def _move(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Give it to another team: it goes on in their channel."""
    if event.value not in context.rules.queues or event.value == conversation.queue or not conversation.is_open:
        return acts.stale(event, conversation, context)
    entry = acts.line(event, conversation, EntryKind.QUEUE, context, to=event.value, was=conversation.queue)
    moved = acts.changed("moved", frame.touched(conversation, queue=event.value), (entry,), situation, context)
    return moving.follow(moved, context)


def _settle(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    again, plain = event.action in ("retry", "retry_plain"), event.action == "retry_plain"
    ref = situation.outbox[0] if situation.outbox else None
    _, asked = settled_by(event.value or "")
    is_over = ref is not None and asked in ref.data.get("over", ())  # sent again since, in vain
    if ref is None or is_over or ref.state not in ("unclear", "dead"):
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_settled", context),))
    is_answer = ref.kind in (DeliveryKind.CHAT_TEXT, DeliveryKind.CHAT_FILE)
    # Parts leave in order: when the last one is taken as arrived, nothing of the answer is left to be sent.
    is_last = bool(ref.data.get("last")) or ref.part == int(ref.data.get("parts", 1)) - 1
    arrived = not again and is_answer and is_last
    answer = situation.answer
    first = str(ref.entry_id) if answer is None else frame.first_written(answer)
    until = max(event.at, conversation.last_customer_at or event.at)  # what came since may be decided before it
    owed = frame.asked_after(situation, first, until) if arrived else None
    entries = [
        acts.line(
            event,
            conversation,
            EntryKind.STATUS if again else EntryKind.DELIVERED,
            context,
            of=ref.entry_id,
            first=first if arrived and first != ref.entry_id else None,
            sla=EventKind.AGENT_REPLY.value if arrived else None,
            why="sent again" if again else "the agent took it as arrived",
            to=RETRY if again else None if owed is None else owed.id,
            plain=plain or None,
        )
    ]
    others = situation.leaving - {str(ref.entry_id)}
    state = Reach.WAITING if again or others or (is_answer and not arrived) else Reach.SENT
    changed = frame.touched(conversation, delivery_state=state, delivery_reason=None)
    if arrived:
        changed = replace(changed, unanswered_since=None if owed is None else owed.at)
        stays = owed is not None or frame.stays_on_hold(conversation, situation.history, first)
        if not stays and conversation.status in (Status.NEW, Status.OPEN, Status.ON_HOLD):
            entries.append(acts.status(event, conversation, Status.WAITING_CUSTOMER, context))
            changed = replace(changed, status=Status.WAITING_CUSTOMER)
    done = acts.changed("settled", changed, tuple(entries), situation, context)
    # The line under which it was asked says so itself.
    done = replace(done, outbox=tuple(item for item in done.outbox if item.entry_id != entries[0].id))
    if arrived and answer is not None:
        promised, question = promises.offered(answer, changed, context)
        done = replace(done, entries=(*done.entries, *promised), outbox=(*done.outbox, *question))
    echo = _settled_echo(ref, conversation, signs.SENT if arrived else signs.WAITING, context)
    follow = frame.settled_failure(context, conversation, entries[0], ref.id)
    outbox = (*done.outbox, *echo, follow)
    settled = Settle(outbox_id=ref.id, again=again, plain=plain, failure=asked)
    return replace(done, settle=(settled,), outbox=outbox)


def _settled_echo(ref: OutboxRef, conversation: Conversation, name: str, context: Context) -> tuple[Outgoing, ...]:
    """The echo on the agent's line, in place of the one that said what went wrong."""
    ts = ref.data.get("ts")
    if not isinstance(ts, str):
        return ()
    key = f"{name}:{ref.id}:{context.new_id()}"
    # Until it was asked about, nothing but the hourglass stood on an unclear one.
    before = (signs.FAILED,) if ref.state == "dead" else (signs.UNCLEAR, signs.WAITING)
    gone = [one for one in before if one != name]
    return (frame.react(context, conversation, ts, name, key, remove=gone, line=ref.data),)


_Handler = Callable[[events.AgentAction, Conversation, Situation, Context], Changes]
_HANDLERS: dict[str, _Handler] = {
    "assign_me": _assign_me,
    "unassign": _unassign,
    "status": _set_status,
    "move": _move,
    "resolve": _resolve,
    "reopen": _reopen,
    "priority": _priority,
    "relabel": _relabel,
    "retry": _settle,
    "retry_plain": _settle,
    "copy": recall.copy,
    "mark_arrived": _settle,
    "confirm": _confirm,
    "why": _why,
    "why_then": _why_then,
    "acknowledge": alerts.acknowledge,
    "excuse": alerts.excuse,
    "promise": promises.track,
    "customer": persons.show,
    "reveal": persons.reveal,
    "reveal_message": persons.reveal_message,
    "correct": persons.correct,
    "undo": recall.undo,
    "take_back": recall.take_back,
    "keep_note": recall.keep,
    "send_reply": recall.send,
    contacts.NOTE: contacts.note,
    contacts.ASK: contacts.ask,
    "merge": persons.link,
    "unmerge": persons.link,
    "not_same": persons.link,
    "assign": giving.assign,
    "handover": giving.hand_over,
    "snooze": resting.snooze,
    "wake": resting.wake,
    "not_a_request": resting.not_a_request,
    "mute": muting.mute,
    "unmute": muting.unmute,
    "join": joining.join,
    "start": beginning.start,
    "transcript": transcripts.ask,
}


def command(event: events.DeskCommand, situation: Situation, context: Context) -> Changes:
    """`/relaydesk on`, `off`, `sla`, `help`, and their names in Chinese: told to nobody else."""
    agent = situation.agent or Agent(id=event.agent_id)
    word = event.text.strip().casefold()
    first, _, rest = word.partition(" ")
    if first in persons.WORDS:
        return persons.command(event, rest, situation, context)
    if (asked := commands.read(event)) is not None:
        return _by_command(asked, situation, context)
    if word in {*commands.called("sla"), HOME} and may(agent.roles, Act.SEE):
        return Changes(reason="deadlines", outbox=(_deadlines(event, agent, context, is_home=word == HOME),))
    if not may(agent.roles, Act.DUTY):
        told = frame.whisper(context, event.channel, None, event.agent_id, "refused_action", event.key)
        return Changes(reason="refused", outbox=(told,), audit=(("refused", "command", commands.kind(first)),))
    if word in commands.called("on", "off"):
        on_duty = word in commands.called("on")
        text = "on_duty" if on_duty else "off_duty"
        if not event.channel:  # pressed on their own page, which says it
            agent = replace(agent, on_duty=on_duty)
            return Changes(reason=text, agent=agent, outbox=(_deadlines(event, agent, context, is_home=True),))
        told = frame.whisper(context, event.channel, None, event.agent_id, text, event.key)
        return Changes(reason=text, agent=replace(agent, on_duty=on_duty), outbox=(told,))
    text = "help" if not word or word in commands.called("help") else "no_command"
    told = frame.whisper(context, event.channel, None, event.agent_id, text, event.key)
    return Changes(reason=text, outbox=(told,))


def _by_command(asked: events.AgentAction, situation: Situation, context: Context) -> Changes:
    """What a button would do, for the conversation that the command names; whoever asked is told that it is done."""
    conversation = situation.conversation
    if conversation is None:
        roles = situation.agent.roles if situation.agent else ()
        text = "command_which" if may(roles, ALLOWED.get(asked.action, Act.SEE)) else "refused_action"
        return Changes(reason="command_which", outbox=(acts.tell(asked, text, context),))
    asked = replace(commands.meant(asked, context.rules), conversation_id=conversation.id)
    decided = decide(asked, situation, context)
    is_nothing = decided.conversation is None or not (decided.entries or decided.settle)
    if is_nothing or decided.reason in beginning.KEPT:
        return decided
    what = {"entry": decided.entries[0].id} if decided.entries else {}
    done = acts.tell(asked, "command_done", context, number=str(conversation.number), **what)
    return replace(decided, outbox=(*decided.outbox, done))


def _deadlines(event: events.DeskCommand, agent: Agent, context: Context, *, is_home: bool) -> Outgoing:
    """What is overdue, due soon, and this person's own: as an answer, or on their page at the desk."""
    if not is_home:
        return frame.whisper(
            context, event.channel, None, event.agent_id, "deadlines", event.key, roles=list(agent.roles)
        )
    identity = context.new_id()
    return Outgoing(
        id=identity,
        lane=f"home:{event.agent_id}",
        bucket=f"slack-user:{event.agent_id}",
        kind=DeliveryKind.DESK_HOME,
        idem_key=f"home:{event.key or identity}",
        collapse=True,
        data={
            "place": event.agent_id,
            "user": event.agent_id,
            "text": "deadlines",
            "leads": may(agent.roles, Act.ASSIGN_OTHER),
            "roles": list(agent.roles),
        },
    )
