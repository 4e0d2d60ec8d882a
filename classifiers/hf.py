"""Classifiers of the Hugging Face libraries: a fine-tuned sequence classifier, and zero-shot by an NLI model.

Both need the extra `hf` (PyTorch and transformers). Both are read from a folder that `prepare` filled and whose files
are checked before anything is loaded: safetensors only, no code of a repository, no name that could lead to the
network. What they lack beside the default classifier: heads that learn, calibration, a sense of what is out of scope.
The n-gram experts are trained beside them, for overload and for explaining.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from classifiers import adopt, artifact, folders, hub, provenance, sources, verdict
from classifiers.base import Label
from classifiers.blend import BlendClassifier
from classifiers.encoder import buckets, sha256
from classifiers.errors import (
    PREPARE,
    HeadMismatch,
    ModelDamaged,
    ModelMissing,
    TaxonomyError,
    WeightsRefused,
    WeightsUnavailable,
)
from classifiers.normalise import plain
from classifiers.progress import Progress
from classifiers.taxonomy import Taxonomy
from domain.assessment import Assessment, Text

Kind = Literal["sequence", "zero_shot"]
KINDS: tuple[Kind, ...] = ("sequence", "zero_shot")
FOLDER, MANIFEST, FORMAT = "hf", "manifest.json", 1
WANTED = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", adopt.SAFE)
NEEDED = ("config.json", "tokenizer.json", adopt.SAFE)
REFUSED = ("auto_map", "quantization_config")
MAX_TOKENS = 256
ROWS = 16  # texts, or pairs of text and hypothesis, in one run
MANY_LABELS = 20  # zero-shot reads every text once per label
THRESHOLD = 0.8
HYPOTHESES = {"zh": "这条消息是关于：{name}。{description}", "en": "This message is about: {name}. {description}"}

_log = structlog.get_logger(__name__)


def require() -> None:
    """Raises ModelMissing with the exact command where the libraries of the extra are not installed."""
    missing = [name for name in ("torch", "transformers") if util.find_spec(name) is None]
    if missing:
        raise ModelMissing(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; run:"
            f" {sys.executable} -m pip install 'torch==2.13.*' 'transformers>=5.10,<6'"
        )


# ---- preparing -------------------------------------------------------------------------------------------------------


def prepare(
    home: Path,
    chosen: sources.Source,
    kind: Kind,
    content: Taxonomy,
    mapping: Mapping[str, str],
    progress: Progress,
    endpoint: str = sources.HUB,
) -> None:
    """Fetch or copy a model into the folder `hf` of `home`, whole or not at all, and check what can be checked without
    loading it. `mapping` leads from the model's labels to intents. To be called under the lock of `home`.

    Raises ModelError.
    """
    with folders.whole(home / FOLDER) as folder:
        if chosen.kind == "hub":
            files = hub.listing(chosen, endpoint)
            _refuse_pickle(files, chosen)
            wanted = {name: chosen.sha256 if name == adopt.SAFE else "" for name in WANTED if name in files}
            hub.fetch(chosen, wanted, folder, progress, endpoint)
        else:
            given = Path(chosen.name)
            if not given.is_dir():
                raise WeightsUnavailable(f"there is no folder {given}; look at classifier.model")
            _refuse_pickle((path.name for path in given.iterdir()), given)
            for name in WANTED:
                if (given / name).is_file():
                    shutil.copyfile(given / name, folder / name)
        for name in NEEDED:
            if not (folder / name).is_file():
                raise WeightsUnavailable(f"{chosen} has no {name}; choose another model")
        if (folder / adopt.SAFE).stat().st_size > hub.LARGEST_BYTES:
            raise WeightsRefused(f"{chosen} is too large to be served here")
        config = _config(folder)
        _check_labels(config, kind, content, mapping)
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "source": str(chosen),
            "labels": dict(mapping),
            "files": {path.name: sha256(path) for path in sorted(folder.iterdir())},
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8")


def is_prepared(home: Path, kind: Kind, mapping: Mapping[str, str]) -> bool:
    """Whether the folder holds this kind of model with these labels already."""
    try:
        manifest = json.loads((home / FOLDER / MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest["kind"] == kind and manifest["labels"] == dict(mapping))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _refuse_pickle(names: Any, where: object) -> None:  # noqa: ANN401 - any iterable of names
    if adopt.SAFE not in (there := set(names)):
        adopt.choose([name for name in there if not name.endswith(".onnx")], where)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        asked = [name for name in REFUSED if name in config]
    except (ValueError, TypeError) as error:
        raise WeightsRefused(f"{folder / 'config.json'} cannot be read; fetch the model again") from error
    if asked:
        raise WeightsRefused(f"{folder / 'config.json'} asks for {asked[0]}; such models are not served")
    return dict(config)


def _names(config: Mapping[str, Any]) -> list[str]:
    """The model's own labels in order."""
    try:
        found = {int(place): str(name) for place, name in config["id2label"].items()}
        return [found[place] for place in range(len(found))]
    except (KeyError, ValueError, AttributeError) as error:
        raise WeightsRefused("config.json names no labels (id2label); the model is no classifier") from error


def _check_labels(config: Mapping[str, Any], kind: Kind, content: Taxonomy, mapping: Mapping[str, str]) -> None:
    names = _names(config)
    intents = {label.id for label in content.labels}
    if kind == "zero_shot":
        if not any(_is_entailment(name) for name in names):
            raise WeightsRefused(f"the model has no label for entailment ({', '.join(names)}); it is no NLI model")
        if len(intents) > MANY_LABELS:
            _log.warning("model.zero_shot_slow", labels=len(intents), about="each message is read once per intent")
        return
    problems = [
        f"classifier.labels: the model's label {name!r} leads to no intent; write {name}: INTENT"
        for name in names
        if mapping.get(name, name) not in intents
    ]
    problems += [f"classifier.labels: the model has no label {name!r}" for name in mapping if name not in names]
    if problems:
        raise TaxonomyError(*problems)


def _is_entailment(name: str) -> bool:
    return name.lower().startswith("entail")


# ---- serving ---------------------------------------------------------------------------------------------------------


class Scores(Protocol):
    """What a model makes of texts."""

    def __call__(self, texts: Sequence[str], languages: Sequence[str]) -> tuple[NDArray[np.float64], list[float]]:
        """Probabilities float64 (texts, labels), and per text the share of tokens that are unknown."""


class HubClassifier(BlendClassifier):
    """Answers with a model of the Hugging Face libraries. `heads` are the n-gram experts beside it."""

    def __init__(self, *, trained: artifact.Heads, version: str, scores: Scores, threshold: float) -> None:
        super().__init__(labels=trained.labels, heads=trained.heads, version=trained.version)
        self.version = version
        self._scores = scores
        self._threshold = threshold

    def assess(self, batch: Sequence[Text]) -> list[Assessment]:
        """One assessment per text, in order."""
        readings = [verdict.read(text) for text in batch]
        asked = [place for place, reading in enumerate(readings) if not reading.is_empty]
        found: dict[int, tuple[NDArray[np.float64], float]] = {}
        if asked:
            texts = [plain(batch[place].text) for place in asked]
            probabilities, unknown = self._scores(texts, [readings[place].language.code for place in asked])
            found = {place: (probabilities[row], unknown[row]) for row, place in enumerate(asked)}
        answers = []
        for place, reading in enumerate(readings):
            if place in found:
                answers.append(self._answered(reading, *found[place]))
            else:
                answers.append(self._judge.nothing(reading.language, reading.signals, self.version))
        return answers

    def _answered(self, reading: verdict.Reading, probabilities: NDArray[np.float64], unknown: float) -> Assessment:
        doubt = verdict.doubt(reading, unknown)
        said = verdict.Said(
            probabilities=probabilities, threshold=self._threshold, strange=1.0 if doubt else 0.0, doubt=doubt
        )
        return self._judge.judge(reading.language, reading.signals, said, self.version)

    def learn(self, example_id: str, language: str, text: str, intent: str | None = None) -> bool:
        """Among the neighbours of the n-gram experts; the model itself does not learn here."""
        version = self.version
        learnt = super().learn(example_id, language, text, intent)
        self.version = version
        return learnt


def load(home: Path, *, threshold: float = THRESHOLD, threads: int | None = None) -> HubClassifier:
    """The classifier of a prepared folder, every file checked first. Loads PyTorch.

    Raises ModelError.
    """
    folder = home / FOLDER
    kind, mapping, digest = _verify(folder)
    trained = artifact.load(folders.paths(home).heads, encoder=None)
    require()
    config = _config(folder)
    model = _Model(folder, config, threads)
    intents = [label.id for label in trained.labels]
    scores: Scores
    if kind == "sequence":
        names = _names(config)
        try:
            places = [intents.index(mapping.get(name, name)) for name in names]
        except ValueError as error:
            raise HeadMismatch(f"a label of {folder} leads to no intent any more; run: {PREPARE} {home}") from error
        scores = _Sequence(model, places, len(intents))
    else:
        scores = _ZeroShot(model, trained.labels, _names(config))
    code = provenance.digest(("hf", *provenance.ANSWERS))[:6]
    served = hashlib.sha256(f"{digest}{threshold}{trained.taxonomy}".encode()).hexdigest()[:12]
    return HubClassifier(trained=trained, version=f"{kind}-{served}-{code}", scores=scores, threshold=threshold)


def _verify(folder: Path) -> tuple[Kind, dict[str, str], str]:
    """Kind, mapping and a digest of the manifest, once every file is the one that was prepared."""
    fix = f"remove {folder} and run: relaydesk model prepare"
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelMissing(f"no prepared model in {folder}; run: relaydesk model prepare")
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
        kind = manifest["kind"]
        if manifest["format"] != FORMAT or kind not in KINDS or not set(NEEDED) <= set(manifest["files"]):
            raise ModelDamaged(f"{path} is of another version; {fix}")
        there = {one.name for one in folder.iterdir()} - {MANIFEST}
        if extra := sorted(there - set(manifest["files"])):
            raise ModelDamaged(f"{folder / extra[0]} was not prepared; {fix}")
        for name, wanted in manifest["files"].items():
            if sha256(folder / name) != wanted:
                raise ModelDamaged(f"{folder / name} is not the file that was prepared; {fix}")
        return kind, {str(name): str(intent) for name, intent in manifest["labels"].items()}, sha256(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamaged(f"{path} cannot be read or a file is gone ({type(error).__name__}); {fix}") from error


class _Model:
    """Tokenizer and network; logits of texts or of pairs."""

    def __init__(self, folder: Path, config: Mapping[str, Any], threads: int | None) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        if threads:
            torch.set_num_threads(threads)
        # A folder, never a name; no network, no pickle, no code from the folder.
        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        made: Any = AutoTokenizer
        network: Any = AutoModelForSequenceClassification
        try:
            self._tokenizer = made.from_pretrained(str(folder), **safe)
            self._network, told = network.from_pretrained(
                str(folder), use_safetensors=True, dtype=torch.float32, output_loading_info=True, **safe
            )
            if told["missing_keys"]:  # the library would make them up
                raise ValueError("weights are missing")
        except Exception as error:  # two libraries, each with errors of its own
            raise ModelDamaged(
                f"{folder} cannot be loaded ({type(error).__name__}); choose another model in classifier.model"
            ) from error
        self._network.eval()
        self._torch = torch
        self._unknown = self._tokenizer.unk_token_id
        places = int(config.get("max_position_embeddings") or MAX_TOKENS) - 2
        self._longest = max(8, min(MAX_TOKENS, places))
        if self._tokenizer.pad_token_id is None:
            raise ModelDamaged(f"{folder} has no token to fill up rows with; choose another model in classifier.model")

    def logits(self, texts: Sequence[str], others: Sequence[str] | None = None) -> NDArray[np.float64]:
        """float64 (texts, classes); with `others` each text is read together with the other at its place."""
        made = self._tokenizer(
            list(texts),
            None if others is None else list(others),
            truncation="longest_first",  # a text is longer than a hypothesis; a long hypothesis is no reason to fail
            max_length=self._longest,
        )
        ids = made["input_ids"]
        found = np.zeros((len(texts), self._network.config.num_labels), dtype=np.float64)
        for rows in _groups([len(one) for one in ids]):
            batch = self._tokenizer.pad({name: [made[name][row] for row in rows] for name in made}, return_tensors="pt")
            with self._torch.inference_mode():
                found[rows] = self._network(**batch).logits.double().numpy()
        return found

    def unknown(self, texts: Sequence[str]) -> list[float]:
        """Share of tokens that it does not know, per text."""
        if self._unknown is None:
            return [0.0] * len(texts)
        made = self._tokenizer(list(texts), truncation=True, max_length=self._longest, add_special_tokens=False)
        return [one.count(self._unknown) / max(1, len(one)) for one in made["input_ids"]]


class _Sequence:
    """A fine-tuned classifier: its labels' probabilities, gathered under our intents."""

    def __init__(self, model: _Model, places: Sequence[int], intents: int) -> None:
        self._model = model
        self._gather = np.eye(intents)[list(places)]

    def __call__(self, texts: Sequence[str], languages: Sequence[str]) -> tuple[NDArray[np.float64], list[float]]:
        del languages  # it was taught in those that it knows
        return _softmax(self._model.logits(texts)) @ self._gather, self._model.unknown(texts)


class _ZeroShot:
    """An NLI model: how much a text entails that it is about an intent, beside how much it entails the others."""

    def __init__(self, model: _Model, labels: Sequence[Label], names: Sequence[str]) -> None:
        self._model = model
        self._entails = next(place for place, name in enumerate(names) if _is_entailment(name))
        self._hypotheses = {
            language: [
                pattern.format(
                    name=label.names.get(language) or label.id, description=label.descriptions.get(language, "")
                ).strip()
                for label in labels
            ]
            for language, pattern in HYPOTHESES.items()
        }

    def __call__(self, texts: Sequence[str], languages: Sequence[str]) -> tuple[NDArray[np.float64], list[float]]:
        sets = [self._hypotheses.get(language, self._hypotheses["en"]) for language in languages]
        pairs = [(text, other) for text, others in zip(texts, sets, strict=True) for other in others]
        logits = self._model.logits([text for text, _ in pairs], [other for _, other in pairs])
        return _softmax(logits[:, self._entails].reshape(len(texts), -1)), self._model.unknown(texts)


def _groups(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of similar length, few at a time."""
    return [group[begin : begin + ROWS] for group in buckets(lengths) for begin in range(0, len(group), ROWS)]


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
