"""A training on what people confirmed, and the gate that it must pass before it answers.

    python -m classifiers.refit < request.json

The running bot starts it as a process of low priority; `relaydesk train` calls it in its own. It gets masked texts and
labels, no key and no database. It writes a new version (see classifiers/versions.py) or nothing.

The heads are fitted on the taxonomy and all confirmed texts. Two more fits, each without one half of the confirmed
texts, judge them unseen: that gives the temperature, the threshold, the replay and the labels that look wrong.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from classifiers import artifact, evaluation, folders, learning, load, provenance, sources, taxonomy, versions
from classifiers import encoder as encoders
from classifiers.blend import BlendClassifier
from classifiers.encoder import Encodes
from classifiers.errors import ModelError
from classifiers.heads import LanguageHead
from classifiers.lessons import Lesson, Outcome, Request, Scores, renamed, tidy
from classifiers.progress import Progress, silent
from classifiers.taxonomy import Example
from classifiers.unseen import Unseen, calibrated, crossed, look, queue_places
from domain.assessment import Text

TOLERANCE = 0.005  # a new version may be worse by half a point, or by one sentence where that is more
NICEST = 19
SUSPICIOUS = "suspicious.json"
LOCK = ".training.lock"


def run(request: Request, progress: Progress = silent) -> Outcome:
    """Train, judge, write, and make live what may be.

    Raises ModelError: no usable model, a faulty taxonomy, or another training under way.
    """
    model_dir = Path(request.model_dir)
    model_dir.mkdir(parents=True, exist_ok=True)
    with folders.only_one(model_dir / LOCK) as alone:
        if not alone:
            raise ModelError(f"another training is under way over {model_dir}; wait for it")
        return _Refit(model_dir, request, progress).run()


class _Refit:
    """One training."""

    def __init__(self, model_dir: Path, request: Request, progress: Progress) -> None:
        self._dir = model_dir
        self._request = request
        self._tell = progress
        folder = Path(request.taxonomy) if request.taxonomy else taxonomy.STARTER
        progress("reading the examples", 0.0)
        self._content = taxonomy.read(folder)
        self._golden = taxonomy.golden(folder)
        self._encoder = _served(model_dir, request.threads, request.key)
        self._live, self._number = load.load_live(model_dir, self._encoder)
        self._lessons = tidy(request.lessons, self._content, self._golden, renamed(folder))
        self._texts = [Text(key=one.id, text=one.text, language_hint=one.language) for one in self._lessons]
        places = {label.id: place for place, label in enumerate(self._content.labels)}
        self._truth = np.array([places[lesson.intent] for lesson in self._lessons], dtype=np.int64)

    def run(self) -> Outcome:
        left_out = len(self._request.lessons) - len(self._lessons)
        if not self._lessons:
            if self._request.forget and self._number != versions.PREPARED:
                versions.promote(self._dir, versions.PREPARED)
                versions.forget(self._dir)
            return Outcome(
                number=None,
                kind="none",
                passed=False,
                live=False,
                learnt=0,
                left_out=left_out,
                suspicious=0,
                notes=("there is nothing to learn from",),
                scores={},
            )
        unseen = self._crossed()
        self._tell("training on everything", 0.6)
        everything = range(len(self._lessons))
        trained, notes = self._calibrated(self._train(everything, everything), unseen)
        doubted = learning.suspicious(unseen.probabilities, self._truth[unseen.rows])
        doubts = self._doubts(doubted, unseen)
        self._tell("measuring it", 0.8)
        before = self._judge(self._live)
        after = self._judge(self._serve(trained))
        worse = self._replay(unseen)
        failed = compare(before, after) + self._floor(after) + worse
        if failed and doubted and not worse:
            self._tell("training without the labels that look wrong", 0.85)
            slips = {int(unseen.rows[one.row]) for one in doubted}
            kept = [row for row in everything if row not in slips]
            other, said = self._calibrated(self._train(kept, everything), unseen)
            again = self._judge(self._serve(other))
            if not compare(before, again) + self._floor(again):
                trained, after, failed = other, again, []
                notes = [*said, f"{len(slips)} labels that look wrong were left out: with them it was worse"]
        kind = "trained"
        if failed and (mended := self._recalibrated()) is not None:
            again = self._judge(self._serve(mended[0]))
            if not compare(before, again) + self._floor(again):
                trained, kind, after = mended[0], "recalibrated", again
                notes = [*mended[1], *(f"new heads were refused: {reason}" for reason in failed)]
                failed = []
        self._tell("writing the version", 0.95)
        version = versions.store(
            self._dir,
            self._packed(trained),
            kind=kind,
            made_at=datetime.fromisoformat(self._request.now),
            labels=len(self._lessons),
            given=len(self._request.lessons),
            newest_label=max(datetime.fromisoformat(lesson.at) for lesson in self._request.lessons),
            scores=before_and(before, after),
            passed=not failed,
            notes=(*failed, *notes),
            extra={SUSPICIOUS: doubts},
        )
        live = self._go_live(version)
        if live and self._request.forget:
            versions.forget(self._dir)
        versions.prune(self._dir, self._request.keep)
        self._tell("ready", 1.0)
        return Outcome(
            number=version.number,
            kind=kind,
            passed=not failed,
            live=live,
            learnt=len(self._lessons),
            left_out=left_out,
            suspicious=len(doubts),
            notes=version.notes,
            scores=before_and(before, after),
        )

    def _go_live(self, version: versions.Version) -> bool:
        if not version.passed or self._request.go_live == "never":
            return False
        if self._request.go_live == "shadow":
            versions.shadow(self._dir, version.number)
            return False
        versions.promote(self._dir, version.number)
        return True

    # ---- fitting --------------------------------------------------------------------------------------------

    def _train(self, rows: Iterable[int], asked: Iterable[int]) -> dict[str, LanguageHead]:
        """Heads that learn from the lessons of `rows`, in the languages of `asked`.

        A language that learns nothing keeps the prepared ones, which the same training would make.
        """
        from classifiers import training

        extra = [_example(self._lessons[row]) for row in rows]
        taught = {example.language for example in extra} & {self._lessons[row].language for row in asked}
        kept = self._prepared()
        return {
            language: kept[language]
            if language in kept and language not in taught
            else training.train_language(self._content, language, self._encoder, extra=extra)
            for language in self._content.languages
        }

    def _prepared(self) -> Mapping[str, LanguageHead]:
        """The prepared heads, where this code made them from this taxonomy."""
        try:
            found = artifact.load(
                folders.paths(self._dir).heads, encoder=self._encoder.fingerprint if self._encoder else None
            )
        except ModelError:
            return {}
        is_same = (found.taxonomy, found.recipe) == (self._content.digest, provenance.digest(provenance.TRAINS))
        return found.heads if is_same else {}

    def _crossed(self) -> Unseen:
        """Every confirmed text as judged by heads that learned from the other half."""
        return crossed(
            self._texts,
            self._content.labels,
            lambda learn, asked: self._serve(self._train(learn.tolist(), asked.tolist())),
            lambda half: self._tell("training without one half, to judge it", 0.05 + 0.28 * half),
        )

    def _look(self, classifier: BlendClassifier, rows: NDArray[np.int64]) -> Unseen:
        return look(classifier, self._texts, self._content.labels, rows)

    def _serve(self, trained: Mapping[str, LanguageHead]) -> BlendClassifier:
        return BlendClassifier(
            labels=self._content.labels, heads=trained, version=artifact.digest(trained)[:12], encoder=self._encoder
        )

    def _packed(self, trained: Mapping[str, LanguageHead]) -> artifact.Heads:
        return artifact.Heads(
            labels=self._content.labels,
            heads=trained,
            encoder=self._encoder.fingerprint if self._encoder else None,
            taxonomy=self._content.digest,
            recipe=provenance.digest(provenance.TRAINS),
            version=artifact.digest(trained)[:12],
        )

    # ---- setting the confidence right -----------------------------------------------------------------------

    def _calibrated(
        self, trained: Mapping[str, LanguageHead], unseen: Unseen
    ) -> tuple[dict[str, LanguageHead], list[str]]:
        return calibrated(
            trained,
            unseen,
            labels=self._content.labels,
            truth=self._truth,
            weights=np.array([lesson.weight for lesson in self._lessons]),
            languages=[lesson.language for lesson in self._lessons],
        )

    def _recalibrated(self) -> tuple[dict[str, LanguageHead], list[str]] | None:
        """The live heads with their confidence set right, where enough labels are new to them."""
        if [label.id for label in self._live.labels] != [label.id for label in self._content.labels]:
            return None
        fresh = self._fresh()
        if not fresh.size:
            return None
        made, notes = self._calibrated(self._live.heads, self._look(self._live, fresh))
        return (made, notes) if notes else None

    # ---- the gate -------------------------------------------------------------------------------------------

    def _judge(self, classifier: BlendClassifier) -> Scores:
        """Figures on the golden set, per language."""
        known = {label.id for label in classifier.labels}
        found: Scores = {}
        for language in sorted({example.language for example in self._golden}):
            asked = [one for one in self._golden if one.language == language and one.intent in known]
            if asked:
                scores = evaluation.score(classifier, asked)
                found[f"golden/{language}"] = {
                    "texts": float(scores.texts),
                    "accuracy": scores.accuracy,
                    "queue_accuracy": scores.queue_accuracy,
                    "routed": scores.routed,
                    "routed_precision": scores.routed_precision,
                }
        return found

    def _floor(self, after: Scores) -> list[str]:
        """Why it is worse than the prepared heads: many small steps down must not add up."""
        if self._number == versions.PREPARED:
            return []
        try:
            prepared = load.load_version(versions.read(self._dir, versions.PREPARED), self._encoder)
        except ModelError:
            return []
        return [f"{reason}, as prepared" for reason in compare(self._judge(prepared), after)]

    def _fresh(self) -> NDArray[np.int64]:
        """Rows that the live heads were not trained on."""
        known = {name for head in self._live.heads.values() for name in head.example_ids}
        return np.array([row for row, one in enumerate(self._lessons) if _example(one).id not in known], dtype=np.int64)

    def _replay(self, unseen: Unseen) -> list[str]:
        """Why the new heads lose against the live ones on messages that neither has learned from."""
        rows = self._fresh()
        weights = np.array([self._lessons[row].weight for row in rows])
        counted = rows[weights > 0] if rows.size else rows
        if learning.effective_count(weights[weights > 0]) < learning.LEAST:
            return []
        queues = queue_places(self._content.labels)
        place_of = {int(row): place for place, row in enumerate(unseen.rows)}
        new = unseen.probabilities[[place_of[int(row)] for row in counted]]
        old = self._look(self._live, counted).probabilities
        weighed = weights[weights > 0] / weights.sum()
        shares = [float(weighed @ learning.queue_answers(one, self._truth[counted], queues)[1]) for one in (old, new)]
        if shares[1] >= shares[0] - TOLERANCE:
            return []
        return [
            f"replay: {shares[1]:.1%} of {counted.size} confirmed messages in the right queue, before {shares[0]:.1%}"
        ]

    def _doubts(self, doubted: Sequence[learning.Suspicion], unseen: Unseen) -> list[dict[str, Any]]:
        """Labels that the heads contradict which have not learned from them, by their ids."""
        labels = self._content.labels
        return [
            {
                "id": self._lessons[unseen.rows[one.row]].id,
                "label": labels[one.label].id,
                "likely": labels[one.likely].id,
                "label_probability": round(one.label_probability, 4),
                "likely_probability": round(one.likely_probability, 4),
            }
            for one in doubted
        ]


def compare(before: Scores, after: Scores) -> list[str]:
    """Why a version may not go live: everything in which it is worse than the one that answers."""
    reasons = []
    for name, old in before.items():
        new = after.get(name, {})
        slack = max(TOLERANCE, 1.0 / old["texts"])
        for figure in ("accuracy", "queue_accuracy", "routed_precision"):
            # What is routed right more than the promise asks for may be traded for routing more.
            wanted = min(old[figure], learning.PRECISION) if figure == "routed_precision" else old[figure]
            if new.get(figure, 0.0) < wanted - slack - 1e-9:
                words = figure.replace("_", " ")
                reasons.append(f"{name}: {words} {new.get(figure, 0.0):.1%}, before {old[figure]:.1%}")
    return reasons


def before_and(before: Scores, after: Scores) -> Scores:
    """Both sets of figures under names that tell them apart."""
    return {f"live/{name}": value for name, value in before.items()} | {f"new/{name}": v for name, v in after.items()}


def _example(lesson: Lesson) -> Example:
    return Example(id=f"label/{lesson.id}", intent=lesson.intent, language=lesson.language, text=lesson.text)


def _served(model_dir: Path, threads: int, key: str | None) -> Encodes | None:
    """The prepared encoder or the server that the heads were trained with; None for n-gram heads alone."""
    if (model_dir / sources.SERVER).is_file():
        from classifiers import remote

        about = remote.read_description(model_dir)
        return remote.RemoteEncoder(about, key=key, timeout_s=remote.PATIENT_S)
    if not (folders.paths(model_dir).encoder / encoders.MANIFEST).exists():
        return None
    return encoders.load(folders.paths(model_dir).encoder, threads=threads)


def main() -> int:
    """Read a request from standard input, answer with one line of JSON; exit code 1 with an error in it."""
    os.nice(NICEST)
    # Standard output is the answer's; nobody reads what a library logs here.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        outcome = run(Request.from_json(json.load(sys.stdin)))
    except ModelError as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    sys.stdout.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
