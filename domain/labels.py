"""What people at the desk teach the classifier: labelled examples, and whether the words may be kept with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Literal

KeepText = bool | Literal["consented"]
"""The company's choice: keep no words, keep everybody's but of those who refused, or only of those who agreed."""


class LabelKind(StrEnum):
    """What was labelled."""

    INTENT = "intent"
    PRIORITY = "priority"


class LabelSource(StrEnum):
    """How a label came about."""

    CHOICE = "choice"  # the machine was not sure, a person chose
    CORRECTION = "correction"  # the machine was sure, a person chose otherwise
    CONFIRMATION = "confirmation"  # a person said that the machine was right
    IMPORT = "import"  # from a file


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """One label that a person gave, and what the machine had said.

    `label` and `guess` are intent ids or, for priorities, their words; `guess` is what the machine held likeliest, also
    where it abstained. `right` says that both lead to the same queue (for a priority: that they are equal).
    `confidence` is what the machine gave to its likeliest queue. `weight` is how many messages like it this one stands
    for where calibration is measured: 1 for one that the machine left to people, 1/share for one of the audit sample,
    0 for one that a person touched of their own accord (those are picked for being wrong). `text` is masked; empty
    where it may not be kept: such a label is counted, never stored.
    """

    id: str
    conversation_id: str | None
    customer_id: str | None
    kind: LabelKind
    source: LabelSource
    label: str
    guess: str | None
    right: bool
    language: str
    confidence: float
    abstained: bool
    weight: float
    version: str
    at: datetime
    text: str = ""

    @property
    def example_id(self) -> str:
        """Its name among a classifier's examples."""
        return f"label/{self.id}"


def may_keep(policy: KeepText, consent: bool | None) -> bool:
    """Whether a person's words may be kept to learn from. `consent` is None where the person was never asked.

    Who refused is never kept, whatever the company has chosen.
    """
    if policy is False or consent is False:
        return False
    return policy is True or consent is True


def is_sampled(conversation_id: str, share: float) -> bool:
    """Whether a conversation belongs to the audit sample of this share (0 to 1): the same answer every time."""
    place = int.from_bytes(blake2b(conversation_id.encode(), digest_size=8).digest())
    return place < share * 2**64
