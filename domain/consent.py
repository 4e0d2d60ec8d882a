"""What a customer may agree to or refuse, and what follows from it. A purpose nobody asked about is not agreed to."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Purpose(StrEnum):
    """What their data may be used for, beyond keeping what the law demands."""

    SUPPORT = "support"  # to answer them
    ANALYTICS = "analytics"  # to sort them into segments and look at how they fare
    TRAINING = "training"  # their words teach the classifier
    OUTREACH = "outreach"  # to write to them unasked


# Answering somebody who wrote to us needs no agreement, and can be objected to; counting cases is the company's own
# interest, and can be objected to. The other two need a yes.
WITHOUT_ASKING: Final = frozenset({Purpose.SUPPORT, Purpose.ANALYTICS})


def allowed(consents: Mapping[str, bool], purpose: Purpose) -> bool:
    """May this customer's data serve the purpose? What they said last, else what holds without asking."""
    said = consents.get(purpose.value)
    return purpose in WITHOUT_ASKING if said is None else said
