"""Tiny classifiers of the Hugging Face libraries, built and taught in seconds; they need PyTorch."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers import base, build, hf, sources, taxonomy
from classifiers.normalise import plain
from tests.classifiers import tiny_models

WIDTH, LOUD, SURE = 64, 2.0, 400.0
GATE, GATE_FROM = 6.0, 1.0
Matrix = NDArray[np.float32]
REASON = "the extra hf (torch, transformers) is not installed"


def torch() -> Any:
    """PyTorch, or a skipped test with the reason."""
    pytest.importorskip("transformers", reason=REASON)
    return pytest.importorskip("torch", reason=REASON)


def _bert(labels: list[str]) -> Any:
    torch()
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=tiny_models.words(),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=WIDTH,
        max_position_embeddings=128,
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    made: Any = BertForSequenceClassification
    model = made(config)
    with torch().no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if name.endswith("LayerNorm.weight") else 0.0)
    return model


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


def _votes(tokenizer: Any) -> Matrix:
    """How much each token speaks for each intent, float32 (words, intents): a linear model over bags of tokens."""
    from sklearn.linear_model import LogisticRegression

    content = taxonomy.read()
    intents = [label.id for label in content.labels]
    texts = [(plain(example.text), intents.index(example.intent)) for example in content.examples]
    for place, label in enumerate(content.labels):
        texts += [(f"{label.names[code]} {label.descriptions[code]}", place) for code in ("en", "zh")] * 4
    bags = np.zeros((len(texts), tiny_models.words()))
    for row, (text, _) in enumerate(texts):
        for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
            bags[row, token] += 1.0
    bags /= np.maximum(bags.sum(axis=1, keepdims=True), 1.0)
    fitted = LogisticRegression(C=300.0, max_iter=400).fit(bags, [intent for _, intent in texts])
    votes = np.asarray(fitted.coef_.T, dtype=np.float32)
    return votes / float(np.abs(votes).max())


def _reads(model: Any, votes: Matrix) -> None:
    """A network that adds votes up, written down instead of trained: attention that looks everywhere alike takes the
    mean of what the tokens say. A constant half of every vector keeps the norms from changing what is said.
    """
    intents = votes.shape[1]
    words = np.zeros((votes.shape[0], WIDTH), dtype=np.float32)
    words[:, :intents] = LOUD * votes
    words[:, WIDTH // 2 :: 2], words[:, WIDTH // 2 + 1 :: 2] = 1.0, -1.0
    own = torch().eye(WIDTH)
    layer = model.bert.encoder.layer[0]
    with torch().no_grad():
        model.bert.embeddings.word_embeddings.weight.copy_(torch().tensor(words))
        layer.attention.self.value.weight.copy_(own)
        layer.attention.output.dense.weight.copy_(50.0 * own)
        model.bert.pooler.dense.weight.copy_(0.1 * own)


def sequence(folder: Path) -> Path:
    """A classifier that knows the starter's examples."""
    intents = [label.id for label in taxonomy.read().labels]
    model, tokenizer = _bert(intents), _tokenizer()
    _reads(model, _votes(tokenizer))
    with torch().no_grad():
        model.classifier.weight.copy_(SURE * torch().eye(len(intents), WIDTH))
    return _save(model, tokenizer, folder)


def entailment(folder: Path) -> Path:
    """An NLI model: a hypothesis follows where both texts vote for one intent, which its feed-forward part rewards."""
    model, tokenizer = _bert(["contradiction", "neutral", "entailment"]), _tokenizer()
    votes = _votes(tokenizer)
    _reads(model, votes)
    intents = votes.shape[1]
    layer = model.bert.encoder.layer[0]
    with torch().no_grad():
        layer.intermediate.dense.weight[:intents, :intents] = GATE * torch().eye(intents)
        layer.intermediate.dense.bias[:intents] = -GATE_FROM
        layer.output.dense.weight[intents, :intents] = 1.0
        model.classifier.weight[2, intents] = SURE
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
    place = Path(tempfile.mkdtemp(prefix="relaydesk-hub-"))
    folder = sequence(place / "given") if kind == "sequence" else entailment(place / "given")
    chosen = sources.parse(str(folder))
    build.prepare(place / "model", chosen=chosen, kind=kind)
    made = base.load(kind, sources.home(place / "model", chosen))
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
