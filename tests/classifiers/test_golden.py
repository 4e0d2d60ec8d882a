"""How good the starter is on sentences it has never seen ("starter set, ours"): floors below what was measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from classifiers import evaluation, heads, taxonomy
from classifiers.blend import BlendClassifier
from tests.classifiers import kit


@pytest.mark.parametrize(
    ("classifier", "language", "accuracy", "queue_accuracy", "routed", "precision"),
    [
        (kit.default, "en", 0.88, 0.93, 0.75, 0.97),
        (kit.default, "zh", 0.80, 0.86, 0.70, 0.93),
        (kit.ngrams, "en", 0.50, 0.65, 0.10, 0.85),
        (kit.ngrams, "zh", 0.80, 0.86, 0.70, 0.93),
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


def test_strangers_are_not_routed() -> None:
    """Of messages that no intent covers at most one in four is sent to a queue."""
    strangers = [
        "will it rain on Sunday",
        "give me a recipe for apple pie",
        "Who invented the telephone?",
        "my sister is getting married in June",
        "convert 30 miles to kilometres",
        "who is the president of France",
        "周末会下雨吗",
        "红烧肉怎么做好吃",
        "我妹妹六月结婚",
        "人生的意义是什么",
        "这首歌太好听了",
        "法国总统是谁",
    ]
    routed = [text for text in strangers if not kit.ask(kit.default(), text).abstain]
    assert len(routed) <= len(strangers) / 4, routed


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


def test_evidence_names_examples() -> None:
    """The nearest examples are named, and they are of the intent that was found."""
    answer = kit.ask(kit.default(), "I forgot my password and the reset email does not arrive")
    assert len(answer.evidence) == 3
    assert answer.evidence[0].startswith("en/account_access/")
