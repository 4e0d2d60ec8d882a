"""The part of config.yaml about phone numbers and e-mail addresses: how they are read, and when they are renewed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from bot.settings_values import Section, Span
from domain.contacts import ContactRules, Freshness


class ContactSettings(Section):
    """Contact points beside the chats."""

    region: str | None = Field(
        default=None, pattern=r"^[A-Z]{2}$", description="The country of phone numbers without one, as ISO 3166: DE."
    )
    active_within: Span = Field(default=timedelta(days=91), description="Who wrote since then is active.")
    active_every: Span = Field(default=timedelta(days=91), description="How old theirs may get before we ask.")
    idle_every: Span = Field(default=timedelta(days=182), description="The same for everybody else.")
    ask: Literal["consented", "nobody"] = Field(
        default="consented",
        description="Who is asked in the chat by itself: those who agreed to be written to unasked, or nobody.",
    )

    @field_validator("active_within", "active_every", "idle_every")
    @classmethod
    def _days(cls, value: timedelta) -> timedelta:
        if value < timedelta(days=1):
            raise ValueError("is too short; give at least 1d, as 24h")
        return value

    def build(self, regions: Mapping[str, str | None]) -> ContactRules:
        """The rules as a decision knows them; `regions` are the channels' own."""
        return ContactRules(
            region=self.region,
            regions={channel: region for channel, region in regions.items() if region is not None},
            freshness=Freshness(
                active_within=self.active_within, active_every=self.active_every, idle_every=self.idle_every
            ),
            ask=self.ask,
        )
