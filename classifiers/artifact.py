"""Heads on disk: one .npz of plain arrays and one .json beside it; nothing that could run code when it is read."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Label
from classifiers.encoder import sha256
from classifiers.errors import AGAIN, PREPARE, HeadMismatch, ModelDamaged, ModelMissing
from classifiers.heads import EncoderHead, LanguageHead, Linear, View
from classifiers.neighbours import SparseIndex
from classifiers.ngrams import Family, LinearNgrams, Vocabulary
from domain.model import Priority

FORMAT = 2
ARRAYS = "heads.npz"
INDEX = "heads.json"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Heads:
    """What was trained: labels, a head per language, and what it was trained with.

    `encoder` is the fingerprint of the encoder, None for n-grams alone; `taxonomy` the digest of the taxonomy; `recipe`
    that of the code that trains.
    """

    labels: tuple[Label, ...]
    heads: Mapping[str, LanguageHead]
    encoder: str | None
    taxonomy: str
    recipe: str
    version: str


def save(folder: Path, trained: Heads) -> None:
    """Write both files into an existing folder."""
    arrays: Arrays = {}
    languages = {name: _pack(head, f"{name}/", arrays) for name, head in trained.heads.items()}
    with (folder / ARRAYS).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    index = {
        "format": FORMAT,
        "version": trained.version,
        "encoder": trained.encoder,
        "taxonomy": trained.taxonomy,
        "recipe": trained.recipe,
        "arrays": sha256(folder / ARRAYS),
        "labels": [
            {
                "id": label.id,
                "names": dict(label.names),
                "descriptions": dict(label.descriptions),
                "queue": label.queue,
                "priority": label.priority.value,
            }
            for label in trained.labels
        ],
        "languages": languages,
    }
    (folder / INDEX).write_text(json.dumps(index, ensure_ascii=False, indent=1), encoding="utf-8")


def digest(heads: Mapping[str, LanguageHead]) -> str:
    """Hex sha256 of every number in them."""
    arrays: Arrays = {}
    languages = {name: _pack(head, f"{name}/", arrays) for name, head in heads.items()}
    found = hashlib.sha256(json.dumps(languages, sort_keys=True).encode())
    for name in sorted(arrays):
        found.update(name.encode() + arrays[name].tobytes())
    return found.hexdigest()


def load(folder: Path, *, encoder: str | None) -> Heads:
    """Read what `save` wrote. `encoder` is the fingerprint of the encoder they will be served with, None without one
    (then heads of any encoder answer with their n-gram expert).

    Raises ModelMissing, ModelDamaged, HeadMismatch.
    """
    fix = f"run: {PREPARE} {folder.parent}"
    if not (folder / INDEX).exists():
        raise ModelMissing(f"no trained heads in {folder}; {fix}")
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise ModelDamaged(f"{folder / INDEX} is of another version; {fix}")
        if encoder is not None and index["encoder"] != encoder:
            raise HeadMismatch(f"the heads in {folder} were trained for another encoder; {AGAIN}, then relaydesk train")
        if sha256(folder / ARRAYS) != index["arrays"]:
            raise ModelDamaged(f"{folder / ARRAYS} is not the file that was trained; remove {folder} and {fix}")
        with np.load(folder / ARRAYS, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Heads(
            labels=tuple(_label(entry) for entry in index["labels"]),
            heads={name: _unpack(name, entry, f"{name}/", arrays) for name, entry in index["languages"].items()},
            encoder=index["encoder"],
            taxonomy=str(index["taxonomy"]),
            recipe=str(index["recipe"]),
            version=str(index["version"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelDamaged(
            f"the heads in {folder} cannot be read ({type(error).__name__}); remove {folder} and {fix}"
        ) from error


def _pack(head: LanguageHead, at: str, arrays: Arrays) -> dict[str, Any]:
    vocabulary = head.ngrams.vocabulary
    for number, terms in enumerate(vocabulary.terms):
        text = "\n".join(terms)  # an n-gram holds no line break: normalised texts have spaces only
        arrays[f"{at}terms{number}"] = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    arrays |= {
        f"{at}idf": vocabulary.idf,
        f"{at}ngrams.weights": head.ngrams.weights,
        f"{at}ngrams.bias": head.ngrams.bias,
        f"{at}index.starts": head.index.starts,
        f"{at}index.rows": head.index.rows,
        f"{at}index.values": head.index.values,
        f"{at}index.classes": head.example_classes,
    }
    if head.encoder is not None:
        arrays |= {
            f"{at}encoder.weights": head.encoder.plain.weights,
            f"{at}encoder.bias": head.encoder.plain.bias,
            f"{at}encoder.examples": head.encoder.examples,
        }
        if head.encoder.deep is not None:
            arrays |= {f"{at}deep.weights": head.encoder.deep.weights, f"{at}deep.bias": head.encoder.deep.bias}
        if head.encoder.layers is not None:
            arrays[f"{at}encoder.layers"] = head.encoder.layers
    return {
        "classes": list(head.classes),
        "families": [[family.kind, family.low, family.high] for family in vocabulary.families],
        "examples": list(head.example_ids),
        "alone": _pack_view(head.alone),
        "blended": head.blended and _pack_view(head.blended),
    }


def _unpack(language: str, entry: Mapping[str, Any], at: str, arrays: Arrays) -> LanguageHead:
    idf = arrays[f"{at}idf"]
    terms: list[dict[str, int]] = []
    begin = 0
    for number in range(len(entry["families"])):
        grams = arrays[f"{at}terms{number}"].tobytes().decode("utf-8").split("\n")
        terms.append({gram: begin + place for place, gram in enumerate(grams)})
        begin += len(grams)
    if begin != idf.shape[0]:
        raise ValueError("n-grams and their weights differ in number")
    families = tuple(Family(kind=kind, low=low, high=high) for kind, low, high in entry["families"])
    encoder = None
    if f"{at}encoder.weights" in arrays:
        encoder = EncoderHead(
            plain=_linear(f"{at}encoder", arrays),
            deep=_linear(f"{at}deep", arrays) if f"{at}deep.weights" in arrays else None,
            examples=arrays[f"{at}encoder.examples"],
            layers=arrays.get(f"{at}encoder.layers"),
        )
    return LanguageHead(
        language=language,
        classes=tuple(int(place) for place in entry["classes"]),
        ngrams=LinearNgrams(
            vocabulary=Vocabulary(families=families, terms=tuple(terms), idf=idf),
            weights=arrays[f"{at}ngrams.weights"],
            bias=arrays[f"{at}ngrams.bias"],
        ),
        index=SparseIndex(
            starts=arrays[f"{at}index.starts"],
            rows=arrays[f"{at}index.rows"],
            values=arrays[f"{at}index.values"],
            size=len(entry["examples"]),
        ),
        alone=_unpack_view(entry["alone"]),
        encoder=encoder,
        blended=_unpack_view(entry["blended"]) if entry["blended"] else None,
        example_ids=tuple(str(example) for example in entry["examples"]),
        example_classes=arrays[f"{at}index.classes"],
    )


def _linear(at: str, arrays: Arrays) -> Linear:
    return Linear(weights=arrays[f"{at}.weights"], bias=arrays[f"{at}.bias"])


def _pack_view(view: View) -> dict[str, Any]:
    return {
        "alpha": view.alpha,
        "beta": view.beta,
        "gamma": view.gamma,
        "delta": view.delta,
        "means": view.means.tolist(),
        "deviations": view.deviations.tolist(),
        "slopes": view.slopes.tolist(),
        "offset": view.offset,
        "threshold": view.threshold,
        "temperature": view.temperature,
    }


def _unpack_view(entry: Mapping[str, Any]) -> View:
    return View(
        alpha=float(entry["alpha"]),
        beta=float(entry["beta"]),
        gamma=float(entry["gamma"]),
        delta=float(entry["delta"]),
        means=np.array(entry["means"], dtype=np.float64),
        deviations=np.array(entry["deviations"], dtype=np.float64),
        slopes=np.array(entry["slopes"], dtype=np.float64),
        offset=float(entry["offset"]),
        threshold=float(entry["threshold"]),
        temperature=float(entry.get("temperature", 1.0)),
    )


def _label(entry: Mapping[str, Any]) -> Label:
    return Label(
        id=str(entry["id"]),
        names=dict(entry["names"]),
        descriptions=dict(entry["descriptions"]),
        queue=str(entry["queue"]),
        priority=Priority(entry["priority"]),
    )
