"""What the desk needs to know: one frozen value, built from config.yaml and the secrets by bot/settings.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from domain.roles import Role

SLACK_URL = "https://slack.com/api/"

Mode = Literal["socket", "http"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackConfig:
    """One Slack workspace.

    `roles` names user ids (U..., W...) or user group ids (S...) per role; a role without any is nobody's. `channels`
    are the desk channels of the queues, checked by `doctor`. `team_id` pins the workspace; None takes the token's own.
    `reactions` are the emoji that customers are to see. `language` is what is read where
    nobody's own is known. Secrets never show in a repr.
    """

    bot_token: str = field(repr=False)
    app_token: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)
    base_url: str = SLACK_URL
    mode: Mode = "socket"
    connections: int = 2
    team_id: str | None = None
    ops_channel: str | None = None
    channels: tuple[str, ...] = ()
    ask_presence: bool = True
    reactions: frozenset[str] = frozenset()
    language: str = "en"
    roles: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
