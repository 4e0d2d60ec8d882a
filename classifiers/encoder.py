"""The sentence encoder as it is served: a Hugging Face tokenizer and an int8 ONNX model, no torch and no transformers
(docs/decisions says why).

Both libraries are imported only when an encoder is loaded. The model folder is what `classifiers.build` made; every
file is checked against the manifest before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from classifiers.errors import AGAIN, PREPARE, ModelDamaged, ModelMissing

MAX_TOKENS = 256  # what the model was made for; longer messages are cut
BATCH_ROWS = 32  # gains are flat beyond
BATCH_TOKENS = 256  # of a run, padding included: as flat beyond, and many texts make runs for every thread
BUCKET_SLACK = 1.3  # rows of one run differ at most by this factor in length: padding is work, too
MANIFEST = "manifest.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
LAYERS = "layers"  # the model's second output, where it has one
FORMAT = 2  # of a built model: raised when what is built changes, and everybody's is built again

Run = tuple[NDArray[np.float32], NDArray[np.float32] | None]
"""Of one run: vectors, and layers where the model gives them."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """`vectors` float32 (texts, width), each of length one; `unknown` float32 (texts,): share of [UNK] among the
    tokens; `layers` float32 (texts, any width): what else the encoder tells of a text, None where it tells no more.
    """

    vectors: NDArray[np.float32]
    unknown: NDArray[np.float32]
    layers: NDArray[np.float32] | None = None

    def pick(self, rows: NDArray[np.int64]) -> Encoded:
        """The texts of these rows."""
        layers = None if self.layers is None else self.layers[rows]
        return Encoded(vectors=self.vectors[rows], unknown=self.unknown[rows], layers=layers)

    def plus(self, other: Encoded) -> Encoded:
        """These texts and then those of another; `layers` only where both have them."""
        layers = None
        if self.layers is not None and other.layers is not None:
            layers = np.concatenate([self.layers, other.layers])
        return Encoded(
            vectors=np.concatenate([self.vectors, other.vectors]),
            unknown=np.concatenate([self.unknown, other.unknown]),
            layers=layers,
        )


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How an encoder wants to be asked. The defaults are those of the model that `classifiers.build` makes.

    `pooling` says who makes one vector of the tokens': the model itself ("graph"), their mean, or the first token
    ("cls"). `output` is the model's output, `types` whether it wants token types, `prefix` what stands before every
    text, `unknown` the token for what it cannot read, `pad` the id that fills up a row.
    """

    pooling: Literal["graph", "mean", "cls"] = "graph"
    output: str = "embedding"
    types: bool = False
    prefix: str = ""
    unknown: str = "[UNK]"
    pad: int = 0
    max_tokens: int = MAX_TOKENS

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Profile:
        """Read what stands in a manifest. Raises ValueError or TypeError where it is none."""
        made = cls(**data)
        kinds = {"output": str, "types": bool, "prefix": str, "unknown": str, "pad": int, "max_tokens": int}
        if made.pooling not in ("graph", "mean", "cls") or not all(
            isinstance(getattr(made, name), kind) for name, kind in kinds.items()
        ):
            raise ValueError("not a profile")
        return made


DEFAULT_PROFILE = Profile()


class Encodes(Protocol):
    """What heads are trained on and served with: the encoder of this machine, or one behind an address."""

    @property
    def fingerprint(self) -> str:
        """What heads are bound to."""

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Unit vectors of normalised texts."""


class Encoder:
    """Texts to unit vectors. To be asked by one thread at a time; `threads` (default: the cores) share many texts.

    A run has one thread, and threads have runs of their own: to share the products of one run between two costs more
    than it gains below some hundred tokens (measured: one text of sixteen takes 1.79 ms alone, 1.99 ms in two). What
    is run together does not depend on the threads, so vectors do not either.
    `model` is a file or its bytes. `fingerprint` is what heads are bound to.
    """

    def __init__(
        self,
        tokenizer: Path,
        model: Path | bytes,
        *,
        fingerprint: str = "",
        threads: int | None = None,
        profile: Profile = DEFAULT_PROFILE,
    ) -> None:
        self.fingerprint = fingerprint
        self._profile = profile
        self._tokenizer = _tokenizer(tokenizer, profile.max_tokens)
        self._unknown = self._tokenizer.token_to_id(profile.unknown)
        self._around = len(self._tokenizer.encode(profile.prefix).ids)  # [CLS], [SEP] and the prefix
        self._session = open_session(model, threads=1)
        threads = threads or processors()
        self._runners = ThreadPoolExecutor(threads, thread_name_prefix="encoder") if threads > 1 else None
        self._outputs = [profile.output]
        shapes = {output.name: output.shape for output in self._session.get_outputs()}
        if profile.pooling == "graph" and LAYERS in shapes:
            self._outputs.append(LAYERS)
        width = self._session.get_outputs()[0].shape[-1]
        self.width = width if isinstance(width, int) else int(self.run([[0]])[0].shape[1])
        self._beside = int(shapes[LAYERS][-1]) if len(self._outputs) > 1 else 0

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode normalised texts. An empty list gives empty arrays."""
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        unknown = np.zeros(len(texts), dtype=np.float32)
        layers = np.zeros((len(texts), self._beside), dtype=np.float32) if self._beside else None
        if not texts:
            return Encoded(vectors=vectors, unknown=unknown, layers=layers)
        ids = self.tokens(texts)
        for row, tokens in enumerate(ids):
            unknown[row] = tokens.count(self._unknown) / max(1, len(tokens) - self._around)
        groups = list(buckets([len(tokens) for tokens in ids]))
        runs = self._each([[ids[row] for row in rows] for rows in groups])
        for rows, (made, beside) in zip(groups, runs, strict=True):
            vectors[rows] = made
            if layers is not None and beside is not None:
                layers[rows] = beside
        return Encoded(vectors=vectors, unknown=unknown, layers=layers)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids per normalised text, prefix, [CLS] and [SEP] included, at most `max_tokens` of the profile."""
        prefix = self._profile.prefix
        asked = [prefix + text for text in texts] if prefix else list(texts)
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(asked)]

    def _each(self, groups: list[list[list[int]]]) -> Iterable[Run]:
        """A run per group, in order; those of several groups side by side."""
        if self._runners is None or len(groups) == 1:
            return map(self.run, groups)
        return self._runners.map(self.run, groups)

    def run(self, ids: list[list[int]]) -> Run:
        """One run of the model: what it makes of rows of token ids, in order, however long each is."""
        profile = self._profile
        longest = max(len(tokens) for tokens in ids)
        padded = np.full((len(ids), longest), profile.pad, dtype=np.int64)
        mask = np.zeros_like(padded)
        for row, tokens in enumerate(ids):
            padded[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": padded, "attention_mask": mask}
        if profile.types:
            feed["token_type_ids"] = np.zeros_like(padded)
        made, *beside = self._session.run(self._outputs, feed)
        vectors = np.asarray(made, dtype=np.float32)
        if profile.pooling != "graph":
            vectors = _pooled(vectors, mask, profile.pooling)
        return vectors, np.asarray(beside[0], dtype=np.float32) if beside else None


def _pooled(vectors: NDArray[np.float32], mask: NDArray[np.int64], pooling: str) -> NDArray[np.float32]:
    """One vector of length one per row, from (rows, tokens, width) or from (rows, width)."""
    if vectors.ndim == 3 and pooling == "cls":
        vectors = vectors[:, 0]
    elif vectors.ndim == 3:
        weights = mask[:, :, None].astype(np.float32)
        vectors = (vectors * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)


def buckets(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows grouped by similar length, at most BATCH_ROWS and BATCH_TOKENS a group; every row once."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    group: list[int] = []
    for row in order:
        full = len(group) == BATCH_ROWS or lengths[row] * (len(group) + 1) > BATCH_TOKENS
        if group and (full or lengths[row] > BUCKET_SLACK * lengths[group[0]] + 2):
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
        profile = Profile.of(manifest.get("profile", {}))
        return Encoder(
            folder / TOKENIZER, folder / MODEL, fingerprint=fingerprint(manifest), threads=threads, profile=profile
        )
    except (TypeError, ValueError) as error:
        raise ModelDamaged(
            f"{folder / MANIFEST} is of another version; remove {folder} and run: {PREPARE} {folder.parent}"
        ) from error
    except ImportError as error:
        raise ModelMissing(
            f"a library of the encoder is not installed ({error.name}); install Relaydesk again"
        ) from error


def processors() -> int:
    """How many processors this process may use: a container or `taskset` may give it fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def open_session(model: Path | bytes, *, threads: int | None = None) -> Any:  # noqa: ANN401 - untyped library
    """An ONNX Runtime session on the processor; threads do not spin while they wait, the event loop needs the core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or processors()
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
        if manifest["format"] != FORMAT:
            raise ModelDamaged(f"{path} is of another version; {AGAIN}")
        files = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
        if set(files) != {MODEL, TOKENIZER}:
            raise ModelDamaged(f"{path} names other files than it should; {fix}")
        for name, wanted in files.items():
            if sha256(folder / name) != wanted:
                raise ModelDamaged(f"{folder / name} is not the file that was prepared; {fix}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamaged(f"{path} cannot be read or a file is gone ({type(error).__name__}); {fix}") from error
    return dict(manifest)


def kept(folder: Path) -> tuple[int, str] | None:
    """The format and the name of the model that is built in a folder; None where there is none that can be told."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return int(manifest["format"]), str(manifest["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fingerprint(manifest: dict[str, Any]) -> str:
    """What heads are bound to: other bytes of model or tokenizer mean other vectors, and so does another profile."""
    parts = "\n".join(f"{name} {entry['sha256']}" for name, entry in sorted(manifest["files"].items()))
    if "profile" in manifest:
        parts += "\n" + json.dumps(manifest["profile"], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()


def sha256(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tokenizer(path: Path, max_tokens: int) -> Any:  # noqa: ANN401 - untyped library
    """The fast tokenizer that tokenizer.json describes, without padding of its own."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a message takes 40 µs; threads would cost the loop more
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return tokenizer
