"""Triage, measured in the open: official test splits, nothing tuned on them, plain baselines beside every figure.

    python -m benchmarks.triage --data DIR [--only PART]... [--also NAME]... [--json]

DIR holds a folder per set with train.jsonl, test.jsonl and, for some, train_5.jsonl, train_10.jsonl, oos_train.jsonl,
oos_test.jsonl (docs/triage.md says where to get them). Figures are percentages; docs/triage.md explains each.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks import kit, triage_online, triage_sets, triage_speed
from benchmarks.triage_sets import BASELINES, Json, Remembering, Split, percent
from classifiers import evaluation, folders, taxonomy
from classifiers.blend import BlendClassifier
from classifiers.encoder import load

STARTER = "starter set, ours"


def main() -> None:
    """Measure what is asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triage", description="How good the triage is.")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the labelled sets; golden, speed and install need none"
    )
    parser.add_argument("--only", action="append", choices=[*PARTS], metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--also", action="append", default=[], metavar="NAME", help="another set under DIR")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    chosen = parser.parse_args()
    parts = chosen.only or [] if chosen.also and not chosen.only else chosen.only or list(PARTS)
    if chosen.data is None and (chosen.also or set(parts) & NEED_DATA):
        parser.error("--data DIR is needed for everything but golden, speed and install")
    bench = Bench(chosen.data or Path())
    figures: Json = {}
    for name in [*parts, *chosen.also]:
        started = time.monotonic()
        figures[name] = PARTS[name](bench) if name in PARTS else bench.also(name)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    if chosen.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        show(figures)


class Bench:
    """The parts of the benchmark over one folder of sets."""

    def __init__(self, data: Path) -> None:
        self.data = data
        folder = folders.paths(kit.MODEL).encoder
        self.encoder = Remembering(load(folder, threads=2))
        self.usual = triage_sets.usual(folder)

    def banking77(self) -> Json:
        """Few-shot and full accuracy, routable share, calibration."""
        found: Json = {}
        for shot in ("5shot", "10shot", "full"):
            self._measure("banking77", shot, found, ("accuracy", "routable95", "ece"))
        return _only(found, "accuracy_", "routable95_5shot", "routable95_full", "ece_5shot", "ece_full")

    def clinc150(self) -> Json:
        """Few-shot and full accuracy, and telling strangers without and with a hundred examples of them."""
        found: Json = {}
        self._measure("clinc150", "5shot", found, ("accuracy", "routable95", "ece"))
        strangers = self._read("clinc150", "oos_train").texts
        taught = self._measure("clinc150", "full", found, ("accuracy", "routable95", "ece"), strangers)
        train, test, away = (self._read("clinc150", file) for file in ("train", "test", "oos_test"))
        for figure, classifier in (("oos_auroc", triage_sets.untaught(taught)), ("oos_auroc_100", taught)):
            inside = triage_sets.strangeness(classifier, test.texts)
            outside = triage_sets.strangeness(classifier, away.texts)
            found[figure] = percent(triage_sets.auroc(inside, outside))
        for name in BASELINES:
            both = Split(language="en", texts=test.texts + away.texts, labels=test.labels + away.labels)
            sure = triage_sets.plain(name, train, both, self.usual).probabilities.max(axis=1)
            least = triage_sets.auroc(-sure[: len(test.texts)], -sure[len(test.texts) :])
            found["baselines"][name] |= {"oos_auroc": percent(least), "oos_auroc_100": percent(least)}
        return found

    def xsid(self) -> Json:
        """Chinese and English from the same 300 sentences each."""
        found: Json = {"baselines": {name: {} for name in BASELINES}}
        for language in ("zh", "en"):
            train = self._read("xsid", f"{language}.valid", language)
            test = _known(self._read("xsid", f"{language}.test", language), train)
            scores = triage_sets.score(triage_sets.trained(triage_sets.taxonomy_of(train), self.encoder), test.seen)
            found[language] = percent(scores.accuracy * test.share)
            for name in BASELINES:
                plain = triage_sets.plain(name, train, test.seen, self.usual)
                found["baselines"][name][language] = percent(plain.accuracy / 100 * test.share)
        return found

    def golden(self) -> Json:
        """The starter taxonomy on its golden set."""
        content = taxonomy.read()
        classifier = triage_sets.trained(content, self.encoder)
        queue_of = {label.id: label.queue for label in content.labels}
        found: Json = {"set": STARTER, "baselines": {name: {} for name in BASELINES}}
        for language in ("en", "zh"):
            examples = [one for one in taxonomy.golden() if one.language == language]
            scores = evaluation.score(classifier, examples)
            away = triage_sets.strangeness(classifier, taxonomy.golden_strangers()[language], language)
            near = triage_sets.strangeness(classifier, [one.text for one in examples], language)
            found[language] = {
                "texts": scores.texts,
                "accuracy": percent(scores.accuracy),
                "macro_f1": percent(scores.macro_f1),
                "queue_accuracy": percent(scores.queue_accuracy),
                "routed": percent(scores.routed),
                "routed_precision": percent(scores.routed_precision),
                "queue_ece": percent(scores.queue_ece),
                "oos_auroc": percent(triage_sets.auroc(near, away)),
            }
            train = _split_of([one for one in content.examples if one.language == language], language)
            test = _split_of(examples, language)
            for name in BASELINES:
                plain = triage_sets.plain(name, train, test, self.usual)
                queues = np.array(
                    [queue_of[g] == queue_of[label] for g, label in zip(plain.guesses, test.labels, strict=True)]
                )
                found["baselines"][name][language] = {
                    "accuracy": plain.accuracy,
                    "queue_accuracy": percent(float(queues.mean())),
                }
        return found

    def online(self) -> Json:
        """Learning from corrections on a stream."""
        return {
            **triage_online.bank(self._read("banking77", "train_5"), self._read("banking77", "train"), self.encoder),
            **triage_online.noisy(self._read("clinc150", "train"), self._read("clinc150", "valid"), self.encoder),
        }

    def speed(self) -> Json:
        """Texts per second, latency, cold start, memory."""
        return triage_speed.measure(kit.MODEL)

    def install(self) -> Json:
        """What a default install downloads."""
        return triage_speed.install()

    def also(self, name: str) -> Json:
        """Any other set of the same shape, with every size that it has."""
        found: Json = {}
        for shot in ("5shot", "10shot", "full"):
            if (self.data / name / f"{TRAIN[shot]}.jsonl").exists():
                self._measure(name, shot, found, ("accuracy", "routable95", "ece"))
        if not found:
            raise SystemExit(f"{self.data / name} holds no train.jsonl, train_5.jsonl or train_10.jsonl")
        return found

    def _measure(
        self, name: str, shot: str, found: Json, figures: tuple[str, ...], strangers: Sequence[str] = ()
    ) -> BlendClassifier:
        train, test = self._split(name, shot), self._read(name, "test")
        classifier = triage_sets.trained(triage_sets.taxonomy_of(train, strangers=strangers), self.encoder)
        scores = triage_sets.score(classifier, test)
        told = {
            "accuracy": percent(scores.accuracy),
            "routable95": percent(scores.coverage_at(triage_sets.ROUTABLE)),
            "ece": percent(scores.ece),
        }
        found |= {f"{figure}_{shot}": told[figure] for figure in figures}
        beside = found.setdefault("baselines", {})
        for baseline in BASELINES:
            plain = triage_sets.plain(baseline, train, test, self.usual)
            told = {"accuracy": plain.accuracy, "routable95": plain.routable, "ece": plain.ece}
            beside.setdefault(baseline, {}).update({f"{figure}_{shot}": told[figure] for figure in figures})
        return classifier

    def _split(self, name: str, shot: str) -> Split:
        return self._read(name, TRAIN[shot])

    def _read(self, name: str, file: str, language: str = "en") -> Split:
        return triage_sets.read(self.data / name / f"{file}.jsonl", language)


TRAIN = {"5shot": "train_5", "10shot": "train_10", "full": "train"}
PARTS: dict[str, Callable[[Bench], Json]] = {
    "banking77": Bench.banking77,
    "clinc150": Bench.clinc150,
    "xsid": Bench.xsid,
    "golden": Bench.golden,
    "online": Bench.online,
    "speed": Bench.speed,
    "install": Bench.install,
}
NEED_DATA = {"banking77", "clinc150", "xsid", "online"}


class _Seen:
    """The part of a test split whose labels training has seen; the rest counts as wrong."""

    def __init__(self, seen: Split, share: float) -> None:
        self.seen, self.share = seen, share


def _known(test: Split, train: Split) -> _Seen:
    known = set(train.labels)
    pairs = [(t, label) for t, label in zip(test.texts, test.labels, strict=True) if label in known]
    seen = Split(language=test.language, texts=tuple(t for t, _ in pairs), labels=tuple(label for _, label in pairs))
    return _Seen(seen, len(pairs) / len(test.texts))


def _split_of(examples: list[taxonomy.Example], language: str) -> Split:
    return Split(
        language=language, texts=tuple(one.text for one in examples), labels=tuple(one.intent for one in examples)
    )


def _only(found: Json, *wanted: str) -> Json:
    """The figures whose names begin so, here and in the baselines."""
    kept: Json = {name: value for name, value in found.items() if name.startswith(wanted)}
    kept["baselines"] = {
        name: {figure: value for figure, value in told.items() if figure.startswith(wanted)}
        for name, told in found["baselines"].items()
    }
    return kept


def show(figures: Json) -> None:
    """A line a figure, with the baselines beside it."""
    for part, told in figures.items():
        beside = told.get("baselines", {})
        for name, value in _flat(told):
            others = ", ".join(
                f"{other} {dict(_flat(said))[name]}" for other, said in beside.items() if name in dict(_flat(said))
            )
            print(f"{part + ' ' + name:40} {value!s:>8}  {others}")


def _flat(told: Json, before: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name, value in told.items():
        if name != "baselines":
            found += _flat(value, f"{before}{name} ") if isinstance(value, dict) else [(before + name, value)]
    return found


if __name__ == "__main__":
    main()
