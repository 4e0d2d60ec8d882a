"""A second classifier that reads along without answering: only how often it agrees is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from bot import metrics
from bot.assessor import Assessor
from classifiers.blend import BlendClassifier
from domain.assessment import Assessment, Text

log = structlog.get_logger()

WAITING: Final = 64
"""Batches that may wait to be read along; beyond that some are left out: it is a sample anyway."""

Aside = Callable[[Callable[[], list[Assessment]]], Awaitable[list[Assessment]]]
"""Runs something in the classifier's thread when no message waits."""


class Shadowed:
    """Answers as `assessor` does. While there is a `shadow` it is asked the same afterwards, when nobody waits."""

    def __init__(self, assessor: Assessor, aside: Aside) -> None:
        self._assessor = assessor
        self._aside = aside
        self._waiting: asyncio.Queue[tuple[list[Text], list[Assessment]]] = asyncio.Queue(maxsize=WAITING)
        self.shadow: BlendClassifier | None = None

    async def assess(self, texts: Sequence[Text]) -> list[Assessment]:
        """One assessment per text, in order."""
        answers = await self._assessor.assess(texts)
        if self.shadow is not None and not self._waiting.full():
            self._waiting.put_nowait((list(texts), answers))
        return answers

    async def run(self) -> None:
        """Read along until cancelled."""
        while True:
            texts, answers = await self._waiting.get()
            shadow = self.shadow
            if shadow is None:
                continue
            try:
                others = await self._aside(lambda asked=texts, other=shadow: other.assess(asked))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001  # whatever it was, nobody has asked for this answer
                log.warning("learning.shadow_failed", error=type(error).__name__)
                continue
            for live, other in zip(answers, others, strict=True):
                metrics.shadow.labels(outcome=outcome(live, other)).inc()


def outcome(live: Assessment, other: Assessment) -> str:
    """How the shadow's reading relates to the one that was answered."""
    if live.abstain and other.abstain:
        return "both_abstain"
    if live.abstain or other.abstain:
        return "shadow_abstains" if other.abstain else "shadow_routes"
    if live.intent == other.intent:
        return "same"
    same_queue = bool(live.queues and other.queues) and live.queues[0].label == other.queues[0].label
    return "same_queue" if same_queue else "other_queue"
