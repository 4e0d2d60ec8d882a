"""The sentence encoder as it is served: a Hugging Face tokenizer and an int8 ONNX model, no torch and no transformers
(docs/decisions says why).

Both libraries are imported only when an encoder is loaded. The model folder is what `classifiers.build` made; every
file is checked against the manifest before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.errors import PREPARE, ModelDamaged, ModelMissing

MAX_TOKENS = 256  # what the model was made for; longer messages are cut
BATCH_ROWS = 32  # gains are flat beyond
BUCKET_SLACK = 1.3  # rows of one run differ at most by this factor in length: padding is work, too
MANIFEST = "manifest.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """`vectors` float32 (texts, width), each of length one; `unknown` float32 (texts,): share of [UNK] among the
    tokens.
    """

    vectors: NDArray[np.float32]
    unknown: NDArray[np.float32]


class Encoder:
    """Texts to unit vectors. One thread at a time; `threads` (default: the cores) are used inside a run.

    `model` is a file or its bytes. `fingerprint` is what heads are bound to.
    """

    def __init__(
        self, tokenizer: Path, model: Path | bytes, *, fingerprint: str = "", threads: int | None = None
    ) -> None:
        self.fingerprint = fingerprint
        self._tokenizer = _tokenizer(tokenizer)
        self._unknown = self._tokenizer.token_to_id("[UNK]")
        self._session = open_session(model, threads=threads)
        self.width = int(self._session.get_outputs()[0].shape[1])

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode normalised texts. An empty list gives empty arrays."""
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        unknown = np.zeros(len(texts), dtype=np.float32)
        if not texts:
            return Encoded(vectors=vectors, unknown=unknown)
        ids = self.tokens(texts)
        for row, tokens in enumerate(ids):
            unknown[row] = tokens.count(self._unknown) / max(1, len(tokens) - 2)  # without [CLS] and [SEP]
        for rows in buckets([len(tokens) for tokens in ids]):
            vectors[rows] = self._run([ids[row] for row in rows])
        return Encoded(vectors=vectors, unknown=unknown)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids per normalised text, [CLS] and [SEP] included, at most MAX_TOKENS."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def _run(self, ids: list[list[int]]) -> NDArray[np.float32]:
        longest = max(len(tokens) for tokens in ids)
        padded = np.zeros((len(ids), longest), dtype=np.int64)  # [PAD] is token 0
        mask = np.zeros_like(padded)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        (vectors,) = self._session.run(["embedding"], {"input_ids": padded, "attention_mask": mask})
        return np.asarray(vectors, dtype=np.float32)


def buckets(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows grouped by similar length, at most BATCH_ROWS a group; every row once."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    group: list[int] = []
    for row in order:
        if group and (len(group) == BATCH_ROWS or lengths[row] > BUCKET_SLACK * lengths[group[0]] + 2):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def load(folder: Path, *, threads: int | None = None) -> Encoder:
    """The encoder of a prepared folder, every file checked first.

    Raises ModelMissing, ModelDamaged.
    """
    manifest = verify(folder)
    try:
        return Encoder(folder / TOKENIZER, folder / MODEL, fingerprint=fingerprint(manifest), threads=threads)
    except ImportError as error:
        raise ModelMissing(
            f"a library of the encoder is not installed ({error.name}); install Relaydesk again"
        ) from error


def open_session(model: Path | bytes, *, threads: int | None = None) -> Any:  # noqa: ANN401 - untyped library
    """An ONNX Runtime session on the processor; threads do not spin while they wait, the event loop needs the core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; warnings about fused operators help nobody
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared encoder, once every file in it has the size and hash written there.

    Raises ModelMissing, ModelDamaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise ModelMissing(f"no prepared encoder in {folder}; run: {PREPARE} {folder.parent}")
    fix = f"remove {folder} and run: {PREPARE} {folder.parent}"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        files = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
        if manifest["format"] != FORMAT or set(files) != {MODEL, TOKENIZER}:
            raise ModelDamaged(f"{path} is of another version; {fix}")
        for name, wanted in files.items():
            if sha256(folder / name) != wanted:
                raise ModelDamaged(f"{folder / name} is not the file that was prepared; {fix}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamaged(f"{path} cannot be read or a file is gone ({type(error).__name__}); {fix}") from error
    return dict(manifest)


def fingerprint(manifest: dict[str, Any]) -> str:
    """What heads are bound to: other model or tokenizer bytes mean other vectors."""
    parts = "\n".join(f"{name} {entry['sha256']}" for name, entry in sorted(manifest["files"].items()))
    return hashlib.sha256(parts.encode()).hexdigest()


def sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tokenizer(path: Path) -> Any:  # noqa: ANN401 - untyped library
    """The fast tokenizer that tokenizer.json describes, without padding of its own."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a message takes 40 µs; threads would cost the loop more
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer
