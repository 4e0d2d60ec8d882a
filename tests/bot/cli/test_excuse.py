"""`relaydesk sla excuse`: a missed deadline is excused with reason and approver, and stays missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot import times
from bot.cli import excuse
from bot.cli.stores import os_user
from bot.opening import Stores
from domain.changes import ClockRow
from domain.sla import ClockState, EventKind, Metric
from storage import flush, tables
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import new_id, story

LONG_AGO = times.real() - timedelta(days=2)
REASON = "the carrier's system was down"


async def _missed(stores: Stores) -> None:
    made = story(policy="standard", opened_at=LONG_AGO, unanswered_since=LONG_AGO)
    said = replace(made.said("hello", data={"sla": EventKind.CUSTOMER_MESSAGE.value}), at=LONG_AGO)
    clock = ClockRow(
        id=new_id(),
        conversation_id=made.conversation.id,
        metric=Metric.FIRST_RESPONSE,
        instance=1,
        state=ClockState.BREACHED,
        started_at=LONG_AGO,
        due_at=LONG_AGO + timedelta(hours=4),
        stopped_at=None,
        next_alert_at=None,
    )
    changes = replace(made.opening(), entries=(said,), clocks=(clock,))
    prepared = await stores.record.prepare([flush.Decision(id=new_id(), changes=changes)], times.real())
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))


async def _kept(stores: Stores) -> tuple[str, str | None, list[str], str]:
    async with stores.database.read() as conn:
        clock = (await conn.execute(tables.clocks.select())).one()
        acts = [row.action for row in await conn.execute(tables.audit.select())]
        found = await stores.record.by_number(1001)
        assert found is not None
        entries = await stores.record.timeline(found.id)
        return clock.state, clock.excused_by, acts, next((e.body for e in entries if e.kind == "excused"), "")


@pytest.fixture
def missed(place: Place) -> Place:
    """One conversation whose first answer is overdue."""
    place.change(clock=None)
    place.make_key()
    place.with_stores(_missed)
    return place


def test_a_breach_is_excused_and_stays_one(missed: Place) -> None:
    """Who and why are kept, sealed and audited; the clock's state is what it was. Once is enough."""
    done = missed.run("sla", "excuse", "#1001", "--reason", REASON)
    assert done.exit_code == 0, done.output
    assert "It stays a breach" in done.stdout
    state, by, acts, words = missed.with_stores(_kept)
    assert state == "breached"
    assert by is not None
    assert by.startswith("operator:")
    assert "sla.excused" in acts
    assert words == REASON
    again = missed.run("sla", "excuse", "1001", "--reason", REASON)
    assert again.exit_code == 1
    assert "no missed first response that is not excused" in again.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("1002", "--reason", REASON), "there is no conversation #1002"),
        (("1001", "--reason", REASON, "--metric", "resolution"), "no missed resolution"),
        (("1001", "--reason", REASON, "--instance", "2"), "no missed first response"),
    ],
)
def test_what_is_not_there_cannot_be_excused(missed: Place, words: tuple[str, ...], line: str) -> None:
    """Exit 1 and one line that says what is in the way."""
    result = missed.run("sla", "excuse", *words)
    assert result.exit_code == 1
    assert line in result.stderr


@pytest.mark.parametrize("words", [("x", "--reason", "y"), ("1001", "--reason", " "), ("1001", "--reason", "y" * 501)])
def test_odd_words_are_refused(missed: Place, words: tuple[str, ...]) -> None:
    """A number that is none, a reason that is none."""
    assert missed.run("sla", "excuse", *words).exit_code == 2


def test_whatever_a_policy_promises_can_be_excused() -> None:
    """And what an agent promised; a return timer is nobody's fault."""
    assert set(excuse.METRICS) == {metric.value for metric in Metric} - {Metric.RETURN.value}


def test_a_lead_excuses_and_nobody_else(missed: Place) -> None:
    """Where the command line has roles it takes the one that the button takes; a refusal is audited."""
    words = ("sla", "excuse", "1001", "--reason", REASON)
    for role, code in (("agent", 1), ("privacy_officer", 1), ("lead", 0)):
        missed.change(roles={"command_line": {os_user(): [role]}})
        assert missed.run(*words).exit_code == code, role
    assert missed.with_stores(_kept)[2] == ["refused", "refused", "sla.excused"]
