"""Makes an encoder that Relaydesk can serve of somebody else's files.

Taken: a ready ONNX file (int8 as it is, float32 made int8), or the safetensors of a BERT, RoBERTa or XLM-RoBERTa, from
which the graph is written. Refused: pickle, code that a repository asks to run, layers that we do not know. Nothing of
what is refused is opened.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from classifiers import graph, quantise
from classifiers.encoder import MAX_TOKENS, MODEL, TOKENIZER, Encoder, Profile
from classifiers.errors import BuildFailed, ModelError, WeightsRefused, WeightsUnavailable

READY = (
    "onnx/model_quantized.onnx",
    "onnx/model_qint8_avx512_vnni.onnx",
    "onnx/model_int8.onnx",
    "model_quantized.onnx",
    "onnx/model.onnx",
    "model.onnx",
)
"""Ready files, the smallest first; of a repository the first that is there is fetched."""
SAFE = "model.safetensors"
BESIDE = (
    TOKENIZER,
    "config.json",
    "tokenizer_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.joblib")
FAMILIES = {"bert": 0, "roberta": 2, "xlm-roberta": 2, "camembert": 2}
"""Architectures whose graph we write, with the first row of their position table."""
KNOWN_LAYERS = {"Transformer", "Pooling", "Normalize"}
INT8_KINDS = {"MatMulInteger", "DynamicQuantizeLinear", "QLinearMatMul", "DynamicQuantizeMatMul", "QAttention"}
LEAST_MEAN, LEAST_COSINE = 0.98, 0.90  # int8 beside float32; below, the float32 model is served
LEAST_ALONE = 0.95  # a text alone beside itself among others
E5_PREFIX = "query: "  # these models were trained with it before every question; their files do not say so

Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """What was made: how to ask it, what the checks measured, the weights file that it was made from."""

    profile: Profile
    checks: dict[str, float]
    weights: str


def choose(paths: Iterable[str], where: object) -> str:
    """The weights file to take of those that are there.

    Raises WeightsRefused where there is only pickle, WeightsUnavailable where there is none.
    """
    there = set(paths)
    for name in (*READY, SAFE):
        if name in there:
            return name
    if pickled := sorted(path for path in there if any(Path(path).match(pattern) for pattern in PICKLES)):
        raise WeightsRefused(f"{where} has only {pickled[0]}, a pickle file, which can run code; it must have {SAFE}")
    raise WeightsUnavailable(f"{where} has no model: it must hold {SAFE} or {READY[-2]}")


def adopt(folder: Path, target: Path, texts: list[str], progress: Progress) -> Adopted:
    """Make model.onnx and tokenizer.json in `target` from a folder laid out like a hub's repository.

    `texts` (normalised) are what the result is measured on. Raises WeightsRefused, WeightsUnavailable, BuildFailed.
    """
    chosen = choose((path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()), folder)
    if not (folder / TOKENIZER).is_file():
        raise WeightsUnavailable(f"{folder} has no {TOKENIZER}; only fast tokenizers can be served")
    config = _read(folder / "config.json")
    if "auto_map" in config:
        raise WeightsRefused(f"{folder / 'config.json'} asks to run code of its own; such models are not served")
    profile = _profile(folder, config)
    shutil.copyfile(folder / TOKENIZER, target / TOKENIZER)
    try:
        if chosen == SAFE:
            profile, checks = _from_weights(folder, target, config, profile, texts, progress)
        else:
            profile, checks = _from_onnx(folder / chosen, target, profile, texts, progress)
    except ModelError:
        raise
    except Exception as error:  # three libraries read the file, each with errors of its own
        raise BuildFailed(f"{folder / chosen} cannot be served ({type(error).__name__}: {_short(error)})") from error
    return Adopted(profile=profile, checks=checks, weights=chosen)


def manifest_profile(profile: Profile) -> dict[str, Any]:
    """A profile as it stands in a manifest; `Profile.of` reads it."""
    return asdict(profile)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


# ---- what the files beside the weights say ---------------------------------------------------------------------------


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsRefused(f"{path} cannot be read; fetch the model again") from error
    return data if isinstance(data, dict) else {"items": data}


def _profile(folder: Path, config: Mapping[str, Any]) -> Profile:
    layers = _read(folder / "modules.json").get("items", [])
    kinds = {str(layer.get("type", "")).rpartition(".")[2] for layer in layers if isinstance(layer, dict)}
    if unknown := sorted(kinds - KNOWN_LAYERS):
        raise WeightsRefused(f"{folder} has a layer that is not served ({unknown[0]}); choose another encoder")
    pooling = _read(folder / "1_Pooling" / "config.json")
    modes = {name for name, on in pooling.items() if name.startswith("pooling_mode") and on is True}
    if modes - {"pooling_mode_mean_tokens", "pooling_mode_cls_token"} or len(modes) > 1:
        raise WeightsRefused(f"{folder} pools its tokens in a way that is not served; choose another encoder")
    unknown_token, pad = _special(folder, config)
    places = int(config.get("max_position_embeddings", MAX_TOKENS)) - FAMILIES.get(str(config.get("model_type")), 0)
    told = int(_read(folder / "sentence_bert_config.json").get("max_seq_length") or MAX_TOKENS)
    return Profile(
        pooling="cls" if "pooling_mode_cls_token" in modes else "mean",
        prefix=E5_PREFIX if _is_e5(folder, config) else "",
        unknown=unknown_token,
        pad=pad,
        max_tokens=max(8, min(MAX_TOKENS, places, told)),
    )


def _is_e5(folder: Path, config: Mapping[str, Any]) -> bool:
    names = (folder.name, str(config.get("_name_or_path", "")))
    return any("e5" in re.split(r"[^a-z0-9]+", name.lower()) for name in names)


def _special(folder: Path, config: Mapping[str, Any]) -> tuple[str, int]:
    """The token for what cannot be read, and the id that fills up a row."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # the library raises a bare Exception for a file that it cannot read
        raise WeightsRefused(f"{folder / TOKENIZER} cannot be read; fetch the model again") from error
    model = _read(folder / TOKENIZER).get("model", {})
    unknown = model.get("unk_token")
    if unknown is None and isinstance(model.get("unk_id"), int):
        unknown = model["vocab"][model["unk_id"]][0]
    pads = (tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>"))
    pad = next((found for found in pads if found is not None), config.get("pad_token_id") or 0)
    return str(unknown or "[UNK]"), int(pad)


# ---- from weights ----------------------------------------------------------------------------------------------------


def _from_weights(
    folder: Path, target: Path, config: Mapping[str, Any], profile: Profile, texts: list[str], progress: Progress
) -> tuple[Profile, dict[str, float]]:
    family = str(config.get("model_type"))
    if family not in FAMILIES or config.get("position_embedding_type", "absolute") != "absolute":
        raise WeightsRefused(
            f"{folder} is a {family}; from {SAFE} we serve {', '.join(sorted(FAMILIES))}, others from {READY[-2]}"
        )
    if config.get("hidden_act", "gelu") != "gelu":
        raise WeightsRefused(f"{folder} uses {config['hidden_act']!r}, which is not served; choose another encoder")
    progress("building the model", 0.2)
    shape = graph.Shape(
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        first_place=FAMILIES[family],
        pooling="cls" if profile.pooling == "cls" else "mean",
    )
    made = graph.build(_weights(folder / SAFE), shape)
    profile = replace(profile, pooling="graph")
    return profile, _shrink(made, target, profile, texts, progress, tamed=True)


def _weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every weight in float32 under a plain BertModel's names."""
    from safetensors.numpy import load_file

    found = {}
    for name, value in load_file(path).items():
        for before in ("bert.", "roberta.", "model.", "0.auto_model."):
            name = name.removeprefix(before)
        if np.issubdtype(value.dtype, np.floating):
            found[name] = value.astype(np.float32)
    return found


# ---- from a ready file -----------------------------------------------------------------------------------------------


def _from_onnx(
    path: Path, target: Path, profile: Profile, texts: list[str], progress: Progress
) -> tuple[Profile, dict[str, float]]:
    progress("reading the model", 0.2)
    made = onnx.load(path, load_external_data=False)
    if any(one.data_location == onnx.TensorProto.EXTERNAL for one in made.graph.initializer):
        raise WeightsRefused(f"{path} keeps its weights in another file; give one file")
    inputs = {one.name for one in made.graph.input} - {one.name for one in made.graph.initializer}
    if inputs - {"input_ids", "attention_mask", "token_type_ids"} or not {"input_ids", "attention_mask"} <= inputs:
        raise WeightsRefused(f"{path} wants {', '.join(sorted(inputs))}; it is no text encoder")
    profile = replace(profile, output=_output(made, path), types="token_type_ids" in inputs)
    if {node.op_type for node in made.graph.node} & INT8_KINDS:
        shutil.copyfile(path, target / MODEL)
        progress("checking the model", 0.6)
        return profile, _check(Encoder(target / TOKENIZER, target / MODEL, profile=profile), texts)
    return profile, _shrink(made, target, profile, texts, progress, tamed=False)


def _output(made: onnx.ModelProto, path: Path) -> str:
    ranks = {one.name: len(one.type.tensor_type.shape.dim) for one in made.graph.output}
    if "sentence_embedding" in ranks:
        return "sentence_embedding"
    names = [name for name, rank in ranks.items() if rank == 3] or [name for name, rank in ranks.items() if rank == 2]
    if not names:
        raise WeightsRefused(f"{path} gives no embedding; its outputs are {', '.join(ranks)}")
    return str(names[0])


# ---- small, and checked ----------------------------------------------------------------------------------------------


def _shrink(
    made: onnx.ModelProto, target: Path, profile: Profile, texts: list[str], progress: Progress, *, tamed: bool
) -> dict[str, float]:
    """Write the int8 form, or the float32 one where int8 strays too far."""
    progress("quantising to int8", 0.4)
    exact = Encoder(target / TOKENIZER, made.SerializeToString(), profile=profile)
    true = exact.encode(texts).vectors
    calm = quantise.tame(made, quantise.peaks(made, exact.tokens(texts))) if tamed else made
    progress("quantising to int8", 0.6)
    quantise.write(calm, target / MODEL)
    small = Encoder(target / TOKENIZER, target / MODEL, profile=profile)
    cosines = (small.encode(texts).vectors * true).sum(axis=1)
    checks = {"int8_mean_cosine": float(cosines.mean()), "int8_least_cosine": float(cosines.min())}
    if checks["int8_mean_cosine"] < LEAST_MEAN or checks["int8_least_cosine"] < LEAST_COSINE:
        (target / MODEL).write_bytes(made.SerializeToString())
        small, checks = exact, checks | {"float32": 1.0}
    progress("checking the model", 0.75)
    return checks | _check(small, texts)


def _check(served: Encoder, texts: list[str]) -> dict[str, float]:
    """Vectors that are numbers, of length one, told apart, and the same in company as alone.

    Raises BuildFailed.
    """
    together = served.encode(texts).vectors
    alone = np.concatenate([served.encode([text]).vectors for text in texts[:16]])
    lengths = np.linalg.norm(together, axis=1)
    if not np.isfinite(together).all() or np.abs(lengths - 1.0).max() > 1e-3:
        raise BuildFailed("the model gives no vectors of length one; it was thrown away")
    likeness = together @ together.T
    apart = float((likeness.sum() - len(texts)) / max(1, len(texts) * (len(texts) - 1)))
    if apart > 0.999:
        raise BuildFailed("the model gives every text the same vector; it was thrown away")
    same = float((together[: len(alone)] * alone).sum(axis=1).min())
    if same < LEAST_ALONE:
        raise BuildFailed(f"the model answers otherwise in company (cosine {same:.3f}); it was thrown away")
    return {"alone_least_cosine": same, "mean_likeness": apart, "width": float(served.width)}
