"""A confirmed message is a neighbour at once, and a new classifier answers without a restart."""

from __future__ import annotations

import numpy as np
import pytest

from classifiers import batching
from classifiers.blend import BlendClassifier
from classifiers.neighbours import SparseIndex
from classifiers.ngrams import Sparse
from domain.assessment import Text
from tests.classifiers import kit
from tests.classifiers.kit import ask

ODD = "the frobnicator hums in the key of B flat"


def fresh(trained: BlendClassifier) -> BlendClassifier:
    """A classifier of its own with the same heads."""
    return BlendClassifier(labels=trained.labels, heads=trained.heads, version="v", encoder=trained.encoder)


def test_a_confirmed_message_is_evidence_at_once() -> None:
    """It lies nearest to itself, the text is less strange, and the version says that answers may differ now."""
    it = fresh(kit.default())
    before = ask(it, ODD, "en")
    assert it.learn("label/1", "en", ODD)
    after = ask(it, ODD, "en")
    assert after.evidence[0] == "label/1"
    assert after.out_of_scope < before.out_of_scope
    assert (before.version, after.version) == ("v", "v+1")
    assert ask(kit.default(), ODD, "en").evidence == before.evidence, "nobody else's heads have changed"


def test_chinese_and_no_encoder_learn_as_well() -> None:
    """The n-gram index grows by the same example."""
    it = fresh(kit.ngrams())
    for language, text in (("zh", "这个小玩意儿一直嗡嗡响"), ("en", ODD)):
        assert it.learn(f"label/{language}", language, text)
        assert ask(it, text, language).evidence[0] == f"label/{language}"
    assert it.version == "v+2/ngrams"


def test_what_cannot_be_learnt_changes_nothing() -> None:
    """A language without a head, an empty text, and what is known already."""
    it = fresh(kit.ngrams())
    assert not it.learn("label/1", "xx", "hello")
    assert not it.learn("label/1", "en", " \u200b ")
    assert it.learn("label/1", "en", ODD)
    assert not it.learn("label/1", "en", ODD)
    assert it.version == "v+1/ngrams"


def test_a_grown_index_is_the_index_of_all() -> None:
    """Adding one by one gives what building from all at once gives."""
    rng = np.random.default_rng(2)

    def some() -> Sparse:
        columns = rng.choice(30, rng.integers(0, 9), replace=False)
        return Sparse(columns=columns, values=rng.random((columns.shape[0],)), known=1.0)

    examples = [some() for _ in range(25)]
    whole, grown = SparseIndex.build(examples, 30), SparseIndex.build(examples[:3], 30)
    for example in examples[3:]:
        grown = grown.plus(example)
    for name in ("starts", "rows", "values"):
        np.testing.assert_array_equal(getattr(grown, name), getattr(whole, name))
    assert grown.size == whole.size == 25
    np.testing.assert_allclose(grown.similarities(examples[7]), whole.similarities(examples[7]))


def test_looking_is_what_the_answer_rests_on() -> None:
    """The probabilities that an explanation shows are those that were answered."""
    it = kit.default()
    text = "I was charged twice for one order"
    (look,) = it.look([Text(key="1", text=text, language_hint="en")])
    assert look.decision is not None
    assert look.decision.blended
    answer = ask(it, text, "en")
    top = it.labels[look.head.classes[int(look.decision.probabilities.argmax())]]
    assert top.id == answer.top[0].label
    assert look.decision.probabilities.max() == answer.top[0].confidence
    assert it.look([Text(key="1", text="…")])[0].decision is None


async def test_a_new_classifier_answers_without_a_restart() -> None:
    """From the next batch on, and nothing remembered of the old one is given for it."""
    old, new = fresh(kit.ngrams()), fresh(kit.ngrams())
    new.learn("label/1", "en", ODD)
    triage = batching.Triage(old, old.without_encoder())
    await triage.start()
    try:
        asked = [Text(key="1", text=ODD, language_hint="en")]
        assert (await triage.assess(asked))[0].version == old.version
        assert await triage.aside(lambda: old.version) == old.version
        with pytest.raises(ZeroDivisionError):
            await triage.aside(lambda: 1 // 0)
        triage.replace(new, new.without_encoder())
        assert triage.classifier is new
        assert (await triage.assess(asked))[0].version == new.version
    finally:
        await triage.close()
