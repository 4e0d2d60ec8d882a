"""A tiny encoder with random weights, and its forward pass written down plainly in float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from classifiers.graph import Shape, Weights

WORDS, WIDTH, WIDE, PLACES = 40, 24, 48, 16
SHAPE = Shape(layers=2, heads=4)


def weights(seed: int = 3, *, words: int = WORDS, places: int = PLACES, layers: int = SHAPE.layers) -> Weights:
    """Random weights under a BertModel's names."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0.0, 0.4, shape).astype(np.float32)

    made = {
        "embeddings.word_embeddings.weight": some(words, WIDTH),
        "embeddings.position_embeddings.weight": some(places, WIDTH),
        "embeddings.token_type_embeddings.weight": some(2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        sizes = {
            "attention.self.query": (WIDTH, WIDTH),
            "attention.self.key": (WIDTH, WIDTH),
            "attention.self.value": (WIDTH, WIDTH),
            "attention.output.dense": (WIDTH, WIDTH),
            "intermediate.dense": (WIDE, WIDTH),
            "output.dense": (WIDTH, WIDE),
        }
        for name, size in sizes.items():
            made |= {f"{at}.{name}.weight": some(*size), f"{at}.{name}.bias": some(size[0])}
        norms += [f"{at}.attention.output.LayerNorm", f"{at}.output.LayerNorm"]
    for name in norms:
        made |= {f"{name}.weight": 1.0 + some(WIDTH), f"{name}.bias": some(WIDTH)}
    return made


def forward(made: Weights, ids: list[int]) -> NDArray[np.float64]:
    """The embedding of one row of tokens, by the book."""
    w = {name: value.astype(np.float64) for name, value in made.items()}

    def linear(x: NDArray[np.float64], at: str) -> NDArray[np.float64]:
        return x @ w[f"{at}.weight"].T + w[f"{at}.bias"]

    def norm(x: NDArray[np.float64], at: str) -> NDArray[np.float64]:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + SHAPE.epsilon)
        return np.asarray(scaled * w[f"{at}.weight"] + w[f"{at}.bias"])

    word = w["embeddings.word_embeddings.weight"][ids]
    place = w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(word + place + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    head = WIDTH // SHAPE.heads
    for layer in range(SHAPE.layers):
        at = f"encoder.layer.{layer}"
        query, key, value = (linear(x, f"{at}.attention.self.{part}") for part in ("query", "key", "value"))
        seen = np.zeros_like(x)
        for start in range(0, WIDTH, head):
            part = slice(start, start + head)
            score = np.exp(query[:, part] @ key[:, part].T / math.sqrt(head))
            seen[:, part] = score / score.sum(-1, keepdims=True) @ value[:, part]
        x = norm(x + linear(seen, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        wide = linear(x, f"{at}.intermediate.dense")
        active = wide * 0.5 * (1.0 + np.vectorize(math.erf)(wide / math.sqrt(2.0)))
        x = norm(x + linear(active, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    mean = x.mean(0)
    return np.asarray(mean / np.linalg.norm(mean))
