"""`relaydesk dead`: what was set aside is seen, shown, put back or given up; every act is audited."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from sqlalchemy import select

from bot import times
from bot.opening import Stores
from domain.ports import Arrival
from storage import inbox as inbox_store
from storage.tables import audit
from tests.bot.cli.conftest import Place

PAYLOAD = '{"message": {"text": "my card is 4111 1111 1111 1111"}}'


async def _set_aside(stores: Stores) -> None:
    await stores.inbox.put(
        [Arrival(source="telegram", event_key=str(n), lane_key="a", payload=PAYLOAD, kind="message") for n in range(2)],
        times.real(),
    )
    await stores.database.write(lambda conn: inbox_store.fail(conn, 1, 8, "malformed: no date", dead=True))


async def _audited(stores: Stores) -> Sequence[tuple[str, str, str]]:
    async with stores.database.read() as conn:
        rows = await conn.execute(select(audit.c.actor, audit.c.action, audit.c.object).order_by(audit.c.seq))
        return [tuple(row) for row in rows]


async def _states(stores: Stores) -> list[str]:
    async with stores.database.read() as conn:
        return [row.state for row in await conn.exec_driver_sql("SELECT state FROM inbox ORDER BY id")]


@pytest.fixture
def dead(place: Place) -> Place:
    """One event set aside, one waiting."""
    place.make_key()
    place.with_stores(_set_aside)
    return place


def test_an_empty_list_says_so(place: Place) -> None:
    """Nothing to do is good news, not an empty table."""
    place.make_key()
    place.with_stores(_states)
    assert place.run("dead", "list").stdout == "Nothing was set aside.\n"
    assert json.loads(place.run("dead", "list", "--json").stdout) == []


def test_the_list_names_reason_and_tries(dead: Place) -> None:
    """As a table for people and as JSON for scripts; never what arrived."""
    text = dead.run("dead", "list").stdout
    assert "telegram message" in text
    assert "malformed: no date" in text
    assert "4111" not in text
    (row,) = json.loads(dead.run("dead", "list", "--json").stdout)
    assert (row["id"], row["what"], row["tries"], row["reason"]) == ("1", "telegram message", 8, "malformed: no date")


def test_the_payload_needs_reveal_and_is_audited_before_it_is_shown(dead: Place) -> None:
    """Personal text is printed on purpose only, under the name of who asked."""
    assert "4111" not in dead.run("dead", "show", "1").stdout
    assert PAYLOAD in dead.run("dead", "show", "1", "--reveal").stdout
    (line,) = dead.with_stores(_audited)
    assert line[0].startswith("os:")
    assert line[1:] == ("dead.reveal", "inbox:1")


def test_an_entry_is_put_back_into_its_lane(dead: Place) -> None:
    """After the cause is mended the worker takes it again."""
    assert dead.run("dead", "retry", "1").stdout == "1: back in its lane\n"
    assert dead.with_stores(_states) == ["new", "new"]


def test_all_puts_everything_back(dead: Place) -> None:
    """After an outage nobody types a hundred ids."""
    assert dead.run("dead", "retry", "all").stdout == "1: back in its lane\n"


def test_an_entry_is_given_up_only_after_a_yes(dead: Place) -> None:
    """Asked once; no leaves everything as it was."""
    assert dead.run("dead", "drop", "1", typed="n\n").exit_code == 1
    assert dead.with_stores(_states) == ["dead", "new"]
    assert dead.run("dead", "drop", "1", typed="y\n").exit_code == 0
    assert dead.with_stores(_states) == ["dropped", "new"]
    assert [line[1] for line in dead.with_stores(_audited)] == ["dead.drop"]


@pytest.mark.parametrize("words", [["show", "7"], ["retry", "7"], ["drop", "--yes", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]])
def test_an_unknown_id_is_exit_code_1(dead: Place, words: list[str]) -> None:
    """A typing error changes nothing and says so."""
    result = dead.run("dead", *words)
    assert result.exit_code == 1
    assert "nothing of that id is set aside" in result.stdout + result.stderr
    assert dead.with_stores(_states) == ["dead", "new"]
