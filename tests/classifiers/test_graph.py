"""The graph against the mathematics, on a tiny model with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from classifiers import graph, quantise
from classifiers.encoder import open_session
from tests.classifiers import tiny

ROWS = [[1, 5, 9, 2], [1, 2], [1, 7, 7, 30, 12, 39, 4, 2], [3]]


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    """The float32 graph of the tiny model."""
    return graph.build(tiny.weights(), tiny.SHAPE)


def run(model: onnx.ModelProto | Path, rows: list[list[int]], output: str = "embedding") -> NDArray[np.float32]:
    """What a model gives for padded rows."""
    longest = max(map(len, rows))
    ids = np.array([row + [0] * (longest - len(row)) for row in rows], dtype=np.int64)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], dtype=np.int64)
    session: Any = open_session(model if isinstance(model, Path) else model.SerializeToString(), threads=1)
    return np.asarray(session.run([output], {"input_ids": ids, "attention_mask": mask})[0])


def test_it_computes_what_the_book_says(model: onnx.ModelProto) -> None:
    """One row at a time: equal to a plain float64 forward pass within 1e-5."""
    for row in ROWS:
        assert np.abs(run(model, [row])[0] - tiny.forward(tiny.weights(), row)).max() < 1e-5


def test_padding_changes_nothing(model: onnx.ModelProto) -> None:
    """A row among longer ones gets the embedding that it gets alone."""
    together = run(model, ROWS)
    for place, row in enumerate(ROWS):
        assert np.abs(together[place] - run(model, [row])[0]).max() < 1e-5


def test_embeddings_have_length_one(model: onnx.ModelProto) -> None:
    """So that a product of two is their cosine."""
    assert np.linalg.norm(run(model, ROWS), axis=1) == pytest.approx(np.ones(len(ROWS)), abs=1e-5)


def test_tokens_count_as_told(tmp_path: Path) -> None:
    """A token that counts nothing leaves the mean to the others; what counts in the embedding says nothing of the
    layers; and the int8 form counts the same.
    """
    shape = graph.Shape(layers=3, heads=tiny.SHAPE.heads)
    weights = tiny.weights(layers=3)
    ones = np.ones(tiny.WORDS, dtype=np.float32)
    counts = graph.Counts(embedding=ones.copy(), layers=ones)
    counts.embedding[7] = 0.5
    told, even = graph.build(weights, shape, counts), graph.build(weights, shape)
    assert np.abs(run(told, ROWS, "layers") - run(even, ROWS, "layers")).max() < 1e-6
    changed = np.abs(run(told, ROWS) - run(even, ROWS)).max(axis=1)
    assert [value > 1e-3 for value in changed] == [7 in row for row in ROWS]
    small = tmp_path / "model.onnx"
    quantise.write(told, small)
    assert (run(small, ROWS) * run(told, ROWS)).sum(axis=1).min() > 0.97
    kept = {constant.name: onnx.numpy_helper.to_array(constant) for constant in onnx.load(small).graph.initializer}
    assert (kept["embedding.counts"] == counts.embedding).all()


def test_layers_are_the_last_three_each_of_one_length() -> None:
    """Side by side, of length one in all; the last of them is the embedding where every token counts the same."""
    model = graph.build(tiny.weights(layers=3), graph.Shape(layers=3, heads=tiny.SHAPE.heads))
    layers = run(model, ROWS, "layers")
    assert layers.shape == (len(ROWS), 3 * tiny.WIDTH)
    parts = layers.reshape(len(ROWS), 3, tiny.WIDTH)
    assert np.linalg.norm(parts, axis=2) == pytest.approx(np.full((len(ROWS), 3), 3**-0.5), abs=1e-5)
    assert parts[:, 0] * 3**0.5 == pytest.approx(run(model, ROWS), abs=1e-5)


def test_taming_changes_nothing_in_float32(model: onnx.ModelProto) -> None:
    """Scaling channels down and their weights up leaves the function as it is."""
    tamed = quantise.tame(model, quantise.peaks(model, ROWS))
    assert len(tamed.graph.node) > len(model.graph.node)
    assert np.abs(run(tamed, ROWS) - run(model, ROWS)).max() < 1e-5


def test_a_family_with_rows_for_padding_begins_after_them() -> None:
    """RoBERTa's positions begin at 2: the same numbers come out where the table was moved down by two rows."""
    weights = dict(tiny.weights())
    places = weights["embeddings.position_embeddings.weight"]
    moved = weights | {
        "embeddings.position_embeddings.weight": np.concatenate([np.full((2, tiny.WIDTH), 9, np.float32), places])
    }
    there = graph.build(moved, graph.Shape(layers=tiny.SHAPE.layers, heads=tiny.SHAPE.heads, first_place=2))
    assert np.abs(run(there, ROWS) - run(graph.build(weights, tiny.SHAPE), ROWS)).max() < 1e-6


def test_the_first_token_can_speak_for_all() -> None:
    """With "cls" pooling the embedding is that of the first token: the last changes it only through attention."""
    shape = graph.Shape(layers=tiny.SHAPE.layers, heads=tiny.SHAPE.heads, pooling="cls")
    first = run(graph.build(tiny.weights(), shape), ROWS)
    assert np.linalg.norm(first, axis=1) == pytest.approx(np.ones(len(ROWS)), abs=1e-5)
    assert np.abs(first[3] - run(graph.build(tiny.weights(), tiny.SHAPE), ROWS)[3]).max() < 1e-6  # one token alone
    assert np.abs(first[0] - run(graph.build(tiny.weights(), tiny.SHAPE), ROWS)[0]).max() > 0.05


@pytest.mark.parametrize("reduce_range", [False, True])
def test_the_int8_form_stays_close(model: onnx.ModelProto, tmp_path: Path, *, reduce_range: bool) -> None:
    """int8 weights keep the direction of the embeddings, and every product with weights is quantised."""
    target = tmp_path / "model.onnx"
    quantise.write(quantise.tame(model, quantise.peaks(model, ROWS)), target, reduce_range=reduce_range)
    assert (run(target, ROWS) * run(model, ROWS)).sum(axis=1).min() > 0.97
    nodes = onnx.load(target).graph.node
    assert "QAttention" in {node.op_type for node in nodes}
    assert [node.name for node in nodes if node.op_type in ("MatMul", "Attention")] == ["last.product"], "of a mean"


def test_a_missing_weight_is_named() -> None:
    """Weights of another kind of model are refused by name, not computed with."""
    weights = dict(tiny.weights())
    del weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(KeyError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        graph.build(weights, tiny.SHAPE)
