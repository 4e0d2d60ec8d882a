"""Another encoder by one line: fetched as it was published, made ours, checked; what is not safe is not opened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from classifiers import adopt, build, encoder, errors, folders, hub, load, sources, weights
from classifiers.encoder import MANIFEST, MODEL
from classifiers.graph import Shape
from domain.assessment import Text
from tests.classifiers import tiny, tiny_models
from tests.classifiers.shop import make_shop, make_starter

NAME = "relaydesk-tests/tiny-bert"


def line(name: str = NAME, pin: str = "") -> sources.Source:
    """A source of the test hub."""
    return sources.parse(f"{name}@{tiny_models.REVISION}{pin}")


class TestSources:
    """One line of config.yaml."""

    @pytest.mark.parametrize(
        ("text", "kind", "name", "slug"),
        [
            (f"org/name@{'a' * 40}", "hub", "org/name", "org--name@aaaaaaaaaaaa"),
            (f"org/na.me-1@{'b' * 40}#{'c' * 64}", "hub", "org/na.me-1", "org--na.me-1@bbbbbbbbbbbb"),
            (f"org/name@{'a' * 40}#sha256:{'c' * 64}", "hub", "org/name", "org--name@aaaaaaaaaaaa"),
            ("./models/mine", "folder", "models/mine", "mine@"),
            ("/srv/模型", "folder", "/srv/模型", "-@"),
            ("https://embed.example.com:8443/", "server", "https://embed.example.com:8443", "embed.example.com@"),
        ],
    )
    def test_a_line_is_taken_apart(self, text: str, kind: str, name: str, slug: str) -> None:
        """A pinned repository, a folder, a server; each with a folder name of its own."""
        found = sources.parse(text)
        assert (found.kind, found.name) == (kind, name)
        assert found.slug.startswith(slug)
        assert "/" not in found.slug

    @pytest.mark.parametrize(
        ("text", "fix"),
        [
            ("org/name", "is not pinned; write NAME@REVISION"),
            ("org/name@main", "is not pinned"),
            ("org/name@abc123", "is not pinned"),
            ("https://", "is no address"),
            ("", "is no encoder"),
            ("pickle://x", "is no encoder"),
            ("org/../name@" + "a" * 40, "is no encoder"),
        ],
    )
    def test_what_is_not_pinned_is_refused(self, text: str, fix: str) -> None:
        """A branch may hold another model tomorrow; the message says how to write it."""
        with pytest.raises(errors.ModelError, match=fix):
            sources.parse(text)

    def test_what_is_offered_can_be_written(self) -> None:
        """Every offer is a repository's name that takes a revision."""
        assert all(sources.parse(f"{offer.name}@{'0' * 40}").kind == "hub" for offer in sources.OFFERS)


@pytest.fixture
def model_hub(tmp_path: Path) -> Iterator[tiny_models.Hub]:
    """A hub with a tiny BERT in it."""
    with tiny_models.hub() as state:
        state.folders[NAME] = tiny_models.bert(tmp_path / "repository")
        yield state


class TestHub:
    """Files arrive as they were published."""

    def test_the_newest_revision_is_looked_up(self, model_hub: tiny_models.Hub) -> None:
        """So that a person need not know forty characters by heart."""
        assert hub.newest(NAME, model_hub.url) == tiny_models.REVISION

    def test_files_are_fetched_and_counted(self, model_hub: tiny_models.Hub, tmp_path: Path) -> None:
        """What was asked for comes, byte for byte, and the progress ends at one."""
        shares: list[float] = []
        wanted = {"model.safetensors": "", "1_Pooling/config.json": ""}
        hub.fetch(line(), wanted, tmp_path / "got", lambda _step, share: shares.append(share), model_hub.url)
        for name in wanted:
            assert (tmp_path / "got" / name).read_bytes() == (model_hub.folders[NAME] / name).read_bytes()
        assert shares == sorted(shares)
        assert shares[-1] == 1.0

    @pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
    def test_an_altered_file_is_refused(self, model_hub: tiny_models.Hub, tmp_path: Path, name: str) -> None:
        """One flipped bit on the way, in a large or in a small file."""
        model_hub.spoil = name
        with pytest.raises(errors.WeightsRefused, match="another file than the one published"):
            hub.fetch(line(), {name: ""}, tmp_path / "got", lambda *_: None, model_hub.url)
        assert not (tmp_path / "got" / name).exists()

    def test_another_file_than_the_pinned_one_is_refused(self, model_hub: tiny_models.Hub, tmp_path: Path) -> None:
        """What config.yaml pins is compared before anything is fetched."""
        with pytest.raises(errors.WeightsRefused, match="is not the pinned file"):
            hub.fetch(line(), {"model.safetensors": "0" * 64}, tmp_path, lambda *_: None, model_hub.url)
        assert not any("resolve" in path for path in model_hub.asked)

    def test_a_broken_line_is_tried_again(self, model_hub: tiny_models.Hub, tmp_path: Path) -> None:
        """Twice cut, the third time whole; three times cut, and the fix is named."""
        model_hub.cut["model.safetensors"] = 2
        hub.fetch(line(), {"model.safetensors": ""}, tmp_path, lambda *_: None, model_hub.url)
        model_hub.cut["model.safetensors"] = 3
        with pytest.raises(errors.WeightsUnavailable, match="set HF_ENDPOINT to a mirror"):
            hub.fetch(line(), {"model.safetensors": ""}, tmp_path, lambda *_: None, model_hub.url)

    def test_nobody_there_is_explained(self) -> None:
        """A blocked hub: the mirror and the folder are named."""
        with pytest.raises(errors.WeightsUnavailable, match="HF_ENDPOINT"):
            hub.newest(NAME, "http://127.0.0.1:1")

    def test_plain_http_is_refused(self) -> None:
        """A mirror without https could give anybody's files."""
        with pytest.raises(errors.WeightsRefused, match="not reached by https"):
            hub.newest(NAME, "http://mirror.example.com")

    def test_an_unknown_name_is_explained(self, model_hub: tiny_models.Hub) -> None:
        """A slip in the name or the revision."""
        with pytest.raises(errors.WeightsUnavailable, match="look at name and revision"):
            hub.listing(line("nobody/nothing"), model_hub.url)

    def test_a_file_that_is_not_there_is_named(self, model_hub: tiny_models.Hub, tmp_path: Path) -> None:
        """The repository lacks it."""
        with pytest.raises(errors.WeightsUnavailable, match=r"has no model\.onnx"):
            hub.fetch(line(), {"model.onnx": ""}, tmp_path, lambda *_: None, model_hub.url)

    def test_a_huge_file_is_refused(self, model_hub: tiny_models.Hub, tmp_path: Path) -> None:
        """What nobody could serve here is not fetched."""
        row = {"type": "file", "path": "model.safetensors", "size": 10, "oid": "0" * 40}
        model_hub.listed[NAME] = [row | {"lfs": {"oid": "0" * 64, "size": hub.LARGEST_BYTES + 1}}]
        with pytest.raises(errors.WeightsRefused, match="too large"):
            hub.fetch(line(), {"model.safetensors": ""}, tmp_path, lambda *_: None, model_hub.url)

    def test_a_path_out_of_the_folder_is_refused(self, model_hub: tiny_models.Hub, tmp_path: Path) -> None:
        """A repository cannot write where it likes."""
        path = "../../evil.onnx"
        model_hub.listed[NAME] = [{"type": "file", "path": path, "size": 1, "oid": "0" * 40}]
        with pytest.raises(errors.WeightsRefused, match="outside its folder"):
            hub.fetch(line(), {path: ""}, tmp_path, lambda *_: None, model_hub.url)

    @pytest.mark.parametrize("rows", [{"error": 1}, [{"type": "file"}], [3], "x"])
    def test_a_listing_that_is_none_is_refused(self, model_hub: tiny_models.Hub, rows: Any) -> None:
        """A portal's login page, or another protocol."""
        model_hub.listed[NAME] = rows
        with pytest.raises(errors.WeightsUnavailable, match="listing"):
            hub.listing(line(), model_hub.url)


class TestAdopt:
    """What is made of the files."""

    TEXTS = ("where is my order", "我要退货", "i forgot my password and cannot log in", "转人工", "hello", "谢谢")

    def make(self, folder: Path, target: Path) -> adopt.Adopted:
        target.mkdir()
        return adopt.adopt(folder, target, list(self.TEXTS), lambda *_: None)

    def served(self, made: adopt.Adopted, target: Path) -> encoder.Encoder:
        return encoder.Encoder(target / "tokenizer.json", target / MODEL, profile=made.profile, threads=1)

    @pytest.mark.parametrize("pooling", ["mean", "cls"])
    @pytest.mark.parametrize("prefix", ["", "bert.", "0.auto_model."])
    def test_safetensors_become_our_graph(self, tmp_path: Path, pooling: str, prefix: str) -> None:
        """Whatever wraps the weights' names, the vectors are those of the plain forward pass, near enough for int8."""
        folder = tiny_models.bert(tmp_path / "given", pooling=pooling, prefix=prefix)
        made = self.make(folder, tmp_path / "made")
        assert made.weights == "model.safetensors"
        assert made.checks["alone_least_cosine"] > adopt.LEAST_ALONE
        served = self.served(made, tmp_path / "made")
        assert served.width == tiny.WIDTH
        if pooling == "mean":
            ids = served.tokens(["where is my order"])[0]
            wanted = tiny.forward(tiny.weights(words=tiny_models.words(), places=tiny_models.PLACES), ids)
            assert float(served.encode(["where is my order"]).vectors[0] @ wanted) > 0.95

    def test_a_ready_file_is_pooled_here(self, tmp_path: Path) -> None:
        """One vector per token, token types wanted, an old opset: mean pooling and length one are ours to do."""
        made = self.make(tiny_models.ready(tmp_path / "given"), tmp_path / "made")
        assert (made.profile.pooling, made.profile.types, made.profile.output) == ("mean", True, "last_hidden_state")
        vectors = self.served(made, tmp_path / "made").encode(list(self.TEXTS)).vectors
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(self.TEXTS)), abs=1e-5)

    def test_an_int8_file_is_taken_as_it_is(self, tmp_path: Path) -> None:
        """What somebody has quantised already is not touched."""
        first = self.make(tiny_models.ready(tmp_path / "given"), tmp_path / "made")
        assert "float32" not in first.checks
        again = tmp_path / "again"
        (again / "onnx").mkdir(parents=True)
        shutil.copy(tmp_path / "made" / MODEL, again / "onnx" / "model_quantized.onnx")
        shutil.copy(tmp_path / "given" / "tokenizer.json", again)
        made = self.make(again, tmp_path / "second")
        assert made.weights == "onnx/model_quantized.onnx"
        assert (tmp_path / "second" / MODEL).read_bytes() == (tmp_path / "made" / MODEL).read_bytes()

    def test_what_int8_would_spoil_stays_float32(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A model whose int8 form strays too far is served as it came."""
        monkeypatch.setattr(adopt, "LEAST_MEAN", 1.1)
        made = self.make(tiny_models.bert(tmp_path / "given"), tmp_path / "made")
        assert made.checks["float32"] == 1.0
        kinds = {node.op_type for node in onnx.load(tmp_path / "made" / MODEL).graph.node}
        assert not kinds & adopt.INT8_KINDS

    def test_questions_get_their_prefix_where_the_model_wants_it(self, tmp_path: Path) -> None:
        """E5 models were trained with "query: " before every question; their files do not say so."""
        made = self.make(tiny_models.bert(tmp_path / "tiny-e5-small"), tmp_path / "made")
        assert made.profile.prefix == "query: "
        served = self.served(made, tmp_path / "made")
        assert len(served.tokens(["hello"])[0]) > 3
        assert float(served.encode(["hello"]).unknown[0]) == 0.0

    def test_long_texts_are_cut_where_its_places_end(self, tmp_path: Path) -> None:
        """A table of 64 places takes 64 tokens."""
        made = self.make(tiny_models.bert(tmp_path / "given"), tmp_path / "made")
        assert made.profile.max_tokens == tiny_models.PLACES
        assert np.isfinite(self.served(made, tmp_path / "made").encode(["order " * 500]).vectors).all()

    @pytest.mark.parametrize(
        ("spoil", "error", "reason"),
        [
            ("pickle", errors.WeightsRefused, "pickle file, which can run code"),
            ("nothing", errors.WeightsUnavailable, "has no model"),
            ("slow tokenizer", errors.WeightsUnavailable, "only fast tokenizers"),
            ("broken tokenizer", errors.WeightsRefused, "tokenizer.json cannot be read"),
            ("own code", errors.WeightsRefused, "run code of its own"),
            ("dense", errors.WeightsRefused, "a layer that is not served .Dense"),
            ("max pooling", errors.WeightsRefused, "pools its tokens in a way"),
            ("other family", errors.WeightsRefused, "is a gpt2; from model.safetensors we serve bert"),
            ("other activation", errors.WeightsRefused, "uses 'silu'"),
            ("relative places", errors.WeightsRefused, "we serve bert"),
            ("broken weights", errors.BuildFailed, "cannot be served"),
            ("missing weight", errors.BuildFailed, "cannot be served .KeyError"),
            ("broken config", errors.WeightsRefused, "cannot be read"),
        ],
    )
    def test_what_is_not_safe_or_not_known_is_refused(
        self, tmp_path: Path, spoil: str, error: type[Exception], reason: str
    ) -> None:
        """Each with its reason; nothing is guessed at, and no pickle is opened."""
        folder = tiny_models.bert(tmp_path / "given")
        config = json.loads((folder / "config.json").read_text())
        safe = folder / "model.safetensors"
        match spoil:
            case "pickle":
                safe.rename(folder / "pytorch_model.bin")
            case "nothing":
                safe.unlink()
            case "slow tokenizer":
                (folder / "tokenizer.json").unlink()
            case "broken tokenizer":
                (folder / "tokenizer.json").write_text("{}")
            case "own code":
                config["auto_map"] = {"AutoModel": "modeling.Own"}
            case "dense":
                (folder / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))
            case "max pooling":
                (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
            case "other family":
                config["model_type"] = "gpt2"
            case "other activation":
                config["hidden_act"] = "silu"
            case "relative places":
                config["position_embedding_type"] = "relative_key"
            case "broken weights":
                safe.write_bytes(b"no tensors")
            case "missing weight":
                config["num_hidden_layers"] = 9
        (folder / "config.json").write_text("{" if spoil == "broken config" else json.dumps(config))
        with pytest.raises(error, match=reason):
            self.make(folder, tmp_path / "made")

    def test_a_constant_model_is_thrown_away(self, tmp_path: Path) -> None:
        """Every text the same vector: it would load, and mean nothing."""
        folder = tiny_models.ready(tmp_path / "given")
        path = folder / "onnx" / "model.onnx"
        model = onnx.load(path)
        table = next(one for one in model.graph.initializer if one.name == "table")
        table.raw_data = np.ones((tiny_models.words(), tiny.WIDTH), np.float32).tobytes()
        onnx.save(model, path)
        with pytest.raises(errors.BuildFailed, match="the same vector"):
            self.make(folder, tmp_path / "made")

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [("inputs", "it is no text encoder"), ("outputs", "gives no embedding"), ("bytes", "cannot be served")],
    )
    def test_an_onnx_file_of_another_kind_is_refused(self, tmp_path: Path, spoil: str, reason: str) -> None:
        """A picture model, a classifier's logits alone, garbage."""
        folder = tiny_models.ready(tmp_path / "given")
        path = folder / "onnx" / "model.onnx"
        model = onnx.load(path)
        if spoil == "inputs":
            model.graph.input[0].name = "pixel_values"
            model.graph.node[0].input[1] = "pixel_values"
        elif spoil == "outputs":
            del model.graph.output[0].type.tensor_type.shape.dim[1:]
        onnx.save(model, path)
        if spoil == "bytes":
            path.write_bytes(b"\x08\x07garbage" * 100)
        with pytest.raises(errors.ModelError, match=reason):
            self.make(folder, tmp_path / "made")

    def test_weights_in_another_file_are_refused(self, tmp_path: Path) -> None:
        """An ONNX file may point at any path of this machine."""
        folder = tiny_models.ready(tmp_path / "given")
        path = folder / "onnx" / "model.onnx"
        model = onnx.load(path)
        onnx.external_data_helper.set_external_data(model.graph.initializer[0], location="/etc/passwd")
        path.write_bytes(model.SerializeToString())
        with pytest.raises(errors.WeightsRefused, match="keeps its weights in another file"):
            self.make(folder, tmp_path / "made")

    def test_a_shape_of_another_family_is_written(self) -> None:
        """RoBERTa keeps two places for padding."""
        assert adopt.FAMILIES["xlm-roberta"] == 2
        assert Shape().first_place == adopt.FAMILIES["bert"] == 0


class TestPrepare:
    """From the line to an answer."""

    def test_an_encoder_of_the_hub_answers(self, model_hub: tiny_models.Hub, tmp_path: Path) -> None:
        """Fetched, built, trained on, in a folder of its own; the second time nothing is asked of the hub."""
        chosen = line()
        home = sources.home(tmp_path / "model", chosen)
        shop = make_starter(tmp_path / "shop")
        build.prepare(tmp_path / "model", chosen=chosen, examples=shop, endpoint=model_hub.url)
        asked = len(model_hub.asked)
        classifier = load.load_default(home, threads=1)
        assert classifier.assess([Text(key="", text="我要退货")])[0].top[0].label == "return_refund"
        build.prepare(tmp_path / "model", chosen=chosen, examples=shop, endpoint=model_hub.url)
        assert len(model_hub.asked) == asked
        manifest = json.loads((folders.paths(home).encoder / MANIFEST).read_text())
        assert (manifest["name"], manifest["revision"]) == (NAME, tiny_models.REVISION)
        assert manifest["weights"] == encoder.sha256(model_hub.folders[NAME] / "model.safetensors")

    def test_a_folder_answers(self, tmp_path: Path) -> None:
        """Nothing is fetched from anywhere."""
        chosen = sources.parse(str(tiny_models.ready(tmp_path / "mine")))
        shop = make_starter(tmp_path / "shop")
        build.prepare(tmp_path / "model", chosen=chosen, examples=shop, endpoint="http://127.0.0.1:1")
        classifier = load.load_default(sources.home(tmp_path / "model", chosen), threads=1)
        assert classifier.assess([Text(key="", text="where is my order")])[0].top[0].label == "order_status"

    def test_a_folder_that_is_gone_is_named(self, tmp_path: Path) -> None:
        """The setting to look at stands in the message."""
        with pytest.raises(errors.WeightsUnavailable, match=r"there is no folder .*classifier\.encoder"):
            build.prepare(tmp_path / "model", chosen=sources.parse("/nowhere/at/all"))

    def test_a_changed_profile_is_another_encoder(self, tmp_path: Path) -> None:
        """Heads that were trained with one prefix are not served with another."""
        chosen = sources.parse(str(tiny_models.ready(tmp_path / "mine")))
        home = sources.home(tmp_path / "model", chosen)
        build.prepare(tmp_path / "model", chosen=chosen, examples=make_shop(tmp_path / "shop"))
        path = folders.paths(home).encoder / MANIFEST
        manifest = json.loads(path.read_text())
        manifest["profile"]["prefix"] = "passage: "
        path.write_text(json.dumps(manifest))
        with pytest.raises(errors.HeadMismatch, match="trained for another encoder"):
            load.load_default(home)
        for odd in ({"pooling": "max"}, {"pad": "x"}, {"colour": 1}):
            path.write_text(json.dumps(manifest | {"profile": odd}))
            with pytest.raises(errors.ModelDamaged, match="another version"):
                load.load_default(home)

    def test_the_default_weights_of_a_hub_are_held_against_our_pins(self, tmp_path: Path) -> None:
        """Where the package index is closed and a mirror is open: another file under that name is not fetched."""
        with tiny_models.hub() as state:
            state.revision = weights.UPSTREAM.revision
            state.folders[weights.UPSTREAM.name] = tiny_models.bert(tmp_path / "other")
            with pytest.raises(errors.WeightsRefused, match="is not the pinned file"):
                weights.fetch("hub", tmp_path, lambda *_: None, state.url)
