"""An agent's emoji on a customer's message: it appears on the customer's phone, and goes when it is taken back."""

from __future__ import annotations

from collections.abc import Iterable

from domain import events
from domain.changes import Changes, DeliveryKind, Outgoing, Situation
from domain.model import Actor, ActorKind, Conversation, Entry, EntryKind, Identity
from domain.roles import Act, may
from handlers import frame
from handlers.frame import Context


def decide(event: events.AgentReaction, situation: Situation, context: Context) -> Changes:
    """What an emoji that was put on a post of ours, or taken from it, changes.

    The chat shows one: the newest that still stands. Emoji that have no counterpart there stay at the desk.
    """
    conversation, identity = situation.conversation, situation.identity
    emoji = context.rules.reactions.get(event.name)
    if emoji is None:
        return Changes(reason="reaction_of_the_desk")
    shown = {one.entry_id for one in situation.deliveries if one.side == "desk" and one.platform_id == event.ts}
    here = [one for one in situation.known.values() if one.id in shown]
    said = [one for one in here if one.kind is EntryKind.INCOMING and one.platform_id]
    if conversation is None or identity is None or not said or frame.is_erased(situation):
        return Changes(reason="reaction_elsewhere")
    roles = situation.agent.roles if situation.agent else ()
    if event.is_stranger or not may(roles, Act.REPLY):
        return _refusal(event, conversation, "refused_stranger", "reaction without the agent role", context)
    if not context.rules.sees(event.agent_id, roles, conversation.queue):
        return _refusal(event, conversation, "refused_queue", f"reaction in {conversation.queue}", context)
    target = said[-1]
    earlier = [one for one in situation.reactions if one.data.get("of") == target.id]
    entry = Entry(
        id=context.new_id(),
        conversation_id=conversation.id,
        customer_id=conversation.customer_id,
        kind=EntryKind.REACTION,
        actor=Actor(kind=ActorKind.AGENT, id=event.agent_id),
        at=event.at,
        data={"of": target.id, "name": event.name, "on": event.is_on},
        reply_to=target.platform_id,
    )
    before, now = _shown(earlier), _shown([*earlier, entry])
    sent = () if before == now else (_send(entry, now, conversation, identity, context),)
    return Changes(reason="reaction", conversation=frame.touched(conversation), entries=(entry,), outbox=sent)


def _refusal(
    event: events.AgentReaction, conversation: Conversation, text: str, detail: str, context: Context
) -> Changes:
    """Whoever may not is told so once; what they take back was never there."""
    if not event.is_on:
        return Changes(reason="reaction_elsewhere")
    key = f"reaction:{event.channel}:{event.ts}:{event.agent_id}"
    place = conversation.thread
    told = frame.whisper(context, place.channel, place.ts, event.agent_id, text, key)
    return Changes(reason="refused", outbox=(told,), audit=(("refused", f"conversation:{conversation.id}", detail),))


def refused(entry: Entry, conversation: Conversation, reason: str | None, context: Context) -> Changes:
    """The chat does not take an emoji: whoever put it there is told, once for each reason."""
    place = conversation.thread
    told = frame.whisper(
        context,
        place.channel,
        place.ts,
        str(entry.actor.id),
        "reaction_refused",
        f"reaction_refused:{conversation.id}:{reason}",
    )
    return Changes(reason="reaction_refused", outbox=(told,))


def _shown(entries: Iterable[Entry]) -> str | None:
    """The name of the emoji that the chat shows after these: the newest that nobody has taken back."""
    standing: list[tuple[str | None, str]] = []
    for entry in entries:
        mark = entry.actor.id, str(entry.data.get("name"))
        standing = [one for one in standing if one != mark]
        if entry.data.get("on"):
            standing.append(mark)
    return standing[-1][1] if standing else None


def _send(entry: Entry, name: str | None, conversation: Conversation, identity: Identity, context: Context) -> Outgoing:
    return Outgoing(
        id=context.new_id(),
        lane=f"react:{identity.id}",  # never in the way of an answer
        bucket=f"{identity.channel}-reaction:{identity.id}",
        kind=DeliveryKind.CHAT_REACTION,
        idem_key=f"chat.reaction:{entry.id}",
        conversation_id=conversation.id,
        identity_id=identity.id,
        entry_id=entry.id,
        data={"message_id": entry.reply_to, "emoji": context.rules.reactions.get(name or "", "")},
    )
