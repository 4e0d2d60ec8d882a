"""The classifiers under test, loaded once a process. The model is prepared before (`make model`), never fetched."""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from classifiers import build, folders, load, sources, taxonomy
from classifiers.blend import BlendClassifier
from classifiers.encoder import MANIFEST, Encoder
from classifiers.encoder import load as load_encoder
from domain.assessment import Assessment, Text
from tests.classifiers.shop import make_starter

ROOT = Path(__file__).parents[2]


def model_dir() -> Path:
    """The prepared model folder: RELAYDESK_MODEL_DIR or .cache/model in the checkout."""
    folder = Path(os.environ.get("RELAYDESK_MODEL_DIR") or ROOT / ".cache" / "model")
    if not (folders.paths(folder).encoder / MANIFEST).exists():
        pytest.fail(f"no model in {folder}: run `make model` once, or set RELAYDESK_MODEL_DIR", pytrace=False)
    return folder


@cache
def default() -> BlendClassifier:
    """Encoder and n-gram experts."""
    return load.load_default(model_dir(), threads=2)


@cache
def encoder() -> Encoder:
    """The int8 encoder."""
    return load_encoder(folders.paths(model_dir()).encoder, threads=2)


@cache
def ngrams() -> BlendClassifier:
    """The n-gram experts, trained here on the starter without an encoder."""
    with tempfile.TemporaryDirectory() as folder:
        return load.train_ngrams(Path(folder))


@cache
def adopted() -> BlendClassifier:
    """A tiny encoder with random weights, adopted from a folder: it proves the plumbing, the n-grams do the reading."""
    from tests.classifiers import tiny_models

    with tempfile.TemporaryDirectory() as folder:
        chosen = sources.parse(str(tiny_models.bert(Path(folder) / "given")))
        build.prepare(Path(folder) / "model", chosen=chosen, examples=make_starter(Path(folder) / "shop"))
        return load.load_default(sources.home(Path(folder) / "model", chosen), threads=1)


@cache
def remote() -> BlendClassifier:
    """The same behind a server that runs until the process ends."""
    from tests.classifiers import embed_server

    stack = ExitStack()
    atexit.register(stack.close)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    server = stack.enter_context(embed_server.embedder(folder / "server"))
    chosen = sources.parse(server.url)
    build.prepare(folder / "model", chosen=chosen, examples=make_starter(folder / "shop"))
    return load.load_server(sources.home(folder / "model", chosen), local_dir=folder, timeout_s=10.0)


def ask(classifier: BlendClassifier, text: str, hint: str | None = None) -> Assessment:
    """Assess one text."""
    return classifier.assess([Text(key="1", text=text, language_hint=hint)])[0]


def golden(language: str) -> list[tuple[str, str]]:
    """The golden set of a language: (text, intent)."""
    return [(example.text, example.intent) for example in taxonomy.golden() if example.language == language]
