"""The running bot learns: neighbours at once, trainings by the clock and by number, versions without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog
from sqlalchemy import delete, text

from bot import learning, metrics
from bot.learning import Learner
from bot.learning_shadow import Shadowed, outcome
from bot.settings_learning import LearningSettings
from classifiers import artifact, batching, load, refit, versions
from classifiers.lessons import Lesson, Request
from domain.assessment import Assessment, Text
from domain.labels import LabelKind, Labelled, LabelSource
from storage import migrate, tables
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.labels import Labels
from tests import patience
from tests.classifiers.shop import make_model, make_shop
from tests.contracts.storage_kit import RING, new_id
from tests.handlers.kit import reading

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PARTS = ("knob", "lid", "leg", "wheel", "screw", "belt", "lamp", "hinge")


@dataclass(kw_only=True)
class School:
    """A learner with its stores, on n-gram heads of a small shop."""

    database: Database
    labels: Labels
    triage: batching.Triage
    learner: Learner
    model: Path
    shop: Path
    now: datetime = NOON
    task: asyncio.Task[None] | None = None

    async def teach(self, *pairs: tuple[str, str]) -> None:
        """Somebody labels texts."""
        await self.labels.add([labelled(text, intent) for text, intent in pairs], datetime.now(UTC))

    async def forget(self, ids: Sequence[str]) -> None:
        """Labels are gone: erased, or their customer refused."""

        async def work(conn: Connection) -> None:
            await conn.execute(delete(tables.labels).where(tables.labels.c.id.in_(ids)))

        await self.database.write(work)

    async def reads(self, text: str) -> Assessment:
        """What is answered now."""
        return (await self.learner.assessor.assess([Text(key="1", text=text, language_hint="en")]))[0]

    def answers_with(self, number: int) -> bool:
        return bool(metrics.model_version._value.get() == number)


def labelled(text: str, intent: str) -> Labelled:
    return Labelled(
        id=new_id(),
        conversation_id=None,
        customer_id=None,
        kind=LabelKind.INTENT,
        source=LabelSource.IMPORT,
        label=intent,
        guess=None,
        right=False,
        language="en",
        confidence=0.0,
        abstained=False,
        weight=1.0,
        version="file",
        at=NOON,
        text=text,
    )


Start = Callable[..., Awaitable[School]]


@asynccontextmanager
async def opened(tmp_path: Path, **wishes: Any) -> AsyncIterator[School]:
    settings = LearningSettings(**({"train_hour": None, "train_after": None} | wishes))
    shop = make_shop(tmp_path / "shop")
    model = make_model(tmp_path / "model", shop)
    keys = await KeyStore.open(f"sqlite:///{tmp_path}/keys.db", RING)
    async with Database.open(f"sqlite:///{tmp_path}/relaydesk.db") as database:
        await migrate.upgrade(database)
        labels = Labels(database, keys)
        classifier = load.load_ngrams(model)
        triage = batching.Triage(classifier, classifier.without_encoder())
        await triage.start()
        school = School(database=database, labels=labels, triage=triage, learner=None, model=model, shop=shop)  # type: ignore[arg-type]
        school.learner = Learner(
            database=database,
            labels=labels,
            triage=triage,
            classifier=classifier,
            settings=settings,
            model_dir=model,
            taxonomy=shop,
            now=lambda: school.now,
        )
        school.task = asyncio.create_task(school.learner.run())
        try:
            yield school
        finally:
            school.task.cancel()
            await asyncio.gather(school.task, return_exceptions=True)
            await triage.close()
            await keys.close()


def trainings() -> list[psutil.Process]:
    """Training processes of this test process."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "classifiers.refit" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


async def test_a_label_is_a_neighbour_at_once(tmp_path: Path) -> None:
    """Within moments of the commit, without a training, and nothing remembered stands in its way."""
    async with opened(tmp_path) as school:
        before = await school.reads("my gizmo lost its knob")
        await school.teach(("my gizmo lost its knob", "money"))
        await patience.eventually(lambda: "+1" in school.triage.classifier.version)
        after = await school.reads("my gizmo lost its knob")
        assert after.evidence[0].startswith("label/")
        assert after.version != before.version
        assert versions.listed(school.model)[-1].number == 0


async def test_enough_labels_start_a_training(tmp_path: Path) -> None:
    """In a process of its own that sees no secret; the version it makes answers in this one."""
    async with opened(tmp_path, train_after=8) as school:
        await school.teach(*((f"my gizmo lost its {part}", "money") for part in PARTS[:7]))
        await asyncio.sleep(0.5)
        assert trainings() == []
        await school.teach((f"my gizmo lost its {PARTS[7]}", "money"))
        await patience.eventually(trainings)
        (process,) = trainings()
        inside = set(process.environ()) - set(learning._INHERITED)
        assert not [name for name in inside if "RELAYDESK" in name]
        await patience.eventually(lambda: school.answers_with(1))
        answer = await school.reads("the gizmo")
        assert answer.top[0].label == "money"
        assert "+" not in answer.version, "what it was trained on are no extra neighbours"


async def test_the_clock_starts_one_training_a_day(tmp_path: Path) -> None:
    """At the hour, if there is something new; not again that day, nor the next without new labels."""
    async with opened(tmp_path, train_hour=3) as school:
        await school.teach(*((f"my gizmo lost its {part}", "money") for part in PARTS))
        await asyncio.sleep(0.3)
        assert versions.pointer(school.model).live == 0
        school.now = NOON + timedelta(hours=15)  # three in the morning
        school.learner._signal.set()
        await patience.eventually(lambda: school.answers_with(1))
        for hours in (15.5, 39.0):
            school.now = NOON + timedelta(hours=hours)
            school.learner._signal.set()
            await asyncio.sleep(0.4)
        await patience.eventually(lambda: not trainings())
        assert [version.number for version in versions.listed(school.model)] == [0, 1]


async def test_labels_that_are_taken_back_are_unlearned(tmp_path: Path) -> None:
    """At the next hour: new heads without them, and no version that knows them; without any label the prepared ones."""
    async with opened(tmp_path, train_hour=3, train_after=8) as school:
        await school.teach(*((f"my gizmo lost its {part}", "money") for part in PARTS))
        await patience.eventually(lambda: school.answers_with(1))
        found = await school.labels.newest(100)
        gone = [one.id for one, _ in found[:3]]
        await school.forget(gone)
        school.now = NOON + timedelta(hours=15)
        school.learner._signal.set()
        await patience.eventually(lambda: school.answers_with(2))
        await patience.eventually(lambda: [version.number for version in versions.listed(school.model)] == [0, 2])
        await school.forget([one.id for one, _ in found])
        school.now = NOON + timedelta(hours=39)
        school.learner._signal.set()
        await patience.eventually(lambda: school.answers_with(0))
        await patience.eventually(lambda: [version.number for version in versions.listed(school.model)] == [0])


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else has done to the versions is seen without a signal, and here at once."""
    monkeypatch.setattr(learning, "LOOK_EVERY_S", 0.1)


@pytest.mark.usefixtures("looks_often")
async def test_who_promotes_needs_no_restart(tmp_path: Path) -> None:
    """A version that somebody promotes or takes back on the command line answers within seconds."""
    async with opened(tmp_path) as school:
        lessons = tuple(
            Lesson(id=new_id(), text=f"my gizmo lost its {p}", intent="money", language="en", weight=1.0, at=at)
            for p, at in ((part, NOON.isoformat()) for part in PARTS)
        )
        request = Request(
            model_dir=str(school.model),
            lessons=lessons,
            now=NOON.isoformat(),
            taxonomy=str(school.shop),
            go_live="never",
        )
        assert (await asyncio.to_thread(refit.run, request)).passed
        versions.promote(school.model, 1)
        await patience.eventually(lambda: school.answers_with(1))
        assert (await school.reads("the gizmo")).top[0].label == "money"
        versions.rollback(school.model)
        await patience.eventually(lambda: school.answers_with(0))


async def test_a_training_that_fails_is_told_and_nothing_stops(tmp_path: Path) -> None:
    """A broken taxonomy: one line with the reason, the old heads go on, and it is not tried again and again."""
    with structlog.testing.capture_logs() as logs:
        async with opened(tmp_path, train_after=1) as school:
            (school.shop / "taxonomy.yaml").write_text("{}")
            await school.teach(("my gizmo lost its knob", "money"))
            await patience.eventually(lambda: any(line["event"] == "learning.failed" for line in logs))
            failed = next(line for line in logs if line["event"] == "learning.failed")
            assert "taxonomy" in failed["reason"]
            assert (await school.reads("where is my parcel")).intent == "parcel"
            school.learner._signal.set()
            await asyncio.sleep(0.5)
            assert sum(line["event"] == "learning.training" for line in logs) == 1
            assert "gizmo" not in str(logs), "no text is logged"


async def test_a_stop_ends_a_training(tmp_path: Path) -> None:
    """Nothing is left running, and the version that answered does."""
    async with opened(tmp_path, train_after=1) as school:
        await school.teach(("my gizmo lost its knob", "money"))
        await patience.eventually(trainings)
        processes = trainings()
        assert school.task is not None
        school.task.cancel()
        await asyncio.gather(school.task, return_exceptions=True)
        assert not [process for process in processes if process.is_running() and process.status() != "zombie"]
        assert versions.pointer(school.model).live in (0, 1)
        load.load_live(school.model, None)


async def test_a_damaged_pointer_does_not_stop_the_learner(tmp_path: Path) -> None:
    """It is told, what answers goes on, and promoting a version mends it."""
    with structlog.testing.capture_logs() as logs:
        async with opened(tmp_path) as school:
            (school.model / versions.POINTER).write_text("{")
            school.learner._signal.set()
            await patience.eventually(lambda: any(line["event"] == "learning.failed" for line in logs))
            assert (await school.reads("where is my parcel")).intent == "parcel"
            assert school.task is not None
            assert not school.task.done()


async def test_a_database_that_fails_does_not_stop_the_learner(tmp_path: Path) -> None:
    """It is told, and what was taught meanwhile is learnt once the database works again."""
    with structlog.testing.capture_logs() as logs:
        async with opened(tmp_path) as school:

            async def rename(conn: Connection, before: str, after: str) -> None:
                await conn.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))

            await school.database.write(lambda conn: rename(conn, "labels", "gone"))
            school.learner._signal.set()
            await patience.eventually(lambda: any(line["event"] == "learning.failed" for line in logs))
            await school.database.write(lambda conn: rename(conn, "gone", "labels"))
            await school.teach(("my gizmo lost its knob", "money"))
            await patience.eventually(lambda: "+1" in school.triage.classifier.version)


async def test_an_explanation_comes_from_what_answers(tmp_path: Path) -> None:
    """The same heads, in their own thread."""
    async with opened(tmp_path) as school:
        found = await school.learner.explain("you charged me twice", "en")
        assert found.answer == await school.reads("you charged me twice")
        assert "charged" in [word for word, _ in found.words]


# ---- shadow ----------------------------------------------------------------------------------------------------------


class Fixed:
    """Answers everything alike, and counts how often it was asked."""

    def __init__(self, answer: Assessment) -> None:
        self.answer = answer
        self.asked = 0

    async def assess(self, texts: Sequence[Text]) -> list[Assessment]:
        self.asked += len(texts)
        return [self.answer for _ in texts]


def counts() -> Mapping[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for family in metrics.shadow.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }


@pytest.mark.parametrize(
    ("live", "other", "expected"),
    [
        (reading("order"), reading("order"), "same"),
        (reading("order"), reading("billing"), "other_queue"),
        (reading(None), reading(None), "both_abstain"),
        (reading("order"), reading(None), "shadow_abstains"),
        (reading(None), reading("order"), "shadow_routes"),
    ],
)
def test_agreement_has_five_words(live: Assessment, other: Assessment, expected: str) -> None:
    """What is counted names outcomes, never texts."""
    assert outcome(live, other) == expected


def test_another_topic_of_the_same_queue_is_half_agreed() -> None:
    """It would have gone to the same people."""
    queues = (replace(reading().top[0], label="support"),)
    assert outcome(reading("order", queues=queues), reading("billing", queues=queues)) == "same_queue"


@pytest.mark.usefixtures("looks_often")
async def test_a_shadow_reads_along_and_never_answers(tmp_path: Path) -> None:
    """What customers get is the live answer; the shadow's is only compared."""
    async with opened(tmp_path) as school:
        heads = replace(artifact.load(school.model / "heads", encoder=None), version="shadow000000")
        versions.store(school.model, heads, kind="trained", made_at=NOON)
        versions.shadow(school.model, 1)
        await patience.eventually(lambda: school.learner.assessor.shadow is not None)
        before = counts().get("same", 0.0)
        for text in ("where is my parcel", "you charged me twice"):
            assert "shadow" not in (await school.reads(text)).version
        await patience.eventually(lambda: counts().get("same", 0.0) == before + 2)
        versions.shadow(school.model, None)
        await patience.eventually(lambda: school.learner.assessor.shadow is None)


async def test_a_slow_shadow_delays_nobody() -> None:
    """When it cannot keep up some messages are not read along; every one is answered at once."""
    live = Fixed(reading("order"))
    never: asyncio.Future[list[Assessment]] = asyncio.get_running_loop().create_future()

    async def stuck(_work: Callable[[], list[Assessment]]) -> list[Assessment]:
        return await never

    shadowed = Shadowed(live, stuck)
    shadowed.shadow = object()  # type: ignore[assignment]
    reading_along = asyncio.create_task(shadowed.run())
    for _ in range(500):
        await shadowed.assess([Text(key="1", text="hi")])
    assert live.asked == 500
    reading_along.cancel()
    await asyncio.gather(reading_along, return_exceptions=True)
