"""Tiny classifiers of the Hugging Face libraries, built and taught in seconds; they need PyTorch."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from classifiers import build, hf, load, sources, taxonomy
from classifiers.normalise import plain
from classifiers.taxonomy import Example
from tests.classifiers import tiny_models

REASON = "the extra hf (torch, transformers) is not installed"


def torch() -> Any:
    """PyTorch, or a skipped test with the reason."""
    pytest.importorskip("transformers", reason=REASON)
    return pytest.importorskip("torch", reason=REASON)


def _bert(labels: list[str]) -> Any:
    torch().manual_seed(1)
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=tiny_models.words(),
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=192,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    made: Any = BertForSequenceClassification
    return made(config)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    core: Any = Tokenizer.from_str(tiny_models.tokenizer_json())
    from tokenizers import processors

    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name.lower()}_token": f"[{name}]" for name in ("UNK", "PAD", "CLS", "SEP", "MASK")}
    made: Any = PreTrainedTokenizerFast
    return made(tokenizer_object=core, **names)


def _teach(
    model: Any, tokenizer: Any, first: list[str], second: list[str] | None, wanted: list[int], steps: int
) -> None:
    optimiser = torch().optim.AdamW(model.parameters(), lr=2e-3)
    chance = random.Random(3)
    model.train()
    for _ in range(steps):
        rows = chance.sample(range(len(first)), 48)
        batch = tokenizer(
            [first[row] for row in rows],
            None if second is None else [second[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=96,
            return_tensors="pt",
        )
        loss = model(**batch, labels=torch().tensor([wanted[row] for row in rows])).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()


def _examples() -> list[Example]:
    return list(taxonomy.read().examples)


def sequence(folder: Path) -> Path:
    """A classifier fine-tuned on the starter's examples."""
    intents = [label.id for label in taxonomy.read().labels]
    model, tokenizer = _bert(intents), _tokenizer()
    examples = _examples()
    texts = [plain(example.text) for example in examples]
    _teach(model, tokenizer, texts, None, [intents.index(example.intent) for example in examples], 260)
    return _save(model, tokenizer, folder)


def entailment(folder: Path) -> Path:
    """An NLI model that was taught which starter example speaks of which intent."""
    labels = list(taxonomy.read().labels)
    model, tokenizer = _bert(["contradiction", "neutral", "entailment"]), _tokenizer()
    chance = random.Random(5)
    first, second, wanted = [], [], []
    for example in _examples():
        pattern = hf.HYPOTHESES[example.language]
        right = next(label for label in labels if label.id == example.intent)
        for label in [right] * 4 + chance.sample([one for one in labels if one is not right], 8):
            first.append(plain(example.text))
            second.append(
                pattern.format(name=label.names[example.language], description=label.descriptions[example.language])
            )
            wanted.append(2 if label is right else 0)
    _teach(model, tokenizer, first, second, wanted, 1200)
    return _save(model, tokenizer, folder)


def _save(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@cache
def served(kind: hf.Kind) -> hf.HubClassifier:
    """A prepared and loaded classifier of either kind; kept for the run of the tests."""
    import tempfile

    torch()
    base = Path(tempfile.mkdtemp(prefix="relaydesk-hub-"))
    folder = sequence(base / "given") if kind == "sequence" else entailment(base / "given")
    chosen = sources.parse(str(folder))
    build.prepare(base / "model", chosen=chosen, kind=kind)
    made = load.base.load(kind, sources.home(base / "model", chosen))
    assert isinstance(made, hf.HubClassifier)
    return made


def configured(folder: Path, **changes: Any) -> Path:
    """A folder that looks like a classifier's, without weights that would load: enough for what is checked before."""
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(tiny_models.tokenizer_json(), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    intents = [label.id for label in taxonomy.read().labels]
    config = {"model_type": "bert", "id2label": {str(place): name for place, name in enumerate(intents)}} | changes
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
