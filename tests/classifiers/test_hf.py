"""Classifiers of the Hugging Face libraries: what is refused, what without the extra, and what they answer with it."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from classifiers import base, build, errors, folders, hf, sources, taxonomy
from domain.assessment import Text
from tests.classifiers import hub_models, kit, tiny_models
from tests.classifiers.shop import make_starter

INSTALLED = util.find_spec("torch") is not None


def prepare(folder: Path, home: Path, kind: hf.Kind = "sequence", labels: dict[str, str] | None = None) -> None:
    """Prepare from a folder, as `relaydesk model prepare` does after it has looked for the libraries."""
    home.mkdir(exist_ok=True)
    chosen = sources.parse(str(folder))
    hf.prepare(home, chosen, kind, taxonomy.read(), labels or {}, lambda *_: None)


class TestWithoutTheExtra:
    """The default install."""

    @pytest.mark.skipif(INSTALLED, reason="the extra hf is installed")
    def test_the_exact_command_is_named(self, tmp_path: Path) -> None:
        """Before anything is fetched, and at load."""
        command = r"-m pip install 'torch==2\.13\.\*' 'transformers>=5\.10,<6'"
        with pytest.raises(errors.ModelMissing, match=command) as caught:
            build.prepare(tmp_path, chosen=sources.parse("/nowhere"), kind="sequence")
        assert sys.executable in str(caught.value)
        prepare(hub_models.configured(tmp_path / "given"), tmp_path / "home")
        few = taxonomy.read(make_starter(tmp_path / "few"))
        build.train_heads(folders.paths(tmp_path / "home").heads, few, None)
        with pytest.raises(errors.ModelMissing, match=command):
            hf.load(tmp_path / "home")

    def test_nothing_is_imported_before_it_is_needed(self) -> None:
        """Naming the kinds loads no PyTorch."""
        assert {"default", "ngrams", "sequence", "zero_shot"} <= set(base.names())
        if not INSTALLED:
            assert "torch" not in sys.modules


class TestRefused:
    """What is checked before a library sees the files."""

    @pytest.mark.parametrize(
        ("changes", "error", "reason"),
        [
            ({"auto_map": {"AutoModel": "own.Own"}}, errors.WeightsRefused, "asks for auto_map"),
            ({"quantization_config": {}}, errors.WeightsRefused, "asks for quantization_config"),
            (
                {"id2label": {"0": "LABEL_0"}},
                errors.TaxonomyError,
                "'LABEL_0' leads to no intent; write LABEL_0: INTENT",
            ),
            ({"id2label": None}, errors.WeightsRefused, "names no labels"),
        ],
    )
    def test_a_configuration_that_asks_for_more(
        self, tmp_path: Path, changes: dict[str, Any], error: type[Exception], reason: str
    ) -> None:
        """Code of its own, another way of storing weights, labels that lead nowhere."""
        with pytest.raises(error, match=reason):
            prepare(hub_models.configured(tmp_path / "given", **changes), tmp_path / "home")
        assert not (tmp_path / "home" / hf.FOLDER).exists()

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "training_args.pkl"])
    def test_pickle_alone_is_refused(self, tmp_path: Path, name: str) -> None:
        """It can run code: it is not opened."""
        folder = hub_models.configured(tmp_path / "given")
        (folder / "model.safetensors").rename(folder / name)
        with pytest.raises(errors.WeightsRefused, match="pickle"):
            prepare(folder, tmp_path / "home")

    def test_pickle_beside_safetensors_is_left_where_it_is(self, tmp_path: Path) -> None:
        """Only what is needed is copied."""
        folder = hub_models.configured(tmp_path / "given")
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
        prepare(folder, tmp_path / "home")
        assert {path.suffix for path in (tmp_path / "home" / hf.FOLDER).iterdir()} == {".json", ".safetensors"}

    def test_an_nli_model_without_entailment_is_none(self, tmp_path: Path) -> None:
        """Zero-shot needs a model that was taught what follows from what."""
        with pytest.raises(errors.WeightsRefused, match="no label for entailment"):
            prepare(hub_models.configured(tmp_path / "given"), tmp_path / "home", "zero_shot")

    def test_labels_may_be_translated(self, tmp_path: Path) -> None:
        """What the model calls LABEL_0 is one of our intents; a slip in the table is named."""
        folder = hub_models.configured(tmp_path / "given", id2label={"0": "LABEL_0", "1": "spam"})
        prepare(folder, tmp_path / "home", labels={"LABEL_0": "order_status"})
        assert hf.is_prepared(tmp_path / "home", "sequence", {"LABEL_0": "order_status"})
        assert not hf.is_prepared(tmp_path / "home", "sequence", {"LABEL_0": "spam"})
        with pytest.raises(errors.TaxonomyError, match="the model has no label 'LABEL_9'"):
            prepare(folder, tmp_path / "home", labels={"LABEL_0": "order_status", "LABEL_9": "spam"})

    def test_a_model_of_the_hub_is_fetched_pinned(self, tmp_path: Path) -> None:
        """The same hub, the same checks as for encoders."""
        (tmp_path / "home").mkdir()
        with tiny_models.hub() as state:
            state.folders["org/reader"] = hub_models.configured(tmp_path / "given")
            chosen = sources.parse(f"org/reader@{tiny_models.REVISION}")
            hf.prepare(tmp_path / "home", chosen, "sequence", taxonomy.read(), {}, lambda *_: None, state.url)
            state.spoil = "model.safetensors"
            with pytest.raises(errors.WeightsRefused, match="another file"):
                hf.prepare(tmp_path / "home", chosen, "sequence", taxonomy.read(), {}, lambda *_: None, state.url)
        assert hf.is_prepared(tmp_path / "home", "sequence", {})

    @pytest.mark.parametrize("spoil", ["changed", "gone", "added", "manifest", "none"])
    def test_a_folder_that_is_not_what_was_prepared(self, tmp_path: Path, spoil: str) -> None:
        """One changed byte, a file more or less: refused with the fix, before PyTorch is asked for."""
        prepare(hub_models.configured(tmp_path / "given"), tmp_path / "home")
        folder = tmp_path / "home" / hf.FOLDER
        match spoil:
            case "changed":
                (folder / "model.safetensors").write_bytes(b"other")
            case "gone":
                (folder / "config.json").unlink()
            case "added":
                (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
            case "manifest":
                (folder / hf.MANIFEST).write_text("[]")
            case "none":
                shutil.rmtree(folder)
        with pytest.raises(errors.ModelError, match="run: relaydesk model prepare"):
            hf.load(tmp_path / "home")

    def test_an_unknown_kind_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A slip in a script."""
        monkeypatch.setattr(hf, "require", lambda: None)
        with pytest.raises(errors.ModelError, match="there are: default, sequence, zero_shot"):
            build.prepare(tmp_path, chosen=sources.parse("/nowhere"), kind="oracle")


@pytest.mark.skipif(not INSTALLED, reason=hub_models.REASON)
@pytest.mark.timeout(900)
class TestWithTheExtra:
    """With PyTorch."""

    @pytest.mark.parametrize("kind", hf.KINDS)
    def test_its_fallback_is_the_ngram_expert(self, kind: hf.Kind) -> None:
        """Under overload, and for explaining: trained beside it, named by another version."""
        served = hub_models.served(kind)
        fallback = served.without_encoder()
        assert fallback.version != served.version
        assert kit.ask(fallback, "我要退货").top[0].label == "return_refund"
        assert served.look([Text(key="", text="where is my order")])[0].decision is not None

    def test_learning_changes_no_version_of_it(self) -> None:
        """What people confirm is kept for the n-gram experts; the model's answers stay."""
        served = hub_models.served("sequence")
        version = served.version
        assert served.learn("label/x", "en", "my llama ate the parcel")
        assert served.version == version

    def test_another_threshold_is_another_version(self, tmp_path: Path) -> None:
        """The same text could get another answer."""
        home = self._home(tmp_path)
        first, second = hf.load(home, threshold=0.5), hf.load(home, threshold=0.99)
        assert first.version != second.version
        texts = [Text(key="", text=text) for text, _ in kit.golden("en")]
        routed = [sum(not answer.abstain for answer in made.assess(texts)) for made in (first, second)]
        assert routed[0] > routed[1]

    def test_weights_that_do_not_load_are_refused(self, tmp_path: Path) -> None:
        """Right hash, wrong content: an error of ours with the setting to look at."""
        prepare(hub_models.configured(tmp_path / "given"), tmp_path / "home")
        few = taxonomy.read(make_starter(tmp_path / "few"))
        build.train_heads(folders.paths(tmp_path / "home").heads, few, None)
        with pytest.raises(errors.ModelDamaged, match=r"cannot be loaded .* classifier\.model"):
            hf.load(tmp_path / "home")

    def test_heads_that_lost_an_intent_are_refused(self, tmp_path: Path) -> None:
        """The taxonomy changed under the model's labels."""
        home = self._home(tmp_path)
        path = home / hf.FOLDER / hf.MANIFEST
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps(manifest | {"labels": {"order_status": "nothing"}}))
        with pytest.raises(errors.HeadMismatch, match="leads to no intent any more; run:"):
            hf.load(home)

    def _home(self, tmp_path: Path) -> Path:
        folder = hub_models.sequence(tmp_path / "given")
        chosen = sources.parse(str(folder))
        build.prepare(tmp_path / "model", chosen=chosen, kind="sequence")
        return sources.home(tmp_path / "model", chosen)


def test_the_registry_loads_by_folder(tmp_path: Path) -> None:
    """Both names lead to the folder's own kind; an empty folder is explained."""
    with pytest.raises(errors.ModelMissing, match="no prepared model"):
        base.load("zero_shot", tmp_path)
