"""The part of config.yaml that says what customers are told about their data, and how long it is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from bot.settings_values import ChannelId, Many, Section
from domain.retention import Rule, What

Own = Annotated[str, Field(min_length=20, max_length=3000)]
"""A notice in the company's own words; with the choices under it it must fit one message."""
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class RetentionRule(Section):
    """One line of the retention table."""

    what: What
    days: int = Field(ge=1, le=36_500, description="Older than so many days.")
    segment: Many = ()

    def build(self) -> Rule:
        """The rule as the record knows it."""
        return Rule(what=self.what, age=timedelta(days=self.days), segments=frozenset(self.segment))


class RetentionSettings(Section):
    """How long what is kept. Without rules everything stays."""

    rules: tuple[RetentionRule, ...] = ()
    hour: int = Field(default=2, ge=0, le=23, description="At this hour (UTC) what is due is taken away.")


class FilesSettings(Section):
    """The bytes of files that go through, beside what the record says of them."""

    keep: bool = Field(default=True, description="Keep them, sealed under the customer's key.")
    largest_mb: int = Field(default=50, ge=1, le=2000, description="What is larger is relayed and not kept.")
    days: int = Field(
        default=180, ge=0, le=36_500, description="So long after a message in a closed conversation; 0: no limit."
    )

    @property
    def largest(self) -> int | None:
        """Bytes of the largest file that is kept; None where none is."""
        return self.largest_mb * 1_000_000 if self.keep else None

    def rules(self, retention: RetentionSettings) -> tuple[Rule, ...]:
        """The whole table of retention: `days` is a rule like any other, unless one of its kind was written."""
        written = tuple(rule.build() for rule in retention.rules)
        if not self.days or any(rule.what is What.ATTACHMENTS for rule in written):
            return written
        return (Rule(what=What.ATTACHMENTS, age=timedelta(days=self.days)), *written)


class PrivacySettings(Section):
    """What customers are told, and who answers for it."""

    notice: bool = Field(default=True, description="Send every customer the privacy notice once, at first contact.")
    notice_version: str = Field(
        default="1", pattern=r"^[A-Za-z0-9._-]{1,20}$", description="Change it and everybody is sent the notice anew."
    )
    notice_text: dict[Language, Own] = Field(
        default_factory=dict, description="The notice in your own words, per language."
    )
    channel: ChannelId | None = Field(
        default=None,
        description="Where requests about data are shown for a decision; the operator's channel without it.",
    )
    answer_days: int = Field(default=30, ge=1, le=365, description="How long the law gives you to answer them.")
    company: str = Field(default="", max_length=200, description="Who is responsible, as the notice names them.")
    contact: str = Field(default="", max_length=200, description="Where the privacy officer is reached.")
