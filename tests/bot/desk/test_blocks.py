"""The card and the thread posts, as Block Kit: stable, within Slack's limits, and never markup of a customer's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.desk import blocks, entries, words
from bot.desk.blocks import Block
from bot.learning_why import Likeness, Why
from classifiers.taxonomy import STARTER
from domain.changes import DeliveryKind
from domain.model import MACHINE, Actor, ActorKind, Attachment, Entry, EntryKind, Priority, Reach, Status, Thread
from domain.ports import CardView
from tests.bot.desk.kit import (
    BILLING,
    JONAS,
    LEAD_GROUP,
    MAYA,
    NOON,
    SUPPORT,
    card_view,
    clock,
    conversation,
    entry,
)

SNAPSHOTS = Path(__file__).parent / "snapshots"
AGENT = Actor(kind=ActorKind.AGENT, id=MAYA)

CARDS: dict[str, CardView] = {
    "english": card_view(),
    "chinese": card_view(
        conversation=conversation(language="zh", assignee=MAYA, priority=Priority.HIGH, status=Status.OPEN),
        customer_name="王小明",
        excerpt="你好，我上个月退的鞋子到现在还没有收到退款，请帮我查一下订单 20260211 的处理进度，谢谢。" * 3,
        segments=("VIP",),
    ),
    "not_sure": card_view(
        conversation=conversation(intent=None, queue="triage"),
        abstained=True,
        intent_name=None,
        confidence=0.41,
        guesses=(("refund", "Return or refund", 0.41), ("complaint", "Complaint", 0.3), ("billing", "Payment", 0.12)),
        queue_title="Triage",
    ),
    "unread": card_view(
        conversation=conversation(intent=None, queue="triage", language="ja"),
        excerpt="荷物はまだ届きません",
        abstained=True,
        doubt="unknown_language",
        intent_name=None,
        guesses=(("closing", "Thanks or closing", 0.51), ("spam", "Spam", 0.03)),
        like=("Bug report", "Bug report"),
        queue_title="Triage",
    ),
    "asleep": card_view(
        conversation=conversation(
            status=Status.ON_HOLD,
            assignee=MAYA,
            snoozed_until=NOON + timedelta(days=1),
            thread=Thread(channel=BILLING, ts="2.0", before=f"{SUPPORT}:1.0"),
        ),
        muted_until=NOON + timedelta(hours=1),
        earlier_thread="https://acme.slack.com/archives/C0SUPPORT/p10",
    ),
    "overdue": card_view(
        conversation=conversation(
            priority=Priority.URGENT, delivery_state=Reach.FAILED, delivery_reason="blocked", assignee=JONAS
        ),
        clock_overdue=True,
        mention=LEAD_GROUP,
    ),
    "waiting": card_view(
        conversation=conversation(status=Status.WAITING_CUSTOMER, assignee=MAYA, delivery_state=Reach.SENT), clock=None
    ),
    "done": card_view(conversation=conversation(status=Status.DONE, assignee=MAYA), clock=None),
    "evil": card_view(
        customer_name="<!channel> *Bot:* \u202egnp.exe",
        excerpt="<https://bank.example|https://evil.example> <@U0MAYA> `rm` &lt;",
        channel_title="<#C0SUPPORT>",
        backlink="https://sandbox.slack.com/archives/C0SUPPORT/p1?a=1&b=<x>",
    ),
}


def test_a_name_cannot_pass_for_the_rest_of_the_line() -> None:
    """A customer who calls himself after what a card says is still only one part of its first line."""
    made, _ = blocks.card(card_view(customer_name="Ann · VIP · Urgent", segments=()))
    assert "Ann, VIP, Urgent · " in json.dumps(made, ensure_ascii=False)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", CARDS)
def test_a_card_looks_as_it_was_approved(name: str, language: str) -> None:
    """A card changes its look only on purpose: RELAYDESK_UPDATE_SNAPSHOTS=1 writes the new one, for review."""
    with words.reading(language):
        made, fallback = blocks.card(CARDS[name])
    shown = json.dumps({"text": fallback, "blocks": made}, indent=1, ensure_ascii=False) + "\n"
    path = SNAPSHOTS / (f"card_{name}.json" if language == "en" else f"card_{name}.{language}.json")
    if os.environ.get("RELAYDESK_UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, "utf-8")
    assert shown == path.read_text("utf-8")


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_four_lines_and_one_row(name: str) -> None:
    """Thirty cards are read at a time, on a phone too."""
    made, _ = blocks.card(CARDS[name])
    told = "section" if CARDS[name].conversation.is_open else "context"
    assert [block["type"] for block in made] == ["rich_text", told, "actions"]
    headline, quoted = made[0]["elements"]
    assert (headline["type"], quoted["type"]) == ("rich_text_section", "rich_text_quote")
    assert len(quoted["elements"][0]["text"]) <= blocks.EXCERPT_LIMIT
    assert lines_of(made).count("\n") <= 1


def lines_of(made: list[Block]) -> str:
    """What a card says under the words: of one that is closed in grey, how it ended first."""
    return str((made[1].get("text") or made[1]["elements"][0])["text"])


def test_the_first_button_is_the_next_step() -> None:
    """Nobody has it: take it. Our turn: answer it. Theirs: resolve it. Done: reopen it. No other one is in colour."""
    rows = {name: blocks.card(view)[0][2]["elements"] for name, view in CARDS.items()}
    first = {name: row[0]["action_id"] for name, row in rows.items()}
    assert (first["english"], first["chinese"], first["waiting"]) == ("assign_me", "reply", "resolve")
    assert first["done"] == "reopen"
    coloured = {name: [one["action_id"] for one in row if "style" in one] for name, row in rows.items()}
    assert coloured.pop("done") == []
    assert coloured == {name: [first[name]] for name in coloured}


def test_what_goes_on_in_another_conversation_cannot_be_reopened() -> None:
    """The press would only be refused; an answer from the window goes where the conversation goes."""
    joined = conversation(status=Status.DONE, outcome="merged", merged_into="another")
    row = blocks.card(card_view(conversation=joined))[0][2]["elements"]
    assert [one["action_id"] for one in row] == ["reply", "change", "more"]


def test_a_card_that_is_not_sure_offers_the_three_likeliest() -> None:
    """One press says what it is about; how sure it is stands on the buttons, and nowhere else as long as they stand."""
    made, _ = blocks.card(CARDS["not_sure"])
    assert made[1]["text"]["text"].startswith("Not sure · Triage · nobody yet\n")
    pressed = [one for one in made[2]["elements"] if one["action_id"].startswith("relabel:")]
    assert [blocks.read_value(one["value"])[2] for one in pressed] == ["refund", "complaint", "billing"]
    assert [one["text"]["text"] for one in pressed] == ["Return or refund 41%", "Complaint 30%", "Payment 12%"]
    done = replace(CARDS["not_sure"], conversation=replace(CARDS["not_sure"].conversation, status=Status.DONE))
    said = lines_of(blocks.card(done)[0])
    assert said.startswith("Done · Not sure: Return or refund 41%, Complaint 30%, Payment 12% · Triage")


def test_a_guess_of_nothing_is_no_guess() -> None:
    """What would read 0% is neither named nor a button; of a language that it does not know it names none at all."""
    unsure = replace(CARDS["not_sure"], guesses=(*CARDS["not_sure"].guesses[:2], ("spam", "Spam", 0.001)))
    for view, count in ((unsure, 2), (CARDS["unread"], 0)):
        made, _ = blocks.card(view)
        assert sum(one["action_id"].startswith("relabel:") for one in made[2]["elements"]) == count
        closed, _ = blocks.card(replace(view, conversation=replace(view.conversation, status=Status.DONE)))
        assert lines_of(closed).count("%") == count
    assert "Not sure: a language it does not know" in blocks.card(CARDS["unread"])[0][1]["text"]["text"]


def test_the_words_on_a_card_are_as_wide_in_any_script() -> None:
    """Two lines of Chinese hold half as many characters, and say as much."""
    shown = [blocks.excerpt(said) for said in ("字" * 500, "word " * 100, "字", "word 字 " * 90)]
    assert [len(one) for one in shown[:3]] == [60, 120, 1]
    assert 100 <= len(shown[3]) <= 110


def test_a_card_that_is_not_sure_shows_what_it_is_most_like() -> None:
    """The nearest example is the evidence beside the guesses, until a person has chosen; it is never markup."""
    unsure = replace(CARDS["not_sure"], like=("Where is <!here> my parcel?", "Delivery problem"))
    said = blocks.card(unsure)[0][1]["text"]["text"].split("\n")
    assert said[1] == "Most like: “Where is &lt;!here&gt; my parcel?” (Delivery problem)"
    with words.reading("zh"):
        assert "最像：“Where is" in blocks.card(unsure)[0][1]["text"]["text"]
    chosen = replace(unsure, conversation=replace(unsure.conversation, label_by_human=True))
    assert "Most like" not in json.dumps(blocks.card(chosen)[0])


def test_a_number_that_spoke_for_a_topic_reads_as_one() -> None:
    """The classifier reads numbers as zeros; nobody who asks why has to know that."""
    why = Why(
        topic=None, by_human=False, abstained="", then=(), queue=None, words=("parcel", "0000"), lexical_share=0.0,
        nearest=(), rules=(), language="en", version="1", now="1", temperature=1.0, tone=None,
    )  # fmt: skip
    assert why.lines()["words"] == "parcel, a number"


async def test_evidence_is_nobodys_words(tmp_path: Path) -> None:
    """What people labelled is personal: the nearest example of the taxonomy stands for it, or none."""
    likeness = Likeness(STARTER)
    near = {"evidence": ["label/01JLABEL", "gone/1", "en/order_status/1", "en/order_status/2"]}
    assert await likeness.of(near) == ("Where is my order? I ordered last Monday.", "order_status")
    assert await likeness.of({"evidence": ["label/01JLABEL"]}) is None
    assert await likeness.of({}) is None
    assert await Likeness(tmp_path / "away").of(near) is None


def test_a_deadline_reads_in_each_readers_own_time() -> None:
    """Line four is a date token with a fallback, and says what is due; overdue is the only symbol."""
    due = clock().due_at
    assert due is not None
    token = f"<!date^{int(due.timestamp())}^{{date_short_pretty}} {{time}}|2026-03-02 13:00 UTC>"
    lines = {name: lines_of(blocks.card(view)[0]).split("\n")[-1] for name, view in CARDS.items()}
    assert lines["english"] == f"First answer due {token}"
    assert lines["overdue"].startswith(f"\N{ALARM CLOCK} *First answer was due {token}*")
    assert "the last answer was not delivered: the customer has blocked the bot" in lines["overdue"]
    assert lines["waiting"] == "Waiting for customer"
    lost = replace(CARDS["waiting"].conversation, delivery_state=Reach.FAILED, delivery_reason="blocked")
    made = blocks.card(replace(CARDS["waiting"], conversation=lost))[0]
    said = lines_of(made).split("\n")[1]
    assert said == "*The last answer was not delivered: the customer has blocked the bot* · waiting for customer"
    assert [one["action_id"] for one in made[2]["elements"] if "style" in one] == ["reply"], "it is not done"
    assert lines["done"] == f"Done · *Return or refund* 91% · Support · <@{MAYA}>"
    left = replace(CARDS["done"], conversation=replace(CARDS["done"].conversation, assignee=None))
    assert lines_of(blocks.card(left)[0]) == "Done · *Return or refund* 91% · Support", "nobody is to take it"


def test_a_label_set_by_hand_has_no_confidence() -> None:
    """What a person decided is not guessed any more."""
    made, _ = blocks.card(card_view(conversation=conversation(label_by_human=True), abstained=True))
    assert made[1]["text"]["text"].startswith("*Return or refund* ·")
    assert [one["action_id"] for one in made[2]["elements"]] == [
        "assign_me",
        "reply",
        "change",
        "why_then",
        "more",
    ]


def texts_of(value: object) -> Iterator[Block]:
    """Every text object and element in blocks."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value
        for inner in value.values():
            yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)


def check_limits(made: list[Block], fallback: str) -> None:
    """Slack's documented limits."""
    assert 1 <= len(made) <= 50
    assert len(fallback) <= 4000
    ids = [block["block_id"] for block in made if "block_id" in block]
    assert len(ids) == len(set(ids))
    for text in texts_of(made):
        assert 1 <= len(text["text"]) <= 3000
    for block in made:
        elements = block.get("elements", []) if block["type"] == "actions" else []
        assert len(elements) <= 25
        actions = [element["action_id"] for element in elements]
        assert len(actions) == len(set(actions))
        for element in elements:
            groups = element.get("option_groups", [{"options": element["options"]}] if "options" in element else [])
            assert len(groups) <= 100
            for group in groups:
                assert 1 <= len(group["options"]) <= (5 if element["type"] == "overflow" else 100)
                for option in group["options"]:
                    assert len(option["value"]) <= 150
                    assert len(option["text"]["text"]) <= 75
            if element["type"] == "button":
                assert len(element["text"]["text"]) <= 75
                assert len(element["value"]) <= 2000


def free_of_markup(made: list[Block], fallback: str) -> None:
    """Only our own tokens stand in mrkdwn; everything else between < and > is escaped."""
    marked = [fallback] + [text["text"] for text in texts_of(made) if text.get("type") == "mrkdwn"]
    for written in marked:
        rest = written
        for token in ("<!date^", "<@U", "<@W", "<!subteam^S", "<https://"):
            rest = rest.replace(token, "")
        assert "<" not in rest


@settings(max_examples=150, deadline=None)
@given(
    name=st.text(max_size=200),
    excerpt=st.text(max_size=5000),
    title=st.text(max_size=300),
    segment=st.text(max_size=80),
)
def test_a_card_holds_whatever_a_customer_calls_himself(name: str, excerpt: str, title: str, segment: str) -> None:
    """Any name, any words, any title: valid blocks, nothing that Slack would read as markup."""
    many = tuple((f"intent_{n}", f"{title}{n}") for n in range(150))
    view = card_view(customer_name=name, excerpt=excerpt, queue_title=title, intents=many, segments=(segment,))
    made, fallback = blocks.card(view)
    check_limits(made, fallback)
    free_of_markup(made, fallback)


@settings(max_examples=150, deadline=None)
@given(body=st.text(max_size=300), times=st.integers(1, 40))
def test_a_message_is_shown_whole(body: str, times: int) -> None:
    """Every message up to Telegram's length is complete in its post, over as many blocks as it takes."""
    whole = (body * times)[:4096]
    post = entries.entry_post(entry(body=whole), lambda _: None)
    check_limits(post.blocks, post.text)
    free_of_markup(post.blocks, post.text)


def test_a_message_beyond_all_bounds_is_cut_and_says_so() -> None:
    """An endless message fills one post; the record has the rest."""
    post = entries.entry_post(entry(body="word " * 60_000), lambda _: None)
    check_limits(post.blocks, post.text)
    assert "kept in the record" in str(post.blocks[-1])


def line(made: Entry, view: CardView | None = None) -> str:
    """The one grey line of an entry."""
    post = entries.entry_post(made, {MAYA: "Maya"}.get, view or card_view())
    (block,) = post.blocks
    assert block["type"] == "context"
    assert post.text == block["elements"][0]["text"]
    return str(post.text)


def change(kind: EntryKind, actor: Actor = MACHINE, was: str | None = None, **data: object) -> Entry:
    """An automatic or an agent's change."""
    return entry(kind, data=data if was is None else {"from": was, **data}, actor=actor)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            change(EntryKind.PRIORITY, was="normal", to="urgent", reason="words of an outage"),
            "Priority: normal → *urgent* · words of an outage",
        ),
        (
            change(EntryKind.QUEUE, was="support", to="billing", reason="rule"),
            "Queue: Support → *Billing* · by rule",
        ),
        (
            change(EntryKind.LABEL, AGENT, was="refund", to="complaint"),
            "Topic: Return or refund → *Complaint* · by Maya",
        ),
        (change(EntryKind.ASSIGNEE, AGENT, to=MAYA), "Taken · by Maya"),
        (
            change(EntryKind.QUEUE, was="triage", to="billing", reason="rule gold: segment gold"),
            "Queue: triage → *Billing* · by rule “gold”",
        ),
        (
            change(EntryKind.PRIORITY, was="normal", to="high", reason="outage, wording"),
            "Priority: normal → *high* · an outage, urgent words",
        ),
        (change(EntryKind.ASSIGNEE, to=JONAS, reason="round robin"), f"Assigned to <@{JONAS}> · in turn"),
        (change(EntryKind.ASSIGNEE, AGENT, was=MAYA), "Put back: nobody has it · by Maya"),
        (
            change(EntryKind.STATUS, AGENT, was="open", to="done"),
            "Status: open → *done* · by Maya",
        ),
        (
            change(EntryKind.STATUS, AGENT, was="open", to="done", outcome="merged", into=1041),
            "Status: open → *done* · merged · into #1041 · by Maya",
        ),
        (
            change(EntryKind.STATUS, AGENT, to="retry", reason="sent again"),
            "Answer on its way again · by Maya",
        ),
        (change(EntryKind.REOPENED), "Reopened"),
        (change(EntryKind.MUTED, AGENT, to="off", count=0), "Heard again: nothing came meanwhile · by Maya"),
        (
            change(EntryKind.REACHABLE, to=False, reason="blocked"),
            "*The customer cannot be reached* · the customer has blocked the bot",
        ),
        (
            change(EntryKind.CONTACT, Actor(kind=ActorKind.CUSTOMER), to="shared"),
            "The customer shared their own phone number: it is verified",
        ),
        (
            change(EntryKind.DELIVERED, AGENT, reason="the agent took it as arrived"),
            "Delivered · by Maya · the agent took it as arrived",
        ),
        (change(EntryKind.LABEL, to="<!here>"), "Topic: *&lt;!here&gt;*"),
    ],
)
def test_a_change_is_one_grey_line(made: Entry, expected: str) -> None:
    """Who or what, from, to, why."""
    assert line(made) == expected


def test_a_closing_word_offers_to_reopen() -> None:
    """A thank-you after the end changes nothing by itself."""
    post = entries.entry_post(entry(body="Thank you", data={"offer_reopen": True}), lambda _: None)
    assert post.blocks[-1]["elements"][0]["action_id"] == "reopen"


def test_what_cannot_be_shown_is_named() -> None:
    """Another kind of message appears as its kind, a file that cannot be fetched with name, size and reason."""
    sticker = entries.entry_post(entry(data={"kind": "video_note"}), lambda _: None)
    assert "a video message" in str(sticker.blocks)
    file = Attachment(
        id="1", kind="document", platform_id="f", name="bill <1>.pdf", mime="application/pdf", size=34_000_000
    )
    said = entries.file_line(file, "file_too_large").text
    assert "bill" in said
    assert "34.0 MB" in said
    assert "the file is too large" in said


def test_a_whisper_without_words_still_says_something_true() -> None:
    """A key that has no text yet is named, escaped."""
    assert entries.whisper("a <key>", {}) == "That was not possible (a &lt;key&gt;). Nothing was sent to the customer."


def test_a_name_from_right_to_left_does_not_turn_the_line_around() -> None:
    """Number, customer, channel: in this order for whoever reads thirty cards, whatever the name is written in."""
    for name, turned in (("محمد", True), ("Anna", False), ("王明", False)):
        made, _ = blocks.card(card_view(customer_name=name))
        words = made[0]["elements"][0]["elements"][1]["text"]
        assert words.startswith("\u200e") is turned
        assert words.strip("\u200e ").startswith(name)


def test_button_values_are_read_back() -> None:
    """What a button carries comes back as it was; anything else is refused."""
    assert blocks.read_value(blocks.button_value("c", 3, "a|b")) == ("c", 3, "a|b")
    assert blocks.read_value(blocks.button_value("c", None)) == ("c", None, None)
    for other in ("", "c|3", "c|x|v"):
        with pytest.raises(ValueError, match=r".+"):
            blocks.read_value(other)


def test_every_kind_of_entry_has_a_post() -> None:
    """Nothing in the timeline breaks a thread."""
    for kind in EntryKind:
        for actor in (AGENT, Actor(kind=ActorKind.OPERATOR), Actor(kind=ActorKind.MACHINE)):
            post = entries.entry_post(entry(kind, "words", actor=actor, data={"to": "x"}), lambda _: None)
            check_limits(post.blocks, post.text)
    assert DeliveryKind.DESK_ENTRY.value == "desk.entry"
