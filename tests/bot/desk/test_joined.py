"""Several messages in one post: all of them visible, in order, changed where they stand, and found again."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.desk import blocks, entries
from bot.desk.slack import SlackDesk
from domain.changes import DeliveryKind
from domain.errors import Unclear
from domain.model import EntryKind
from tests.bot.desk.kit import Slack, card_view, delivery, entry

SNAPSHOT = Path(__file__).parent / "snapshots" / "card_carrying.json"
FIRST = entry(body="Hello, are you there?", id="01JFIRST")
SECOND = entry(body="<!channel> my order 4711 has not come", id="01JSECOND", data={"kind": "text"})
CARRYING = card_view(carried=(FIRST, SECOND), excerpt=SECOND.body)


async def test_messages_of_one_post_stand_in_order_and_are_found_by_any_of_them(desk: SlackDesk, slack: Slack) -> None:
    """After an answer that was lost the post is found, by the delivery that led it and by one that came along."""
    root = await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view()))
    said = delivery(
        DeliveryKind.DESK_ENTRY, 2, thread_ts=root.platform_id, entry=FIRST, company=(SECOND,), joined=("01JOTHER",)
    )
    began = datetime.now(UTC)
    await slack.fault("chat.postMessage", "drop_after")
    with pytest.raises(Unclear):
        await desk.deliver(said)
    _, post = await slack.thread(root.platform_id)
    assert post["text"] == "Hello, are you there?\n&lt;!channel&gt; my order 4711 has not come"
    assert [str(block).count("rich_text_quote") for block in post["blocks"]] == [1, 1]
    other = delivery(DeliveryKind.DESK_ENTRY, 3, thread_ts=root.platform_id, entry=SECOND)
    found = [
        await desk.find(said, began),
        await desk.find(delivery(DeliveryKind.DESK_ENTRY, 3, id="01JOTHER", thread_ts=root.platform_id), began),
        await desk.find(other, began),
    ]
    assert [one.platform_id if one else None for one in found] == [post["ts"], post["ts"], None]


async def test_a_change_of_one_leaves_the_others_of_its_post(desk: SlackDesk, slack: Slack) -> None:
    """The words that were changed say so where they stand, and the neighbours are untouched; so it is in a card."""
    root = await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=CARRYING, joined=("01JFIRST", "01JSECOND")))
    posted = await desk.deliver(
        delivery(DeliveryKind.DESK_ENTRY, 2, thread_ts=root.platform_id, entry=FIRST, company=(SECOND,))
    )
    now = entry(body="my order 4712 has not come", id="01JSECOND", data={"edited": True})
    new = entry(EntryKind.INCOMING_EDIT, now.body)
    for number, ts in enumerate((posted.platform_id, root.platform_id), start=3):
        edit = delivery(
            DeliveryKind.DESK_EDIT,
            number,
            thread_ts=root.platform_id,
            message_ts=ts,
            entry=new,
            earlier=SECOND,
            company=(FIRST, now),
            card=card_view(carried=(FIRST, now), excerpt=now.body),
        )
        await desk.deliver(edit)
    card, post, *lines = await slack.thread(root.platform_id)
    for shown in (card, post):
        text = json.dumps(shown["blocks"])
        assert text.index("Hello, are you there?") < text.index("order 4712") < text.index("(edited)")
        assert "4711" not in text
    assert len(lines) == 2, "each change has its line, before and after"
    assert card["blocks"][-1]["type"] == "actions", "the card is still a card"


def test_a_card_that_carries_words_is_short_and_as_it_was_approved() -> None:
    """The words it was posted with stand where the newest stand otherwise; what came later stands below them."""
    carried = [block for one in CARRYING.carried for block in entries.message(one).blocks]
    made, fallback = blocks.card(CARRYING, carried)
    assert [block["type"] for block in made] == ["rich_text", "rich_text", "rich_text", "section", "actions"]
    later, _ = blocks.card(card_view(carried=CARRYING.carried, excerpt="And hello again"), carried)
    assert "And hello again" in str(later[3])
    shown = json.dumps({"text": fallback, "blocks": made}, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("RELAYDESK_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(shown, "utf-8")
    assert shown == SNAPSHOT.read_text("utf-8")
