"""The loop over the audit trail: chains it, checks it, gives its head away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bot import sealer
from domain.changes import Changes
from storage import audit, tables
from storage.engines import Connection
from tests import patience
from tests.contracts.storage_kit import NOW, Process, process


@pytest.fixture
async def one(make_database: Callable[[str], str]) -> AsyncIterator[Process]:
    async with process(make_database("relaydesk"), make_database("keys")) as opened:
        yield opened


def of(one: Process, file: Path | None = None) -> sealer.Sealer:
    return sealer.Sealer(one.db, one.record.audit_key, channel="C0AUDIT", file=file, operator="C0OPS")


async def acts(one: Process, count: int = 2) -> None:
    await one.decide(Changes(reason="read", audit=tuple(("read", f"customer:{n}", "") for n in range(count))))


async def notices(one: Process) -> list[tuple[str, str]]:
    return [(row["bucket"], row["data"]) for row in await one.rows(tables.outbox)]


async def test_what_is_committed_is_chained(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds at a time, until nothing waits."""
    monkeypatch.setattr(audit, "SEALED_AT_ONCE", 2)
    monkeypatch.setattr(sealer, "EVERY_S", 0.01)
    await acts(one, 5)
    task = asyncio.create_task(of(one).run())
    async with asyncio.timeout(patience.LONG_S):
        while any(row["place"] is None for row in await one.rows(tables.audit)):  # noqa: ASYNC110  # it is in the database
            await asyncio.sleep(0.02)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (await one.db.query(lambda conn: audit.verify(conn, one.record.audit_key))).problems == ()


async def test_the_head_of_the_day_is_given_away_once(one: Process, tmp_path: Path) -> None:
    """To the channel and to the file, whatever restarts; the next day brings the next head."""
    file = tmp_path / "elsewhere" / "heads"
    await acts(one)
    await one.db.write(lambda conn: audit.seal(conn, one.record.audit_key))
    for _ in range(2):
        await of(one, file).daily(NOW)
    ((bucket, data),) = await notices(one)
    assert bucket == "slack:C0AUDIT"
    assert json.loads(data)["place"] == "C0AUDIT", "it says where it goes, or it could not be shown"
    ((day, head),) = sealer.heads_in(file)
    assert (day, head.place) == ("2026-11-22", 2)
    assert head.chain in data
    assert file.stat().st_mode & 0o777 == 0o600
    await of(one, file).daily(NOW + timedelta(days=1))
    assert [day for day, _ in sealer.heads_in(file)] == ["2026-11-22", "2026-11-23"]


async def test_a_trail_that_does_not_hold_is_told(one: Process, tmp_path: Path) -> None:
    """The operator hears of it, and no head of a broken trail is given away."""
    await acts(one)
    await one.db.write(lambda conn: audit.seal(conn, one.record.audit_key))

    async def alter(conn: Connection) -> None:
        await conn.execute(update(tables.audit).where(tables.audit.c.place == 1).values(actor="nobody"))

    await one.db.write(alter)
    await of(one, tmp_path / "heads").daily(NOW)
    ((bucket, data),) = await notices(one)
    assert bucket == "slack:C0OPS"
    assert "audit_broken" in data
    assert json.loads(data)["place"] == "C0OPS"
    assert sealer.heads_in(tmp_path / "heads") == []


async def test_a_spoiled_file_of_heads_stops_nothing(one: Process, tmp_path: Path) -> None:
    """It is told, and left as it is."""
    file = tmp_path / "heads"
    file.write_text("nonsense\n", encoding="ascii")
    await of(one, file).daily(NOW)
    assert file.read_text(encoding="ascii") == "nonsense\n"
    with pytest.raises(ValueError, match="line 1"):
        sealer.heads_in(file)
