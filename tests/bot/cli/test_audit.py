"""`relaydesk audit verify`: exit 0 while the trail holds, 1 with what is wrong when it does not."""

from __future__ import annotations

import json

from sqlalchemy import update

from bot.opening import Stores
from domain.changes import Changes
from storage import audit, flush, tables
from storage.engines import Connection
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import NOW, new_id


async def _acts(stores: Stores) -> None:
    acts = tuple(("read", f"customer:{n}", "") for n in range(3))
    prepared = await stores.record.prepare([flush.Decision(id=new_id(), changes=Changes(reason="x", audit=acts))], NOW)
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))
    await stores.database.write(lambda conn: audit.seal(conn, stores.record.audit_key))


async def _altered(stores: Stores) -> None:
    async def work(conn: Connection) -> None:
        await conn.execute(update(tables.audit).where(tables.audit.c.place == 2).values(actor="nobody"))

    await stores.database.write(work)


def test_a_trail_that_holds_gives_its_head(place: Place) -> None:
    """The head can be kept, and the trail be held to it later; each check is an entry itself."""
    place.make_key()
    place.with_stores(_acts)
    first = json.loads(place.run("audit", "verify", "--json").stdout)
    assert (first["holds"], first["chained"], first["unsealed"]) == (True, 3, 0)
    kept = f"{first['chained']}:{first['head']}"
    result = place.run("audit", "verify", "--head", kept)
    assert result.exit_code == 0
    assert "1 kept heads were checked" in result.output
    assert "1 entries are not chained yet" in result.output
    heads = place.folder / "heads"
    heads.write_text(f"2026-11-22 {kept}\n", encoding="ascii")
    assert place.run("audit", "verify", "--heads", str(heads)).exit_code == 0
    cut = place.run("audit", "verify", "--head", "2:" + "0" * 64)
    assert cut.exit_code == 1
    assert "written anew" in " ".join(cut.output.split())


def test_a_trail_that_does_not_hold_is_said_so(place: Place) -> None:
    """Which entry, and what is wrong with it."""
    place.make_key()
    place.with_stores(_acts)
    place.with_stores(_altered)
    result = place.run("audit", "verify")
    assert result.exit_code == 1
    assert "altered" in result.output
    found = json.loads(place.run("audit", "verify", "--json").stdout)
    assert [(one["place"], one["what"]) for one in found["problems"]] == [(2, "altered")]


def test_a_head_that_is_none_is_refused(place: Place) -> None:
    """Exit 2, before anything is opened."""
    for wrong in (("--head", "5"), ("--heads", "no-such-file")):
        assert place.run("audit", "verify", *wrong).exit_code == 2
