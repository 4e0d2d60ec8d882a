"""How fast and how small: texts per second, latency of one text, cold start, memory, and what an install downloads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks import kit
from benchmarks.triage_sets import Json
from classifiers import folders, load
from classifiers.encoder import Encoder
from classifiers.encoder import load as load_encoder
from classifiers.normalise import normalise
from domain.assessment import Text

TEXTS, BATCH, ROUNDS = 1600, 32, 5
SINGLES, TURNS = 200, 5
TOKENS = 16
MB = 1_000_000
PIP_S = 600

T = TypeVar("T")

COLD = """
import json, re, sys, time
started = time.perf_counter()
from pathlib import Path
from classifiers import load
from domain.assessment import Text
classifier = load.load_default(Path(sys.argv[1]), threads=2)
(answer,) = classifier.assess([Text(key="", text="Where is my parcel?")])
took = time.perf_counter() - started
held = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
heavy = [name for name in ("torch", "sklearn", "scipy", "transformers") if name in sys.modules]
print(json.dumps({"cold_start_s": round(took, 2), "rss_mb": round(held, 1), "heavy": heavy}))
"""


def measure(model: Path) -> Json:
    """Every text occurs once and in batches of 32; encoder and triage take turns, the best round of each counts."""
    classifier = load.load_default(model, threads=2)
    encoder = load_encoder(folders.paths(model).encoder, threads=2)
    number = 0
    both: dict[str, list[float]] = {"triage": [], "encoder": []}
    for _ in range(ROUNDS):
        texts = [kit.text((number + place) * 8 + place % 6) for place in range(TEXTS // ROUNDS)]  # English
        number += len(texts)
        normal = [normalise(text) for text in texts]
        both["encoder"].append(_rate(encoder.encode, normal))
        asked = [Text(key="", text=text) for text in texts]
        both["triage"].append(_rate(classifier.assess, asked))
    triage, alone = max(both["triage"]), max(both["encoder"])
    return {
        "triage_per_s": round(triage, 1),
        "encoder_per_s": round(alone, 1),
        "ratio_encoder": round(triage / alone, 3),
        **_latency(encoder),
        **_cold(model),
    }


def _rate(ask: Callable[[list[T]], object], items: list[T]) -> float:
    started = time.perf_counter()
    for first in range(0, len(items), BATCH):
        ask(items[first : first + BATCH])
    return len(items) / (time.perf_counter() - started)


def _latency(encoder: Encoder) -> Json:
    """One text of TOKENS tokens at a time, in milliseconds; where PyTorch is installed it takes turns with us, so that
    whatever else the machine does meets both alike, with two threads and with one.

    Both get token ids and make vectors of them; what a text takes as it is served, tokenising included, stands beside.
    Ours has one thread for a single text however many are allowed.
    """
    text = " ".join(["parcel"] * (TOKENS - 2))
    ids = encoder.tokens([text])
    peer = _torch()
    took: dict[str, list[float]] = {"ours": [], "text": [], "torch": [], "torch_one_thread": []}
    for _ in range(TURNS):
        took["ours"] += _singles(lambda: encoder.run(ids))
        took["text"] += _singles(lambda: encoder.encode([text]))
        if peer is not None:
            took["torch"] += _singles(lambda: peer(2))
            took["torch_one_thread"] += _singles(lambda: peer(1))
    ours = kit.quantile(took["ours"], 0.5)
    found: Json = {
        "encoder_p50_ms": round(ours, 2),
        "encoder_p99_ms": round(kit.quantile(took["ours"], 0.99), 2),
        "text_p50_ms": round(kit.quantile(took["text"], 0.5), 2),
        "ratio_torch": None,
        "baselines": {"torch_eager": None},
    }
    if peer is not None:
        two, one = kit.quantile(took["torch"], 0.5), kit.quantile(took["torch_one_thread"], 0.5)
        beside = {"encoder_p50_ms": round(two, 2), "encoder_p50_ms_one_thread": round(one, 2)}
        found |= {"ratio_torch": round(two / ours, 2), "baselines": {"torch_eager": beside}}
    return found


def _singles(ask: Callable[[], object]) -> list[float]:
    """Milliseconds of SINGLES / TURNS runs, after one that does not count."""
    ask()
    took = []
    for _ in range(SINGLES // TURNS):
        started = time.perf_counter()
        ask()
        took.append((time.perf_counter() - started) * 1000)
    return took


def _cold(model: Path) -> Json:
    """A fresh interpreter until the first answer: seconds, and the most memory it held, in MB; the median of three.

    Read from /proc, which begins anew with the program: `ru_maxrss` begins with what the benchmark itself holds.
    """
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", COLD, str(model)],
            cwd=kit.ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    runs.sort(key=lambda run: float(run["cold_start_s"]))
    return dict(runs[1])


def _torch() -> Callable[[int], object] | None:
    """Runs the same architecture in PyTorch, eager, with so many threads and random weights (they cost the same), on
    token ids that are there already; None where PyTorch is not installed.
    """
    if find_spec("torch") is None or find_spec("transformers") is None:
        return None
    import torch  # type: ignore[import-not-found,unused-ignore]
    from transformers import BertConfig, BertModel  # type: ignore[import-untyped,import-not-found,unused-ignore]

    shape = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model: Any = BertModel(shape)
    model.eval()
    ids = torch.from_numpy(np.random.default_rng(0).integers(1000, 20000, (1, TOKENS)))

    def run(threads: int) -> object:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            return model(ids)

    return run


def install() -> Json:
    """Sizes of the wheels that `pip install` fetches for the default install, in MB; weights apart. Needs the index."""
    with tempfile.TemporaryDirectory(prefix="relaydesk-wheels-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "-d", folder, "-c", "constraints.txt", "."],
            cwd=kit.ROOT,
            capture_output=True,
            text=True,
            timeout=PIP_S,
            check=False,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        if done.returncode != 0:
            return {"libraries_mb": None, "reason": done.stderr.strip().splitlines()[-1:], "baselines": {}}
        sizes = {path.name.split("-")[0].lower(): path.stat().st_size / MB for path in Path(folder).iterdir()}
    largest = dict(sorted(sizes.items(), key=lambda item: -item[1])[:8])
    return {
        "libraries_mb": round(sum(sizes.values()), 1),
        "libraries": len(sizes),
        "largest_mb": {name: round(size, 1) for name, size in largest.items()},
        "baselines": {},
    }
