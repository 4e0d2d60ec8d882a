"""Running conversations under the newest version of their policy: only where an operator says so."""

from __future__ import annotations

from dataclasses import replace

from domain import sla
from domain.changes import Changes, Situation
from domain.model import Actor, EntryKind
from handlers import frame
from handlers.frame import Context


def decide(situation: Situation, context: Context, actor: Actor) -> Changes | None:
    """What the newest version changes for one conversation; None when it has it already, or is closed.

    The deadlines keep their start and their pauses, and what was missed stays missed.
    """
    conversation = situation.conversation
    if conversation is None or not conversation.is_open:
        return None
    newest = context.rules.policies.get(conversation.policy or "")
    if newest is None:
        return None
    current = sla.policy_named(situation.history) or newest.name
    current = current if "@" in current else f"{current}@1"
    wanted = context.rules.reference(newest, conversation.queue)
    if wanted == current:
        return None
    entry = frame.machine_entry(
        context,
        conversation,
        EntryKind.CLOCK,
        actor=actor,
        sla=sla.EventKind.POLICY.value,
        to=wanted,
        was=current,
        why="reapplied",
    )
    return Changes(
        reason="reapplied",
        conversation=replace(conversation),
        entries=(entry,),
        outbox=(frame.show(context, conversation, entry), frame.card_update(context, conversation)),
        clocks=frame.clocks(context, situation, conversation, (entry,)),
    )
