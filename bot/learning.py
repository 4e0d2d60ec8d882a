"""The bot that learns while it runs: neighbours at once, a training now and then, a new version without a restart.

A training is a process of its own with the lowest priority. It is given masked texts and labels over a pipe, no key of
ours, no database and no token of a platform; it writes a version (see classifiers/versions.py) behind its gate. Whoever
promotes a version, it or `relaydesk model promote`, every process over that model folder notices within seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from bot import metrics, times
from bot.learning_shadow import Shadowed
from bot.settings_learning import LearningSettings
from classifiers import batching, lessons, load, versions
from classifiers.blend import BlendClassifier
from classifiers.errors import ModelError
from classifiers.explain import Explanation, explain
from domain.labels import Labelled
from storage.database import Database
from storage.labels import SIGNAL, Labels

log = structlog.get_logger()

LOOK_EVERY_S: Final = 5.0
"""How soon a version that somebody promoted answers."""
TRAINING_WITHIN_S: Final = 3600.0
NEIGHBOURS: Final = 1000
"""Confirmed texts, the newest, that are taken up between two trainings."""
MOST: Final = 2 * lessons.MOST
"""Labels that a training is given, the newest; more than it uses per language, fewer than would fill memory."""
ROOT: Final = Path(__file__).parents[1]
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")
"""All that a training sees of our surroundings: none of it is a secret."""


class Learner:
    """Keeps the running classifier up to what people teach. `assessor` is what the worker asks.

    `leads` is False where several processes share a model folder: then the one that is in `lead` trains.
    """

    def __init__(
        self,
        *,
        database: Database,
        labels: Labels,
        triage: batching.Triage,
        classifier: BlendClassifier,
        settings: LearningSettings,
        model_dir: Path,
        taxonomy: Path | None,
        now: Callable[[], datetime],
        encoder_key: str | None = None,
        leads: bool = True,
    ) -> None:
        self._leads = leads
        self._labels = labels
        self._signal = database.signal(SIGNAL)
        self._triage = triage
        self._classifier = classifier
        self._settings = settings
        self._dir = model_dir
        self._taxonomy = taxonomy
        self._now = now
        self._key = encoder_key
        self._stamp = versions.stamp(model_dir)
        self._number = versions.PREPARED
        self._seen: datetime | None = None  # the newest label that is among the neighbours
        self._tried: datetime | None = None  # the newest label that a training was given
        self._tried_on: date | None = None
        self._forgetting = False  # labels were taken back since the version that answers was trained
        self._training: asyncio.Task[None] | None = None
        self._begun = False
        self.assessor = Shadowed(triage, triage.aside)

    async def run(self) -> None:
        """Learn until cancelled. A training under way is ended then; the version that answers stays."""
        shadowing = asyncio.create_task(self.assessor.run(), name="shadow")
        try:
            while True:
                self._signal.clear()
                try:
                    if not self._begun:
                        await self._begin()
                    await self._turn()
                except ModelError as error:
                    log.error("learning.failed", reason=str(error))
                except Exception as error:  # noqa: BLE001  # whatever it was, messages are still to be read
                    log.error("learning.failed", reason=type(error).__name__)
                await times.until(self._signal, LOOK_EVERY_S)
        finally:
            ending = [task for task in (shadowing, self._training) if task is not None]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    async def lead(self) -> None:
        """Be the one that trains, of all processes over this model folder, until cancelled."""
        self._leads = True
        self._signal.set()
        try:
            await asyncio.Event().wait()
        finally:
            self._leads = False

    async def explain(self, text: str, hint: str | None) -> Explanation:
        """Explain a text with the heads that answer now, when no message waits."""
        return await self._triage.aside(lambda: explain(self._classifier, text, hint))

    async def _begin(self) -> None:
        found = await asyncio.to_thread(versions.candidates, self._dir)
        live = next((version for version in found if version.heads in self._classifier.version), None)
        self._number = versions.PREPARED if live is None else live.number
        self._seen = None if live is None else live.newest_label
        metrics.model_version.set(self._number)
        self._begun = True
        await self._follow_shadow()

    async def _turn(self) -> None:
        stamp = versions.stamp(self._dir)
        if stamp != self._stamp:
            self._stamp = stamp
            await self._switch()
        await self._neighbours()
        if self._training is None or self._training.done():
            ended, self._training = self._training, None
            if ended is not None:
                await ended  # raises what ended it
            if self._leads and await self._due():
                self._training = asyncio.create_task(self._train(), name="training")

    # ---- the version that answers ---------------------------------------------------------------------------

    async def _switch(self) -> None:
        """Serve what is live now, with the encoder that is loaded already."""
        encoder = self._classifier.encoder
        classifier, number = await asyncio.to_thread(load.load_live, self._dir, encoder)
        if number != self._number:
            self._classifier, self._number = classifier, number
            self._triage.replace(classifier, classifier.without_encoder())
            # What it was trained on are its neighbours already.
            self._seen = (await asyncio.to_thread(versions.read, self._dir, number)).newest_label
            metrics.model_version.set(number)
            log.info("learning.switched", number=number, version=classifier.version)
        await self._follow_shadow()

    async def _follow_shadow(self) -> None:
        number = (await asyncio.to_thread(versions.pointer, self._dir)).shadow
        if number is None:
            self.assessor.shadow = None
            return
        version = await asyncio.to_thread(versions.read, self._dir, number)
        self.assessor.shadow = await asyncio.to_thread(load.load_version, version, self._classifier.encoder)
        log.info("learning.shadow", number=number)

    async def _neighbours(self) -> None:
        """Let newly confirmed texts count among the neighbours."""
        new = await self._labels.newest(NEIGHBOURS, since=self._seen)
        classifier, learnt = self._classifier, 0
        for label, recorded_at in reversed(new):
            learnt += await self._triage.aside(
                partial(classifier.learn, label.example_id, label.language, label.text, label.label)
            )
            self._seen = recorded_at
        if learnt:
            self._triage.forget()
            log.info("learning.neighbours", learnt=learnt)

    # ---- training -------------------------------------------------------------------------------------------

    async def _due(self) -> bool:
        """Whether enough is new: by number at any time, by the clock once a day."""
        since = self._tried
        if since is None:
            trained = await asyncio.to_thread(versions.listed, self._dir)
            since = self._tried = max((v.newest_label for v in trained if v.newest_label), default=None)
        new = await self._labels.count_since(since)
        if self._settings.train_after is not None and new >= self._settings.train_after:
            return True
        now = self._now()
        if self._settings.train_hour != now.hour or self._tried_on == now.date():
            return False
        self._tried_on = now.date()
        self._forgetting = await self._taken_back()
        return new > 0 or self._forgetting

    async def _taken_back(self) -> bool:
        """Whether labels are gone that the live version learned from: erased, refused, or chosen anew."""
        if self._number == versions.PREPARED:
            return False
        live = await asyncio.to_thread(versions.read, self._dir, self._number)
        if live.newest_label is None or live.given >= MOST:
            return False
        return await self._labels.count_until(live.newest_label) < live.given

    async def _train(self) -> None:
        given = await self._labels.newest(MOST)
        forget, self._forgetting = self._forgetting, False
        if not given and not forget:
            return
        self._tried = max((recorded_at for _, recorded_at in given), default=self._tried)
        request = request_of(
            given,
            model_dir=self._dir,
            taxonomy=self._taxonomy,
            settings=self._settings,
            now=self._now(),
            key=self._key,
            forget=forget,
        )
        started = time.monotonic()
        log.info("learning.training", labels=len(given))
        found = await _in_own_process(request)
        took = round(time.monotonic() - started, 1)
        if "error" in found:
            metrics.trainings.labels(outcome="failed").inc()
            log.error("learning.failed", reason=found["error"], took_s=took)
            return
        outcome = "live" if found["live"] else "passed" if found["passed"] else "refused"
        metrics.trainings.labels(outcome=outcome if found["number"] is not None else "nothing").inc()
        shown = {name: found[name] for name in ("number", "kind", "passed", "live", "learnt", "suspicious", "notes")}
        (log.info if found["passed"] else log.warning)("learning.trained", took_s=took, **shown)
        self._signal.set()  # look at once at what is live


def request_of(
    given: list[tuple[Labelled, datetime]],
    *,
    model_dir: Path,
    taxonomy: Path | None,
    settings: LearningSettings,
    now: datetime,
    key: str | None = None,
    forget: bool = False,
) -> lessons.Request:
    """What a training is told. `given` are labels with when they were recorded, newest first; `key` opens the encoder's
    server, where it is one.
    """
    return lessons.Request(
        model_dir=str(model_dir),
        taxonomy=None if taxonomy is None else str(taxonomy),
        now=now.isoformat(),
        go_live=settings.go_live,
        keep=settings.keep_versions,
        key=key,
        forget=forget,
        lessons=tuple(
            lessons.Lesson(
                id=label.id,
                text=label.text,
                intent=label.label,
                language=label.language,
                weight=label.weight,
                at=recorded_at.isoformat(),
            )
            for label, recorded_at in reversed(given)
        ),
    )


async def _in_own_process(request: lessons.Request) -> dict[str, Any]:
    """Run a training as a process; its outcome, or an `error`. Cancelled, the process is killed."""
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "classifiers.refit",
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # a traceback could hold a text
    )
    try:
        told = json.dumps(asdict(request)).encode()
        said, _ = await asyncio.wait_for(process.communicate(told), TRAINING_WITHIN_S)
        found = json.loads(said.splitlines()[-1]) if said.strip() else None
        return found if isinstance(found, dict) else {"error": f"the training ended with code {process.returncode}"}
    except TimeoutError:
        return {"error": f"the training took longer than {TRAINING_WITHIN_S / 60:.0f} minutes"}
    except ValueError:
        return {"error": "the training's answer could not be read"}
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
