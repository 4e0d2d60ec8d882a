"""Puts a classifier together from a prepared model folder."""

from __future__ import annotations

from pathlib import Path

import structlog
from threadpoolctl import threadpool_limits

from classifiers import artifact, base, build, encoder, folders, provenance, taxonomy, versions
from classifiers.blend import BlendClassifier
from classifiers.errors import ModelError, ModelMissing

_log = structlog.get_logger(__name__)


def load_default(model_dir: Path, *, threads: int | None = None) -> BlendClassifier:
    """The default classifier: the encoder that `classifiers.build.prepare` made and the live version of the heads.

    Where the live version cannot be used the one that answered before it is, down to the prepared heads.
    Raises ModelError (missing, damaged, heads of another encoder), each with the fix.
    """
    served = encoder.load(folders.paths(model_dir).encoder, threads=threads)
    return load_live(model_dir, served)[0]


def load_live(model_dir: Path, served: encoder.Encodes | None) -> tuple[BlendClassifier, int]:
    """The live heads, or the last good ones, with an encoder that is loaded already; and the number of their version.

    Raises ModelError: that of the first candidate where none can be used.
    """
    first: ModelError | None = None
    for version in versions.candidates(model_dir):
        try:
            return load_version(version, served), version.number
        except ModelError as error:
            first = first or error
    if first is not None:
        raise first
    return load_version(versions.read(model_dir, versions.PREPARED), served), versions.PREPARED


def load_version(version: versions.Version, served: encoder.Encodes | None) -> BlendClassifier:
    """One version's heads with an encoder that is loaded already. Raises ModelError."""
    _compute_alone()
    trained = artifact.load(version.folder, encoder=served.fingerprint if served else None)
    if served is not None and not isinstance(served, encoder.Encoder):
        from classifiers import remote

        if isinstance(served, remote.RemoteEncoder):
            return remote.RemoteBlend(
                labels=trained.labels,
                heads=trained.heads,
                version=version_of(trained),
                encoder=served,
                local=served.local,
            )
    return BlendClassifier(labels=trained.labels, heads=trained.heads, version=version_of(trained), encoder=served)


def _compute_alone() -> None:
    """Let the products of small matrices be done by the thread that asks.

    BLAS would wake a thread per core for each of them and let it spin: three times the processor time, for nothing.
    """
    threadpool_limits(limits=1, user_api="blas")


def load_server(
    home: Path, *, local_dir: Path, key: str | None = None, timeout_s: float | None = None, threads: int | None = None
) -> BlendClassifier:
    """Heads served with a remote encoder. While that is away the default classifier of `local_dir` answers, where it is
    prepared for the same intents, else the n-gram experts. Asks nobody.

    Raises ModelError.
    """
    from classifiers import remote

    served = remote.RemoteEncoder(remote.read_description(home), key=key, timeout_s=timeout_s or remote.TIMEOUT_S)
    far = load_live(home, served)[0]
    try:
        local = load_default(local_dir, threads=threads)
    except ModelError as error:
        _log.info("model.server_without_local", reason=str(error))
        return far
    if [label.id for label in local.labels] != [label.id for label in far.labels]:
        return far
    served.local = local
    return load_live(home, served)[0]


def version_of(trained: artifact.Heads) -> str:
    """The trained numbers and the code around them."""
    return f"blend-{trained.version}-{provenance.digest(provenance.ANSWERS)[:6]}"


def load_ngrams(model_dir: Path) -> BlendClassifier:
    """The n-gram experts alone: the fallback under overload, and where the encoder is missing or damaged.

    Takes the heads of the model folder, or those of `train_ngrams`. Raises ModelError.
    """
    return load_live(model_dir, None)[0]


def train_ngrams(model_dir: Path, examples: Path = taxonomy.STARTER) -> BlendClassifier:
    """Train n-gram experts into a folder without an encoder, if they are not there: no download, a few seconds.

    Heads trained with an encoder are left as they are.
    """
    places = folders.paths(model_dir)
    try:
        return load_ngrams(model_dir)
    except ModelMissing:
        build.train_heads(places.heads, taxonomy.read(examples), None)
    return load_ngrams(model_dir)


def _load_hub_classifier(home: Path) -> base.Classifier:
    """A classifier of the Hugging Face libraries, of either kind: the folder says which."""
    from classifiers import hf

    return hf.load(home)


base.register("default", load_default)
base.register("sequence", _load_hub_classifier)
base.register("zero_shot", _load_hub_classifier)
base.register("ngrams", load_ngrams)
