"""What a process does: all of it, or one share of the work beside other processes over the same PostgreSQL.

`relaydesk run --role intake --role worker`: any number of processes may have any role. What only one process may do at
a time (poll Telegram, sweep the clocks, fill gaps, keep house) is led by a lease, whoever could do it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from domain.errors import RefusedToStart


class Duty(StrEnum):
    """One share of the work."""

    INTAKE = "intake"
    """Take in what customers and agents write, in whichever way is configured."""
    WORKER = "worker"
    """Read, sort and decide: the only share that runs the classifier for every message."""
    DISPATCHER = "dispatcher"
    """Send."""
    CLOCK = "clock"
    """Watch deadlines, fill gaps, index, seal, back up, keep house."""
    WEB = "web"
    """Take in what platforms post to our addresses, and poll nothing."""


EVERY = "all"
ALL = frozenset(Duty)
NAMES = (EVERY, *(duty.value for duty in Duty))


def parse(words: Iterable[str]) -> frozenset[Duty]:
    """The shares that these names mean; no name means all. Raises RefusedToStart for a name that there is not."""
    named = list(words)
    if unknown := sorted(set(named) - set(NAMES)):
        raise RefusedToStart(f"--role {unknown[0]}: there is no such role; use one of {', '.join(NAMES)}")
    return ALL if not named or EVERY in named else frozenset(map(Duty, named))


def check(duties: frozenset[Duty], *, sqlite: bool, webhook: bool, http: bool) -> None:
    """Raise RefusedToStart where a process would have nothing to do, or another one would be needed that cannot be.

    `webhook` and `http` say whether Telegram and Slack post to our addresses.
    """
    if sqlite and duties != ALL:
        given = ", ".join(sorted(duties))
        raise RefusedToStart(
            f"--role {given}: the record is an SQLite file, which one process has for itself. Run it without --role, "
            "or move to PostgreSQL (`relaydesk db move`), where any number of processes share the work."
        )
    if duties == {Duty.WEB} and not (webhook or http):
        raise RefusedToStart(
            "--role web: nothing posts to this process (telegram.mode is not webhook, slack.mode not http). "
            "Use --role intake, which polls and holds connections."
        )


def listens(duties: frozenset[Duty], *, posted: bool) -> bool:
    """Whether a process with these duties takes in from a platform; `posted`: the platform calls our address."""
    return Duty.INTAKE in duties or (posted and Duty.WEB in duties)
