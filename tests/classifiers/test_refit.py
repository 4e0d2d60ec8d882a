"""A training makes a better version or none: what it learns from, what it must pass, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from classifiers import artifact, build, folders, load, refit, sources, taxonomy, versions
from classifiers.errors import ModelError
from classifiers.lessons import GoLive, Lesson, Outcome, Request, renamed, tidy
from domain.assessment import Text
from tests.classifiers.embed_server import embedder
from tests.classifiers.shop import GOLDEN, SENTENCES, make_model, make_shop

ROOT = Path(__file__).parents[2]
NOW = "2026-11-22T09:10:00+00:00"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A small taxonomy with a golden set."""
    return make_shop(tmp_path / "shop")


@pytest.fixture
def model(tmp_path: Path, shop: Path) -> Path:
    """A model folder with n-gram heads trained on it."""
    return make_model(tmp_path / "model", shop)


def lessons(*pairs: tuple[str, str], start: int = 0, weight: float = 1.0) -> tuple[Lesson, ...]:
    return tuple(
        Lesson(
            id=f"{start + place:026}",
            text=text,
            intent=intent,
            language="en",
            weight=weight,
            at=f"2026-11-22T08:{(start + place) // 60:02}:{(start + place) % 60:02}+00:00",
        )
        for place, (text, intent) in enumerate(pairs)
    )


NEW_WORDS = lessons(
    *((f"{thing} fell off my gizmo", "parcel") for thing in ("a knob", "the lid", "one leg", "the wheel", "a screw")),
    *((f"my gizmo has no {thing}", "parcel") for thing in ("knob", "lid", "leg", "wheel", "screw")),
)


def run(model: Path, shop: Path, given: tuple[Lesson, ...], **fields: Any) -> Outcome:
    return refit.run(Request(model_dir=str(model), lessons=given, now=NOW, taxonomy=str(shop), **fields))


def answer(model: Path, text: str) -> str:
    classifier, _ = load.load_live(model, None)
    return classifier.assess([Text(key="1", text=text, language_hint="en")])[0].top[0].label


def test_what_people_confirmed_is_answered_next_time(model: Path, shop: Path) -> None:
    """Ten corrections about a thing nobody had heard of, and the next message about it goes where they went."""
    asked = "where is the handle of my gizmo"
    steps: list[str] = []
    request = Request(model_dir=str(model), lessons=NEW_WORDS, now=NOW, taxonomy=str(shop))
    outcome = refit.run(request, lambda step, _share: steps.append(step))
    assert (outcome.number, outcome.kind, outcome.passed, outcome.live) == (1, "trained", True, True)
    assert (outcome.learnt, outcome.left_out) == (10, 0)
    assert versions.pointer(model).live == 1
    assert answer(model, asked) == "parcel"
    assert answer(model, "gizmo") == "parcel"
    version = versions.read(model, 1)
    assert (version.labels, version.kind) == (10, "trained")
    assert set(version.scores) == {"live/golden/en", "new/golden/en"}
    assert steps[-1] == "ready"
    assert "label/00000000000000000000000000" in next(iter(load.load_live(model, None)[0].heads.values())).example_ids


def test_a_version_that_unlearns_is_not_let_in(model: Path, shop: Path) -> None:
    """Wrong labels spoil the golden set's answers: the old heads go on, the version says why, and stays for a look."""
    swapped = {"parcel": "money", "money": "login", "login": "parcel"}
    wrong = lessons(
        *((f"{text} {word}", swapped[i]) for i, t in SENTENCES.items() for text in t for word in ("", "hi")), weight=0.0
    )
    outcome = run(model, shop, wrong)
    assert not outcome.passed
    assert not outcome.live
    assert any("golden/en" in note and "before" in note for note in outcome.notes)
    assert versions.pointer(model).live == 0
    assert answer(model, "has my parcel been lost") == "parcel"
    assert not versions.read(model, 1).passed


def test_labels_that_look_wrong_are_named(model: Path, shop: Path) -> None:
    """A single slip among right ones stands on the list that lies beside the version."""
    right = [(f"{text} {word}", i) for i, t in SENTENCES.items() for text in t for word in ("hello", "please", "now")]
    given = lessons(*right, ("please refund the money you charged twice", "login"))
    outcome = run(model, shop, given)
    assert outcome.suspicious >= 1
    listed = versions.beside(versions.read(model, 1), refit.SUSPICIOUS)
    slip = next(one for one in listed if one["id"] == given[-1].id)
    assert (slip["label"], slip["likely"]) == ("login", "money")
    assert slip["likely_probability"] > slip["label_probability"]


def test_enough_labels_set_the_confidence_right(model: Path, shop: Path) -> None:
    """Forty-five labels with weight move the temperature; the same ones without weight do not."""
    given = [(f"{text} {word}", i) for i, t in SENTENCES.items() for text in t for word in ("hello", "please", "now")]
    assert not any("temperature" in note for note in run(model, shop, lessons(*given, weight=0.0)).notes)
    outcome = run(model, shop, lessons(*given))
    assert any("en: confidence set right on 45 labels" in note for note in outcome.notes)
    head = load.load_live(model, None)[0].heads["en"]
    assert head.alone.temperature != 1.0


def test_where_new_heads_fail_the_old_ones_are_recalibrated(
    model: Path, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The confidence can be set right although the new heads were refused; the version says both."""
    given = [(f"{text} {word}", i) for i, t in SENTENCES.items() for text in t for word in ("hello", "please", "now")]
    monkeypatch.setattr(refit._Refit, "_replay", lambda _self, _unseen: ["replay: worse"])
    outcome = run(model, shop, lessons(*given))
    assert (outcome.kind, outcome.passed, outcome.live) == ("recalibrated", True, True)
    assert "new heads were refused: replay: worse" in outcome.notes
    before = load.load_version(versions.read(model, 0), None).heads["en"]
    after = load.load_live(model, None)[0].heads["en"]
    assert after.example_ids == before.example_ids
    assert after.alone.temperature != before.alone.temperature


@pytest.mark.parametrize(("wish", "pointer"), [("never", (0, None)), ("shadow", (0, 1)), ("auto", (1, None))])
def test_who_answers_is_the_companys_choice(
    model: Path, shop: Path, wish: GoLive, pointer: tuple[int, int | None]
) -> None:
    """A version that passed waits, reads along, or answers."""
    outcome = run(model, shop, NEW_WORDS, go_live=wish)
    assert outcome.passed
    assert outcome.live is (wish == "auto")
    now = versions.pointer(model)
    assert (now.live, now.shadow) == pointer


def test_what_cannot_teach_is_left_out(model: Path, shop: Path) -> None:
    """Unknown intents and languages, empty texts, what the golden set holds; of one wording the newest label counts."""
    content, golden = taxonomy.read(shop), taxonomy.golden(shop)
    given = lessons(
        ("a gizmo", "gone_intent"), (" \u200b", "parcel"), ("You charged me TWICE", "money"), ("my gizmo", "money"),
        ("My  gizmo", "parcel"),
    )  # fmt: skip
    spoken = (*given, replace(given[3], id="x", language="de"))
    kept = tidy(spoken, content, golden)
    assert [(one.text, one.intent) for one in kept] == [("My  gizmo", "parcel")]
    nothing = run(model, shop, given[:3])
    assert (nothing.number, nothing.kind, nothing.left_out) == (None, "none", 3)
    assert versions.listed(model)[-1].number == 0


def test_a_renamed_intent_keeps_its_lessons(model: Path, shop: Path) -> None:
    """Labels under a former id count for the present one."""
    text = (shop / "taxonomy.yaml").read_text().replace('"id": "parcel"', '"id": "parcel", "renamed_from": "shipment"')
    (shop / "taxonomy.yaml").write_text(text)
    assert renamed(shop) == {"shipment": "parcel"}
    former = tuple(replace(lesson, intent="shipment") for lesson in NEW_WORDS)
    assert run(model, shop, former).learnt == len(NEW_WORDS)
    assert answer(model, "gizmo") == "parcel"


def test_only_one_trains_at_a_time(model: Path, shop: Path) -> None:
    """A second training is refused instead of waiting or overwriting."""
    with folders.only_one(model / refit.LOCK) as alone:
        assert alone
        with pytest.raises(ModelError, match="another training is under way"):
            run(model, shop, NEW_WORDS)
    assert run(model, shop, NEW_WORDS).live


def test_small_steps_down_do_not_add_up() -> None:
    """One sentence less is within counting noise, two are not; more precision than promised may be given up."""
    old = {
        "golden/en": {"texts": 100.0, "accuracy": 0.9, "queue_accuracy": 0.95, "routed": 0.5, "routed_precision": 1.0}
    }
    new = {"golden/en": {**old["golden/en"], "accuracy": 0.89, "routed": 0.8, "routed_precision": 0.96}}
    assert refit.compare(old, new) == []
    worse = {"golden/en": {**new["golden/en"], "accuracy": 0.88, "routed_precision": 0.95}}
    assert [reason.split(":")[1].split(" 0")[0] for reason in refit.compare(old, worse)] == [
        " accuracy 88.0%, before 90.0%",
        " routed precision 95.0%, before 100.0%",
    ]
    assert refit.compare(old, {}) != []


def process(request: Request) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-m", "classifiers.refit"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert started.stdin is not None
    started.stdin.write(json.dumps(asdict(request)))
    started.stdin.close()
    return started


def test_in_a_process_of_its_own_it_is_polite_and_answers_in_a_line(model: Path, shop: Path) -> None:
    """The bot hears what came of it; the process has the lowest priority."""
    started = process(Request(model_dir=str(model), lessons=NEW_WORDS, now=NOW, taxonomy=str(shop)))
    nice = 0
    while started.poll() is None and nice < refit.NICEST:
        try:
            nice = os.getpriority(os.PRIO_PROCESS, started.pid)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    assert started.stdout is not None
    with started.stdout as out:
        found = json.loads(out.read())
    assert started.wait(60) == 0
    assert nice == refit.NICEST
    assert (found["number"], found["live"]) == (1, True)


def test_killed_at_any_time_the_old_heads_answer(model: Path, shop: Path) -> None:
    """Wherever the kill falls there is a whole live version, and the next training works."""
    for delay in (0.2, 1.0, 1.6):
        started = process(Request(model_dir=str(model), lessons=NEW_WORDS, now=NOW, taxonomy=str(shop)))
        time.sleep(delay)
        started.send_signal(signal.SIGKILL)
        started.wait(30)
        if started.stdout is not None:
            started.stdout.close()
        _, number = load.load_live(model, None)
        assert number == versions.pointer(model).live
    outcome = run(model, shop, NEW_WORDS)
    assert outcome.passed
    assert answer(model, "gizmo") == "parcel"


def test_an_unusable_request_is_one_line(tmp_path: Path) -> None:
    """No model: the process says so in words and ends with 1."""
    started = process(Request(model_dir=str(tmp_path / "none"), lessons=(), now=NOW))
    assert started.stdout is not None
    with started.stdout as out:
        found = json.loads(out.read())
    assert started.wait(60) == 1
    assert "no trained heads" in found["error"]


def test_heads_for_a_server_are_trained_with_it(tmp_path: Path, shop: Path) -> None:
    """The encoder is asked over the network, with its key; while it is away there is no version and one reason."""
    with embedder(tmp_path / "server") as server:
        server.key = "open sesame"
        chosen = sources.parse(server.url)
        build.prepare(tmp_path / "far", chosen=chosen, examples=shop, key=server.key)
        home = sources.home(tmp_path / "far", chosen)
        outcome = run(home, shop, NEW_WORDS, key=server.key, go_live="never")
        assert outcome.number == 1
        assert "my gizmo has no knob" in server.texts
        assert artifact.load(versions.read(home, 1).folder, encoder=None).encoder is not None
        assert server.key not in repr(Request(model_dir="x", lessons=(), now=NOW, key=server.key))
        server.mood = "broken"
        with pytest.raises(ModelError, match="server"):
            run(home, shop, NEW_WORDS, key=server.key)
        assert versions.listed(home)[-1].number == 1


def test_what_was_taken_back_is_forgotten(model: Path, shop: Path) -> None:
    """Heads that learned from labels which are gone are removed, whatever the number of versions that are kept."""
    run(model, shop, NEW_WORDS)
    run(model, shop, NEW_WORDS[:9])
    outcome = run(model, shop, NEW_WORDS[:8], forget=True)
    assert outcome.live
    assert [version.number for version in versions.listed(model)] == [0, 3]
    assert versions.pointer(model).earlier == ()
    assert versions.read(model, 3).given == 8
    nothing = run(model, shop, (), forget=True)
    assert (nothing.number, nothing.kind) == (None, "none")
    assert [version.number for version in versions.listed(model)] == [0]
    assert versions.pointer(model).live == 0


def test_versions_are_for_their_owner_alone(model: Path, shop: Path) -> None:
    """They know words that customers used."""
    run(model, shop, NEW_WORDS)
    assert stat.S_IMODE((model / versions.FOLDER).stat().st_mode) == 0o700


def test_slips_that_spoil_it_are_left_out(model: Path, shop: Path) -> None:
    """Right labels with some slips among them: where all together fail, those without the slips are let in."""
    right = [(f"{text} {word}", i) for i, t in SENTENCES.items() for text in t for word in ("hello", "please", "now")]
    slips = [(f"{GOLDEN['parcel'][0]} ok", "money"), (f"{GOLDEN['login'][0]} ok", "parcel")]
    outcome = run(model, shop, lessons(*right, *slips, weight=0.0))
    assert outcome.passed
    assert "2 labels that look wrong were left out: with them it was worse" in outcome.notes
    assert answer(model, GOLDEN["parcel"][0]) == "parcel"
