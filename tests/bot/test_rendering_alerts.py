"""Alerts and timed texts at the moment of sending: what was done meanwhile is not asked for, what is over not said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot import times
from bot.unsent import NothingToSend
from domain.changes import Changes, ClockRow, DeliveryKind
from domain.model import Entry, EntryKind
from domain.ports import HookDelivery
from domain.sla import ClockState, Metric
from storage import tables
from storage.engines import Connection
from tests.bot.test_rendering import Bench
from tests.contracts import storage_kit
from tests.contracts.storage_kit import NOW, new_id
from tests.handlers import kit

THREAD = {"way": "thread", "place": "C0SUPPORT", "mention": ["U0MAYA"], "fallback": "C0LEADS"}
DATA: dict[str, Any] = {
    "alert": "breach",
    "level": "breach",
    "metric": "first_response",
    "instance": 1,
    "due_at": NOW.isoformat(),
    "late": None,
}


@pytest.fixture
async def bench(make_database: Callable[[str], str]) -> AsyncIterator[Bench]:
    """A renderer, once on each engine."""
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as process:
        yield Bench(process)


def clock(bench: Bench, **fields: Any) -> ClockRow:
    known: dict[str, Any] = {
        "id": "K1",
        "conversation_id": bench.story.conversation.id,
        "metric": Metric.FIRST_RESPONSE,
        "instance": 1,
        "state": ClockState.BREACHED,
        "started_at": NOW,
        "due_at": NOW,
        "stopped_at": None,
        "next_alert_at": None,
    }
    return ClockRow(**(known | fields))


async def missed(bench: Bench) -> Entry:
    """A conversation whose first answer is overdue, and the alert about it."""
    alert = replace(bench.story.said("", data=DATA), kind=EntryKind.CLOCK)
    opening = bench.story.opening("hello")
    await bench.process.decide(replace(opening, entries=(*opening.entries, alert), clocks=(clock(bench),)))
    await bench.posted()
    return alert


async def test_an_alert_goes_where_its_row_says(bench: Bench) -> None:
    """With the card for the number and the thread for the link, wherever it is posted."""
    alert = await missed(bench)
    data = {**THREAD, "way": "channel", "place": "C0LEADS"}
    made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_ALERT, alert, data=data))
    assert (made.place, made.thread_ts) == ("C0LEADS", "1.0")
    assert made.card is not None


async def test_an_alert_in_the_thread_goes_where_the_thread_is_now(bench: Bench) -> None:
    """It may have waited while the conversation moved to another team: the thread of one channel is none in another."""
    alert = await missed(bench)
    made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_ALERT, alert, data={**THREAD, "place": "C0BEFORE"}))
    assert (made.place, made.thread_ts) == ("C0SUPPORT", "1.0")


@pytest.mark.parametrize("kind", [DeliveryKind.DESK_ALERT, DeliveryKind.HOOK_ALERT])
async def test_what_was_done_meanwhile_is_not_asked_for(bench: Bench, kind: DeliveryKind) -> None:
    """Slack or the service was away for an hour; the customer has their answer by then."""
    alert = await missed(bench)
    stopped = clock(bench, state=ClockState.MET_LATE, stopped_at=NOW + timedelta(hours=1))
    await bench.process.decide(replace(bench.story.changed(0), clocks=(stopped,)))
    with pytest.raises(NothingToSend, match="done_meanwhile"):
        await bench.renderer.render(bench.row(kind, alert, data=THREAD))


async def test_the_service_is_told_ids_and_words_only(bench: Bench) -> None:
    """The number, the deadline and whose it is; no name and nothing that was said."""
    alert = await missed(bench)
    made = await bench.renderer.render(bench.row(DeliveryKind.HOOK_ALERT, alert, data=THREAD))
    assert isinstance(made, HookDelivery)
    assert made.id == "O1"
    assert made.body["conversation"] == 1001
    assert (made.body["metric"], made.body["due_at"]) == ("first_response", NOW.isoformat())
    assert "Ann" not in str(made.body)
    assert "hello" not in str(made.body)


async def test_the_line_is_changed_where_it_stands_last(bench: Bench) -> None:
    """Posted once, changed then; where it had to be posted anew, the new one is changed."""
    await missed(bench)
    of = bench.story.conversation.id
    row = bench.row(DeliveryKind.DESK_STATUS, entry_id=of)
    first = await bench.at_the_desk(row)
    assert first.message_ts is None
    assert [entry.kind for entry in first.told] == [EntryKind.CLOCK]
    for number, ts in enumerate(("5.0", "7.0")):

        async def work(conn: Connection, number: int = number, ts: str = ts) -> None:
            posted = {"outbox_id": new_id(), "entry_id": of, "conversation_id": of, "side": "desk", "part": 0}
            await conn.execute(
                tables.deliveries.insert(),
                [posted | {"place": "C0SUPPORT", "platform_id": ts, "at": float(number + 1)}],
            )

        await bench.process.db.write(work)
        assert (await bench.at_the_desk(row)).message_ts == ts


async def test_a_time_that_has_passed_is_not_promised(bench: Bench) -> None:
    """The chat app was away: an answer by three o'clock is not announced at four."""
    await bench.process.decide(bench.story.opening("hello"), Changes(reason="nothing"))
    soon = times.real() + timedelta(hours=1)
    data = {"text": "acknowledgement_by", "language": "en", "zone": "UTC"}
    row = bench.row(DeliveryKind.CHAT_AUTOMATIC, data={**data, "at": soon.isoformat()})
    assert "A person will answer you here by" in (await bench.in_the_chat(row)).text
    gone = times.real() - timedelta(minutes=1)
    with pytest.raises(NothingToSend, match="time_has_passed"):
        await bench.renderer.render(bench.row(DeliveryKind.CHAT_AUTOMATIC, data={**data, "at": gone.isoformat()}))


async def test_what_is_said_where_a_conversation_was_is_in_that_channels_language(bench: Bench) -> None:
    """The new team may read another language than those who stay behind."""
    queues = kit.rulebook().queues
    chinese = replace(queues["support"], title="客服", titles={"zh": "客服"}, desk_language="zh")
    here = Bench(bench.process, queues={**queues, "general": replace(chinese, name="general")}, desk_language="en")
    await here.opened("hello")
    await here.posted()
    left = await here.keeps("", kind=EntryKind.QUEUE, data={"from": "billing", "to": "general"})
    old = {"place": "C0BILLING", "thread": "0.5"}
    made = await here.at_the_desk(here.row(DeliveryKind.DESK_MOVED, left, data=old))
    assert (made.place, made.language) == ("C0BILLING", "en")
    made = await here.at_the_desk(here.row(DeliveryKind.DESK_ENTRY, left))
    assert made.language == "zh"


async def test_an_alert_that_a_person_cannot_get_is_said_in_the_queues_language(bench: Bench) -> None:
    """What was to be a direct message in somebody's own language is read by a whole channel then."""
    alert = await missed(bench)
    data = {**THREAD, "way": "person", "place": "U0LINA"}
    made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_ALERT, alert, data=data))
    assert (made.language, made.data["language"]) == ("zh", "en")
