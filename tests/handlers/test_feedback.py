"""Every correction, confirmation and change of priority teaches, with what may be kept and with its true weight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain import labels
from domain.assessment import Scored
from domain.changes import Changes
from domain.labels import LabelKind, Labelled, LabelSource
from domain.model import EntryKind
from handlers import feedback
from tests.handlers.kit import LINA, MAYA, STRANGER, Desk, noted, reading, rulebook, whispers

SURE = reading("order", queues=(Scored(label="support", confidence=0.93),))
UNSURE = reading(None, queues=(Scored(label="support", confidence=0.41),), top=(Scored(label="order", confidence=0.3),))


def desk(**rules: Any) -> Desk:
    return Desk(rules=rulebook(**({"keep_text": True} | rules)))


def taught(decided: Changes) -> Labelled:
    (one,) = decided.labels
    return one


def test_a_correction_teaches() -> None:
    """What the machine said, what the person says, the words that were read: masked."""
    it = desk()
    it.writes("My card 4111 1111 1111 1111 was charged twice", SURE)
    label = taught(it.presses("relabel", "billing"))
    assert (label.kind, label.source) == (LabelKind.INTENT, LabelSource.CORRECTION)
    assert (label.label, label.guess, label.right) == ("billing", "order", False)
    assert (label.confidence, label.abstained, label.language, label.version) == (0.93, False, "en", "test")
    assert label.conversation_id == it.conversation.id
    assert label.customer_id == it.conversation.customer_id
    assert "4111" not in label.text
    assert label.text.endswith("was charged twice")
    assert it.conversation.label_by_human


def test_a_choice_where_the_machine_was_not_sure_stands_for_itself() -> None:
    """It left this one to people, and people label all of those: weight one."""
    it = desk()
    it.writes("hm", UNSURE)
    label = taught(it.presses("relabel", "order"))
    assert (label.source, label.weight, label.abstained, label.right) == (LabelSource.CHOICE, 1.0, True, True)


def test_what_people_correct_of_their_own_accord_has_no_weight() -> None:
    """It is picked for being wrong, so it says nothing about how often the machine is right."""
    it = desk()
    it.writes("where is it?", SURE)
    assert taught(it.presses("relabel", "billing")).weight == 0.0


@pytest.mark.parametrize("answer", ["order", "billing"])
def test_a_spot_check_is_asked_once_and_weighed_by_its_share(answer: str) -> None:
    """Whatever the answer is, and wherever it is given, it stands for as many as the share says."""
    it = desk(audit_share=1.0)
    opened = it.writes("where is it?", SURE)
    (question,) = noted(opened, EntryKind.CHECK)
    assert question.data["to"] == "order"
    assert question.id in [item.entry_id for item in opened.outbox]
    assert noted(it.later(seconds=20).writes("hello?", SURE), EntryKind.CHECK) == []
    it.rules = replace(it.rules, audit_share=0.5)  # changed since: the share at the time of the question counts
    asked_with = replace(it.conversation, assessment={**(it.conversation.assessment or {}), "audit": 0.25})
    it.situation = replace(it.situation, conversation=asked_with)
    action = "confirm" if answer == "order" else "relabel"
    label = taught(it.presses(action, answer))
    assert label.weight == 4.0
    assert label.right is (answer == "order")


def test_a_confirmation_settles_the_topic() -> None:
    """One tap: the topic stands, is a person's, and the thread says so; a second tap says that it is so."""
    it = desk(audit_share=1.0)
    it.writes("where is it?", SURE)
    confirmed = it.presses("confirm", "order", LINA)
    assert taught(confirmed).source is LabelSource.CONFIRMATION
    assert it.conversation.label_by_human
    (line,) = noted(confirmed, EntryKind.LABEL)
    assert line.data["from"] == line.data["to"] == "order"
    again = it.presses("confirm", "order", MAYA)
    assert whispers(again) == ["already_that_label"]
    assert again.labels == ()
    it.writes("and my money?", reading("billing"))
    assert it.conversation.intent == "order"


def test_yes_to_a_topic_that_has_changed_since_is_that_topic() -> None:
    """The person said what is right; the machine's second thought does not outlive it."""
    it = desk(audit_share=1.0)
    it.writes("where is it?", SURE)
    it.later(seconds=20).writes("and my money?", reading("billing"))
    assert it.conversation.intent == "billing"
    label = taught(it.presses("confirm", "order"))
    assert (label.label, label.guess, label.source) == ("order", "billing", LabelSource.CORRECTION)
    assert it.conversation.intent == "order"


def test_the_sample_is_drawn_by_the_conversation() -> None:
    """The same conversations every time, about as many as the share says; none and all at the ends."""
    ids = [f"01J{place:023}" for place in range(4000)]
    drawn = [one for one in ids if labels.is_sampled(one, 0.04)]
    assert 110 <= len(drawn) <= 210
    assert drawn == [one for one in ids if labels.is_sampled(one, 0.04)]
    assert set(drawn) <= {one for one in ids if labels.is_sampled(one, 0.05)}, "a larger share keeps the smaller one's"
    assert not any(labels.is_sampled(one, 0.0) for one in ids)
    assert all(labels.is_sampled(one, 1.0) for one in ids)


def test_nothing_is_asked_about_what_the_machine_left_to_people() -> None:
    """The check is about what it routes by itself."""
    it = desk(audit_share=1.0)
    assert noted(it.writes("hm", UNSURE), EntryKind.CHECK) == []
    asked = it.later(seconds=20).writes("where is it?", SURE)
    assert len(noted(asked, EntryKind.CHECK)) == 1, "now it does"


def test_a_change_of_priority_teaches() -> None:
    """Examples for a later model, apart from topics and without weight."""
    it = desk()
    it.writes("where is it?", SURE)
    label = taught(it.presses("priority", "urgent"))
    assert (label.kind, label.label, label.guess) == (LabelKind.PRIORITY, "urgent", "normal")
    assert (label.right, label.weight, label.text) == (False, 0.0, "where is it?")


def test_spam_from_the_menu_teaches_spam() -> None:
    """Setting it aside says what it is; putting it on hold says nothing."""
    it = desk()
    it.writes("buy followers", SURE)
    assert it.presses("status", "on_hold").labels == ()
    assert taught(it.presses("status", "spam")).label == "spam"


@pytest.mark.parametrize(
    ("policy", "consent", "kept"),
    [
        (True, None, True),
        (True, True, True),
        (True, False, False),
        ("consented", None, False),
        ("consented", True, True),
        ("consented", False, False),
        (False, None, False),
        (False, True, False),
    ],
)
def test_words_are_kept_with_consent_only(policy: labels.KeepText, consent: bool | None, kept: bool) -> None:
    """Who refused is never kept; without words the label is still counted."""
    it = desk(keep_text=policy)
    it.writes("where is it?", SURE)
    assert it.situation.customer is not None
    said = {} if consent is None else {"training": consent}
    it.situation = replace(it.situation, customer=replace(it.situation.customer, consents=said))
    label = taught(it.presses("relabel", "billing"))
    assert bool(label.text) is kept
    assert label.label == "billing"


def test_the_words_are_those_that_were_read() -> None:
    """All that was read together, also after an answer, when nobody waits any more; later messages are not in it."""
    it = desk()
    it.writes("hello", SURE)
    it.later(seconds=20).writes("where is it?", SURE)
    read = tuple(it.situation.window)
    it.answers()
    it.later(hours=1).writes("thanks, and what about the lamp?", SURE)
    it.situation = replace(it.situation, read=read)
    assert taught(it.presses("relabel", "billing")).text == "hello\nwhere is it?"


def test_without_a_reading_there_is_nothing_to_learn() -> None:
    """A photo that nobody read teaches no words."""
    it = desk()
    it.writes("where is it?", SURE)
    assert it.situation.conversation is not None
    it.situation = replace(it.situation, conversation=replace(it.situation.conversation, assessment=None))
    assert it.presses("relabel", "billing").labels == ()


def test_strangers_teach_nothing_and_ask_nothing() -> None:
    """Neither a label nor the reasons are for whoever has no role."""
    it = desk(audit_share=1.0)
    it.writes("where is it?", SURE)
    for action in ("confirm", "why"):
        refused = it.presses(action, "order", STRANGER)
        assert refused.labels == ()
        assert whispers(refused) == ["refused_action"]


def test_why_is_told_to_one_person() -> None:
    """The row names the conversation; what it says is looked up when it is sent."""
    it = desk()
    it.writes("where is it?", SURE)
    asked = it.presses("why")
    assert whispers(asked) == ["why"]
    assert asked.outbox[0].data["conversation"] == it.conversation.id
    assert "where is it" not in str(asked.outbox[0])


def test_what_teaches_asks_for_the_words() -> None:
    """Every action that makes a label has them loaded."""
    assert {"relabel", "confirm", "priority", "status"} == feedback.TEACHES
