"""Who may do what: one table for every button, command, page and command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody is here."""

    AGENT = "agent"
    LEAD = "lead"
    ADMIN = "admin"
    PRIVACY = "privacy_officer"
    AUDITOR = "auditor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Who may look at the conversations of a queue: these roles and these desk users. Without any: whoever may see."""

    roles: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()


EVERYBODY = Limits()


class Act(StrEnum):
    """What somebody wants to do."""

    REPLY = "reply"
    NOTE = "note"
    ASSIGN_SELF = "assign_self"
    ASSIGN_OTHER = "assign_other"
    HAND_OVER = "hand_over"
    RESOLVE = "resolve"
    SNOOZE = "snooze"
    MUTE = "mute"
    JOIN = "join"
    START = "start"
    TRANSCRIPT = "transcript"
    PRIORITY = "priority"
    RELABEL = "relabel"
    MOVE = "move"
    SETTLE = "settle"
    DUTY = "duty"
    EXCUSE = "excuse"
    SEE = "see"
    REVEAL = "reveal"
    CONFIGURE = "configure"
    ERASE = "erase"
    EXPORT = "export"
    HOLD = "hold"
    CORRECT = "correct"
    PROFILE = "profile"
    LINK = "link"
    EDIT_REPLIES = "edit_replies"
    REVIEW = "review"


_WORK = frozenset(
    {
        Act.REPLY,
        Act.NOTE,
        Act.ASSIGN_SELF,
        Act.HAND_OVER,
        Act.RESOLVE,
        Act.SNOOZE,
        Act.MUTE,
        Act.JOIN,
        Act.START,
        Act.TRANSCRIPT,
        Act.PRIORITY,
        Act.RELABEL,
        Act.MOVE,
        Act.SETTLE,
        Act.DUTY,
        Act.PROFILE,
        Act.SEE,
    }
)

PERMISSIONS: dict[Role, frozenset[Act]] = {
    Role.AGENT: _WORK,
    Role.LEAD: _WORK | {Act.EDIT_REPLIES, Act.LINK, Act.REVEAL, Act.ASSIGN_OTHER, Act.EXCUSE},
    Role.ADMIN: frozenset({Act.SEE, Act.CONFIGURE, Act.DUTY, Act.EDIT_REPLIES}),
    Role.PRIVACY: frozenset(
        {Act.SEE, Act.REVEAL, Act.ERASE, Act.EXPORT, Act.HOLD, Act.CORRECT, Act.PROFILE, Act.LINK, Act.REVIEW, Act.DUTY}
    ),
    Role.AUDITOR: frozenset({Act.SEE, Act.REVIEW}),
}


def sees(user: str, roles: Iterable[str], limits: Limits) -> bool:
    """True when this person, who may see conversations at all, may see those of a queue with these limits."""
    if limits == EVERYBODY:
        return True
    return user in limits.agents or not limits.roles.isdisjoint(roles)


def may(roles: Iterable[str], act: Act) -> bool:
    """True when one of these roles allows the act. An unknown role allows nothing."""
    known = (Role(role) for role in roles if role in list(Role))
    return any(act in PERMISSIONS[role] for role in known)
