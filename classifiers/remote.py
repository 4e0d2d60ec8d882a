"""A sentence encoder on another machine: Text Embeddings Inference's protocol, with a fallback on this one.

Only masked, normalised texts leave the machine. The heads stay here: trained here, calibrated here. When the server is
slow, away, wrong or another one than the heads were trained with, the local classifier answers, and after some failures
the server is left alone for a while.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import structlog

from classifiers.base import Classifier, Label
from classifiers.blend import BlendClassifier, Look
from classifiers.encoder import Encoded
from classifiers.errors import PREPARE, ModelDamaged, ModelError, ModelMissing
from classifiers.heads import LanguageHead
from classifiers.sources import SERVER
from domain.assessment import Assessment, Text

TIMEOUT_S = 1.5  # for a batch: a customer's message must not wait longer for a better guess
CONNECT_S = 1.0
PATIENT_S = 60.0  # while the heads are trained nobody waits
ROWS = 32  # texts in one request, where the server allows no fewer
LARGEST_BYTES = 32_000_000  # of an answer: 32 vectors of 4,096 numbers take 3 MB
FAILURES = 3  # in a row, then the server is left alone
PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0
_PROBES = ("\U00013000", "\U00012000")  # a hieroglyph, a cuneiform sign: no vocabulary holds them
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

_log = structlog.get_logger(__name__)


class ServerUnavailable(ModelError):
    """The encoder's server did not answer as it should: answer locally, and ask again later."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a server said of itself. `unknown` is the id of the token for what it cannot read, if it has one."""

    url: str
    model: str
    revision: str
    width: int
    rows: int
    unknown: int | None

    @property
    def fingerprint(self) -> str:
        """What heads are bound to: the model and its revision, not the address."""
        return hashlib.sha256(f"{self.model}\n{self.revision}\n{self.width}".encode()).hexdigest()


class RemoteEncoder:
    """Texts to unit vectors, over HTTP. One thread at a time. `encode` raises ServerUnavailable."""

    def __init__(
        self,
        about: Description,
        *,
        key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.about = about
        self.fingerprint = about.fingerprint
        self.width = about.width
        self.local: Classifier | None = None  # who answers while the server is away, if not the n-gram experts
        self.failures = 0
        self._client = _client(about.url, key, timeout_s)
        self.close = weakref.finalize(self, self._client.close)
        """Closes the connection; without a call it is closed when nobody holds this any more."""
        self._deadline_s = timeout_s
        self._clock = clock
        self._proved = False
        self._left_alone_until = -math.inf
        self._pause_s = PAUSE_S

    @property
    def is_away(self) -> bool:
        """Whether the server is left alone just now."""
        return self._clock() < self._left_alone_until

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode normalised texts. An empty list asks nobody, and neither does anything while the server is left
        alone.
        """
        if self.is_away:
            raise ServerUnavailable("the encoder's server is left alone for a while")
        try:
            encoded = self._encode(texts)
        except ServerUnavailable as error:
            self._failed(error)
            raise
        if len(texts):
            self.failures, self._pause_s = 0, PAUSE_S
        return encoded

    def _failed(self, error: ServerUnavailable) -> None:
        self.failures += 1
        self._proved = False  # look again whether it is the same model before its numbers are used
        _log.info("model.server_failed", reason=str(error), failures=self.failures)
        if self.failures < FAILURES:
            return
        self._left_alone_until = self._clock() + self._pause_s
        _log.warning("model.server_away", reason=str(error), pause_s=self._pause_s)
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)

    def _encode(self, texts: Sequence[str]) -> Encoded:
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        unknown = np.zeros(len(texts), dtype=np.float32)
        if not texts:
            return Encoded(vectors=vectors, unknown=unknown)
        started = time.monotonic()
        if not self._proved:
            self._prove()
        for begin in range(0, len(texts), self.about.rows):
            if time.monotonic() - started > self._deadline_s:
                raise ServerUnavailable("the encoder's server is slow")
            part = slice(begin, begin + self.about.rows)
            vectors[part] = self._vectors(texts[part])
        foreign = [row for row, text in enumerate(texts) if not text.isascii()]
        if foreign and self.about.unknown is not None:
            unknown[foreign] = self._unknown([texts[row] for row in foreign], self.about.unknown)
        return Encoded(vectors=vectors, unknown=unknown)

    def _prove(self) -> None:
        model, revision, _ = _about(self._client)
        if (model, revision) != (self.about.model, self.about.revision):
            raise ServerUnavailable("the encoder's server runs another model than the heads were trained with")
        self._proved = True

    def _vectors(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        rows = _post(self._client, "/embed", {"inputs": list(texts), "normalize": True, "truncate": True})
        try:
            made = np.asarray(rows, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ServerUnavailable("the encoder's server gave no numbers") from error
        if made.shape != (len(texts), self.width) or not np.isfinite(made).all():
            raise ServerUnavailable("the encoder's server gave vectors of another shape")
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        return np.asarray(made / np.maximum(lengths, 1e-9), dtype=np.float32)

    def _unknown(self, texts: Sequence[str], token: int) -> list[float]:
        """Share of tokens that it cannot read, per text."""
        shares: list[float] = []
        for begin in range(0, len(texts), self.about.rows):
            rows = _ids(self._client, texts[begin : begin + self.about.rows])
            shares += [ids.count(token) / max(1, len(ids)) for ids in rows]
        if len(shares) != len(texts):
            raise ServerUnavailable("the encoder's server left texts out")
        return shares


def connect(url: str, *, key: str | None = None, timeout_s: float = PATIENT_S) -> RemoteEncoder:
    """Ask a server what it is. Raises ServerUnavailable with the fix."""
    with _client(url, key, timeout_s) as client:
        try:
            model, revision, rows = _about(client)
            width = len(_post(client, "/embed", {"inputs": ["hello"], "normalize": True, "truncate": True})[0])
            unknown = _unknown_token(client)
        except (ServerUnavailable, LookupError, TypeError) as error:
            why = str(error) if isinstance(error, ServerUnavailable) else "it speaks another protocol"
            raise ServerUnavailable(
                f"the encoder's server {url} cannot be used ({why}); it must speak Text Embeddings Inference:"
                " look at classifier.encoder and at the server"
            ) from error
    about = Description(url=url, model=model, revision=revision, width=width, rows=rows, unknown=unknown)
    return RemoteEncoder(about, key=key, timeout_s=timeout_s)


def write_description(folder: Path, about: Description) -> None:
    """Keep beside the heads what the server said of itself, so that a start needs no server."""
    path = folder / SERVER
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(about), indent=1), encoding="utf-8")
    fresh.replace(path)


def read_description(folder: Path) -> Description:
    """What `write_description` kept. Raises ModelMissing, ModelDamaged."""
    path = folder / SERVER
    if not path.is_file():
        raise ModelMissing(f"no heads for this server in {folder}; run: relaydesk model prepare")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        unknown = data["unknown"]
        about = Description(
            url=str(data["url"]),
            model=str(data["model"]),
            revision=str(data["revision"]),
            width=int(data["width"]),
            rows=max(1, int(data["rows"])),
            unknown=None if unknown is None else int(unknown),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(f"{path} cannot be read; run: {PREPARE} {folder}") from error
    return about


class RemoteBlend(BlendClassifier):
    """Answers with a remote encoder where that answers in time, locally where it does not.

    `local` answers then; without one the n-gram experts of the same heads do. An answer names the version of whoever
    gave it.
    """

    def __init__(
        self,
        *,
        labels: tuple[Label, ...],
        heads: Mapping[str, LanguageHead],
        version: str,
        encoder: RemoteEncoder,
        local: Classifier | None = None,
    ) -> None:
        super().__init__(labels=labels, heads=heads, version=version, encoder=encoder)
        self._local = local

    def assess(self, batch: Sequence[Text]) -> list[Assessment]:
        """One assessment per text, in order."""
        try:
            return super().assess(batch)
        except ServerUnavailable:  # counted and logged by the encoder
            return (self._local or self.without_encoder()).assess(batch)

    def look(self, batch: Sequence[Text]) -> list[Look]:
        """How each text is read, in order."""
        try:
            return super().look(batch)
        except ServerUnavailable:
            return self.without_encoder().look(batch)

    def learn(self, example_id: str, language: str, text: str, intent: str | None = None) -> bool:
        """As of the base; False while the server is away."""
        try:
            return super().learn(example_id, language, text, intent)
        except ServerUnavailable:
            return False


# ---- the wire --------------------------------------------------------------------------------------------------------


def _client(url: str, key: str | None, timeout_s: float) -> httpx.Client:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise ServerUnavailable(f"the encoder's server {parts.hostname} is not reached by https; messages stay here")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
    return httpx.Client(base_url=url, headers=headers, timeout=timeout, follow_redirects=False, trust_env=False)


def _about(client: httpx.Client) -> tuple[str, str, int]:
    """Model, revision and the rows that a request may have."""
    said = _answer(client, "GET", "/info", None)
    try:
        return (
            str(said["model_id"]),
            str(said.get("model_sha") or ""),
            max(1, min(ROWS, int(said.get("max_client_batch_size") or ROWS))),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServerUnavailable("the encoder's server does not say what it is") from error


def _unknown_token(client: httpx.Client) -> int | None:
    """The token that stands for what no vocabulary holds; None where the server does not tell or has none."""
    try:
        rare, other, plain = _ids(client, [*_PROBES, "a"])
    except ServerUnavailable:
        return None  # an older server: how much it cannot read is then learnt from the examples alone
    return min(set(rare) & set(other) - set(plain), default=None)


def _ids(client: httpx.Client, texts: Sequence[str]) -> list[list[int]]:
    rows = _post(client, "/tokenize", {"inputs": list(texts), "add_special_tokens": False})
    try:
        return [[int(token["id"]) for token in row if not token.get("special", False)] for row in rows]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServerUnavailable("the encoder's server gave no tokens") from error


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    return _answer(client, "POST", path, body)


def _answer(client: httpx.Client, method: str, path: str, body: dict[str, Any] | None) -> Any:  # noqa: ANN401 - JSON
    """The JSON that a server answers with, in time and in size."""
    patience_s = client.timeout.read or PATIENT_S
    ends = time.monotonic() + patience_s
    read = bytearray()
    try:
        with client.stream(method, path, json=body) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ServerUnavailable(f"the encoder's server answered {answer.status_code} to {path}")
            for piece in answer.iter_bytes():
                read += piece
                if len(read) > LARGEST_BYTES or time.monotonic() > ends:
                    raise ServerUnavailable(f"the encoder's server answered {path} too slowly or at too great length")
        return json.loads(read)
    except httpx.HTTPError as error:
        raise ServerUnavailable(f"the encoder's server did not answer {path} ({type(error).__name__})") from error
    except ValueError as error:
        raise ServerUnavailable(f"the encoder's server answered {path} with something else than JSON") from error
