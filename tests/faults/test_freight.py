"""Files at the limits, in small: the campaign of tests/faults/freight.py with limits of some hundred kilobytes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests import templates
from tests import world as worlds
from tests.faults import freight, loads, oracle
from tests.faults.books import Books
from tests.faults.loads import Limits
from tests.world import MAYA, eventually, said

SMALL = Limits(down=150_000, up=200_000)
SMALLER = {"download_mb": 0.15, "upload_mb": 0.2}
SAMPLE = (
    "in photo 10 at the limit",
    "in mixed 10 one of them over",
    "in announced 1 announced as less",
    "out video 10 at the limit",
    "out mixed 10 one of them over",
    "out mixed 8 every family",
    "out mixed 10 past a smaller server",
    "out announced 2 announced as less",
)
"""Of each kind of trouble one; `make freight` carries all of them, at the limits of the platforms."""


def test_every_kind_goes_as_one_two_and_ten_at_the_limit_and_over_it() -> None:
    """The matrix has no hole, no cell is in it twice, and no two files are alike."""
    cells = list(loads.cells(1, Limits()))
    names = Counter(cell.name for cell in cells)
    assert max(names.values()) == 1
    for way, kinds in (("in", tuple(loads.KINDS)), ("out", loads.SENT_BY_AGENTS)):
        for kind in kinds:
            for count in (1, 2, 10):
                assert {f"{way} {kind} {count} {size}" for size in ("at the limit", "one byte over")} <= set(names)
    assert set(SAMPLE) <= set(names)
    parcels = [parcel for cell in cells for parcel in cell.parcels]
    assert len({(parcel.seed, parcel.name) for parcel in parcels}) == len(parcels)


def test_a_folder_may_be_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The desk reads its configuration's places from its own folder: it is given whole paths."""
    monkeypatch.chdir(tmp_path)
    assert freight.parser().parse_args(["--folder", "below/here"]).folder == tmp_path / "below" / "here"
    assert (tmp_path / "below" / "here").is_dir()
    assert freight.parser().parse_args([]).folder is None


async def test_files_at_the_limits_arrive_whole_once_and_in_order(tmp_path: Path) -> None:
    """Both ways: bytes, order, albums and words; what is too large is named once, and what arrived is kept, sealed.

    Of an album that is taken apart one file is refused: its Retry sends that one, and none of the others again.
    """
    verdict = oracle.Verdict()
    async with worlds.world(tmp_path, start=False) as world:
        world.overrides["telegram"] |= SMALLER
        await templates.seed(f"sqlite:///{world.overrides['data_dir']}/relaydesk.db")
        await world.start()
        desk = await freight.opened(world, SMALL, verdict)
        for cell in loads.cells(1, SMALL):
            if cell.name in SAMPLE:
                await desk.carry(cell)
        await _only_the_refused_one_again(desk)
        books = Books.of(world.settings().database_url)
        await freight.quiet(books)
        await freight.judge_record(desk, books)
        await books.close()
    assert verdict.faults == []


async def _only_the_refused_one_again(desk: freight.Desk) -> None:
    for method, error in (("sendMediaGroup", "Bad Request: MEDIA_EMPTY"), ("sendVideo", "Bad Request: FILE_ODD")):
        await desk.world.control("faults", platform="telegram", method=method, fault="error", count=1, error=error)
    three = [loads.Parcel(kind="video", name=f"{n}.mp4", size=SMALL.up, seed=n) for n in range(3)]
    ts = await desk.card.says(MAYA, "", files=[parcel.described("base64", "name", "size") for parcel in three])
    line = await desk.card.says_ours(freight.NOT_SENT, "0.mp4")
    assert not {"1.mp4", "2.mp4"} & set(said(line).split('"'))

    async def there(names: list[str]) -> bool:
        return [m["file"]["name"] for m in await desk.phone.chat() if m["from"] == "bot" and m["file"]][-3:] == names

    await eventually(lambda: desk.card.reactions(ts), what="what became of it")
    await desk.card.presses(MAYA, "retry", ts=line["ts"])
    await eventually(lambda: there(["1.mp4", "2.mp4", "0.mp4"]), what="the refused one behind the others")
    await eventually(lambda: _is_done(desk, ts), what="its receipt")
    assert await desk.came() == ["1.mp4", "2.mp4", "0.mp4"]
    desk.kept += [parcel.digest for parcel in three]


async def _is_done(desk: freight.Desk, ts: str) -> bool:
    return await desk.card.reactions(ts) == ["white_check_mark"]
