"""What agents wrote while nobody listened is fetched from the threads, once, and with the keys of the live events."""

from __future__ import annotations

import time

import pytest

from bot.desk.slack import SlackDesk
from domain.changes import DeliveryKind
from domain.errors import AccessRevoked, RetryLater
from domain.events import AgentEdit, AgentMessage
from domain.ports import ThreadCursor
from tests.bot.desk.kit import BILLING, LINA, MAYA, SUPPORT, Slack, Store, card_view, delivery, until


async def card(desk: SlackDesk, number: int = 1, place: str = SUPPORT) -> str:
    """A card to write under."""
    return (await desk.deliver(delivery(DeliveryKind.DESK_CARD, number, card=card_view(), place=place))).platform_id


def cursor(root: str, newest: str = "", place: str = SUPPORT) -> ThreadCursor:
    """A thread of which everything up to `newest` is stored."""
    return ThreadCursor(place=place, thread_ts=root, newest_ts=newest or root)


async def test_what_was_written_during_an_outage_is_fetched(desk: SlackDesk, slack: Slack, store: Store) -> None:
    """Every missed answer is stored, once, in its thread's lane; our own posts are not."""
    root = await card(desk)
    first = await slack.write(MAYA, "first", root)
    missed = [await slack.write(LINA, f"missed {n}", root) for n in range(3)]
    await desk.deliver(delivery(DeliveryKind.DESK_WHISPER, 2, data={"user": MAYA, "text": "help"}))
    assert await desk.missed([cursor(root, first)], store.accept) == 4  # the newest known one is looked at again
    assert await desk.missed([cursor(root, first)], store.accept) == 0
    read = [await desk.parse(one.payload) for one in store.all]
    assert [event.ts for event in read if isinstance(event, AgentMessage)] == [first, *missed]
    assert {one.thread for one in store.all} == {(SUPPORT, root)}


async def test_live_and_fetched_are_the_same_event(listening: SlackDesk, slack: Slack, store: Store) -> None:
    """What came in live is known when it is fetched: nothing is answered twice."""
    root = await card(listening)
    ts = await slack.write(MAYA, "once", root)
    await slack.post("slack/edit", user=MAYA, channel=SUPPORT, ts=ts, text="once, corrected")
    await until(lambda: len(store.all) == 2)
    assert await listening.missed([cursor(root)], store.accept) == 0


async def test_a_missed_edit_is_fetched(desk: SlackDesk, slack: Slack, store: Store) -> None:
    """An answer changed while nobody listened is told as message and edit."""
    root = await card(desk)
    ts = await slack.write(MAYA, "30 euros", root)
    await slack.post("slack/edit", user=MAYA, channel=SUPPORT, ts=ts, text="50 euros")
    await desk.missed([cursor(root)], store.accept)
    read = [await desk.parse(one.payload) for one in store.all]
    assert [type(event) for event in read] == [AgentMessage, AgentEdit]


async def test_a_long_thread_is_read_to_its_end(desk: SlackDesk, slack: Slack, store: Store) -> None:
    """More answers than one page holds are all fetched, in their order."""
    root = await card(desk)
    written = [await slack.write(MAYA, f"line {n}", root) for n in range(205)]
    assert await desk.missed([cursor(root)], store.accept) == 205
    assert [one.event_key.rpartition(":")[2] for one in store.all] == written


async def test_a_rate_limit_is_waited_out(desk: SlackDesk, slack: Slack, store: Store) -> None:
    """A refusal holds every thread back for as long as Slack says, then all are read."""
    roots = [await card(desk, n) for n in range(6)]
    for root in roots:
        await slack.write(MAYA, "hello", root)
    await desk.missed([], store.accept)
    await slack.fault("conversations.replies", "429", seconds=1)
    began = time.monotonic()
    assert await desk.missed([cursor(root) for root in roots], store.accept) == 6
    assert time.monotonic() - began >= 1
    assert await slack.requests("conversations.replies") == 7


async def test_one_thread_that_cannot_be_read_does_not_hide_the_others(
    desk: SlackDesk, slack: Slack, store: Store
) -> None:
    """A gap that cannot be filled is said, after every other one was; a thread that is gone is none."""
    there, lost = await card(desk), await card(desk, 2, BILLING)
    await slack.write(MAYA, "hello", there)
    await slack.post("slack/kick", channel=BILLING, user="U0SANDBOT")
    threads = [cursor(lost, place=BILLING), cursor("1700000000.000001"), cursor(there)]
    with pytest.raises(AccessRevoked):
        await desk.missed(threads, store.accept)
    assert len(store.all) == 1


async def test_an_outage_is_no_empty_thread(desk: SlackDesk, slack: Slack, store: Store) -> None:
    """While Slack cannot be asked, nothing is taken for read."""
    root = await card(desk)
    await slack.fault("conversations.replies", "500")
    with pytest.raises(RetryLater):
        await desk.missed([cursor(root)], store.accept)
