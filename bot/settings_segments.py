"""The part of config.yaml that names groups of customers."""

from __future__ import annotations

from typing import Annotated

import phonenumbers
from pydantic import Field, field_validator, model_validator

from bot.settings_values import Many, Section
from domain import profile
from domain.facts import FactKind
from domain.profile import FieldType
from domain.segments import Segment

Days = Annotated[int, Field(ge=0, le=36_500)]


class FieldSettings(Section):
    """A field of the customer's profile."""

    type: FieldType = FieldType.TEXT
    choices: Many = Field(default=(), description="Of type choice: the words there are.")
    region: str | None = Field(
        default=None, pattern=r"^[A-Z]{2}$", description="Of type phone: the country of numbers without one."
    )

    @model_validator(mode="after")
    def _choices(self) -> FieldSettings:
        if (self.type is FieldType.CHOICE) != bool(self.choices):
            raise ValueError("choices belong to a field of type choice, and such a field needs some")
        return self

    def build(self, name: str) -> profile.Field:
        """The field as the domain knows it."""
        return profile.Field(name=name, type=self.type, choices=self.choices, region=self.region)


def usual() -> dict[str, FieldSettings]:
    """The fields a company begins with."""
    types = {
        "name": FieldType.TEXT,
        "company": FieldType.TEXT,
        "address": FieldType.TEXT,
        "phone": FieldType.PHONE,
        "email": FieldType.EMAIL,
        "language": FieldType.LANGUAGE,
        "time_zone": FieldType.TIME_ZONE,
        "region": FieldType.REGION,
        "birthday": FieldType.DATE,
        "tier": FieldType.TEXT,
        "loyalty_points": FieldType.NUMBER,
        "loyalty_level": FieldType.TEXT,
        "source": FieldType.TEXT,
    }
    return {name: FieldSettings(type=kind) for name, kind in types.items()}


class SegmentSettings(Section):
    """A condition over who somebody is and what has happened; all that is given must hold, of a list one is enough."""

    language: Many = ()
    region: Many = Field(default=(), description="The country they are in, as ISO 3166: DE, CN.")
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

    fact: Many = Field(default=(), description="Which facts from outside count: purchase, order, visit, call, shop.")
    min_facts: int | None = Field(default=None, ge=0)
    max_facts: int | None = Field(default=None, ge=0)
    facts_within_days: Days | None = Field(default=None, description="Only those of the last so many days.")

    @field_validator("region")
    @classmethod
    def _region(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [word for word in value if word not in phonenumbers.SUPPORTED_REGIONS]:
            raise ValueError(f'"{wrong[0]}" is no country; give its two capital letters, such as DE')
        return value

    @field_validator("fact")
    @classmethod
    def _fact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [word for word in value if word not in list(FactKind)]:
            raise ValueError(f'"{wrong[0]}" is no kind of fact; use one of {", ".join(FactKind)}')
        return value

    @model_validator(mode="after")
    def _says_something(self) -> SegmentSettings:
        if not self.model_fields_set - {"within_days", "times", "fact", "facts_within_days"}:
            raise ValueError("holds for everybody; give it a condition")
        return self

    def build(self, name: str) -> Segment:
        """The segment as the rulebook knows it."""
        return Segment(
            name=name,
            languages=frozenset(self.language),
            regions=frozenset(self.region),
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
            facts=frozenset(self.fact),
            min_facts=self.min_facts,
            max_facts=self.max_facts,
            facts_within_days=self.facts_within_days,
        )
