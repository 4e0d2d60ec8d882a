"""Deadlines that are missed: who hears of it, level by level, while people come and go; on the fast clock."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot import app, life
from bot.web import server
from domain.changes import DeliveryKind
from domain.errors import RefusedToStart
from tests import patience
from tests import world as worlds
from tests.world import JONAS, LINA, MAYA, Card, World, eventually, said

BERLIN = ZoneInfo("Europe/Berlin")
SUPPORT, LEADS = "C0SUPPORT", "C0LEADS"
AGENTS = "<!subteam^S0AGENTS>"
ALWAYS: dict[str, Any] = {"policies": {"standard": {"calendar": "always"}}}
ROUTING = [{"queue": "support"}]  # whatever the classifier thinks of a parcel
LEVELS = [
    {"after": "15m", "to": "queue"},
    {"after": "30m", "to": "leads"},
    {"after": "45m", "to": JONAS},
    {"after": "1h", "to": "webhook"},
]


class OnCall:
    """The company's on-call service: takes signed calls, and can be busy."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.busy = 0
        self.url = ""

    async def take(self, request: Request) -> Response:
        """One call."""
        if self.busy:
            self.busy -= 1
            return Response(status_code=503)
        self.calls.append((dict(request.headers), await request.body()))
        return Response(status_code=204)


@pytest.fixture
async def on_call() -> AsyncIterator[OnCall]:
    """The service on a port of its own."""
    service, ready = OnCall(), asyncio.get_running_loop().create_future()
    site = Starlette(routes=[Route("/hook", service.take, methods=["POST"])])
    task = asyncio.create_task(server.serve(site, "127.0.0.1", 0, ready=ready.set_result))
    service.url = f"{await ready}/hook"
    yield service
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def desk(tmp_path: Path, on_call: OnCall) -> AsyncIterator[World]:
    """A world that never closes, with every level of the escalation."""
    alerts = {"fallback": LEADS, "levels": LEVELS, "webhook": on_call.url}
    async with worlds.world(tmp_path, routing=ROUTING, sla=ALWAYS, alerts=alerts) as made:
        yield made


async def posted(world: World, channel: str) -> list[str]:
    """What the product wrote in a channel, outside threads, cards left out."""
    page = await world.look(f"slack/channel/{channel}")
    return [said(m) for m in page["messages"] if m.get("bot_id") and not m["text"].startswith("#")]


async def direct(world: World, user: str) -> list[str]:
    """What the product wrote to somebody alone."""
    channels = (await world.look("slack/channels"))["channels"]
    own = next((c["id"] for c in channels if c.get("is_im") and c.get("user") == user), None)
    if own is None:
        return []
    page = await world.look(f"slack/channel/{own}")
    return [said(m) for m in page["messages"] if m.get("bot_id")]


async def alerts(card: Card) -> list[str]:
    """The alerts in the thread, oldest first."""
    return [words for post in await card.posts() if "is due" in (words := said(post)) or "is overdue" in words]


async def waiting(world: World, *, taken_by: str | None = None) -> Card:
    """A customer who waits for a first answer, and the card."""
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel? It should be here by now")
    card = await world.card()
    await card.shows("First answer due")
    if taken_by:
        await card.presses(taken_by, "assign_me")
        await card.shows(f"<@{taken_by}>")
    return card


async def test_an_escalation_through_all_levels_with_people_away(desk: World, on_call: OnCall) -> None:
    """Whoever has it is in do-not-disturb: the group is asked. Then the queue, the lead, a person, the service."""
    card = await waiting(desk, taken_by=MAYA)
    await desk.control("slack/user", id=MAYA, dnd={"snooze_enabled": True, "snooze_endtime": 4_000_000_000})
    on_call.busy = 1
    await desk.advance(hours=3, minutes=1)
    warned = said(await card.says_ours("First answer is due"))
    assert AGENTS in warned
    assert f"<@{MAYA}> has it and does not want to be disturbed" in warned
    await desk.advance(hours=1)
    await card.says_ours("First answer is overdue", "<!subteam^S0LEADS>", AGENTS)
    line = await card.says_ours("*Alerts*", "told the team")
    await desk.advance(minutes=15)
    in_queue = await eventually(lambda: posted(desk, SUPPORT), what="the queue's channel")
    assert "#1001" in in_queue[0]
    assert "First answer is overdue" in in_queue[0]
    assert "/archives/" in in_queue[0], "a link to the thread"
    await desk.advance(minutes=15)
    (lead,) = await eventually(lambda: direct(desk, JONAS), what="the lead's direct message")
    assert "Please answer in its thread" in lead
    await desk.control("slack/user", id=JONAS, presence="away")
    desk.house.sweep._presence._known.clear()  # what Slack said a minute ago
    await desk.advance(minutes=15)
    fallen = await eventually(lambda: posted(desk, LEADS), what="the fallback channel, since the person is away")
    assert f"<@{JONAS}>" in fallen[-1]
    await desk.advance(minutes=15)
    await eventually(lambda: on_call.calls, what="the on-call service, after it was busy")
    ((headers, body),) = on_call.calls
    told = json.loads(body)
    assert (told["conversation"], told["alert"], told["metric"]) == (1001, "escalation", "first_response")
    assert "Ann" not in body.decode()
    at, mac = (part.partition("=")[2] for part in headers["relaydesk-signature"].split(","))
    wanted = hmac.new(b"sandbox-alert-webhook-secret", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(mac, wanted)
    assert len(await alerts(card)) == 2, "one message for each level, and only two are for the thread"
    lines = [post for post in await card.posts() if "*Alerts*" in said(post)]
    assert [post["ts"] for post in lines] == [line["ts"]], "one line, changed in place"
    await eventually(lambda: _line_has(card, "on-call"), what="the line has the last level")


async def _line_has(card: Card, words: str) -> bool:
    return any("*Alerts*" in said(post) and words in said(post) for post in await card.posts())


async def test_a_level_is_not_told_once_somebody_answered(desk: World) -> None:
    """The answer ends it: no level speaks after it, and the line says how late it was."""
    card = await waiting(desk)
    await desk.advance(hours=4, minutes=1)
    await card.says_ours("First answer is overdue")
    await card.says(MAYA, "It is on its way")
    await card.shows("Waiting for customer")
    await desk.advance(hours=3)
    await desk.swept()
    assert await posted(desk, SUPPORT) == []
    assert await direct(desk, JONAS) == []


async def test_somebody_who_looks_is_shown_and_silences_until_the_next_level(tmp_path: Path) -> None:
    """Eyes on the card after the first warning: the second stays silent, the breach speaks again."""
    policy = {"standard": {"calendar": "always", "warnings": ["50%", "15m"]}}
    async with worlds.world(tmp_path, routing=ROUTING, sla={"policies": policy}) as desk:
        card = await waiting(desk)
        await desk.advance(hours=2, minutes=1)
        first = await card.says_ours("First answer is due")
        await desk.control("slack/react", user=LINA, channel=card.channel, ts=first["ts"], emoji="eyes")
        await card.says_ours("*Alerts*", "is looking")
        await desk.advance(hours=1, minutes=50)
        await desk.swept()
        assert len(await alerts(card)) == 1
        await desk.advance(minutes=15)
        breach = await card.says_ours("First answer is overdue")
        await card.presses(MAYA, "acknowledge", ts=breach["ts"])
        await card.whispered(MAYA, "It is shown that you are looking")
        await eventually(lambda: _line_has(card, "Maya is looking"), what="the line names her")


async def test_a_lead_excuses_a_breach_and_it_stays_one(desk: World) -> None:
    """An agent may not; a lead picks a reason; the clock keeps its state and says who excused it."""
    card = await waiting(desk)
    await desk.advance(hours=4, minutes=1)
    breach = await card.says_ours("First answer is overdue")
    menu = next(e for b in breach["blocks"] for e in b.get("elements", []) if e.get("action_id") == "excuse")
    value = menu["options"][0]["value"]
    await card.presses(MAYA, "excuse", ts=breach["ts"], value=value)
    await card.whispered(MAYA, "You do not have the role")
    await card.presses(JONAS, "excuse", ts=breach["ts"], value=value)
    await card.says_ours("Breach excused", "Jonas")
    found = await desk.house.stores.record.by_number(1001)
    assert found is not None
    rows = (await desk.house.stores.views.load([found.id]))[found.id].clocks
    row = next(row for row in rows if row.metric.value == "first_response")
    assert (row.state.value, row.excused_by) == ("breached", f"agent:{JONAS}")


async def test_a_channel_that_is_gone_does_not_swallow_an_alert(desk: World) -> None:
    """The queue's channel was archived meanwhile: the fallback channel hears it."""
    card = await waiting(desk)
    await desk.advance(hours=4, minutes=1)
    await card.says_ours("First answer is overdue")
    await desk.control("slack/archive", channel=SUPPORT)
    await desk.advance(minutes=15)

    async def heard() -> bool:
        return any("First answer is overdue" in words for words in await posted(desk, LEADS))

    await eventually(heard, what="the fallback channel")


async def test_after_a_night_down_only_the_nearest_moment_speaks(desk: World) -> None:
    """Five moments passed: one alert where the last of them goes, one line of it in the thread, both late."""
    card = await waiting(desk)
    assert await desk.stop() == 0
    await desk.control("clock", advance_s=10 * 3600)
    await desk.start()
    post = said(await card.says_ours("First answer is overdue"))
    assert "This alert is late" in post
    await desk.swept()
    assert len(await alerts(card)) == 1
    assert await posted(desk, SUPPORT) == []
    assert await direct(desk, JONAS) == []


async def test_a_start_without_its_fallback_channel_is_refused(tmp_path: Path) -> None:
    """A channel that nobody can post in hears nothing: the start says so, with the fix."""
    nowhere = {"fallback": "C0NOWHERE"}
    async with (
        worlds.world(tmp_path, routing=ROUTING, start=False, alerts=nowhere) as desk,
        app.build(desk.settings()) as house,
    ):
        with pytest.raises(RefusedToStart, match=r"alerts.fallback: .*C0NOWHERE"):
            await asyncio.wait_for(life.serve(house, asyncio.Event()), patience.LONG_S)


async def test_a_week_with_a_holiday(tmp_path: Path) -> None:
    """Christmas in Berlin: asked on Wednesday evening, due on Monday; nobody is woken on the days between."""
    async with worlds.world(tmp_path, routing=ROUTING, automatic={"acknowledge": "always"}) as desk:
        # Due at 12:20, said as 12:30: a full quarter would be the next one for whoever writes a second late.
        wednesday = _christmas_eve_before(await desk.now()).replace(hour=17, minute=20)
        await desk.advance_to(wednesday)
        phone = await desk.customer("Ann")
        await phone.says("Where is my parcel?")
        card = await desk.card()
        await card.shows("First answer due")
        told = await eventually(phone.answers, what="the acknowledgement")
        monday = wednesday + timedelta(days=5)
        assert "by 12:30 on Monday (UTC+1)" in told[0], told
        for days in (1, 2, 3, 4):
            await desk.advance_to(wednesday + timedelta(days=days))
            await desk.swept()
        assert await alerts(card) == []
        await desk.advance_to(monday.replace(hour=11, minute=35))
        await card.says_ours("First answer is due")
        await desk.advance_to(monday.replace(hour=12, minute=31))
        await card.says_ours("First answer is overdue")


def _christmas_eve_before(now: datetime) -> datetime:
    """The evening before the next Christmas Eve that is a Thursday, in a year that the shipped calendar knows."""
    year = now.year
    while datetime(year, 12, 24, tzinfo=BERLIN).weekday() != 3 or datetime(year, 12, 23, tzinfo=BERLIN) < now:
        year += 1
    return datetime(year, 12, 23, tzinfo=BERLIN)


async def test_customers_are_told_once_in_their_language(tmp_path: Path) -> None:
    """At night: the next opening, in Chinese; the second message of the night is answered by nobody."""
    async with worlds.world(tmp_path, routing=ROUTING, automatic={"acknowledge": "always"}) as desk:
        night = (await desk.now()).astimezone(BERLIN).replace(hour=22, minute=0, second=0) + timedelta(days=1)
        while not desk.house.rules.calendars["office"].is_open((night + timedelta(hours=12)).astimezone(UTC)):
            night += timedelta(days=1)
        await desk.advance_to(night)
        phone = await desk.customer("李雷", language="zh")
        await phone.says("我的快递三天没动静了，能查一下吗")
        told = await eventually(phone.answers, what="the acknowledgement")
        assert told == [
            "您的消息已收到。现在是非工作时间，明天9:00（" + _offset(night) + "）恢复办公，届时会有同事在这里回复您。"
        ]
        card = await desk.card()
        await card.says_ours("Told the customer automatically: open again")
        await phone.says("在吗")
        await card.says_ours("在吗")
        await desk.sent(DeliveryKind.CHAT_AUTOMATIC)
        assert len(await phone.answers()) == 1


def _offset(moment: datetime) -> str:
    return f"UTC+{int((moment.utcoffset() or timedelta()).total_seconds() // 3600)}"


async def test_a_promise_is_tracked_with_one_press(desk: World) -> None:
    """The thread asks, Maya says yes, and when the time has come and nothing went out she is named."""
    card = await waiting(desk)
    await card.says(MAYA, "I will get back to you within two hours.")
    question = await card.says_ours("Track this promise?")
    await card.shows("Waiting for customer")
    await card.presses(MAYA, "promise", ts=question["ts"])
    await card.says_ours("Promise tracked")
    await desk.advance(hours=2, minutes=1)
    await card.says_ours("Promised answer is overdue", f"<@{MAYA}>")
