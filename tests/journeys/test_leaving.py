"""What leaves, leaves on purpose: the undo window, changes before an answer left, ways of a queue, the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot import times
from domain.changes import ANSWER_KINDS
from storage import lanes, outbox, tables
from storage.engines import Connection
from tests import world as worlds
from tests.world import LINA, MAYA, Card, World, eventually

WINDOW_S = 60.0  # the longest: no test is too slow to act in it, and none waits for its end


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[World]:
    """A world in which answers wait."""
    async with worlds.world(tmp_path, desk={"undo": f"{WINDOW_S:g}s"}) as made:
        yield made


async def the_window_ends(world: World) -> None:
    """What waits for its time may leave now; waits until there is something."""
    waits = (tables.outbox.c.state == "todo", tables.outbox.c.not_before > 0)

    async def work(conn: Connection) -> bool:
        rows = await conn.execute(select(tables.outbox.c.lane, tables.outbox.c.urgency).where(*waits))
        ready = {str(lane): (times.real().timestamp(), int(urgency)) for lane, urgency in rows}
        await conn.execute(update(tables.outbox).where(*waits).values(not_before=0.0))
        await lanes.make_ready(conn, "out", ready)
        return bool(ready)

    database = world.house.stores.database
    await eventually(lambda: database.write(work, wake=(outbox.SIGNAL,)), what="something waits for its time")


async def echoed(card: Card, ts: str, name: str) -> None:
    """Wait for an echo on an agent's message."""

    async def look() -> bool:
        return name in await card.reactions(ts)

    await eventually(look, what=f"{name} on the message")


async def test_an_answer_is_called_back_and_sent_after_all(patient: World) -> None:
    """The button undoes it while it waits; nothing reaches the customer until it is sent on purpose."""
    phone = await patient.customer("Ann")
    await phone.says("Where is my order?")
    card = await patient.card()
    ts = await card.says(MAYA, "Oops, wrong window")
    await card.presses_whispered(MAYA, "undo", f"in {WINDOW_S:g} seconds")
    await echoed(card, ts, "leftwards_arrow_with_hook")
    await card.whispered(MAYA, "Called back")
    assert "hourglass_flowing_sand" not in await card.reactions(ts)
    await patient.sent(*ANSWER_KINDS)
    assert await phone.answers() == [], "nor does anything wait any more"
    await card.presses_whispered(MAYA, "send_reply", "Called back")
    await the_window_ends(patient)
    assert await eventually(phone.answers, what="the answer") == ["Oops, wrong window"]
    await echoed(card, ts, "white_check_mark")
    await card.presses_whispered(MAYA, "undo", f"in {WINDOW_S:g} seconds")
    await card.whispered(MAYA, "It has left already")
    assert await phone.answers() == ["Oops, wrong window"]


async def test_an_own_reaction_and_the_note_button_call_back_too(patient: World) -> None:
    """A sign on one's own line is Undo, a lock keeps it inside; on anybody else's they are emoji; a note stays one."""
    phone = await patient.customer("Ann")
    await phone.says("Where is my order?")
    card = await patient.card()
    await card.says_ours("Where is my order?")
    texts = ("Not yet", "On its way", "For colleagues", "Between us")
    mine, hers, note, locked = [await card.says(MAYA, text) for text in texts]
    sign = {"channel": card.channel, "emoji": "leftwards_arrow_with_hook"}
    lock = {"channel": card.channel, "emoji": "lock"}
    await patient.control("slack/react", user=MAYA, ts=mine, **sign)
    await patient.control("slack/react", user=LINA, ts=hers, **sign)
    await patient.control("slack/react", user=LINA, ts=hers, **lock)
    await patient.control("slack/react", user=MAYA, ts=locked, **lock)
    await card.whispered(MAYA, "it is a note now")

    async def undo_of_note() -> str | None:
        page = await patient.look(f"slack/channel/{card.channel}")
        told = [one for one in page["ephemerals"].get(MAYA, []) if f"|{note}" in str(one.get("blocks"))]
        return str(told[-1]["ts"]) if told else None

    await card.presses(MAYA, "keep_note", ts=await eventually(undo_of_note, what="the offer to call it back"))
    await card.whispered(MAYA, "it is a note now")
    await card.whispered(MAYA, "Called back: nothing was sent")
    await echoed(card, note, "lock")
    await the_window_ends(patient)
    assert await eventually(phone.answers, what="the one that was meant") == ["On its way"]
    await echoed(card, hers, "white_check_mark")
    assert await phone.answers() == ["On its way"]
    await patient.control("slack/react", user=MAYA, ts=hers, **lock)
    await card.whispered(MAYA, "It has left already")


async def test_an_answer_that_failed_is_copied_or_sent_plain(world: World) -> None:
    """Beside Retry: its words to take elsewhere, and the same without the dress."""
    phone = await world.customer("Ann")
    await phone.says("Where is my money?")
    card = await world.card()
    await card.says_ours("Where is my money?")
    await phone.does("block")
    await card.says(MAYA, "Your *50 euros* are on their way", composed=True)
    failed = await card.says_ours("was not delivered")
    await card.presses(MAYA, "copy", ts=failed["ts"])
    await card.whispered(MAYA, "to be copied")
    page = await world.look(f"slack/channel/{card.channel}")
    assert any("50 euros" in str(one.get("blocks")) for one in page["ephemerals"][MAYA])
    await phone.does("unblock")
    await card.presses(MAYA, "retry_plain", ts=failed["ts"])
    await eventually(phone.answers, what="the answer")
    (sent,) = [one for one in await phone.chat() if one["from"] == "bot"]
    assert sent["text"] == "Your 50 euros are on their way"
    assert not sent.get("entities")


async def test_what_is_changed_while_it_waits_is_what_leaves(patient: World) -> None:
    """Edited before it left: the new words go, once, and have no history at the customer's. Deleted: nothing goes."""
    phone = await patient.customer("Ann")
    await phone.says("How much is it?")
    card = await patient.card()
    ts = await card.says(MAYA, "It costs 20.")
    await echoed(card, ts, "hourglass_flowing_sand")
    await patient.control("slack/edit", user=MAYA, channel=card.channel, ts=ts, text="It costs 25.")
    gone = await card.says(MAYA, "And never mind")
    await echoed(card, gone, "hourglass_flowing_sand")
    await patient.control("slack/delete", user=MAYA, channel=card.channel, ts=gone)
    await echoed(card, await card.says(LINA, "Anything else?"), "hourglass_flowing_sand")
    await the_window_ends(patient)

    async def both() -> bool:
        return len(await phone.answers()) == 2

    await eventually(both, what="two answers")
    assert await phone.answers() == ["It costs 25.", "Anything else?"]
    (first, _) = [m for m in await phone.chat() if m["from"] == "bot"]
    assert first["versions"] == []
    await echoed(card, ts, "white_check_mark")
    await patient.control("slack/edit", user=MAYA, channel=card.channel, ts=ts, text="It costs 30.")

    async def followed() -> bool:
        return (await phone.answers())[0] == "It costs 30."

    await eventually(followed, what="a later change follows")


async def test_what_is_answered_and_snoozed_at_once_stays_snoozed(patient: World) -> None:
    """The answer leaves when its window ends; the thread still calls at the time that was chosen after writing it."""
    phone = await patient.customer("Ann")
    await phone.says("Where is my order?")
    card = await patient.card()
    await card.says_ours("Where is my order?")
    await card.presses(MAYA, "assign_me")
    await card.shows(f"<@{MAYA}>")
    ts = await card.says(MAYA, "I will ask the carrier")
    await card.whispered(MAYA, f"in {WINDOW_S:g} seconds")
    await card.chooses(MAYA, "more", "Snooze 1 hour")
    await card.shows("Wake up")
    await the_window_ends(patient)
    await echoed(card, ts, "white_check_mark")
    assert "Wake up" in await card.shows("Snoozed")
    await patient.advance(hours=1)
    woken = await card.says_ours("Status: snoozed → *open*", "its snooze is over")
    assert f"<@{MAYA}>" in str(woken["blocks"])


async def test_what_waits_survives_a_restart(patient: World) -> None:
    """An answer that waits when the process stops leaves once after the start, however long that took."""
    phone = await patient.customer("Ann")
    await phone.says("Where is my order?")
    card = await patient.card()
    ts = await card.says(MAYA, "On its way")
    await echoed(card, ts, "hourglass_flowing_sand")
    await patient.stop()
    await patient.start()
    await the_window_ends(patient)
    assert await eventually(phone.answers, what="the answer") == ["On its way"]
    await patient.sent(*ANSWER_KINDS)
    assert await phone.answers() == ["On its way"]


async def test_the_way_of_a_queue_and_the_guard(tmp_path: Path) -> None:
    """In an explicit queue only `>>` and the button send; a password is asked about even then. In one that leaves it to
    the assignee a colleague's line is kept inside, and theirs goes.
    """
    queues = {name: {"leaves": "explicit"} for name in ("support", "billing", "tech")}
    queues["triage"] = {"leaves": "assignee"}
    async with worlds.world(tmp_path, queues=queues) as world:
        phone = await world.customer("Ann")
        await phone.says("Where is my order?")
        card = await world.card()
        inside = await card.says(MAYA, "Let us look")
        await echoed(card, inside, "lock")
        await card.says(MAYA, ">> It is on its way")
        assert await eventually(phone.answers, what="the answer") == ["It is on its way"]
        await card.presses_whispered(MAYA, "send_reply", "Kept inside", "`>>`")
        secret = await card.says(MAYA, ">> Your password: Xk29-qqLm")
        await echoed(card, secret, "lock")
        await card.whispered(MAYA, "a password or a key")

        async def sent() -> bool:
            return await phone.answers() == ["It is on its way", "Let us look"]

        await eventually(sent, what="what was sent by the button")
        await card.presses_whispered(MAYA, "send_reply", "a password or a key")

        async def all_sent() -> bool:
            return (await phone.answers())[2:] == ["Your password: Xk29-qqLm"]

        await eventually(all_sent, what="what was sent all the same")

        other = await world.customer("Bo")
        await other.says("asdf qwer")
        theirs = await world.card(1)
        assert theirs.channel == "C0TRIAGE"
        await theirs.presses(MAYA, "assign_me")
        await theirs.says_ours("Maya")
        aside = await theirs.says(LINA, "I can help")
        await echoed(theirs, aside, "lock")
        await theirs.whispered(LINA, "只有负责人的回复会发给客户")
        await theirs.says(MAYA, "What may we do for you?")
        assert await eventually(other.answers, what="the assignee's answer") == ["What may we do for you?"]


CARRIED = {
    "en": {
        "See https://wiki.acme.example/refunds": "a link that only colleagues can open",
        "Write to bo.li@example.org": "an e-mail address that this customer did not write",
        "Call 030 9018 2044 please": "a phone number that this customer did not write",
        f"Ask <@{LINA}>": "the mention of a colleague",
        "Your password: Xk29-qqLm": "a password or a key",
    },
    "zh": {
        "请看 https://wiki.acme.example/refunds": "一个只有同事能打开的链接",
        "请写信到 bo.li@example.org": "一个并非这位客户写的邮箱地址",
        "请拨打 138 1234 5678": "一个并非这位客户写的电话号码",
        f"请问 <@{MAYA}>": "对同事的提及",
        "密码是 Xk29-qqLm": "密码或密钥",
    },
}


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_what_is_no_customers_business_is_asked_about(tmp_path: Path, language: str) -> None:
    """Each thing that the guard looks for is kept inside with its reason, and leaves when somebody says so."""
    desk = {"language": language, "undo": "0s", "guard": {"internal": ["wiki.acme.example"]}}
    agent = MAYA if language == "en" else LINA
    async with worlds.world(tmp_path, languages=[language, "en"], desk=desk) as world:
        phone = await world.customer("Ann", language=language)
        await phone.says("Where is my order? I am ann@example.com")
        card = await world.card()
        await card.says_ours("Where is my order?")
        for words, why in CARRIED[language].items():
            line = await card.says(agent, words, raw=True)
            await echoed(card, line, "lock")
            await card.whispered(agent, why)
        assert await phone.answers() == []
        await card.presses_whispered(agent, "send_reply", next(iter(CARRIED[language].values())))
        assert await eventually(phone.answers, what="what was meant") == [next(iter(CARRIED[language]))]
        await card.says(agent, "ann@example.com")

        async def own() -> bool:
            return (await phone.answers())[1:] == ["ann@example.com"]

        await eventually(own, what="their own address")


async def test_what_was_written_while_we_were_away_is_offered(tmp_path: Path) -> None:
    """After a long absence nothing leaves by itself: the thread asks, once for each; what was just written goes."""
    async with worlds.world(tmp_path, desk={"ask_late": "15m"}) as world:
        phone = await world.customer("Ann")
        await phone.says("Where is my order?")
        card = await world.card()
        await card.says_ours("Where is my order?")
        await world.stop()
        lines = ("It comes at nine", "Or at ten", "Or never")
        stale, other, wrong = [await card.says(MAYA, words) for words in lines]
        await world.control("clock", advance_s=9 * 3600)
        await card.says(LINA, "Good morning, I am looking")
        await world.start()
        assert await eventually(phone.answers, what="what is not late") == ["Good morning, I am looking"]
        first = await card.says_ours("Not sent", f"<@{MAYA}>", "It comes at nine", "Keep inside")
        second = await card.says_ours("Not sent", "Or at ten")
        await echoed(card, stale, "lock")
        await echoed(card, other, "lock")
        third = await card.says_ours("Not sent", "Or never")
        about = {"user": MAYA, "channel": card.channel}
        await world.control("slack/delete", **about, ts=wrong)
        await world.control("slack/edit", **about, ts=stale, text="It comes at half past nine")
        gone = await card.says_ours(f"The answer of <@{MAYA}> that waited here was deleted; nothing was sent.")
        mended = await card.says_ours("has changed it since", "It comes at half past nine", "Send to customer")
        assert (gone["ts"], mended["ts"]) == (third["ts"], first["ts"]), "each question says so where it stands"
        await card.presses(LINA, "keep_note", ts=second["ts"])
        await card.whispered(LINA, "已作为备注留在内部")
        await card.says_ours(f"The answer of <@{MAYA}> that waited here was kept inside by <@{LINA}>.")
        await card.presses(MAYA, "send_reply", ts=first["ts"])
        await echoed(card, stale, "white_check_mark")
        await card.says_ours(f"The answer of <@{MAYA}> that waited here was sent by <@{MAYA}>.")
        assert await phone.answers() == ["Good morning, I am looking", "It comes at half past nine"]
        await world.stop()
        await world.start()
        await card.says(MAYA, "Anything else?")

        async def last() -> bool:
            return (await phone.answers())[2:] == ["Anything else?"]

        await eventually(last, what="nothing is asked or sent again")


async def test_an_answer_leaves_under_the_name_that_the_company_wants(tmp_path: Path) -> None:
    """Agents in one queue, the team in another: in bold, where it is news, in the customer's copy and nowhere else."""
    team = {"signature": "team", "signed_as": {"en": "Acme money", "zh": "账务组"}}
    desk = {"undo": "1s", "signature": "agent", "names": {MAYA: "Maya"}}
    async with worlds.world(tmp_path, desk=desk, queues={"billing": team}) as world:
        phone = await world.customer("Ann")
        await phone.says("Where is my order?")
        card = await world.card()
        ts = await card.says(MAYA, "I am *looking*", composed=True)
        await card.whispered(MAYA, "signed Maya.")
        await card.says(MAYA, "It comes at nine")
        await echoed(card, await card.says(LINA, "I help too"), "white_check_mark")
        lina = (await phone.answers())[2].partition(":")[0]
        assert await phone.answers() == ["Maya:\nI am looking", "It comes at nine", f"{lina}:\nI help too"]
        first = next(one for one in await phone.chat() if one["from"] == "bot")
        assert [(one["type"], one["offset"], one["length"]) for one in first["entities"]] == [
            ("bold", 0, 5),
            ("bold", 11, 7),
        ]
        await world.control("slack/edit", user=MAYA, channel=card.channel, ts=ts, text="I was looking")

        async def changed() -> bool:
            return (await phone.answers())[0] == "Maya:\nI was looking"

        await eventually(changed, what="the change under the name")
        await card.says(MAYA, "", files=[{"base64": "JVBERi0xLjQ=", "name": "slip.pdf", "mime": "application/pdf"}])

        async def sent() -> bool:
            return (await phone.answers())[3:] == ["Maya:"]

        await eventually(sent, what="the file with the name alone")
        assert "Maya:" not in str(await card.posts()), "what was written is shown as it was written"
        other = await world.customer("王明", language="zh")
        await other.says("请开一张发票")
        bill = await world.card(1)
        await bill.presses(MAYA, "assign_me")
        assert bill.channel == "C0BILLING"
        await bill.says(MAYA, "好的，马上开")
        assert await eventually(other.answers, what="the team's answer") == ["账务组：\n好的，马上开"]
