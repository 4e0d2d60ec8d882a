"""Puts a classifier together from a prepared model folder."""

from __future__ import annotations

from pathlib import Path

from classifiers import artifact, base, build, encoder, provenance, taxonomy
from classifiers.blend import BlendClassifier
from classifiers.errors import ModelMissing


def load_default(model_dir: Path, *, threads: int | None = None) -> BlendClassifier:
    """The default classifier: encoder and n-gram experts, as `classifiers.build.prepare` made them.

    Raises ModelError (missing, damaged, heads of another encoder), each with the fix.
    """
    places = build.paths(model_dir)
    served = encoder.load(places.encoder, threads=threads)
    trained = artifact.load(places.heads, encoder=served.fingerprint)
    return BlendClassifier(labels=trained.labels, heads=trained.heads, version=_version(trained), encoder=served)


def _version(trained: artifact.Heads) -> str:
    """The trained numbers and the code around them."""
    return f"blend-{trained.version}-{provenance.digest(provenance.ANSWERS)[:6]}"


def load_ngrams(model_dir: Path) -> BlendClassifier:
    """The n-gram experts alone: the fallback under overload, and where the encoder is missing or damaged.

    Takes the heads of the model folder, or those of `train_ngrams`. Raises ModelError.
    """
    trained = artifact.load(build.paths(model_dir).heads, encoder=None)
    return BlendClassifier(labels=trained.labels, heads=trained.heads, version=_version(trained))


def train_ngrams(model_dir: Path, examples: Path = taxonomy.STARTER) -> BlendClassifier:
    """Train n-gram experts into a folder without an encoder, if they are not there: no download, a few seconds.

    Heads trained with an encoder are left as they are.
    """
    places = build.paths(model_dir)
    try:
        return load_ngrams(model_dir)
    except ModelMissing:
        build.train_heads(places.heads, taxonomy.read(examples), None)
    return load_ngrams(model_dir)


base.register("default", load_default)
base.register("ngrams", load_ngrams)
