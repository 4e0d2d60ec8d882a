"""Folders laid out like a model hub's repositories, with tiny models in them, and a server that stands for the hub."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from classifiers import taxonomy
from tests.classifiers import tiny

REVISION = "0123456789abcdef0123456789abcdef01234567"
PLACES = 64


@cache
def tokenizer_json() -> str:
    """A WordPiece tokenizer of 900 words, trained on the starter's English and Chinese examples."""
    tokenizer: Any = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=names, show_progress=False)
    tokenizer.train_from_iterator([example.text for example in taxonomy.read().examples], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return str(tokenizer.to_str())


def words() -> int:
    """The size of its vocabulary."""
    return int(Tokenizer.from_str(tokenizer_json()).get_vocab_size())


def bert(folder: Path, *, pooling: str = "mean", prefix: str = "") -> Path:
    """A BERT with random weights as safetensors, as sentence-transformers would save it."""
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    made = tiny.weights(words=words(), places=PLACES)
    save_file({prefix + name: value for name, value in made.items()}, folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "num_hidden_layers": tiny.SHAPE.layers,
        "num_attention_heads": tiny.SHAPE.heads,
        "layer_norm_eps": tiny.SHAPE.epsilon,
        "max_position_embeddings": PLACES,
        "pad_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    kinds = ["Transformer", "Pooling", "Normalize"]
    modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    modes = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes), encoding="utf-8")
    return folder


def ready(folder: Path, *, opset: int = 11) -> Path:
    """A ready ONNX file that looks tokens up and mixes them: three inputs, one vector per token, no weights beside."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "odd", "max_position_embeddings": 512}))
    random = np.random.default_rng(5)
    table = random.normal(0.0, 1.0, (words(), tiny.WIDTH)).astype(np.float32)
    matrix = random.normal(0.0, 0.3, (tiny.WIDTH, tiny.WIDTH)).astype(np.float32)
    names = ("input_ids", "attention_mask", "token_type_ids")
    made = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Gather", ["table", "input_ids"], ["word"]),
                helper.make_node("MatMul", ["word", "matrix"], ["last_hidden_state"]),
            ],
            "tiny",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in names],
            [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", "width"])],
            [numpy_helper.from_array(table, "table"), numpy_helper.from_array(matrix, "matrix")],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
    )
    made.ir_version = 8
    onnx.save(made, folder / "onnx" / "model.onnx")
    return folder


class Hub:
    """What the server that stands for a model hub has, and what it was asked.

    `folders` maps a repository's name to its folder. `spoil` names a path whose bytes arrive altered, `cut` one whose
    line breaks that many times.
    """

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}
        self.asked: list[str] = []
        self.spoil = ""
        self.cut: dict[str, int] = {}
        self.url = ""
        self.revision = REVISION
        self.listed: dict[str, list[dict[str, Any]]] = {}

    def listing(self, name: str) -> list[dict[str, Any]]:
        """The files as the hub lists them: large ones by sha256, small ones by git's hash."""
        rows = []
        for path in sorted(self.folders[name].rglob("*")):
            if not path.is_file():
                continue
            content = path.read_bytes()
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            row: dict[str, Any] = {
                "type": "file",
                "path": path.relative_to(self.folders[name]).as_posix(),
                "size": len(content),
                "oid": blob,
            }
            if path.suffix in (".safetensors", ".onnx", ".bin"):
                row["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            rows.append(row)
        return [*rows, {"type": "directory", "path": "onnx", "size": 0, "oid": "0" * 40}]


@contextmanager
def hub() -> Iterator[Hub]:
    """A model hub on this machine."""
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            path = self.path.partition("?")[0].strip("/")
            if path.startswith("api/models/"):
                name, _, rest = path.removeprefix("api/models/").partition("/tree/")
                if name not in state.folders or (rest and rest != state.revision):
                    return self._send(404, b"{}")
                rows: Any = state.listed.get(name) or state.listing(name)
                return self._send(200, json.dumps(rows if rest else {"sha": state.revision}).encode())
            name, _, rest = path.partition("/resolve/")
            revision, _, inner = rest.partition("/")
            file = state.folders.get(name, Path("nowhere")) / inner
            if revision != state.revision or not file.is_file():
                return self._send(404, b"")
            content = file.read_bytes()
            if inner == state.spoil:
                content = content[:-1] + bytes([content[-1] ^ 1])
            if state.cut.get(inner, 0) > 0:
                state.cut[inner] -= 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
                return None
            return self._send(200, content)

        def _send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            """Tests read what was asked from the state."""

    with serving(Handler) as url:
        state.url = url
        yield state


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A web server in a thread; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
