"""The part of config.yaml that says how agents work."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field, field_validator

from bot.channels import telegram_reactions
from bot.settings_values import DeskLanguage, Many, MemberId, Section, ShownName, Span
from domain import signs
from domain.signing import Signature


class GuardSettings(Section):
    """What is asked about before an answer leaves: secrets, internal links, mentions, somebody else's contact data."""

    enabled: bool = True
    internal: Many = Field(default=(), description="Hosts that only colleagues reach, beside the usual ones.")
    ours: Many = Field(default=(), description="The company's own e-mail domains, addresses and phone numbers.")


class DeskSettings(Section):
    """How agents work."""

    undo: Span = Field(default=timedelta(seconds=5), description="How long an answer waits before it leaves (0s-60s).")
    ask_unread: bool = Field(
        default=True, description="Ask before an answer leaves whose author cannot have seen the newest message."
    )
    ask_late: Span | None = Field(
        default=timedelta(minutes=15),
        description="Ask before an answer leaves that reaches us so long after it was written (1m to 24h): we were "
        "away. null: never.",
    )
    guard: GuardSettings = GuardSettings()
    signature: Signature = Field(
        default="none",
        description="Under which name answers leave, in the customer's copy: none, agent (their name in Slack, or of "
        "`names`), team (of the queue).",
    )
    names: dict[MemberId, ShownName] = Field(
        default_factory=dict, description="Names of agents for customers, by Slack user id, where Slack has another."
    )
    practice: str | None = Field(
        default=None, description="The https address of a desk to practise at, named on every agent's own page."
    )
    replies: Path | None = Field(
        default=None, description="The YAML file of canned replies. Without one there are those we ship."
    )
    reactions: dict[str, str] = Field(
        default=telegram_reactions.USUAL,
        description="Agents' emoji that customers see on their messages: Slack's name of each, and Telegram's emoji.",
    )

    language: DeskLanguage | None = Field(
        default=None,
        description="What everybody in a channel reads. What only one person sees is in the language of their Slack. "
        "Without it: the first of `languages`.",
    )
    note_prefix: str = Field(
        default="//", min_length=1, max_length=8, description="A message that begins so stays internal."
    )
    reopen_window: Span = Field(default=timedelta(hours=72), description="A message so soon after resolving reopens.")
    lead_mention: MemberId | None = Field(default=None, description="Who is named when a deadline is missed.")

    @field_validator("reactions")
    @classmethod
    def _reactions(cls, value: dict[str, str]) -> dict[str, str]:
        found = {name.strip(":"): emoji.replace("\ufe0f", "") for name, emoji in value.items()}
        if wrong := [emoji for emoji in found.values() if emoji not in telegram_reactions.ALLOWED]:
            raise ValueError(f'"{wrong[0]}" is not one of the emoji that Telegram lets a bot put on a message')
        if taken := sorted(signs.OURS.intersection(found)):
            raise ValueError(f'":{taken[0]}:" already says something at the desk; take another one')
        return found

    @field_validator("names")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        if groups := sorted(member for member in value if member.startswith("S")):
            raise ValueError(f"{groups[0]} is a user group; give the id of a person (U...)")
        return value

    @field_validator("ask_late")
    @classmethod
    def _ask_late(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and not timedelta(minutes=1) <= value <= timedelta(hours=24):
            raise ValueError("is out of range; 1m to 24h, or null")
        return value

    @field_validator("undo")
    @classmethod
    def _undo(cls, value: timedelta) -> timedelta:
        if not timedelta(0) <= value <= timedelta(seconds=60):
            raise ValueError("is out of range; 0s to 60s")
        return value
