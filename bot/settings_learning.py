"""What the classifier may learn from, and when it does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bot.settings_values import Section


class LearningSettings(Section):
    """Learning from what agents correct and confirm."""

    keep_text: bool | Literal["consented"] = Field(
        default="consented",
        description="Whose words may be kept to learn from: consented (of those who agreed), true (of all but those "
        "who refused), false (nobody's). What is not kept is counted.",
    )
    audit_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.04,
        description="Of what the machine routes, the share that agents are asked to confirm; 0.03 to 0.05 is usual.",
    )
    train_hour: int | None = Field(
        default=3, ge=0, le=23, description="At this hour (UTC) new labels are trained on; null: never by the clock."
    )
    train_after: int | None = Field(
        default=100, ge=1, description="As many new labels start a training at any hour; null: never by number."
    )
    go_live: Literal["auto", "shadow", "never"] = Field(
        default="auto",
        description="What becomes of a model that passed the gate: it answers at once, it only reads along, or it "
        "waits for `relaydesk model promote`.",
    )
    keep_versions: int = Field(default=5, ge=2, le=100, description="Trained models that are kept beside the live one.")

    def without_training(self) -> LearningSettings:
        """As it is, for a model that is not trained here: labels are kept, and nothing is trained by itself."""
        return self.model_copy(update={"train_hour": None, "train_after": None})
