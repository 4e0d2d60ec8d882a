"""What can be wrong with a model, each with the fix in its message. Raised while preparing or loading, never by
`assess`.
"""

from __future__ import annotations

from domain.errors import RelaydeskError

PREPARE = "python -m classifiers.build --into"
AGAIN = "run: relaydesk model prepare"  # which knows the encoder and the taxonomy


class ModelError(RelaydeskError):
    """A model cannot be prepared or used; the message says what to do."""


class WeightsUnavailable(ModelError):
    """The encoder's weights cannot be fetched: try again, or give a local folder that holds them."""


class WeightsRefused(ModelError):
    """A weights file is not the pinned one, or not of a kind that is safe to read: nothing was built from it."""


class BuildFailed(ModelError):
    """The model that was built does not compute what the reference says: it was thrown away."""


class ModelMissing(ModelError):
    """No prepared model is in the folder."""


class ModelDamaged(ModelError):
    """A model file is not the one that was prepared (corrupt, swapped or half-written): it is refused."""


class HeadMismatch(ModelError):
    """The heads were trained for another encoder: their numbers would mean nothing."""


class TaxonomyError(ModelError):
    """A taxonomy or its examples cannot be used as written. `problems` holds one line per mistake."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
