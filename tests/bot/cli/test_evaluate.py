"""`relaydesk evaluate` and `relaydesk taxonomy check`: figures for people and scripts, and mistakes named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bot.cli.conftest import Place
from tests.classifiers.shop import make_model, make_shop


@pytest.fixture
def shop(place: Place) -> Place:
    """A taxonomy and a model of its own."""
    folder = make_shop(place.folder / "shop")
    model = make_model(place.folder / "model", folder)
    place.change(
        classifier={"model_dir": str(model), "taxonomy": str(folder)},
        routing=[{"name": "the rest", "queue": "support"}],
    )
    return place


def labelled(place: Place, *rows: object) -> Path:
    """A file of JSON lines."""
    path = place.folder / "labelled.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


ROWS = (
    {"text": "where is my parcel", "label": "parcel"},
    {"text": "I cannot log in", "label": "login"},
    {"text": "give me my money back", "label": "money", "language": "en"},
)


def test_figures_and_page(shop: Place) -> None:
    """A table for people, and one page."""
    page = shop.folder / "report.html"
    done = shop.run("evaluate", "--on", str(labelled(shop, *ROWS)), "--html", str(page))
    assert done.exit_code == 0, done.output
    assert "of these right" in done.output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_for_a_script(shop: Place) -> None:
    """Every figure, shares from 0 to 1."""
    done = shop.run("evaluate", "--on", str(labelled(shop, *ROWS)), "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["languages"]["en"]
    assert found["sentences"] == 3
    assert 0.0 <= found["accuracy"] <= 1.0
    assert set(found["classes"]) == {"parcel", "login", "money"}
    assert sum(count for _, _, count in found["confusion"]) == 3


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("nonsense", "line 1: is not a JSON object with text and label"),
        ([1], "line 1: is not a JSON object with text and label"),
        ({"text": "hi"}, "line 1: is not a JSON object with text and label"),
        ({"text": "", "label": "parcel"}, "line 1: text, label and language must be words"),
        ({"text": "hi", "label": "nonsense"}, "the classifier has no intent nonsense"),
        ("", "nothing to evaluate on"),
    ],
)
def test_what_cannot_be_evaluated_is_said(shop: Place, row: object, problem: str) -> None:
    """File, line and what is wrong; nothing is measured."""
    done = shop.run("evaluate", "--on", str(labelled(shop, row)))
    assert done.exit_code == 1
    assert problem in done.output


def test_a_page_that_cannot_be_written(shop: Place) -> None:
    """The reason, not a traceback."""
    nowhere = shop.folder / "no" / "such" / "folder.html"
    done = shop.run("evaluate", "--on", str(labelled(shop, *ROWS)), "--html", str(nowhere))
    assert done.exit_code == 1
    assert "cannot be written" in done.output


class TestTaxonomyCheck:
    """What a person should look at before training."""

    def test_it_tells_what_to_look_at(self, shop: Place) -> None:
        """Few examples are named; no mistake, so it ends well."""
        done = shop.run("taxonomy", "check")
        assert done.exit_code == 0, done.output
        assert "3 intents" in done.output
        assert "examples in en; 10 are few" in done.output

    def test_mistakes_end_it_with_one(self, shop: Place) -> None:
        """A queue that the configuration does not have, and a sentence under two intents."""
        taxonomy = shop.folder / "shop" / "taxonomy.yaml"
        content = json.loads(taxonomy.read_text(encoding="utf-8"))
        content["queues"]["warehouse"] = {"en": "Warehouse"}
        content["intents"][0]["queue"] = "warehouse"
        taxonomy.write_text(json.dumps(content), encoding="utf-8")
        done = shop.run("taxonomy", "check", "--json")
        found = json.loads(done.stdout)
        assert done.exit_code == 1, found
        assert {"kind": "no_queue", "severity": "mistake"}.items() <= found["findings"][0].items()

    def test_what_cannot_be_read_is_listed(self, shop: Place) -> None:
        """As training would refuse it, one line per mistake."""
        (shop.folder / "shop" / "taxonomy.yaml").write_text("intents: []")
        done = shop.run("taxonomy", "check")
        assert done.exit_code == 2
        assert "at least two intents" in done.output
