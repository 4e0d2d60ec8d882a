"""`relaydesk search`: masked unless revealed, audited before it is shown, plain about what it does not find."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from bot.cli.stores import os_user
from bot.opening import Stores
from storage import flush, tables
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import NOW, new_id, story

ANN = story("Ann Example", "4711", intent="refund")
WANG = story("王小明", "4712")


async def _told(stores: Stores) -> None:
    changes = (ANN.opening("My parcel has not arrived", "refund please"), WANG.opening("我要退款"))
    decisions = [flush.Decision(id=new_id(), changes=one) for one in changes]
    prepared = await stores.record.prepare(decisions, NOW)
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))


async def _trail(stores: Stores) -> list[tuple[Any, ...]]:
    async with stores.database.read() as conn:
        trail = tables.audit.c
        found = await conn.execute(select(trail.actor, trail.action, trail.object, trail.detail).order_by(trail.seq))
        return [tuple(row) for row in found]


def _filled(place: Place) -> Place:
    place.make_key()
    place.with_stores(_told)
    return place


def test_what_is_found_is_masked_and_audited(place: Place) -> None:
    """Number, day and who are shown; texts and names only with --reveal. The trail has the customer, not the words."""
    _filled(place)
    result = place.run("search", "parcel")
    assert result.exit_code == 0
    assert "#1001" in result.output
    assert "parcel has" not in result.output
    revealed = place.run("search", "not arrived", "--reveal")
    assert "My parcel has not arrived" in revealed.output
    trail = place.with_stores(_trail)
    who, customer = f"os:{os_user()}", f"customer:{ANN.customer.id}"
    assert [line[:3] for line in trail] == [(who, "search", customer), (who, "search.reveal", customer)]
    assert "parcel" not in str(trail)


def test_a_script_reads_json(place: Place) -> None:
    """People, conversations and messages, Chinese readable, and whether there is more."""
    _filled(place)
    found = json.loads(place.run("search", "退款", "--json", "--reveal").stdout)
    assert [(line["number"], line["text"]) for line in found["messages"]] == [("#1002", "我要退款")]
    assert found["more"] is False
    people = json.loads(place.run("search", "王", "--json", "--reveal").stdout)["people"]
    assert [(person["name"], person["address"]) for person in people] == [("王小明", "4712")]


def test_filters_alone_list_conversations(place: Place) -> None:
    """By topic and by number."""
    _filled(place)
    for words in (("label:refund",), ("#1001",)):
        found = json.loads(place.run("search", *words, "--json").stdout)
        assert [line["number"] for line in found["conversations"]] == ["#1001"]


def test_finding_nothing_and_asking_wrongly_say_why(place: Place) -> None:
    """Exit 1 where nothing is, 2 where the query cannot be read; a filter's slip is told from an empty record."""
    _filled(place)
    nothing = place.run("search", "zebra")
    assert nothing.exit_code == 1
    assert "Nothing was found." in nothing.output
    assert "give two" in place.run("search", "退").output
    assert "All words" not in place.run("search", "#1042").output
    for slip, meant in (("status:openn", "“open”"), ("label:refund_sttus", "“refund_status”")):
        told = place.run("search", slip)
        assert told.exit_code == 1
        assert f"is called “{slip.split(':')[1]}”" in told.output
        assert meant in told.output
    for wrong in ("after:yesterday", " "):
        assert place.run("search", wrong).exit_code == 2


def test_the_index_is_made_again(place: Place) -> None:
    """What was lost from it is found again; the command says how much."""
    _filled(place)

    async def emptied(stores: Stores) -> None:
        await stores.reindex.start_over()

    place.with_stores(emptied)
    assert place.run("search", "parcel").exit_code == 1
    result = place.run("db", "reindex")
    assert result.exit_code == 0, result.output
    assert "3 messages can be found." in result.output
    assert place.run("search", "parcel").exit_code == 0
