"""What agents see of learning: the spot check, the confirmation's line, the reasons."""

from __future__ import annotations

import json

from bot.desk import blocks, entries
from domain.model import Actor, ActorKind, EntryKind
from tests.bot.desk.kit import CONVERSATION, MAYA, card_view, entry

AGENT = Actor(kind=ActorKind.AGENT, id=MAYA)
EVIL = "<!channel> & *co*"
CARD = card_view(
    intents=(("refund", EVIL), ("order", "Order status"), ("bill", "Invoice")),
    guesses=(("refund", EVIL, 0.9), ("order", "Order status", 0.06), ("bill", "Invoice", 0.02)),
)


def buttons(post: entries.Post) -> list[tuple[str, str, str]]:
    """(action, label, value) of each button."""
    found = [element for block in post.blocks for element in block.get("elements", []) if element["type"] == "button"]
    return [(one["action_id"], one["text"]["text"], one["value"]) for one in found]


def test_a_spot_check_is_one_question_and_three_buttons() -> None:
    """Yes first, then what else the machine thought of; each names the conversation and the topic it stands for."""
    post = entries.entry_post(entry(EntryKind.CHECK, data={"to": "refund"}), lambda _id: None, CARD)
    assert buttons(post) == [
        ("confirm", f"Yes, {EVIL}", f"{CONVERSATION}||refund"),
        ("relabel:2", "Order status", f"{CONVERSATION}||order"),
        ("relabel:3", "Invoice", f"{CONVERSATION}||bill"),
    ]
    assert blocks.read_value(buttons(post)[0][2]) == (CONVERSATION, None, "refund")
    assert "Spot check" in post.text


def test_a_topics_name_is_no_markup() -> None:
    """Names come from the company's files: in mrkdwn they are escaped, in buttons they are plain text."""
    post = entries.entry_post(entry(EntryKind.CHECK, data={"to": "refund"}), lambda _id: None, CARD)
    assert "<!channel>" not in post.text
    section = json.dumps(post.blocks[0])
    assert "<!channel>" not in section
    assert "&lt;!channel&gt;" in section


def test_a_check_without_a_card_still_asks() -> None:
    """What the topic is called is nice to have."""
    post = entries.entry_post(entry(EntryKind.CHECK, data={"to": "order_status"}), lambda _id: None, None)
    assert [action for action, _, _ in buttons(post)] == ["confirm"]
    assert "order status" in post.text


def test_a_confirmation_is_told_as_one() -> None:
    """No "from order to order": somebody said that it is right."""
    line = entry(EntryKind.LABEL, actor=AGENT, data={"from": "order", "to": "order"})
    post = entries.entry_post(line, lambda _id: "maya", CARD)
    assert "Topic confirmed: *Order status*" in post.text
    assert "by maya" in post.text
    changed = entry(EntryKind.LABEL, actor=AGENT, data={"from": "bill", "to": "order"})
    assert "Topic: Invoice → *Order status*" in entries.entry_post(changed, lambda _id: "maya", CARD).text


def test_reasons_are_four_lines_and_no_markup() -> None:
    """A customer's words in them link, mention and ping nobody."""
    given = {
        "said": "Order status 62%",
        "words": "<!channel>, order",
        "nearest": "“<@U0MAYA>” (Order status, 91% alike)",
        "rules": "none",
        "versions": "read by blend-1",
    }
    said = entries.whisper("why", given)
    assert len(said.split("\n")) == 4
    assert "<" not in said
    assert said.endswith("read by blend-1.")
