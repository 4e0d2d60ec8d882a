"""From an outbox row to what is sent: rendered at the moment of sending, from the newest state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from bot import texts, times
from bot.channels.memory import MemoryChannel, MemoryConfig
from bot.rendering import Renderer
from bot.shown import nearest
from bot.unsent import NothingToSend, NotReady
from domain.changes import Changes, ClockRow, DeliveryKind
from domain.errors import NeverPossible
from domain.model import Attachment, Entry, EntryKind, Status
from domain.ports import ChatDelivery, Desk, DeskDelivery, File
from domain.sla import ClockState, Metric
from storage import tables
from storage.attachments import Attachments
from storage.cases import Cases
from storage.dossier import Dossiers
from storage.engines import Connection
from storage.outbox import Waiting
from tests.contracts import storage_kit
from tests.contracts.storage_kit import AGENT, NOW, Process, Story
from tests.handlers.kit import rulebook

LIMIT = 40
FILE = Attachment(id="F1", kind="document", platform_id="F1", name="a.pdf", mime="application/pdf")


class Files:
    """The desk, as far as an agent's files and language go. `opened` are the files it was asked for."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    async def language_of(self, agent_id: str) -> str | None:
        """Who is called so reads Chinese."""
        return "zh" if agent_id == "U0LINA" else None

    async def name_of(self, agent_id: str) -> str | None:
        """Everybody is called as their id says, and somebody nobody knows is not called."""
        return agent_id.removeprefix("U0").capitalize() if agent_id != "U0GONE" else None

    async def open_file(self, attachment: Attachment) -> File:
        """A file by its name."""
        self.opened.append(attachment.id)

        async def read() -> AsyncIterator[bytes]:
            yield attachment.name.encode()

        return File(name=attachment.name, mime=attachment.mime, size=None, open=read)


class Bench:
    """A renderer over one process's stores, and one conversation in them."""

    def __init__(self, process: Process, **rules: Any) -> None:
        self.process = process
        self.story: Story = storage_kit.story()
        self.desk = Files()
        self.channel = MemoryChannel(MemoryConfig(name="telegram", text_limit=LIMIT))
        self.renderer = Renderer(
            database=process.db,
            record=process.record,
            views=process.views,
            channels={"telegram": self.channel},
            desk=cast("Desk", self.desk),
            rules=rulebook(channel_titles={"telegram": "Telegram"}, **rules),
            clock=times.Timekeeper(),
            languages=("en", "zh"),
            dossiers=Dossiers(process.db, process.keys),
            attachments=Attachments(process.db, process.keys, times.real, largest=1_000_000),
            cases=Cases(process.db),
        )

    async def opened(self, *said: str) -> None:
        """The customer has written."""
        await self.process.decide(self.story.opening(*said))

    async def posted(self) -> None:
        """The card stands in its thread."""
        statement = tables.conversations.update().values(desk_channel="C0SUPPORT", desk_thread="1.0", card_version=0)

        async def work(conn: Connection) -> None:
            await conn.execute(statement)

        await self.process.db.write(work)

    async def keeps(self, text: str, **fields: Any) -> Entry:
        """One more timeline line."""
        entry = self.story.said(text, **fields)
        await self.process.decide(Changes(reason="said", entries=(entry,)))
        return entry

    def row(self, kind: DeliveryKind, entry: Entry | None = None, **fields: Any) -> Waiting:
        """An outbox row about this conversation."""
        given: dict[str, Any] = {
            "id": "O1",
            "seq": 1,
            "lane": "l",
            "bucket": "b",
            "kind": kind,
            "conversation_id": self.story.conversation.id,
            "identity_id": self.story.identity.id,
            "entry_id": entry.id if entry else None,
            "part": 0,
            "urgency": 0,
            "attempts": 0,
            "data": {},
            "created_at": NOW,
            "sending_at": None,
            "unclear": False,
        }
        return Waiting(**(given | fields))

    async def at_the_desk(self, row: Waiting) -> DeskDelivery:
        """What the desk would be given."""
        made = await self.renderer.render(row)
        assert isinstance(made, DeskDelivery)
        return made

    async def in_the_chat(self, row: Waiting) -> ChatDelivery:
        """What the chat would be given."""
        made = await self.renderer.render(row)
        assert isinstance(made, ChatDelivery)
        return made


@pytest.fixture
async def bench(make_database: Callable[[str], str]) -> AsyncIterator[Bench]:
    """A renderer, once on each engine."""
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as process:
        yield Bench(process)


async def test_a_failure_says_where_it_stands_how_it_was_settled(bench: Bench) -> None:
    """The last one before, about the same delivery, which may fail again before that is shown. Of one that nobody was
    shown nothing is said.
    """
    await bench.opened("Hello")
    await bench.posted()

    async def fails(outbox_id: str) -> Entry:
        return await bench.keeps("", kind=EntryKind.NOT_DELIVERED, data={"outbox_id": outbox_id})

    first, newest, _unseen = await fails("O7"), await fails("O7"), await fails("O8")
    about = {"conversation_id": bench.story.conversation.id, "side": "desk", "place": "C0SUPPORT", "part": 0, "at": 0.0}
    rows = [
        about | {"outbox_id": one.id, "entry_id": one.id, "platform_id": ts}
        for one, ts in ((first, "4.0"), (newest, "5.0"))
    ]

    async def work(conn: Connection) -> None:
        await conn.execute(tables.deliveries.insert(), rows)

    await bench.process.db.write(work)
    again = await bench.keeps("", kind=EntryKind.STATUS, data={"to": "retry"}, actor=AGENT)
    await fails("O7")
    made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_EDIT, again, data={"settled": "O7"}))
    assert (made.entry and made.entry.id, made.told, made.message_ts) == (newest.id, (again,), "5.0")
    for unknown in ("O8", "O9"):
        with pytest.raises(NothingToSend, match="was_not_shown"):
            await bench.at_the_desk(bench.row(DeliveryKind.DESK_EDIT, again, data={"settled": unknown}))


async def test_an_echo_goes_where_the_line_was_written(bench: Bench) -> None:
    """However often the conversation has moved since, and although its last thread was begun anew: the line is where it
    was. Older than all of its threads nothing is.
    """
    await bench.opened("Hello")
    conversation = bench.story.conversation.id
    earlier = [("C0SUPPORT", "1.0"), ("C0BILLING", "2.0"), ("C0CARE", "3.0")]
    rows = [{"desk_channel": one, "desk_thread": root, "conversation_id": conversation} for one, root in earlier]
    now = {"desk_channel": "C0CARE", "desk_thread": "4.0", "desk_before": "C0CARE:3.0"}

    async def work(conn: Connection) -> None:
        await conn.execute(tables.moved_threads.insert(), rows)
        await conn.execute(tables.conversations.update().values(**now))

    await bench.process.db.write(work)
    channels = []
    for ts in ("0.5", "1.5", "2.5", "3.5", "4.0", "4.5"):
        data = {"ts": ts, "name": "white_check_mark", "remove": None}
        made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_REACTION, data=data))
        assert made.message_ts == ts
        channels.append(made.place)
        elsewhere = bench.row(DeliveryKind.DESK_REACTION, data=data | {"place": "C0LEADS"})
        assert (await bench.at_the_desk(elsewhere)).place == "C0LEADS"
    assert channels == ["C0CARE", "C0SUPPORT", "C0BILLING", "C0CARE", "C0CARE", "C0CARE"]


async def test_a_card_shows_the_newest_state(bench: Bench) -> None:
    """Whatever changed since the row was written is on the card: it is read when it is sent."""
    await bench.opened("first words")
    row = bench.row(DeliveryKind.DESK_CARD)
    await bench.process.decide(bench.story.changed(0, status=Status.OPEN, assignee="U0MAYA"))
    await bench.keeps("newest words", seconds=9)
    made = await bench.at_the_desk(row)
    assert made.card is not None
    assert (made.card.excerpt, made.card.conversation.assignee) == ("newest words", "U0MAYA")
    assert made.card.customer_name == "Ann Example"
    shown = bench.renderer.shown(row)
    assert shown is not None
    assert shown.version == 1
    assert bench.renderer.shown(row) is None, "a receipt takes it once"


async def test_a_card_says_no_more_of_a_mute_that_is_over(bench: Bench) -> None:
    """It ends when the customer writes again; until then the card would name a time that has passed."""
    await bench.opened("first words")
    for until, shown in ((times.real() + timedelta(hours=1), True), (times.real() - timedelta(hours=1), False)):
        muted = replace(bench.story.identity, muted_until=until)
        await bench.process.decide(Changes(reason="muted", identity=muted))
        made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_CARD))
        assert made.card is not None
        assert (made.card.muted_until is not None) == shown


async def test_a_card_quotes_what_the_customer_has_left_of_their_words(bench: Bench) -> None:
    """The newest message was changed, twice: the card has its last words; a change of an older one is none of it."""
    await bench.opened("first words")
    first = await bench.keeps("second words", seconds=5, platform_id="2")
    newest = await bench.keeps("newest words", seconds=9, platform_id="3")
    for of, text in ((newest, "not yet"), (newest, "last words"), (first, "other words")):
        edit = bench.story.edited(of, text, seconds=12)
        await bench.process.decide(Changes(reason="edit", entries=(edit,)))
    made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_CARD))
    assert made.card is not None
    assert made.card.excerpt == "last words"


async def test_what_belongs_under_a_card_waits_for_it(bench: Bench) -> None:
    """Nothing is posted into a thread that does not stand yet."""
    await bench.opened("hello")
    entry = await bench.keeps("more", seconds=5)
    for kind in (DeliveryKind.DESK_ENTRY, DeliveryKind.DESK_UPDATE, DeliveryKind.DESK_FILE):
        with pytest.raises(NotReady):
            await bench.renderer.render(bench.row(kind, entry))
    await bench.posted()
    made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_ENTRY, entry))
    assert (made.place, made.thread_ts, made.entry and made.entry.body) == ("C0SUPPORT", "1.0", "more")


async def test_an_update_that_shows_nothing_new_is_not_sent(bench: Bench) -> None:
    """A card that is up to date is left alone."""
    await bench.opened("hello")
    await bench.posted()
    with pytest.raises(NothingToSend, match="already_shown"):
        await bench.renderer.render(bench.row(DeliveryKind.DESK_UPDATE))
    await bench.process.decide(bench.story.changed(0, assignee="U0MAYA"))
    made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_UPDATE))
    assert made.message_ts == "1.0"


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (DeliveryKind.DESK_CARD, {"conversation_id": "gone"}, "conversation_gone"),
        (DeliveryKind.DESK_ENTRY, {"entry_id": "gone"}, "entry_gone"),
        (DeliveryKind.CHAT_TEXT, {"identity_id": "gone"}, "identity_gone"),
        (DeliveryKind.CHAT_TEXT, {"entry_id": "gone"}, "entry_gone"),
    ],
)
async def test_what_is_gone_is_not_sent(bench: Bench, kind: DeliveryKind, fields: Any, reason: str) -> None:
    """A row about something that was erased meanwhile is cancelled with its reason."""
    await bench.opened("hello")
    await bench.posted()
    with pytest.raises(NothingToSend, match=reason):
        await bench.renderer.render(bench.row(kind, **fields))


@pytest.mark.parametrize(
    ("place", "ts", "is_there"), [("C0SUPPORT", "1.5", True), ("C0SUPPORT", "0.9", False), ("C0OLD", "1.5", False)]
)
async def test_a_message_is_shown_again_only_where_it_does_not_stand(
    bench: Bench, place: str, ts: str, is_there: bool
) -> None:
    """Its post was on its way when the thread was begun anew: there once is enough, and nobody looks elsewhere."""
    await bench.opened("hello")
    await bench.posted()
    entry = await bench.keeps("are you there?")
    post = {
        "outbox_id": "O0",
        "entry_id": entry.id,
        "side": "desk",
        "part": 0,
        "place": place,
        "platform_id": ts,
        "at": 0.0,
    }

    async def arrived(conn: Connection) -> None:
        await conn.execute(tables.deliveries.insert().values(**post))

    await bench.process.db.write(arrived)
    again = bench.row(DeliveryKind.DESK_ENTRY, entry, data={"anew": True})
    if is_there:
        with pytest.raises(NothingToSend, match="already_shown"):
            await bench.renderer.render(again)
    else:
        assert (await bench.at_the_desk(again)).entry == entry


async def test_an_answer_is_sent_part_by_part(bench: Bench) -> None:
    """Each part of a long answer is its own piece of the text; the files come after them."""
    await bench.opened("hello")
    words = "one two three four five six seven eight nine ten eleven twelve"
    entry = await bench.keeps(words, kind=EntryKind.OUTGOING, actor=AGENT, seconds=5, attachments=(FILE,))
    data = {"parts": 3, "texts": 2}
    parts = [await bench.in_the_chat(bench.row(DeliveryKind.CHAT_TEXT, entry, part=n, data=data)) for n in (0, 1)]
    assert " ".join(part.text for part in parts) == words
    assert all(len(part.text) <= LIMIT and part.address == "4711" for part in parts)
    file = (await bench.in_the_chat(bench.row(DeliveryKind.CHAT_FILE, entry, part=2, data=data))).file
    assert file is not None
    assert [piece async for piece in file.open()] == [b"a.pdf"]


@pytest.mark.parametrize(("language", "wanted"), [("zh", "zh"), ("en", "en"), (None, "en"), ("fr", "en")])
async def test_a_fixed_text_is_in_the_customers_language(bench: Bench, language: str | None, wanted: str) -> None:
    """The language of the event, else the person's, else the company's first."""
    await bench.opened("hello")
    data = {"text": "help", "language": language}
    made = await bench.in_the_chat(bench.row(DeliveryKind.CHAT_AUTOMATIC, data=data))
    assert made.text == texts.text("help", wanted, fallback=("en",))


async def test_an_edit_and_a_deletion_name_the_customers_copy(bench: Bench) -> None:
    """What is changed or taken away at the customer's is found by its id there."""
    await bench.opened("hello")
    entry = await bench.keeps("corrected", kind=EntryKind.NOTE, actor=AGENT, seconds=5)
    data = {"message_id": "77"}
    edit = await bench.in_the_chat(bench.row(DeliveryKind.CHAT_EDIT, entry, data=data))
    assert (edit.text, edit.message_id) == ("corrected", "77")
    gone = await bench.in_the_chat(bench.row(DeliveryKind.CHAT_DELETE, entry, data=data))
    assert (gone.text, gone.message_id) == ("", "77")


async def test_a_file_that_cannot_be_had_is_a_reason(bench: Bench) -> None:
    """The thread gets the file, or the reason why not."""
    await bench.opened("hello")
    await bench.posted()
    entry = await bench.keeps("look", seconds=5, attachments=(FILE,))
    made = await bench.at_the_desk(bench.row(DeliveryKind.DESK_FILE, entry))
    assert made.file is None
    with pytest.raises(NeverPossible) as refused:
        await bench.channel.open_file(FILE)
    assert made.data["reason"] == refused.value.code


def clock(metric: Metric, state: ClockState, due: float | None, *, stopped: bool = False) -> ClockRow:
    """A clock due in so many hours."""
    return ClockRow(
        id=metric.value,
        conversation_id="C",
        metric=metric,
        instance=1,
        state=state,
        started_at=NOW,
        due_at=None if due is None else NOW + timedelta(hours=due),
        stopped_at=NOW if stopped else None,
        next_alert_at=None,
    )


def test_the_card_names_the_deadline_that_comes_next() -> None:
    """Of the clocks that somebody must think of it is the earliest; what is met, paused or stopped is none."""
    first = clock(Metric.FIRST_RESPONSE, ClockState.RUNNING, 4)
    whole = clock(Metric.RESOLUTION, ClockState.RUNNING, 2)
    missed = clock(Metric.NEXT_RESPONSE, ClockState.BREACHED, -1)
    assert nearest([first, whole]) == whole
    assert nearest([first, whole, missed]) == missed
    done = clock(Metric.FIRST_RESPONSE, ClockState.MET, 1, stopped=True)
    late = clock(Metric.FIRST_RESPONSE, ClockState.BREACHED, -2, stopped=True)
    paused = clock(Metric.RESOLUTION, ClockState.PAUSED, None)
    assert nearest([done, late, paused]) is None


async def test_a_spot_check_that_somebody_has_answered_is_not_asked(bench: Bench) -> None:
    """Whoever has chosen the topic meanwhile is not asked about it."""
    await bench.opened("Where is my order?")
    await bench.posted()
    check = await bench.keeps("", kind=EntryKind.CHECK, data={"to": "order"})
    row = bench.row(DeliveryKind.DESK_ENTRY, check)
    assert (await bench.at_the_desk(row)).entry == check
    await bench.process.decide(bench.story.changed(0, label_by_human=True, intent="order"))
    with pytest.raises(NothingToSend, match="answered_already"):
        await bench.renderer.render(row)


async def test_reasons_are_looked_up_when_they_are_sent(bench: Bench) -> None:
    """The row names the conversation; its words come from what answers now."""

    async def why(conversation: str) -> dict[str, str]:
        return {"said": f"about {conversation}"}

    bench.renderer._why = why
    data = {"place": "C0SUPPORT", "thread": "1.0", "text": "why", "user": "U0MAYA", "conversation": "c1"}
    delivery = await bench.at_the_desk(bench.row(DeliveryKind.DESK_WHISPER, data=data))
    assert delivery.data == {**data, "said": "about c1"}


async def test_a_file_is_asked_for_once_however_often_it_is_sent(bench: Bench) -> None:
    """The second try, hours later perhaps, sends what was kept at the first, with its name and its bytes."""
    await bench.opened("show me")
    answer = await bench.keeps("here", kind=EntryKind.OUTGOING, actor=AGENT, attachments=(FILE,))
    row = bench.row(DeliveryKind.CHAT_FILE, answer, data={"files": [0]})
    for _ in range(2):
        made = await bench.in_the_chat(row)
        assert made.file is not None
        assert (made.file.name, made.file.size) == ("a.pdf", len(b"a.pdf"))
        assert b"".join([piece async for piece in made.file.open()]) == b"a.pdf"
    assert bench.desk.opened == ["F1"]


async def test_a_question_about_a_late_line_is_changed_where_it_stands(bench: Bench) -> None:
    """With the line as it was when it is asked, as it is now when it is changed; never before it was asked at all."""
    await bench.opened("hello")
    await bench.posted()
    first = await bench.keeps("at nine", kind=EntryKind.NOTE, actor=AGENT)
    question = await bench.keeps("", kind=EntryKind.HELD, data={"of": first.id})
    now = await bench.keeps("at ten", kind=EntryKind.NOTE, actor=AGENT)
    asked = await bench.at_the_desk(bench.row(DeliveryKind.DESK_ENTRY, question))
    assert asked.earlier == first
    change = bench.row(DeliveryKind.DESK_EDIT, question, id="O2", data={"line": now.id})
    with pytest.raises(NothingToSend, match="was_not_asked"):
        await bench.renderer.render(change)
    post = {"outbox_id": "O1", "entry_id": question.id, "side": "desk", "place": "C0OLD", "platform_id": "1.5"}

    async def arrived(conn: Connection) -> None:
        await conn.execute(tables.deliveries.insert().values(**post, part=0, at=0.0))

    await bench.process.db.write(arrived)
    made = await bench.at_the_desk(change)
    assert (made.earlier, made.place, made.message_ts) == (now, "C0OLD", "1.5")
