"""The asynchronous front of a classifier: one inference thread, batches of whatever has come in, an answer for
everybody.

A batch never waits for company: the thread takes what is there, at most BATCH texts. When too many wait, the n-gram
expert answers alone, in a thread of its own, instead of refusing; its answers name its version.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import structlog

from classifiers.base import Classifier
from classifiers.normalise import READ_CHARS
from domain.assessment import Assessment, Text

BATCH = 32
WAITING = 256  # texts: about half a second of work on two cores
REMEMBERED = 4096  # assessments: a few megabytes

T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Counters:
    """What has been answered since the start, in texts; for the metrics page."""

    assessed: int = 0
    remembered: int = 0
    overflowed: int = 0
    failed: int = 0
    batches: int = 0


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A text in the queue, and where its answer goes."""

    text: Text
    key: bytes
    answer: asyncio.Future[Assessment]


class Triage:
    """Assesses texts without ever blocking the event loop.

    `classifier` answers; `fallback` (the n-gram expert) does when more than `waiting` texts wait or the classifier
    fails.
    Equal texts with an equal hint are assessed once: the newest `remembered` answers (as a rule REMEMBERED) are kept
    under a hash, without the text.
    """

    def __init__(
        self, classifier: Classifier, fallback: Classifier, *, waiting: int = WAITING, remembered: int | None = None
    ) -> None:
        self.counters = Counters()
        self.hurried = False  # set from outside while messages wait too long: then the fallback reads everything
        self._classifier = classifier
        self._fallback = fallback
        self._limit = waiting
        self._remembered = REMEMBERED if remembered is None else remembered
        self._answers: OrderedDict[bytes, Assessment] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Future[Assessment]] = {}
        self._queue: deque[_Asked] = deque()
        self._aside: deque[Callable[[], None]] = deque()
        self._ready = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._overflow: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def classifier(self) -> Classifier:
        """The classifier behind it, for its labels and version."""
        return self._classifier

    def replace(self, classifier: Classifier, fallback: Classifier) -> None:
        """Let another classifier answer from the next batch on. To be called on the loop."""
        self._classifier, self._fallback = classifier, fallback
        self.forget()

    def forget(self) -> None:
        """Forget remembered answers: the classifier has learnt something. To be called on the loop."""
        self._answers.clear()

    async def aside(self, work: Callable[[], T]) -> T:
        """Do something with the classifier in its own thread, when no message waits for an answer.

        Raises RuntimeError before `start` and after `close`.
        """
        if self._thread is None or self._closing:
            raise RuntimeError("triage is not running: call start() first, and not after close()")
        done: Future[T] = Future()

        def run() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(work())
                except BaseException as error:  # noqa: BLE001 - it is the caller's
                    done.set_exception(error)

        with self._ready:
            self._aside.append(run)
            self._ready.notify()
        return await asyncio.wrap_future(done)

    async def start(self) -> None:
        """Start the inference thread. To be called once."""
        if self._thread is not None:
            raise RuntimeError("this triage was started before")
        self._loop = asyncio.get_running_loop()
        self._overflow = ThreadPoolExecutor(max_workers=1, thread_name_prefix="triage-overflow")
        self._thread = threading.Thread(target=self._serve, name="triage", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Answer what is waiting, then stop both threads. Does nothing the second time."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if self._overflow is not None:
            await asyncio.to_thread(self._overflow.shutdown)

    async def assess(self, texts: Sequence[Text]) -> list[Assessment]:
        """One assessment per text, in order. Raises RuntimeError before `start` and after `close`."""
        loop = asyncio.get_running_loop()
        if self._thread is None or self._closing:
            raise RuntimeError("triage is not running: call start() first, and not after close()")
        waits: list[asyncio.Future[Assessment]] = []
        fresh: list[_Asked] = []
        for text in texts:
            key = _key(text)
            known = self._recall(key)
            if known is not None:
                wait: asyncio.Future[Assessment] = loop.create_future()
                wait.set_result(known)
            elif key in self._under_way:
                wait = self._under_way[key]
            else:
                wait = self._under_way[key] = loop.create_future()
                fresh.append(_Asked(text=text, key=key, answer=wait))
            waits.append(wait)
        if fresh:
            self._submit(fresh)
        # Shielded: a caller that gives up must not take the answer from others who wait for the same text.
        return [await asyncio.shield(wait) for wait in waits]

    def _submit(self, asked: list[_Asked]) -> None:
        """Queue what there is room for; the rest goes to the n-gram expert at once."""
        with self._ready:
            room = 0 if self.hurried else max(0, self._limit - len(self._queue))
            self._queue.extend(asked[:room])
            self._ready.notify()
        beyond = asked[room:]
        if beyond and self._overflow is not None:
            self.counters.overflowed += len(beyond)
            if not self.hurried:
                _log.warning("triage_overloaded", waiting=self._limit, texts=len(beyond))
            self._overflow.submit(self._answer, beyond, self._fallback)

    def _serve(self) -> None:
        """The inference thread: take what is there, answer it, look again."""
        while True:
            with self._ready:
                while not self._queue and not self._aside and not self._closing:
                    self._ready.wait()
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                work = self._aside.popleft() if self._aside and not batch else None
                if not batch and work is None:
                    return
            if work is not None:
                work()
            else:
                self._answer(batch, self._classifier)

    def _answer(self, batch: list[_Asked], classifier: Classifier) -> None:
        """Assess a batch off the loop and hand the answers back to it."""
        texts = [asked.text for asked in batch]
        try:
            answers = classifier.assess(texts)
        except Exception as error:  # noqa: BLE001 - whatever broke, the messages must still be triaged
            _log.error("classifier_failed", version=classifier.version, error=type(error).__name__, texts=len(texts))
            self._hand_back(batch, error) if classifier is self._fallback else self._answer(batch, self._fallback)
            return
        self._hand_back(batch, answers)

    def _hand_back(self, batch: list[_Asked], answers: list[Assessment] | Exception) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._settle, batch, answers)

    def _settle(self, batch: list[_Asked], answers: list[Assessment] | Exception) -> None:
        """On the loop: remember and deliver."""
        self.counters.batches += 1
        for place, asked in enumerate(batch):
            self._under_way.pop(asked.key, None)
            if isinstance(answers, Exception):
                self.counters.failed += 1
                if not asked.answer.done():
                    asked.answer.set_exception(answers)
                continue
            self.counters.assessed += 1
            answer = answers[place]
            if answer.version == self._classifier.version:  # an answer under overload is not kept for quieter times
                self._answers[asked.key] = answer
                if len(self._answers) > self._remembered:
                    self._answers.popitem(last=False)
            if not asked.answer.done():
                asked.answer.set_result(answer)

    def _recall(self, key: bytes) -> Assessment | None:
        known = self._answers.get(key)
        if known is not None:
            self._answers.move_to_end(key)
            self.counters.remembered += 1
        return known


def _key(text: Text) -> bytes:
    """What equal questions have in common, without keeping the text: its wording (capitals count: people shout) and
    hint.
    """
    asked = f"{text.language_hint or ''}\0{text.text[:READ_CHARS]}"
    return hashlib.blake2b(asked.encode("utf-8", "surrogatepass"), digest_size=16).digest()
