"""How a soak is judged: what grows is told from what only goes up and down."""

from __future__ import annotations

import json
from pathlib import Path

from tests import world as worlds
from tests.faults import inside, soak


def looks(*, grows: float) -> list[soak.Look]:
    """A hundred looks at a value that goes up and down, and grows by so much from one to the next."""
    found = []
    for place in range(100):
        value = 1e8 + grows * place + (5e6 if place % 7 == 0 else 0.0)
        found.append(soak.Look(at=float(place), values={**dict.fromkeys(soak.ALLOWED, 1.0), "memory_bytes": value}))
    return found


def test_what_grows_all_the_time_is_found_and_a_peak_is_not() -> None:
    """One peak moves no slope; a little more at every look does."""
    steady, leaking = (soak.Report(seed=1, days=1, speed=1, looks=looks(grows=by)) for by in (0.0, 1e6))
    steady.judge()
    leaking.judge()
    assert steady.verdict.faults == []
    assert [fault.partition(" grew")[0] for fault in leaking.verdict.faults] == ["left_over: memory_bytes"]


def test_objects_that_pile_up_are_found_and_named() -> None:
    """Python's own blocks are judged apart from the caches of the database, and the types say what it is."""
    report = soak.Report(seed=1, days=1, speed=1, looks=looks(grows=0.0))
    report.within = [soak.Look(at=float(n), values={"python_blocks": 1e6 + 2000.0 * n}) for n in range(100)]
    report.judge()
    assert [fault.partition(" grew")[0] for fault in report.verdict.faults] == ["left_over: python_blocks"]
    counted = [{"at": float(n), "values": {}, "kinds": {"bot.x.Y": 10 * n, "builtins.dict": 5}} for n in range(5)]
    assert inside.grown(counted) == {"bot.x.Y": 20, "builtins.dict": 0}


async def test_a_process_says_what_its_memory_is_made_of(tmp_path: Path) -> None:
    """A line for each look; one that was cut off in the middle is left out."""
    path = tmp_path / "looks.jsonl"
    end = inside.watch(path, every_s=3600)
    [look] = await worlds.eventually(lambda: inside.read(path), what="the first look")
    end()
    assert look["values"]["python_blocks"] > 1000
    assert look["values"]["resident_bytes"] > 1e6
    assert look["kinds"]
    with path.open("a", encoding="utf-8") as out:
        out.write(json.dumps(look)[:20])
    assert len(inside.read(path)) == 1
