"""Which classifier answers, whatever became of the model: what was asked for, or the best that stands in for it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from bot import metrics, models, settings
from bot.cli import checks
from classifiers import artifact, build, folders, sources, versions
from classifiers.encoder import MANIFEST, MODEL
from classifiers.errors import TaxonomyError
from domain.errors import RefusedToStart
from tests.classifiers import kit, tiny_models
from tests.classifiers.shop import make_starter

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Place:
    """A folder with a configuration and a copy of the prepared model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = Path(shutil.copytree(kit.model_dir(), folder / "model"))
        self.config = folder / "config.yaml"
        self.set()

    def set(self, **classifier: object) -> None:
        """Write the shipped configuration with other values under `classifier`."""
        data = yaml.safe_load((kit.ROOT / "config.yaml").read_text(encoding="utf-8"))
        data["classifier"] = {"model_dir": str(self.model)} | classifier
        self.config.write_text(yaml.safe_dump(data), encoding="utf-8")

    def load(self) -> models.Loaded:
        """What answers."""
        return models.load_classifier(settings.load(self.config, environment={}, dotenv=False))

    async def doctor(self) -> list[checks.Check]:
        """What the doctor says of it."""
        return await checks.tried(
            "model", lambda: checks.model(settings.load(self.config, environment={}, dotenv=False))
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """One such folder."""
    return Place(tmp_path)


def state() -> str:
    """What /metrics says."""
    (found,) = (
        sample.labels["state"]
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if sample.name == "relaydesk_model_state" and sample.value == 1
    )
    return found


async def test_what_was_asked_for_answers(place: Place) -> None:
    """The usual case: nothing to say."""
    found = place.load()
    assert (found.state, found.reason, found.folder, state()) == ("live", "", place.model, "live")
    assert [check.state for check in await place.doctor()] == ["ok"]


@pytest.mark.parametrize("spoil", ["swapped", "gone", "manifest", "pickle"])
async def test_without_its_encoder_the_ngram_experts_answer(place: Place, spoil: str) -> None:
    """A swapped, missing or unreadable model file: refused with the fix, and customers are still triaged."""
    folder = folders.paths(place.model).encoder
    match spoil:
        case "swapped":
            (folder / MODEL).write_bytes(b"another model")
        case "gone":
            (folder / MODEL).unlink()
        case "manifest":
            (folder / MANIFEST).write_text("{")
        case "pickle":
            (folder / MODEL).write_bytes(b"\x80\x04\x95pickle")
    found = place.load()
    assert (found.state, state()) == ("ngrams", "ngrams")
    assert "run:" in found.reason
    assert kit.ask(found.classifier, "Where is my order?").top[0].label == "order_status"
    (check,) = await place.doctor()
    assert check.state == "wrong"
    assert check.found.startswith("the n-gram experts alone answer: ")


async def test_heads_of_another_encoder_answer_without_it(place: Place) -> None:
    """Numbers that were trained on other vectors are not used; the n-gram halves of the heads are."""
    index = folders.paths(place.model).heads / artifact.INDEX
    index.write_text(index.read_text(encoding="utf-8").replace('"encoder": "', '"encoder": "0'), encoding="utf-8")
    found = place.load()
    assert found.state == "ngrams"
    assert "were trained for another encoder" in found.reason


async def test_an_earlier_version_answers_for_a_damaged_one(place: Place) -> None:
    """The live heads are refused: those that answered before do, and everybody is told."""
    heads = artifact.load(folders.paths(place.model).heads, encoder=None)
    version = versions.store(place.model, heads, kind="trained", made_at=NOW)
    versions.promote(place.model, version.number)
    assert place.load().state == "live"
    (version.folder / artifact.ARRAYS).write_bytes(b"broken")
    found = place.load()
    assert (found.state, state()) == ("earlier", "earlier")
    assert "is not the file that was trained" in found.reason
    assert [check.state for check in await place.doctor()] == ["wrong"]


async def test_the_default_stands_in_for_another_encoder(place: Place, tmp_path: Path) -> None:
    """An encoder that is named and not prepared: the default one answers until it is."""
    mine = tiny_models.ready(tmp_path / "mine")
    place.set(encoder=str(mine))
    found = place.load()
    assert (found.state, found.folder) == ("default", place.model)
    assert "run:" in found.reason
    chosen = sources.parse(str(mine))
    build.prepare(place.model, chosen=chosen, examples=make_starter(tmp_path / "shop"))
    found = place.load()
    assert (found.state, found.folder) == ("live", sources.home(place.model, chosen))


async def test_without_anything_the_start_is_refused(place: Place) -> None:
    """No model, no heads: the command that makes them is named."""
    shutil.rmtree(place.model)
    with pytest.raises(RefusedToStart, match=r"no prepared encoder in .*; run:"):
        place.load()
    assert [(check.state, check.fix) for check in await place.doctor()] == [("wrong", "run: relaydesk model prepare")]


def test_a_taxonomy_that_lost_an_intent_is_refused(place: Place) -> None:
    """A routing rule asks for it: nothing is trained, and the model that is there stays as it was."""
    before = (folders.paths(place.model).heads / artifact.INDEX).read_bytes()
    with pytest.raises(TaxonomyError, match="the intent 'loyalty' is gone and a routing rule asks for it; put it back"):
        build.prepare(place.model, needed=("order_status", "loyalty"))
    assert (folders.paths(place.model).heads / artifact.INDEX).read_bytes() == before
