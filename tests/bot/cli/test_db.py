"""`relaydesk db rebuild --check`: what is stored against what the timeline says."""

from __future__ import annotations

import json

from bot.opening import Stores
from storage import flush
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import NOW, new_id, story


async def _told(stores: Stores) -> None:
    """A conversation whose state nothing in its timeline explains."""
    changes = story("Ann Example", intent="refund").opening("My parcel has not arrived")
    prepared = await stores.record.prepare([flush.Decision(id=new_id(), changes=changes)], NOW)
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))


async def _made(stores: Stores) -> None:
    assert stores


def test_differences_are_named_and_end_with_1(place: Place) -> None:
    """Without differences it ends with 0; a state that no entry explains is named by number and field, and no text."""
    place.make_key()
    place.change(clock={"source": None})  # no sandbox runs
    place.with_stores(_made)
    assert place.run("db", "rebuild").exit_code == 2
    good = place.run("db", "rebuild", "--check")
    assert good.exit_code == 0, good.output
    assert "Not compared" in good.output
    place.with_stores(_told)
    bad = place.run("db", "rebuild", "--check")
    assert bad.exit_code == 1
    assert "conversation #1001" in bad.output
    assert "intent" in bad.output
    assert "parcel" not in bad.output
    report = json.loads(place.run("db", "rebuild", "--check", "--json").stdout)
    assert report["conversations"] == 1
    assert {"conversation #1001"} == {one["of"].partition(",")[0] for one in report["differences"]}
