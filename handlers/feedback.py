"""What people at the desk teach: a label for every correction, confirmation and change of priority; the spot checks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from domain import events, labels, privacy
from domain.changes import Situation
from domain.labels import LabelKind, Labelled, LabelSource
from domain.model import Conversation, Entry, EntryKind
from handlers import frame
from handlers.frame import Context

TEACHES = frozenset({"relabel", "confirm", "priority", "status"})
"""Actions that need the words that the classifier read."""


def check(conversation: Conversation, entries: list[Entry], context: Context) -> Conversation:
    """Ask the desk whether the machine's topic is right, if this conversation belongs to the audit sample.

    Which do is fixed by their ids, so that the sample is the same however often it is drawn. Asked once, of what the
    machine stands by; the share is noted, for it is what an answer is weighed with.
    """
    assessment = conversation.assessment or {}
    if conversation.intent is None or conversation.label_by_human or "audit" in assessment:
        return conversation
    share = context.rules.audit_share
    if not labels.is_sampled(conversation.id, share):
        return conversation
    entries.append(frame.machine_entry(context, conversation, EntryKind.CHECK, to=conversation.intent))
    return replace(conversation, assessment={**assessment, "audit": share})


def topic(event: events.AgentAction, intent: str, situation: Situation, context: Context) -> tuple[Labelled, ...]:
    """The label that somebody gave by choosing or confirming a topic."""
    return _label(event, LabelKind.INTENT, intent, situation, context)


def priority(event: events.AgentAction, wanted: str, situation: Situation, context: Context) -> tuple[Labelled, ...]:
    """The label that somebody gave by changing a priority."""
    return _label(event, LabelKind.PRIORITY, wanted, situation, context)


def _label(
    event: events.AgentAction, kind: LabelKind, label: str, situation: Situation, context: Context
) -> tuple[Labelled, ...]:
    conversation = situation.conversation
    assessment = None if conversation is None else conversation.assessment
    if conversation is None or not assessment:
        return ()  # the classifier has read nothing, so there is nothing to learn from
    guess = _guess(assessment) if kind is LabelKind.INTENT else str(assessment.get("priority", ""))
    abstained = kind is LabelKind.INTENT and bool(assessment.get("abstain"))
    queues = assessment.get("queues") or [{}]
    customer = situation.customer
    keeps = labels.may_keep(context.rules.keep_text, customer.training if customer else None)
    return (
        Labelled(
            id=context.new_id(),
            conversation_id=conversation.id,
            customer_id=conversation.customer_id,
            kind=kind,
            source=_source(label, guess, abstained=abstained),
            label=label,
            guess=guess or None,
            right=_queue(label, context) == _queue(guess, context) if kind is LabelKind.INTENT else label == guess,
            language=str(assessment.get("language") or conversation.language or ""),
            confidence=float(queues[0].get("confidence", 0.0)),
            abstained=abstained,
            weight=_weight(assessment, abstained=abstained) if kind is LabelKind.INTENT else 0.0,
            version=str(assessment.get("version", "")),
            at=event.at,
            text=_text(assessment, situation, context) if keeps else "",
        ),
    )


def _guess(assessment: dict[str, Any]) -> str:
    top = assessment.get("top") or [{}]
    return str(assessment.get("intent") or top[0].get("label", ""))


def _source(label: str, guess: str, *, abstained: bool) -> LabelSource:
    if abstained:
        return LabelSource.CHOICE
    return LabelSource.CONFIRMATION if label == guess else LabelSource.CORRECTION


def _weight(assessment: dict[str, Any], *, abstained: bool) -> float:
    """How many messages like this one the label stands for; see `domain.labels.Labelled`."""
    if abstained:
        return 1.0
    share = float(assessment.get("audit", 0.0))
    return 1.0 / share if share > 0 else 0.0


def _queue(intent: str, context: Context) -> str | None:
    known = context.rules.intents.get(intent)
    return known.queue if known else None


def _text(assessment: dict[str, Any], situation: Situation, context: Context) -> str:
    """The words that the newest assessment read, masked; those that cannot be found again are left out."""
    words = {entry.id: entry.body for entry in (*situation.window, *situation.read)}
    read = "\n".join(words[one] for one in assessment.get("read", ()) if words.get(one))
    return privacy.mask(read[-context.rules.window_characters :])
