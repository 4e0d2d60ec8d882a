"""How good the starter is on sentences it has never seen ("starter set, ours"): floors below what was measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from classifiers import evaluation, heads, taxonomy
from classifiers.blend import BlendClassifier
from domain.assessment import Text
from tests.classifiers import kit


@pytest.mark.parametrize(
    ("classifier", "language", "accuracy", "queue_accuracy", "routed", "precision"),
    [
        (kit.default, "en", 0.88, 0.93, 0.75, 0.97),
        (kit.default, "zh", 0.86, 0.92, 0.78, 0.96),
        (kit.ngrams, "en", 0.50, 0.65, 0.10, 0.85),
        (kit.ngrams, "zh", 0.86, 0.92, 0.78, 0.96),
    ],
)
def test_the_golden_set(
    classifier: Callable[[], BlendClassifier],
    language: str,
    accuracy: float,
    queue_accuracy: float,
    routed: float,
    precision: float,
) -> None:
    """Intent and queue are right often enough, and what is routed without a person goes to the right queue."""
    report = evaluation.score(classifier(), [example for example in taxonomy.golden() if example.language == language])
    shown = f"{report.accuracy:.3f}, queue {report.queue_accuracy:.3f}, "
    shown += f"{report.routed:.3f} routed at {report.routed_precision:.3f}"
    print(f"\nstarter set, ours: {report.version} {language} {shown}")  # noqa: T201 - shown with -s
    assert report.accuracy >= accuracy
    assert report.queue_accuracy >= queue_accuracy
    assert report.routed >= routed
    assert report.routed_precision >= precision


@pytest.mark.parametrize("language", ["en", "zh"])
def test_strangers_are_not_routed(language: str) -> None:
    """Of the fifty messages per language that no intent covers, three in ten at most are sent to a queue."""
    strangers = taxonomy.golden_strangers()[language]
    routed = [text for text in strangers if not kit.ask(kit.default(), text, language).abstain]
    assert len(routed) <= 0.3 * len(strangers), routed


@pytest.mark.parametrize("language", ["en", "zh"])
def test_goodbyes_are_heard(language: str) -> None:
    """Of the messages that end a conversation nine in ten are taken for one."""
    closures = taxonomy.golden_closures()[language]
    heard = [text for text in closures if kit.ask(kit.default(), text, language).closure > 0.5]
    assert len(heard) >= 0.9 * len(closures)


def test_a_chinese_message_is_never_decided_by_the_encoder() -> None:
    """With and without the encoder the answer to a Chinese message is the same but for the version."""
    for text, _ in kit.golden("zh"):
        with_it, without = kit.ask(kit.default(), text), kit.ask(kit.default().without_encoder(), text)
        assert with_it.to_json() | {"version": ""} == without.to_json() | {"version": ""}


def test_holes_silence_the_encoder() -> None:
    """A message in Latin letters of which the encoder sees mostly holes is decided by n-grams alone."""
    text = "refund please ⌘ ⌥ ⏎ ☎ ♞ ♜ ⚐ ⚑ ⛏ ⛴"
    assert kit.encoder().encode([text]).unknown[0] > heads.UNKNOWN_TOKENS
    with_it, without = kit.ask(kit.default(), text), kit.ask(kit.default().without_encoder(), text)
    assert with_it.language == "en"
    assert with_it.to_json() | {"version": ""} == without.to_json() | {"version": ""}


def test_many_are_decided_as_each_is() -> None:
    """Heads compare a whole batch with the examples at once; every text gets what it would get alone."""
    texts = [text for language in ("en", "zh") for text, _ in kit.golden(language)[:40]]
    looks = kit.default().look([Text(key=text, text=text) for text in texts])
    for look in looks:
        assert look.decision is not None
        (alone,) = look.head.decide([look.features], [look.reading])
        assert look.decision.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert look.decision.out_of_scope == pytest.approx(alone.out_of_scope, abs=1e-4)
        assert (look.decision.examples[0], look.decision.blended) == (alone.examples[0], alone.blended)


def test_evidence_names_examples() -> None:
    """The nearest examples are named, and they are of the intent that was found."""
    answer = kit.ask(kit.default(), "I forgot my password and the reset email does not arrive")
    assert len(answer.evidence) == 3
    assert answer.evidence[0].startswith("en/account_access/")
