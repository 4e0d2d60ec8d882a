"""`relaydesk model prepare` and what `init` offers: one line, one command, one folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import settings
from bot.cli import encoders
from classifiers import folders, sources
from classifiers.encoder import MANIFEST
from tests.bot.cli.conftest import Place
from tests.classifiers import tiny_models
from tests.classifiers.shop import make_starter


class TestPrepare:
    """From config.yaml to a model."""

    def test_the_named_encoder_is_prepared(self, place: Place, tmp_path: Path) -> None:
        """A folder beside config.yaml, named as one writes it; the model lands in a folder of its own."""
        tiny_models.ready(tmp_path / "mine")
        few = make_starter(tmp_path / "few")
        place.change(
            classifier={"encoder": "./mine", "model_dir": str(tmp_path / "model"), "taxonomy": str(few)},
        )
        result = place.run("model", "prepare")
        assert result.exit_code == 0, result.output
        home = settings.load(place.path, environment={}).classifier.home
        assert home.parent == tmp_path / "model"
        assert (folders.paths(home).encoder / MANIFEST).is_file()
        assert f"The model is ready in {home}." in result.output

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (("--from", "nowhere"), "nowhere has no model.safetensors"),
            (("--from", "hub"), "set HF_ENDPOINT to a mirror"),
        ],
    )
    def test_what_is_missing_is_said_in_one_line(
        self, place: Place, tmp_path: Path, words: tuple[str, ...], reason: str
    ) -> None:
        """No weights, no hub: exit code 1 and the way out, no stack trace."""
        place.change(classifier={"model_dir": str(tmp_path / "model")})
        result = place.run("model", "prepare", *words)
        assert result.exit_code == 1
        assert reason in " ".join(result.output.split())
        assert "Traceback" not in result.output

    @pytest.mark.parametrize(
        ("classifier", "reason"),
        [
            ({"encoder": "org/name"}, "classifier.encoder: org/name is not pinned"),
            ({"encoder": "http://embed.example.com"}, "is plain http to another machine"),
            ({"encoder": "https://user:secret@embed.example.com"}, "looks like a secret"),
            ({"kind": "sequence"}, "kind sequence needs a model"),
            ({"model": f"org/name@{'a' * 40}"}, "a model is for the kinds sequence and zero_shot"),
            ({"kind": "zero_shot", "model": "https://embed.example.com"}, "a model cannot be a server"),
        ],
    )
    def test_a_wrong_line_is_a_mistake_in_the_configuration(
        self, place: Place, classifier: dict[str, object], reason: str
    ) -> None:
        """Named before anything is fetched; a password in an address is not repeated."""
        place.change(classifier=classifier)
        result = place.run("config", "check")
        assert result.exit_code == 2
        assert reason in " ".join(result.output.split())
        assert "user:secret" not in result.output

    def test_an_intent_that_a_rule_needs_is_missed_before_training(self, place: Place, tmp_path: Path) -> None:
        """The rule and the taxonomy part ways: said here, not at the next start."""
        place.change(classifier={"model_dir": str(tmp_path / "model")})
        data = place.path.read_text(encoding="utf-8").replace("intent: complaint", "intent: compliment")
        place.path.write_text(data, encoding="utf-8")
        result = place.run("model", "prepare")
        assert result.exit_code == 1
        assert "the intent 'compliment' is gone and a routing rule asks for it" in " ".join(result.output.split())


class TestOffer:
    """`init` offers other encoders."""

    def ask(self, place: Place, monkeypatch: pytest.MonkeyPatch, url: str, typed: str) -> tuple[bool, str]:
        """Run the offer alone, as `init` does at its end."""
        monkeypatch.setenv("HF_ENDPOINT", url)
        answers: list[bool] = []

        def run() -> None:
            answers.append(encoders.offer(settings.load(place.path, environment={}), place.path))

        import typer

        app = typer.Typer()
        app.command()(run)
        result = CliRunner().invoke(app, [], input=typed)
        assert result.exit_code == 0, result.output
        return answers[0], result.output

    def test_a_chosen_one_is_written_with_its_newest_revision(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pinned, valid, and every comment of the file still there."""
        comments = [line for line in place.path.read_text(encoding="utf-8").splitlines() if "#" in line]
        with tiny_models.hub() as state:
            state.folders |= {one.name: Path("nowhere") for one in sources.OFFERS}
            prepare, said = self.ask(place, monkeypatch, state.url, "9\n1\n")
        assert prepare
        assert all(one.name in said for one in sources.OFFERS)
        chosen = settings.load(place.path, environment={}).classifier.chosen
        assert chosen == sources.parse(f"{sources.OFFERS[0].name}@{tiny_models.REVISION}")
        left = place.path.read_text(encoding="utf-8").splitlines()
        assert all(line in left for line in comments)

    def test_the_default_changes_nothing(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Enter is enough."""
        before = place.path.read_bytes()
        with tiny_models.hub() as state:
            state.folders |= {one.name: Path("nowhere") for one in sources.OFFERS}
            assert not self.ask(place, monkeypatch, state.url, "\n")[0]
        assert place.path.read_bytes() == before

    def test_without_a_hub_nothing_is_asked(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where hubs are blocked the default stays, and one line says so."""
        prepare, said = self.ask(place, monkeypatch, "http://127.0.0.1:1", "")
        assert not prepare
        assert "No model hub answers" in said

    def test_who_named_one_is_not_asked(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Running init again keeps what is there."""
        place.change(classifier={"encoder": f"org/name@{'a' * 40}"})
        assert self.ask(place, monkeypatch, "http://127.0.0.1:1", "") == (False, "")
