"""What leaves, leaves on purpose: ways of a queue, the guard, the undo window, changes before an answer has left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain import events
from domain.changes import Changes, DeliveryKind, OutboxRef
from domain.events import AgentMessage
from domain.formatting import Span, Style
from domain.guard import Guard
from domain.model import Entry, EntryKind, Reach, Thread
from domain.routing import Leaves
from handlers import leaving
from tests.handlers.kit import ANN, LINA, MAYA, NINE, STRANGER, Desk, kinds, placed, rulebook, to_customer, whispers

UNDO = timedelta(seconds=5)


def opened(
    leaves: Leaves = "implicit", undo: timedelta = timedelta(0), guard: Guard | None = None, **rule: Any
) -> Desk:
    """A desk with one open conversation whose card is posted."""
    rules = rulebook(undo=undo, guard=guard or Guard(enabled=False), **rule)
    queues = {name: replace(queue, leaves=leaves) for name, queue in rules.queues.items()}
    desk = Desk(rules=replace(rules, queues=queues))
    desk.writes("Where is my order? Call me: +49 170 1234567")
    desk.situation = replace(desk.situation, conversation=placed(desk.conversation))
    return desk


def refs(decided: Changes, state: str = "todo") -> tuple[OutboxRef, ...]:
    """The parts of an answer, as they stand in the outbox."""
    return tuple(
        OutboxRef(
            id=one.id, kind=one.kind, lane=one.lane, state=state, entry_id=one.entry_id, part=one.part, data=one.data
        )
        for one in to_customer(decided)
    )


def buttons(decided: Changes) -> list[str]:
    """The actions that somebody is offered."""
    told = [one for one in decided.outbox if one.kind is DeliveryKind.DESK_WHISPER]
    return [action for one in told for _, action, _ in one.data.get("buttons", ())]


@pytest.mark.parametrize(
    ("text", "body", "stays", "is_sent"),
    [
        ("// inside", "inside", True, False),
        ("\N{LOCK} inside", "inside", True, False),
        ("\N{LOCK}inside", "inside", True, False),
        (">> to the customer", "to the customer", False, True),
        ("\uff1e\uff1e\u60a8\u597d", "\u60a8\u597d", False, True),
        ("a >> b", "a >> b", False, False),
    ],
)
def test_the_sign_before_a_line_says_where_it_goes(text: str, body: str, stays: bool, is_sent: bool) -> None:
    """`//` and a lock keep a line inside, `>>` sends it; the sign itself is not part of it."""
    line = leaving.read(text, (), rulebook())
    assert (line.body, line.is_note, line.is_sent) == (body, stays, is_sent)


def test_styles_keep_their_place_without_the_sign() -> None:
    """What was bold behind `>>` is bold."""
    line = leaving.read(">> so bold", (Span(style=Style.BOLD, start=6, length=4),), rulebook())
    assert line.body[line.spans[0].start : line.spans[0].end] == "bold"


def test_in_an_explicit_queue_nothing_leaves_by_itself() -> None:
    """A plain line stays inside, says so and offers the button; `>>` sends; the button sends once."""
    desk = opened("explicit")
    kept = desk.answers("On its way.")
    assert (kept.reason, to_customer(kept), whispers(kept), buttons(kept)) == (
        "kept",
        [],
        ["kept_explicit"],
        ["send_reply"],
    )
    ts = str(kept.entries[0].platform_id)
    sent = desk.presses("send_reply", ts)
    (part,) = to_customer(sent)
    answer = sent.entries[0]
    assert (part.kind, part.entry_id) == (DeliveryKind.CHAT_TEXT, answer.id)
    assert (answer.kind, answer.body, answer.platform_id) == (EntryKind.OUTGOING, "On its way.", ts)
    assert whispers(desk.presses("send_reply", ts)) == ["already_settled"]
    assert [one.kind for one in to_customer(desk.answers(">> Sent."))] == [DeliveryKind.CHAT_TEXT]


def test_where_only_the_assignee_answers_others_stay_inside() -> None:
    """The first who answers becomes the assignee; a colleague's line waits until the assignee changes."""
    desk = opened("assignee")
    assert len(to_customer(desk.answers("Mine.", MAYA))) == 1
    kept = desk.answers("Also mine?", LINA)
    assert (to_customer(kept), whispers(kept)) == ([], ["kept_assignee"])
    ts = str(kept.entries[0].platform_id)
    assert whispers(desk.presses("send_reply", ts, LINA)) == ["kept_assignee"]
    desk.presses("assign_me", user=LINA)
    assert len(to_customer(desk.presses("send_reply", ts, LINA))) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Your password: Xk29-qqLm", ["secret"]),
        ("see http://10.0.0.7/admin", ["internal_link"]),
        ("see https://team.slack.com/archives/C1", ["internal_link"]),
        ("see https://wiki.shop.example/x", ["internal_link"]),
        ("@lina knows", ["mention"]),
        ("write to bob@other.example", ["email"]),
        ("call +49 171 7654321", ["phone"]),
        ("Your password: Xk29-qqLm, call +49 171 7654321", ["secret", "phone"]),
    ],
)
def test_what_is_not_for_this_customer_is_asked_about(text: str, why: list[str]) -> None:
    """It stays inside with the reason, and the button sends it all the same."""
    desk = opened(guard=Guard(internal=("wiki.shop.example",)))
    kept = desk.answers(text, mentions="@lina" in text)
    (told,) = [one for one in kept.outbox if one.kind is DeliveryKind.DESK_WHISPER]
    assert (told.data["text"], told.data["why"], to_customer(kept)) == ("kept_guard", why, [])
    assert len(to_customer(desk.presses("send_reply", str(kept.entries[0].platform_id)))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "We call you at 0170 1234567",
        "Write to help@shop.example or call +49 30 5550100",
        "see https://shop.example/faq and order 4711",
        "Please reset your password here: https://shop.example/reset",
    ],
)
def test_what_is_for_this_customer_leaves(text: str) -> None:
    """What they wrote themselves, what is the company's own, and plain words are not asked about."""
    desk = opened(guard=Guard(ours=("shop.example", "+49 30 5550100")))
    assert len(to_customer(desk.answers(text))) == 1


def test_an_answer_waits_and_can_be_called_back() -> None:
    """It is held in the outbox as long as the window is; the button cancels it, and it can be sent after all."""
    desk = opened(undo=UNDO)
    sent = desk.answers("Oops")
    assert ([one.hold for one in to_customer(sent)], buttons(sent)) == ([UNDO], ["undo", "keep_note"])
    ts, parts = str(sent.entries[0].platform_id), refs(sent)
    back = desk.presses("undo", ts, refs=parts)
    assert (back.cancel, to_customer(back)) == (tuple(one.id for one in parts), [])
    assert desk.conversation.delivery_state is Reach.CANCELLED
    assert whispers(desk.presses("undo", ts, refs=parts)) == ["already_settled"], "a double click"
    again = desk.presses("send_reply", ts)
    assert len(to_customer(again)) == 1
    assert again.entries[0].body == "Oops"


@pytest.mark.parametrize("how", ["undo", "delete", "fail", "arrived"])
def test_what_becomes_of_one_answer_says_nothing_of_another_that_still_waits(how: str) -> None:
    """Called back, taken away, failed, or taken as arrived: the other is on its way, and nothing is joined over it."""
    desk = opened()
    first, second = desk.answers("One"), desk.answers("Two")
    parts = refs(first) + refs(second)
    if how == "undo":
        assert desk.presses("undo", str(second.entries[0].platform_id), refs=parts).reason == "undone"
    elif how == "delete":
        assert edits(desk, second.entries[0], None, parts).reason == "called_back"
    elif how == "fail":
        desk.settles(first.entries[0], "dead", "blocked", more_waits=True)
    else:
        unclear = replace(refs(first)[0], state="unclear")
        desk.presses("mark_arrived", unclear.id, refs=(unclear,))
    if how != "fail":  # what has failed is what the card says until the other one arrives
        assert desk.conversation.delivery_state is Reach.WAITING
    own = replace(desk.situation, conversation=replace(desk.conversation, id="X"))
    assert whispers(desk.presses("join", "9", other=own)) == ["answer_on_its_way"]
    desk.settles((second if how in ("fail", "arrived") else first).entries[0])
    assert desk.presses("join", "9", other=own).reason == "joined"


@pytest.mark.parametrize("state", ["sending", "sent", "unclear", "dead"])
def test_what_has_begun_to_leave_is_not_called_back(state: str) -> None:
    """The button says so, and cancels nothing."""
    desk = opened(undo=UNDO)
    sent = desk.answers("Oops")
    back = desk.presses("undo", str(sent.entries[0].platform_id), refs=refs(sent, state))
    assert (back.cancel, whispers(back)) == ((), ["undo_too_late"])


def edits(desk: Desk, entry: Entry, text: str | None, waiting: tuple[OutboxRef, ...], user: str = MAYA) -> Changes:
    """Somebody changes what has not left yet."""
    given: dict[str, Any] = {"outbox": waiting}
    return desk.edits(entry, text, user, **given)


def test_a_change_before_it_left_is_what_leaves() -> None:
    """The first wording is cancelled and the new one goes, once; nothing of the first reaches the customer."""
    desk = opened(undo=UNDO)
    sent = desk.answers("It costs 20.")
    decided = edits(desk, sent.entries[0], "It costs 25.", refs(sent))
    assert decided.cancel == tuple(one.id for one in refs(sent))
    (part,) = to_customer(decided)
    answer = decided.entries[0]
    assert (part.kind, part.entry_id, answer.body) == (DeliveryKind.CHAT_TEXT, answer.id, "It costs 25.")
    assert answer.kind is EntryKind.OUTGOING
    later = edits(desk, answer, None, refs(decided))
    assert (later.cancel, to_customer(later)) == ((part.id,), [])


@pytest.mark.parametrize("text", [None, "", "// rather not", "\N{LOCK} rather not"])
def test_a_deletion_before_it_left_means_nothing_leaves(text: str | None) -> None:
    """Deleted, emptied, or turned into a note: the customer never sees it."""
    desk = opened(undo=UNDO)
    sent = desk.answers("Oops")
    decided = edits(desk, sent.entries[0], text, refs(sent))
    assert decided.cancel == tuple(one.id for one in refs(sent))
    assert to_customer(decided) == []
    assert decided.entries[0].kind is EntryKind.NOTE
    assert desk.conversation.delivery_state is Reach.CANCELLED


def test_a_change_that_needs_asking_is_asked_about() -> None:
    """What an edit brings in is looked at like what was written first."""
    desk = opened(undo=UNDO, guard=Guard())
    sent = desk.answers("On its way")
    decided = edits(desk, sent.entries[0], "Your password: Xk29-qqLm", refs(sent))
    assert (to_customer(decided), whispers(decided)) == ([], ["kept_guard"])
    assert decided.cancel
    again = desk.presses("send_reply", str(sent.entries[0].platform_id))
    assert again.entries[0].body == "Your password: Xk29-qqLm"


def test_somebody_without_the_role_calls_nothing_back() -> None:
    """Neither by the button nor by an edit of theirs."""
    desk = opened(undo=UNDO)
    sent = desk.answers("On its way")
    ts = str(sent.entries[0].platform_id)
    assert whispers(desk.presses("undo", ts, STRANGER, refs=refs(sent))) == ["refused_action"]
    decided = edits(desk, sent.entries[0], "other", refs(sent), STRANGER)
    assert (decided.cancel, to_customer(decided)) == ((), [])


def test_what_is_kept_is_sent_as_it_stands_now() -> None:
    """Whoever mends a line that was kept inside sends the mended one; a deleted one is not sent any more."""
    desk = opened("explicit")
    kept = desk.answers("It costs 20.")
    ts = str(kept.entries[0].platform_id)
    desk.edits(kept.entries[0], "It costs 25.")
    assert desk.presses("send_reply", ts).entries[0].body == "It costs 25."
    other = desk.answers("Oops")
    desk.edits(other.entries[0], None)
    assert whispers(desk.presses("send_reply", str(other.entries[0].platform_id))) == ["already_settled"]


def test_without_a_window_nothing_waits() -> None:
    """The window is a setting: at zero an answer leaves at once and nobody is asked."""
    sent = opened().answers("On its way")
    assert ([one for one in sent.outbox if one.hold], buttons(sent)) == ([], [])
    assert DeliveryKind.CHAT_TEXT in kinds(sent)


def test_an_answer_in_a_thread_that_moved_goes_nowhere() -> None:
    """Its author alone is told which conversation it was; nothing is sent or kept."""
    desk = opened()
    desk.situation = replace(
        desk.situation, conversation=replace(desk.conversation, thread=replace(desk.conversation.thread, ts="2.0"))
    )
    told = desk.answers("On its way", thread_ts="1.0")
    assert (told.reason, to_customer(told), told.entries) == ("thread_moved", [], ())
    assert whispers(told) == ["thread_moved"]
    assert len(to_customer(desk.answers("On its way", thread_ts="2.0"))) == 1


def quoting(words: str, rest: str) -> dict[str, Any]:
    """An answer that begins with a quotation, as Slack's composer gives it."""
    return {"text": f"{words}\n{rest}", "spans": (Span(style=Style.QUOTE, start=0, length=len(words)),)}


def test_an_answer_that_quotes_a_message_is_an_answer_to_it() -> None:
    """The quotation names one of several messages: it goes as Telegram's own reply, and the words stand alone."""
    desk = opened()
    first = desk.situation.window[0]
    desk.writes("And the bill is wrong,  too.")
    second = desk.situation.window[1]
    decided = desk.answers(**quoting("the bill is WRONG, too", "We mend it."))
    assert (decided.entries[0].body, decided.entries[0].reply_to) == ("We mend it.", second.platform_id)
    assert decided.entries[0].data.get("spans") is None
    decided = desk.answers(**quoting("where is my order?", "Tomorrow."))
    assert decided.entries[0].reply_to == first.platform_id


def rewords(desk: Desk, entry: Entry, text: str) -> None:
    """The customer changes one of their messages."""
    message = str(entry.platform_id)
    desk.customer(events.CustomerEdit(customer=ANN, at=desk.now, message_id=message, text=text))


def test_a_quotation_is_of_what_stands_there_now() -> None:
    """A message that its customer has changed is found by its newest words, by no earlier ones, and never twice."""
    desk = opened()
    entry = desk.situation.window[0]
    rewords(desk, entry, "Where is my parcel?")
    rewords(desk, entry, "Where is my red parcel?")
    for words in ("Where is my order?", "Where is my parcel?"):
        assert desk.answers(**quoting(words, "Here.")).entries[0].reply_to is None
    decided = desk.answers(**quoting("where is my RED parcel?", "Here."))
    assert (decided.entries[0].body, decided.entries[0].reply_to) == ("Here.", entry.platform_id)


def test_whatever_the_customer_ever_wrote_is_theirs() -> None:
    """A number stays theirs when it is changed away or answered; one that only somebody else wrote is asked about."""
    desk = opened(guard=Guard())
    entry = desk.situation.window[0]
    rewords(desk, entry, "Call me at +49 171 7654321")
    rewords(desk, entry, "Mail me at ann@home.example")
    assert len(to_customer(desk.answers("Shall we call +49 171 7654321 or write to ann@home.example?"))) == 1
    desk.situation = replace(desk.situation, window=())
    assert len(to_customer(desk.answers("Then we call +49 171 7654321"))) == 1
    assert whispers(desk.answers("Then we call +49 171 7654322")) == ["kept_guard"]


@pytest.mark.parametrize(
    ("text", "spans", "looks"),
    [
        ("On its way, order 471", (), False),
        ("Call +49 171 7654321", (), True),
        ("ann@home.example", (), True),
        ("a quote\nand words", (Span(style=Style.QUOTE, start=0, length=7),), True),
        (None, (), False),
    ],
)
def test_only_what_may_need_it_is_looked_at_beside_all_that_was_said(
    text: str | None, spans: tuple[Span, ...], looks: bool
) -> None:
    """Most answers name nobody and quote nothing: for them nothing more is read."""
    event = events.AgentEdit(agent_id=MAYA, at=NINE, channel="C1", thread_ts="1.0", ts="1.1", text=text, spans=spans)
    assert leaving.looks_back(event) is looks


@pytest.mark.parametrize(("quoted", "rest"), [("our terms, § 3", "Read this."), ("a", "x"), ("Where is my order?", "")])
def test_any_other_quotation_stays_in_the_answer(quoted: str, rest: str) -> None:
    """Nobody wrote that, it is too short to tell, or it is all there is: it is sent as it stands."""
    decided = opened().answers(**quoting(quoted, rest))
    assert decided.entries[0].reply_to is None
    assert decided.entries[0].body.startswith(quoted)


def test_an_edit_of_an_answer_with_a_quotation_keeps_what_it_answers() -> None:
    """Before it left, the new wording goes as the same reply, and the quotation does not come back into it."""
    desk = opened(undo=UNDO)
    before = desk.answers(**quoting("Where is my order?", "Tomorow."))
    event = quoting("Where is my order?", "Tomorrow.")
    changed = desk.edits(before.entries[0], event["text"], spans=event["spans"], outbox=refs(before))
    assert changed.reason == "reply"
    assert (changed.entries[0].body, changed.entries[0].reply_to) == ("Tomorrow.", before.entries[0].reply_to)


@pytest.mark.parametrize("change", ["message", "edit", "nothing"])
def test_a_window_knows_what_was_there_when_it_was_opened(change: str) -> None:
    """Chats count whole seconds: what comes in the same one as the newest message that a window shows was not seen."""
    desk = opened()
    newest = desk.situation.window[-1]
    seen = desk.conversation.version
    if change == "message":
        desk.writes("And the bill?", at=newest.at)
    elif change == "edit":
        edited = events.CustomerEdit(
            customer=ANN, at=newest.at, message_id=str(newest.platform_id), text="Where is order 2?"
        )
        desk.customer(edited)
    done = desk.answers("It is on its way", ts=f"{events.WRITTEN}01JWINDOW", seen=seen)
    assert whispers(done) == ([] if change == "nothing" else ["kept_unread"])
    assert bool(to_customer(done)) is (change == "nothing")


@pytest.mark.parametrize(
    ("post", "before", "asks"),
    [("", 10, True), ("9999999999.0", 10, True), ("1.0", 10, False), (None, 10, False), ("", 1, False)],
    ids=["waits to be shown", "shown later", "was shown", "is being shown", "crosses"],
)
def test_an_answer_is_asked_about_when_its_author_cannot_have_seen_the_newest(
    post: str | None, before: float, asks: bool
) -> None:
    """A message that stood nowhere yet when the answer was written holds it, once; one that crosses it does not."""
    desk = opened()
    newest = desk.situation.window[-1]
    desk = desk.later(seconds=before)
    desk.situation = replace(desk.situation, posted={} if post is None else {newest.id: post})
    done = desk.answers("It is on its way", ts="1700000000.000100")
    assert whispers(done) == (["kept_unread"] if asks else [])
    assert bool(to_customer(done)) is not asks
    if asks:
        (note,) = [entry for entry in done.entries if entry.kind is EntryKind.NOTE]
        assert note.data["kept"] == [leaving.UNREAD]
        assert to_customer(desk.presses("send_reply", str(note.platform_id)))


def late(**rules: Any) -> Desk:
    """A desk that asks about answers of a quarter of an hour ago."""
    desk = opened(**rules)
    desk.rules = replace(desk.rules, asks_late=timedelta(minutes=15))
    return desk


def asked(decided: Changes) -> Entry:
    """The question in the thread; it is shown, and nothing leaves."""
    (question,) = [one for one in decided.entries if one.kind is EntryKind.HELD]
    shown = [one for one in decided.outbox if one.kind is DeliveryKind.DESK_ENTRY]
    assert [one.entry_id for one in shown] == [question.id]
    assert not to_customer(decided)
    return question


def test_an_answer_that_comes_in_late_is_asked_about_in_the_thread() -> None:
    """Nobody may be there to see a whisper: the question stands in the thread, and sends once, whoever presses."""
    desk = late()
    desk.answers("In time", at=desk.now - timedelta(minutes=14))
    assert to_customer(desk.answers("Just in time", at=desk.now - timedelta(minutes=15)))
    decided = desk.answers("Tomorrow at nine", at=desk.now - timedelta(minutes=16))
    question = asked(decided)
    note = decided.entries[0]
    assert (note.kind, note.body, note.data["kept"]) == (EntryKind.NOTE, "Tomorrow at nine", [leaving.LATE])
    assert question.data == {"of": note.id, "agent": MAYA, "line": note.platform_id, "kept": [leaving.LATE]}
    assert note.data["asked"] == question.id
    assert whispers(decided) == []
    assert whispers(desk.presses("send_reply", str(note.platform_id), STRANGER)) == ["refused_action"]
    sent = desk.presses("send_reply", str(note.platform_id), LINA)
    assert len(to_customer(sent)) == 1
    assert (sent.entries[0].actor.id, sent.entries[0].data["sent_by"]) == (MAYA, LINA)
    assert whispers(desk.presses("send_reply", str(note.platform_id))) == ["already_settled"], "pressed again"
    assert whispers(desk.presses("keep_note", str(note.platform_id))) == ["undo_too_late"], "it has left"


def test_a_late_answer_that_is_kept_inside_stays_there() -> None:
    """Whoever keeps it inside has said so for everybody: no button sends it any more, and its words are a note."""
    desk = late()
    note = desk.answers("Tomorrow at nine", at=desk.now - timedelta(hours=9)).entries[0]
    kept = desk.presses("keep_note", str(note.platform_id), LINA)
    assert (kept.entries[0].kind, kept.entries[0].body, kept.entries[0].actor.id) == (EntryKind.NOTE, note.body, MAYA)
    assert kept.entries[0].data["kept_by"] == LINA
    assert whispers(kept) == ["stays_inside"]
    for action in ("keep_note", "send_reply"):
        again = desk.presses(action, str(note.platform_id))
        assert (whispers(again), to_customer(again)) == (["already_settled"], [])


def test_the_question_says_what_else_speaks_against_a_late_answer() -> None:
    """A newer message of the customer, and what the guard found; it is one question with all of it."""
    desk = late(guard=Guard())
    written = desk.now
    (said,) = desk.situation.window
    desk.later(hours=9)
    desk.situation = replace(desk.situation, posted={said.id: f"{desk.now.timestamp():.6f}"})
    ts = f"{written.timestamp() + 60:.6f}"
    question = asked(desk.answers("Your password: Xk29-qqLm", at=written + timedelta(minutes=1), ts=ts))
    assert question.data["kept"] == ["secret", leaving.LATE]
    assert question.data["overtaken"] is True


def test_what_was_not_meant_to_leave_is_not_asked_about() -> None:
    """A note stays one, and what an explicit queue keeps inside is kept as always, however late it comes."""
    desk = late(leaves="explicit")
    for text, told in (("// check the stock", []), ("Let us look", ["kept_explicit"])):
        decided = desk.answers(text, at=desk.now - timedelta(hours=9))
        assert ([one.kind for one in decided.entries], whispers(decided)) == ([EntryKind.NOTE], told)
    asked(desk.answers(">> Tomorrow", at=desk.now - timedelta(hours=9)))


def test_a_fast_clock_makes_no_answer_late() -> None:
    """At a thousand times the speed a second is a quarter of an hour: only what took us long is late."""
    desk = late()
    context = replace(desk.context, speed=1000.0)
    event = AgentMessage(
        agent_id=MAYA, at=desk.now - timedelta(hours=9), channel="C0SUPPORT", thread_ts="1.0", ts="2.0", text="hi"
    )
    assert not leaving.is_late(event, context)
    assert leaving.is_late(event, replace(context, speed=0.0)), "a clock that stands still"
    assert not leaving.is_late(event, replace(context, rules=rulebook())), "never, where that is set"


def test_a_late_answer_in_a_thread_that_was_left_is_asked_about_where_the_conversation_is() -> None:
    """Whoever wrote it is told nothing that nobody reads: it is kept, and one press sends it; nothing leaves before."""
    desk = late()
    desk.presses("move", "billing")
    there = replace(desk.conversation, thread=replace(desk.conversation.thread, ts="2.0"))
    desk.situation = replace(desk.situation, conversation=there)
    now = desk.answers("Just now", channel="C0SUPPORT", thread_ts="1.0")
    assert (now.reason, whispers(now)) == ("thread_moved", ["thread_moved"])
    decided = desk.answers("Last night", channel="C0SUPPORT", thread_ts="1.0", at=desk.now - timedelta(hours=9))
    question = asked(decided)
    (shown,) = [one for one in decided.outbox if one.kind is DeliveryKind.DESK_ENTRY]
    assert shown.bucket == "slack:C0BILLING"
    assert len(to_customer(desk.presses("send_reply", question.data["line"]))) == 1


def test_the_echoes_of_a_late_line_stand_where_it_was_written() -> None:
    """Its conversation is in another channel since before it was written: the lock and what follows go to the line."""
    desk = late(undo=UNDO)
    desk.presses("move", "billing")
    desk.situation = replace(
        desk.situation, conversation=replace(desk.conversation, thread=Thread(channel="C0BILLING", ts="2.0"))
    )
    nine_hours = desk.now - timedelta(hours=9)
    kept = desk.answers("Last night", channel="C0SUPPORT", thread_ts="1.0", at=nine_hours)
    line = str(kept.entries[0].platform_id)
    desk.edits(kept.entries[0], "Last night, mended")
    sent = desk.presses("send_reply", line)
    back = desk.presses("undo", line, refs=refs(sent))
    done = desk.settles(desk.presses("send_reply", line).entries[0])
    (dead,) = refs(sent, "dead")
    again = desk.presses("retry", dead.id, refs=(dead,))
    for decided in (kept, sent, back, done, again):
        (echo,) = [one for one in decided.outbox if one.kind is DeliveryKind.DESK_REACTION]
        assert (echo.data["ts"], echo.data["place"]) == (line, "C0SUPPORT")
        assert echo.bucket == "slack-reaction:C0SUPPORT"


def test_a_late_answer_in_a_joined_thread_is_asked_about_where_it_goes_on() -> None:
    """Down for an hour, joined meanwhile: the line and the question are in the conversation that goes on; nothing is
    lost, a note neither, and what its author changes then is asked about as it stands.
    """
    desk, there = late(), late()
    into = replace(there.conversation, id="INTO", thread=Thread(channel="C0BILLING", ts="2.0"))
    there.situation = replace(there.situation, conversation=into)
    joined = replace(desk.conversation, merged_into="INTO")
    desk.situation = replace(desk.situation, conversation=joined, other=there.situation)
    assert whispers(desk.answers("Just now")) == ["thread_joined"]
    decided = desk.answers("Tomorrow at nine", at=desk.now - timedelta(hours=1))
    (moved,) = decided.also
    assert (decided.conversation, decided.entries, decided.outbox) == (None, (), ())
    question = asked(moved)
    assert {entry.conversation_id for entry in moved.entries} == {"INTO"}
    there.keep(moved)
    desk.situation = replace(desk.situation, other=there.situation)
    (mended,) = desk.edits(moved.entries[0], "Tomorrow at ten").also
    there.keep(mended)
    (part,) = to_customer(there.presses("send_reply", question.data["line"], conversation_id="INTO"))
    assert part.conversation_id == "INTO"
    (note,) = desk.answers("// call them", at=desk.now - timedelta(hours=1)).also
    assert [(one.kind, one.conversation_id) for one in note.entries] == [(EntryKind.NOTE, "INTO")]


def test_whoever_sends_a_colleagues_line_has_the_conversation_and_can_call_it_back() -> None:
    """Its author may not be there: the button and the conversation go to who pressed, the customer reads the author."""
    desk = late(undo=UNDO, signature="agent")
    note = desk.answers("Tomorrow at nine", at=desk.now - timedelta(hours=9)).entries[0]
    sent = desk.presses("send_reply", str(note.platform_id), LINA)
    (told,) = [one for one in sent.outbox if one.kind is DeliveryKind.DESK_WHISPER]
    assert (told.data["user"], told.data["text"], told.data["author"]) == (LINA, "undo_signed", MAYA)
    assert desk.conversation.assignee == LINA
    taken = next(entry for entry in sent.entries if entry.kind is EntryKind.ASSIGNEE)
    assert (taken.actor.id, taken.data["to"], sent.entries[0].actor.id) == (LINA, LINA, MAYA)
    own = desk.answers("And at ten")
    (told,) = [one for one in own.outbox if one.kind is DeliveryKind.DESK_WHISPER]
    assert (told.data["user"], "author" in told.data) == (MAYA, False)


def followed(decided: Changes) -> list[tuple[str | None, str]]:
    """The questions that are changed where they stand, and the wording that each shows then."""
    changed = [one for one in decided.outbox if one.kind is DeliveryKind.DESK_EDIT]
    assert all(one.lane.startswith("thread:") for one in changed), "behind the question itself"
    return [(one.entry_id, str(one.data["line"])) for one in changed]


def test_the_question_follows_its_line_and_what_becomes_of_it() -> None:
    """Changed, sent, called back, sent again, changed on its way: each time it says what stands there now."""
    desk = late(undo=UNDO)
    decided = desk.answers("Tomorrow at nine", at=desk.now - timedelta(hours=9))
    question, line = asked(decided), str(decided.entries[0].platform_id)
    mended = desk.edits(decided.entries[0], "Tomorrow at ten")
    assert followed(mended) == [(question.id, mended.entries[0].id)]
    assert mended.entries[0].data["kept"] == [leaving.LATE]
    sent = desk.presses("send_reply", line, LINA)
    answer = sent.entries[0]
    assert (answer.body, answer.platform_id, followed(sent)) == ("Tomorrow at ten", line, [(question.id, answer.id)])
    (echo,) = [one for one in sent.outbox if one.kind is DeliveryKind.DESK_REACTION]
    assert echo.data["ts"] == line
    back = desk.presses("undo", line, refs=refs(sent))
    assert followed(back) == [(question.id, back.entries[0].id)]
    again = desk.presses("send_reply", line)
    assert followed(again) == [(question.id, again.entries[0].id)]
    gone = desk.edits(again.entries[0], None, outbox=refs(again))
    assert (gone.cancel, followed(gone)) == (tuple(one.id for one in refs(again)), [(question.id, gone.entries[0].id)])
    assert gone.entries[0].data["deleted"] == again.entries[0].id


@pytest.mark.parametrize("text", [None, "// not yet", "\N{LOCK} not yet"], ids=["deleted", "a note", "locked"])
def test_a_late_line_that_was_taken_back_is_sent_by_no_button(text: str | None) -> None:
    """Deleted, or made a note by its author: the question is settled, and a press on the old one sends nothing."""
    desk = late()
    decided = desk.answers("Tomorrow at nine", at=desk.now - timedelta(hours=9))
    question = asked(decided)
    gone = desk.edits(decided.entries[0], text)
    assert followed(gone) == [(question.id, gone.entries[0].id)]
    assert "kept" not in gone.entries[0].data
    for action in ("send_reply", "keep_note"):
        again = desk.presses(action, question.data["line"])
        assert (whispers(again), to_customer(again)) == (["already_settled"], [])
    back = desk.edits(gone.entries[0], "Tomorrow at ten")
    assert to_customer(back) == [], "what was internal leaves by no change"


def test_what_a_change_of_a_kept_line_brings_in_is_asked_about() -> None:
    """What is found in the new words stands in the question, or is told to the author; what is gone is not named."""
    for desk, ago, by_whisper in ((late(guard=Guard()), 9, False), (opened("explicit", guard=Guard()), 0, True)):
        kept = desk.answers("Tomorrow at nine", at=desk.now - timedelta(hours=ago))
        why = kept.entries[0].data["kept"]
        secret = desk.edits(kept.entries[0], "Your password: Xk29-qqLm")
        assert secret.entries[0].data["kept"] == ["secret", *why]
        assert whispers(secret) == (["kept_guard"] if by_whisper else [])
        assert bool(followed(secret)) is not by_whisper
        plain = desk.edits(secret.entries[0], "Tomorrow at ten")
        assert (plain.entries[0].data["kept"], whispers(plain)) == (why, [])
        assert len(to_customer(desk.presses("send_reply", str(plain.entries[0].platform_id)))) == 1
