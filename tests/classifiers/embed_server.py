"""A server that speaks Text Embeddings Inference, with a tiny encoder behind it, and moods to test with."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from classifiers import adopt, encoder
from tests.classifiers import tiny_models


class Embedder:
    """`mood` says how it answers; `asked` counts requests by path, `texts` keeps what it was sent."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        repository = tiny_models.bert(folder / "tiny")
        (folder / "made").mkdir()
        made = adopt.adopt(repository, folder / "made", ["hello", "where is my order", "我要退货"], lambda *_: None)
        self.encoder = encoder.Encoder(
            folder / "made" / "tokenizer.json", folder / "made" / "model.onnx", profile=made.profile, threads=1
        )
        self.tokenizer: Any = Tokenizer.from_str(tiny_models.tokenizer_json())
        self.mood = "well"
        self.model, self.revision, self.key = "org/tiny", "abc", ""
        self.rows = 8
        self.asked: dict[str, int] = {}
        self.texts: list[str] = []
        self.url = ""

    def answer(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON."""
        if self.mood in ("overloaded", "broken"):
            return (429 if self.mood == "overloaded" else 500), {"error": "no", "error_type": self.mood}
        if path == "/info":
            return 200, {"model_id": self.model, "model_sha": self.revision, "max_client_batch_size": self.rows}
        texts = body["inputs"]
        if len(texts) > self.rows:
            return 413, {"error": "batch size", "error_type": "validation"}
        self.texts += texts
        if path == "/embed":
            vectors = self.encoder.encode(texts).vectors.tolist()
            odd = {"short": vectors[:-1], "words": [["a"]] * len(texts), "nan": [[float("nan")] * 24] * len(texts)}
            return 200, odd.get(self.mood, vectors)
        if path == "/tokenize" and self.mood != "old":
            found = self.tokenizer.encode_batch(texts, add_special_tokens=False)
            return 200, [[{"id": token, "special": False} for token in one.ids] for one in found]
        return 404, {}


@contextmanager
def embedder(folder: Path) -> Iterator[Embedder]:
    """The server, on this machine."""
    state = Embedder(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: in two, every answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            self._reply(None)

        def do_POST(self) -> None:
            self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _reply(self, body: Any) -> None:
            state.asked[self.path] = state.asked.get(self.path, 0) + 1
            if state.key and self.headers.get("Authorization") != f"Bearer {state.key}":
                status, said = 401, dict[str, Any]()
            else:
                status, said = state.answer(self.path, body)
            content = b"<html>" if state.mood == "portal" else json.dumps(said).encode()
            if state.mood == "silent":
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if state.mood == "drip":
                try:
                    for place in range(len(content)):
                        self.wfile.write(content[place : place + 1])
                        self.wfile.flush()
                        time.sleep(0.05)
                except OSError:  # the client has had enough
                    self.close_connection = True
                return
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            """Tests read what was asked from the state."""

    with tiny_models.serving(Handler) as url:
        state.url = url
        yield state
