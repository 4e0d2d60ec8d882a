"""The part of config.yaml that names groups of customers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from bot.settings_values import Many, Section
from domain.segments import Segment

Days = Annotated[int, Field(ge=0, le=36_500)]


class SegmentSettings(Section):
    """A condition over who somebody is and what has happened; all that is given must hold, of a list one is enough."""

    language: Many = ()
    channel: Many = ()
    tag: Many = Field(default=(), description="Words noted by hand: relaydesk customer tag.")
    min_conversations: int | None = Field(default=None, ge=0)
    max_conversations: int | None = Field(default=None, ge=0)
    known_min_days: Days | None = Field(default=None, description="Known for at least so many days.")
    known_max_days: Days | None = None
    quiet_min_days: Days | None = Field(default=None, description="Has not written for at least so many days.")
    quiet_max_days: Days | None = None
    intent: Many = Field(default=(), description="Had conversations about one of these.")
    within_days: Days | None = Field(default=None, description="In the last so many days; ever without it.")
    times: int = Field(default=1, ge=1, description="At least so many of them.")

    @model_validator(mode="after")
    def _says_something(self) -> SegmentSettings:
        if not self.model_fields_set - {"within_days", "times"}:
            raise ValueError("holds for everybody; give it a condition")
        return self

    def build(self, name: str) -> Segment:
        """The segment as the rulebook knows it."""
        return Segment(
            name=name,
            languages=frozenset(self.language),
            channels=frozenset(self.channel),
            tags=frozenset(self.tag),
            min_conversations=self.min_conversations,
            max_conversations=self.max_conversations,
            known_min_days=self.known_min_days,
            known_max_days=self.known_max_days,
            quiet_min_days=self.quiet_min_days,
            quiet_max_days=self.quiet_max_days,
            intents=frozenset(self.intent),
            within_days=self.within_days,
            times=self.times,
        )
