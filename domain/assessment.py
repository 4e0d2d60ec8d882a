"""What a classifier is asked and what it answers: scores, and whether it would rather not decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from domain.model import Priority

_SCORES = ("top", "queues")


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text to assess.

    `key` names it in the caller's world (a conversation, a row) and is handed back by position, not stored.
    `language_hint` is the BCP 47 tag the chat platform gave for the person, if any ("en", "zh-hans").
    """

    key: str
    text: str
    language_hint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A label (an intent or a queue) with a probability between 0 and 1."""

    label: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What a classifier makes of one text. All scores lie between 0 and 1 (`sentiment`: -1 to 1).

    `intent` is what the classifier stands by: the likeliest intent of the likeliest queue; None when it abstains.
    `confidence` is its probability, that of the likeliest intent when it abstains. `top` holds the three likeliest
    intents, `queues` the probabilities of the intents summed per queue, likeliest first; both are empty where there
    was nothing to read. `abstain` says that a person should choose, `reason` why
    ("below_threshold", "out_of_scope", "no_text", "unknown_script", "unknown_language",
    "" when it does not abstain). `priority_reasons` and `evidence` are stable ids: rules that fired, examples
    that lie nearest.
    """

    intent: str | None
    confidence: float
    top: tuple[Scored, ...]
    queues: tuple[Scored, ...]
    language: str
    language_confidence: float
    abstain: bool
    reason: str
    spam: float
    closure: float
    wants_person: float
    out_of_scope: float
    priority: Priority
    priority_reasons: tuple[str, ...]
    sentiment: float | None
    version: str
    evidence: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain JSON object; `from_json` reads it back to an equal value."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        scores = {name: [{"label": one.label, "confidence": one.confidence} for one in plain[name]] for name in _SCORES}
        lists = {name: list(plain[name]) for name in ("priority_reasons", "evidence")}
        return plain | scores | lists | {"priority": self.priority.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Assessment:
        """Read what `to_json` wrote. Unknown keys are left out, so that a newer version's rows can be read.

        Raises ValueError, naming the field, where one is missing or of the wrong shape.
        """
        try:
            return cls(
                intent=None if data["intent"] is None else str(data["intent"]),
                confidence=float(data["confidence"]),
                top=_scores(data["top"]),
                queues=_scores(data["queues"]),
                language=str(data["language"]),
                language_confidence=float(data["language_confidence"]),
                abstain=bool(data["abstain"]),
                reason=str(data["reason"]),
                spam=float(data["spam"]),
                closure=float(data["closure"]),
                wants_person=float(data["wants_person"]),
                out_of_scope=float(data["out_of_scope"]),
                priority=Priority(data["priority"]),
                priority_reasons=tuple(str(reason) for reason in data["priority_reasons"]),
                sentiment=None if data["sentiment"] is None else float(data["sentiment"]),
                version=str(data["version"]),
                evidence=tuple(str(item) for item in data["evidence"]),
            )
        except KeyError as error:
            raise ValueError(f"an assessment without {error.args[0]!r} cannot be read") from error
        except TypeError as error:
            raise ValueError(f"an assessment of an unexpected shape cannot be read: {error}") from error


def _scores(data: Iterable[Mapping[str, Any]]) -> tuple[Scored, ...]:
    return tuple(Scored(label=str(item["label"]), confidence=float(item["confidence"])) for item in data)
