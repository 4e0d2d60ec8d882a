"""The asynchronous front: nobody waits for company, nobody is refused, the loop stays free."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from classifiers.base import Classifier, Label
from classifiers.batching import BATCH, Triage
from domain.assessment import Assessment, Text
from tests import patience
from tests.classifiers import kit

TICK_S, LONGEST_BLOCK_S = 0.001, 0.005


class Held:
    """A classifier that counts its batches and waits for `go` before each; answers like the n-gram expert.

    `taken` says that it has been given one.
    """

    def __init__(self, *, held: bool = False, broken: bool = False, version: str = "held") -> None:
        self.version = version
        self.taken, self.go = threading.Event(), threading.Event()
        if not held:
            self.go.set()
        self.broken = broken
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()

    @property
    def labels(self) -> tuple[Label, ...]:
        """The starter's."""
        return kit.ngrams().labels

    def assess(self, batch: Sequence[Text]) -> list[Assessment]:
        """Wait, note, answer."""
        self.taken.set()
        assert self.go.wait(patience.LONG_S)
        self.batches.append([text.text for text in batch])
        self.threads.add(threading.current_thread().name)
        if self.broken:
            raise RuntimeError("the model is broken")
        answers = [answer.to_json() | {"version": self.version} for answer in kit.ngrams().assess(batch)]
        return [Assessment.from_json(answer) for answer in answers]


@asynccontextmanager
async def running(classifier: Classifier, fallback: Classifier | None = None, **options: int) -> AsyncIterator[Triage]:
    """A triage that is closed afterwards."""
    triage = Triage(classifier, fallback or Held(version="fallback"), **options)
    await triage.start()
    try:
        yield triage
    finally:
        await triage.close()


def texts(count: int, prefix: str = "message") -> list[Text]:
    """Different texts."""
    return [Text(key=str(number), text=f"{prefix} {number}") for number in range(count)]


async def test_answers_come_in_order() -> None:
    """Each caller gets its own answers, in its own order."""
    async with running(kit.ngrams()) as triage:
        asked = [Text(key="1", text="I forgot my password"), Text(key="2", text="我要退货"), Text(key="3", text="👍")]
        assert await triage.assess(asked) == kit.ngrams().assess(asked)


async def test_what_waits_goes_together() -> None:
    """While the thread is busy texts gather; then they go in batches of at most BATCH, oldest first."""
    held = Held(held=True)
    async with running(held) as triage:
        first = asyncio.create_task(triage.assess(texts(1, "first")))
        await patience.eventually(held.taken.is_set)
        rest = [asyncio.create_task(triage.assess([text])) for text in texts(BATCH + 8)]
        await asyncio.sleep(0)  # each has begun, and waits
        held.go.set()
        await asyncio.gather(first, *rest)
    assert [len(batch) for batch in held.batches] == [1, BATCH, 8]
    assert [text for batch in held.batches[1:] for text in batch] == [text.text for text in texts(BATCH + 8)]
    assert held.threads == {"triage"}


async def test_a_lone_text_does_not_wait_for_company() -> None:
    """A quiet desk is a quick desk."""
    async with running(Held()) as triage:
        await triage.assess(texts(1))
        with patience.Own() as took:
            await triage.assess(texts(1, "lone"))
        assert took.seconds < 0.25


async def test_overload_is_answered_by_the_n_gram_expert() -> None:
    """Beyond the bound nobody is refused and nobody waits: the fallback answers and its version says so."""
    held = Held(held=True)
    async with running(held, waiting=10) as triage:
        stuck = asyncio.create_task(triage.assess(texts(1, "first")))
        await patience.eventually(held.taken.is_set)
        waiting = asyncio.create_task(triage.assess(texts(10)))
        await asyncio.sleep(0)  # it has begun, and waits
        beyond = await triage.assess(texts(5, "beyond"))
        assert {answer.version for answer in beyond} == {"fallback"}
        assert triage.counters.overflowed == 5
        held.go.set()
        assert {answer.version for answer in [*await stuck, *await waiting]} == {"held"}
        again = await triage.assess(texts(5, "beyond"))
        assert {answer.version for answer in again} == {"held"}  # the second-best answer was not kept


async def test_in_a_hurry_the_n_gram_expert_reads_everything() -> None:
    """While messages wait too long nobody waits for the classifier; afterwards it reads again."""
    quick, slow = Held(version="quick"), Held(version="slow")
    async with running(slow, quick) as triage:
        triage.hurried = True
        assert {found.version for found in await triage.assess(texts(3))} == {"quick"}
        assert triage.counters.overflowed == 3
        triage.hurried = False
        assert {found.version for found in await triage.assess(texts(3, "later"))} == {"slow"}


async def test_a_broken_classifier_is_replaced_by_the_n_gram_expert() -> None:
    """Whatever breaks, messages are triaged."""
    async with running(Held(broken=True)) as triage:
        answers = await triage.assess(texts(3))
        assert {answer.version for answer in answers} == {"fallback"}


async def test_when_everything_is_broken_the_caller_is_told() -> None:
    """Then the error is the caller's to handle; the next text is tried anew."""
    async with running(Held(broken=True), Held(broken=True, version="fallback")) as triage:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="the model is broken"):
                await triage.assess(texts(1))
        assert triage.counters.failed == 2


async def test_equal_texts_are_assessed_once() -> None:
    """Asked again, asked twice at once, asked within one call: one assessment. Capitals make another text."""
    held = Held()
    async with running(held) as triage:
        one = Text(key="1", text="where is my order")
        await asyncio.gather(triage.assess([one, one]), triage.assess([Text(key="2", text="where is my order")]))
        await triage.assess([one])
        await triage.assess([Text(key="3", text="WHERE IS MY ORDER"), Text(key="4", text=one.text, language_hint="de")])
        assert triage.counters.remembered == 1
    assert [text for batch in held.batches for text in batch] == [
        "where is my order",
        "WHERE IS MY ORDER",
        "where is my order",
    ]


async def test_only_so_much_is_remembered() -> None:
    """The oldest answers make room."""
    held = Held()
    async with running(held, remembered=2) as triage:
        for text in [*texts(3), texts(3)[0], texts(3)[2]]:
            await triage.assess([text])
    assert [batch[0] for batch in held.batches] == ["message 0", "message 1", "message 2", "message 0"]


async def test_a_caller_that_gives_up_leaves_the_others_their_answer() -> None:
    """Two wait for the same text, one is cancelled: the other is answered."""
    held = Held(held=True)
    async with running(held) as triage:
        hasty = asyncio.create_task(triage.assess(texts(1)))
        patient = asyncio.create_task(triage.assess(texts(1)))
        await asyncio.sleep(0)
        hasty.cancel()
        await asyncio.sleep(0)
        held.go.set()
        assert len(await patient) == 1


async def test_closing_answers_what_waits() -> None:
    """Nothing asked before is lost at the end; nothing is taken after."""
    held = Held(held=True)
    triage = Triage(held, Held())
    await triage.start()
    waiting = asyncio.create_task(triage.assess(texts(40)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(triage.close())
    held.go.set()
    assert len(await waiting) == 40
    await closing
    await triage.close()
    with pytest.raises(RuntimeError, match="not running"):
        await triage.assess(texts(1))


async def test_it_must_be_started_once() -> None:
    """Neither before it runs nor twice."""
    triage = Triage(Held(), Held())
    with pytest.raises(RuntimeError, match="not running"):
        await triage.assess(texts(1))
    await triage.start()
    with pytest.raises(RuntimeError, match="started before"):
        await triage.start()
    await triage.close()


async def test_odd_texts_get_through() -> None:
    """Lone surrogates and huge texts are no reason to fail on the way either."""
    async with running(kit.ngrams()) as triage:
        odd = [Text(key="1", text="\ud800 hi", language_hint="\udfff"), Text(key="2", text="x" * 1_000_000)]
        assert len(await triage.assess(odd)) == 2


async def test_the_loop_is_never_blocked_for_more_than_five_milliseconds() -> None:
    """While the real classifier works through a full queue the loop keeps turning. What counts is what classifying does
    to it: work on the loop, and waiting for whoever holds the interpreter; not waiting for a processor that the machine
    gives to others. A collection of garbage of the whole test process is none of it either: the median of some rounds.
    """
    async with running(kit.default(), kit.ngrams()) as triage:
        await triage.assess(texts(1, "warm up"))
        waits = [await longest_wait(triage, turn) for turn in range(5)]
    assert statistics.median(waits) < LONGEST_BLOCK_S


async def longest_wait(triage: Triage, turn: int) -> float:
    """The longest time, in seconds, that the loop was kept from turning while 96 texts in both languages were read."""
    gaps: list[float] = []

    async def watch() -> None:
        while True:
            starved, began, worked = without_a_processor(), time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK_S)
            worked, late = time.thread_time() - worked, time.perf_counter() - began - TICK_S
            gaps.append(max(worked, late - (without_a_processor() - starved)))

    watcher = asyncio.create_task(watch())
    asked = ("where is my order number {}, please", "我的快递{}三天没动静了，能查一下吗")
    await triage.assess([Text(key="", text=asked[n % 2].format(1000 * turn + n)) for n in range(96)])
    watcher.cancel()
    assert len(gaps) > 20
    return max(gaps)


def without_a_processor() -> float:
    """How long, in seconds, this thread and the one that classifies were ready to run and had to wait for a processor.

    While the other has the interpreter and no processor, this one waits for both. 0 where the kernel does not count it.
    """
    waited_ns = 0
    for thread in (threading.current_thread(), *(one for one in threading.enumerate() if one.name == "triage")):
        with suppress(OSError):  # not Linux, or the thread has ended
            waited_ns += int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text("ascii").split()[1])
    return waited_ns / 1e9
