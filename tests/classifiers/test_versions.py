"""Versions are there whole or not at all, what is live changes in one step, and there is always one to fall back on."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from classifiers import artifact, folders, load, versions
from classifiers.errors import HeadMismatch, ModelDamaged, ModelMissing
from domain.assessment import Text
from tests import patience
from tests.classifiers.shop import make_model, make_shop

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with prepared heads and no encoder."""
    with (tmp_path / "made").open("w"):
        pass
    artifact_of(tmp_path)
    return tmp_path


@cache
def saved() -> dict[str, bytes]:
    """The files of a small shop's prepared heads: how versions are kept does not depend on what they have learnt."""
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "model", make_shop(Path(folder) / "shop"))
        return {file.name: file.read_bytes() for file in folders.paths(model).heads.iterdir()}


def artifact_of(model_dir: Path) -> None:
    target = folders.paths(model_dir).heads
    target.mkdir(parents=True)
    for name, content in saved().items():
        (target / name).write_bytes(content)


def heads(model_dir: Path) -> artifact.Heads:
    return artifact.load(folders.paths(model_dir).heads, encoder=None)


def store(model_dir: Path, name: str = "trained00001", **fields: object) -> versions.Version:
    made = replace(heads(model_dir), version=name)
    return versions.store(model_dir, made, kind="trained", made_at=NOW, **fields)  # type: ignore[arg-type]


def test_without_versions_the_prepared_heads_answer(folder: Path) -> None:
    """A folder from before there were versions works as it did."""
    assert versions.pointer(folder) == versions.Pointer()
    assert [version.number for version in versions.candidates(folder)] == [0]
    _, number = load.load_live(folder, None)
    assert number == 0


def test_a_version_is_read_back_and_answers_once_promoted(folder: Path) -> None:
    """Storing changes nothing; promoting does, and says which heads answer."""
    made = store(folder, labels=12, newest_label=NOW, scores={"golden/en": {"accuracy": 0.9}}, notes=("fine",))
    assert (made.number, made.labels, made.newest_label, made.notes) == (1, 12, NOW, ("fine",))
    assert versions.read(folder, 1) == made
    assert load.load_live(folder, None)[1] == 0
    before = versions.stamp(folder)
    versions.promote(folder, 1)
    assert versions.stamp(folder) != before
    classifier, number = load.load_live(folder, None)
    assert number == 1
    assert "trained00001" in classifier.version
    assert classifier.assess([Text(key="1", text="where is my parcel?")])[0].top[0].label == "parcel"


def test_rolling_back_goes_the_way_it_came(folder: Path) -> None:
    """Each step leads to what answered before, and at the beginning there is no further step."""
    for place in (1, 2, 3):
        store(folder, f"trained{place:05}")
        versions.promote(folder, place)
    assert [versions.rollback(folder).number for _ in range(3)] == [2, 1, 0]
    with pytest.raises(ModelMissing, match="no version answered before"):
        versions.rollback(folder)
    versions.promote(folder, 3)
    versions.promote(folder, 3)
    assert versions.rollback(folder).number == 0


def test_promoting_what_is_not_there_changes_nothing(folder: Path) -> None:
    """An unknown number and a tampered version are refused with the reason."""
    store(folder)
    with pytest.raises(ModelMissing, match="no version 7"):
        versions.promote(folder, 7)
    (folder / "versions" / "0001" / artifact.ARRAYS).write_bytes(b"something else")
    with pytest.raises(ModelDamaged, match="not the file that was trained"):
        versions.promote(folder, 1)
    assert versions.pointer(folder).live == 0


def test_a_damaged_live_version_leaves_the_one_before_it(folder: Path) -> None:
    """The bot starts with the last good one, down to the prepared heads."""
    for place in (1, 2):
        store(folder, f"trained{place:05}")
        versions.promote(folder, place)
    (folder / "versions" / "0002" / versions.MANIFEST).write_text("{")
    assert load.load_live(folder, None)[1] == 1
    (folder / "versions" / "0001" / artifact.INDEX).write_text("[]")
    assert load.load_live(folder, None)[1] == 0
    assert [version.number for version in versions.listed(folder)] == [0]


@pytest.mark.parametrize("content", ["", "{}", '{"live": "x", "shadow": null, "earlier": []}', "[1]", '{"live": -1}'])
def test_a_damaged_pointer_leads_to_the_newest_that_passed(folder: Path, content: str) -> None:
    """It is refused with the way out, and something still answers."""
    store(folder, "trained00001")
    store(folder, "trained00002", passed=False)
    (folder / versions.POINTER).write_text(content)
    with pytest.raises(ModelDamaged, match="relaydesk model promote"):
        versions.pointer(folder)
    assert load.load_live(folder, None)[1] == 1
    versions.promote(folder, 1)
    assert versions.pointer(folder).live == 1


def test_a_version_of_another_taxonomy_is_left_out(folder: Path) -> None:
    """Intents that are gone must not be answered: the prepared heads know those that there are."""
    made = heads(folder)
    versions.store(folder, replace(made, labels=made.labels[:-1]), kind="trained", made_at=NOW)
    with pytest.raises(HeadMismatch, match="other intents"):
        versions.promote(folder, 1)
    (folder / versions.POINTER).write_text(json.dumps({"live": 1, "shadow": None, "earlier": []}))
    assert load.load_live(folder, None)[1] == 0


def test_a_shadow_reads_along_until_it_is_promoted(folder: Path) -> None:
    """It is named beside the live one; promoting it ends its shadowing."""
    store(folder)
    versions.shadow(folder, 1)
    assert versions.pointer(folder) == versions.Pointer(live=0, shadow=1)
    versions.promote(folder, 1)
    assert versions.pointer(folder) == versions.Pointer(live=1, shadow=None, earlier=(0,))
    with pytest.raises(ModelMissing):
        versions.shadow(folder, 9)


def test_old_versions_go_but_never_one_that_is_needed(folder: Path) -> None:
    """The live one, the shadow and the way back stay, however old they are; numbers are not used again."""
    for place in range(1, 7):
        store(folder, f"trained{place:05}")
    versions.promote(folder, 1)
    versions.promote(folder, 2)
    versions.shadow(folder, 3)
    assert versions.prune(folder, 2) == [4]
    assert [version.number for version in versions.listed(folder)] == [0, 1, 2, 3, 5, 6]
    assert store(folder).number == 7


def _store_and_die(model_dir: Path) -> None:
    """Dies with the files written, before the folder has its name."""

    def die(folder: Path, trained: artifact.Heads) -> None:
        saved(folder, trained)
        os.kill(os.getpid(), signal.SIGKILL)

    saved, artifact.save = artifact.save, die
    store(model_dir)


def test_a_killed_training_leaves_the_old_version_live(folder: Path) -> None:
    """Half a version is never picked up, and the next one clears it away."""
    store(folder)
    versions.promote(folder, 1)
    process = multiprocessing.get_context("spawn").Process(target=_store_and_die, args=(folder,))
    process.start()
    process.join(patience.LONG_S)
    assert process.exitcode == -signal.SIGKILL
    left = [path.name for path in (folder / "versions").iterdir()]
    assert min(left).startswith(".0002-")
    assert [version.number for version in versions.listed(folder)] == [0, 1]
    assert load.load_live(folder, None)[1] == 1
    assert store(folder).number == 2
    assert sorted(path.name for path in (folder / "versions").iterdir()) == ["0001", "0002"]
