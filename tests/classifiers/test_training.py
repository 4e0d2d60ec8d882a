"""Training: quick, repeatable, and kept in files that cannot run code."""

from __future__ import annotations

import dataclasses
import json
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from classifiers import artifact, encoder, errors, load, taxonomy, training, twins
from classifiers.blend import BlendClassifier
from classifiers.normalise import normalise
from classifiers.taxonomy import Example, Taxonomy
from domain.assessment import Text
from tests.classifiers import kit


@pytest.fixture(scope="module")
def starter() -> Taxonomy:
    """The starter taxonomy."""
    return taxonomy.read()


@pytest.fixture(scope="module")
def trained(starter: Taxonomy) -> artifact.Heads:
    """Heads trained with the real encoder."""
    heads = training.train(starter, kit.encoder())
    return artifact.Heads(
        labels=starter.labels,
        heads=heads,
        encoder=kit.encoder().fingerprint,
        taxonomy=starter.digest,
        recipe="r1",
        version="v1",
    )


def served(heads: artifact.Heads) -> BlendClassifier:
    """A classifier with these heads."""
    return BlendClassifier(labels=heads.labels, heads=heads.heads, version=heads.version, encoder=kit.encoder())


def test_it_is_quick_and_repeatable(starter: Taxonomy, trained: artifact.Heads) -> None:
    """Under 20 seconds of one core, and the same numbers each time."""
    started = time.process_time()
    again = training.train(starter, kit.encoder())
    assert time.process_time() - started < 20
    for language, head in again.items():
        assert (head.ngrams.weights == trained.heads[language].ngrams.weights).all()
        assert head.alone.threshold == trained.heads[language].alone.threshold
    assert artifact.digest(again) == artifact.digest(trained.heads)


def test_chinese_does_without_the_encoder(trained: artifact.Heads) -> None:
    """What the encoder cannot read is measured in training: English listens to it, Chinese does not."""
    assert trained.heads["en"].encoder is not None
    assert trained.heads["zh"].encoder is None
    assert trained.heads["zh"].blended is None


def test_both_experts_are_heard_in_english(trained: artifact.Heads) -> None:
    """The learned weights use n-grams and the encoder, be it by its vector or beside its layers."""
    blended = trained.heads["en"].blended
    assert blended is not None
    assert blended.alpha > 0.1
    assert blended.beta + blended.gamma > 0.1


class TestExtraExamples:
    """Sentences from elsewhere, such as messages with a label that a human confirmed."""

    def test_they_teach(self, starter: Taxonomy) -> None:
        """A word that no example has is learned from three confirmed messages."""
        said = ("the zorblax is grumpy", "zorblax grumpy again", "our zorblax went grumpy today")
        extra = [Example(id=f"seen/{n}", intent="outage", language="en", text=text) for n, text in enumerate(said)]
        taught = training.train(starter, None, extra=extra)
        classifier = BlendClassifier(labels=starter.labels, heads=taught, version="taught")
        assert kit.ask(classifier, "zorblax is grumpy here", "en").top[0].label == "outage"
        assert taught["en"].example_ids[len(taught["en"].example_ids) - 1] != "seen/2"
        assert "seen/2" in taught["en"].example_ids
        assert "seen/2" not in taught["zh"].example_ids

    @pytest.mark.parametrize(
        ("extra", "weights", "problem"),
        [
            (Example(id="x", intent="nonsense", language="en", text="hi"), {}, "no intent nonsense"),
            (Example(id="en/how_to/1", intent="how_to", language="en", text="hi"), {}, "en/how_to/1 stands twice"),
            (Example(id="x", intent="how_to", language="en", text="hi"), {"x": 0.0}, "x has the weight 0"),
        ],
    )
    def test_mistakes_are_refused(
        self, starter: Taxonomy, extra: Example, weights: dict[str, float], problem: str
    ) -> None:
        """An intent that is not there, an id twice, a weight of nothing."""
        with pytest.raises(ValueError, match=problem):
            training.train_language(starter, "en", None, extra=[extra], weights=weights)


class TestFiles:
    """One .npz and one .json."""

    def test_what_is_saved_is_what_is_loaded(self, trained: artifact.Heads, tmp_path: Path) -> None:
        """Same heads, same answers, to the last digit."""
        artifact.save(tmp_path, trained)
        batch = [Text(key="", text=text) for text, _ in [*kit.golden("en"), *kit.golden("zh")]]
        loaded = artifact.load(tmp_path, encoder=kit.encoder().fingerprint)
        assert served(loaded).assess(batch) == served(trained).assess(batch)
        assert loaded.labels == trained.labels

    def test_heads_of_another_encoder_are_refused(self, trained: artifact.Heads, tmp_path: Path) -> None:
        """Their numbers would mean nothing."""
        artifact.save(tmp_path, dataclasses.replace(trained, encoder="another"))
        with pytest.raises(errors.HeadMismatch, match="trained for another encoder; run: "):
            artifact.load(tmp_path, encoder=kit.encoder().fingerprint)

    def test_the_n_gram_expert_outlives_its_encoder(self, trained: artifact.Heads, tmp_path: Path) -> None:
        """Without any encoder the same heads answer with n-grams alone."""
        (tmp_path / "heads").mkdir()
        artifact.save(tmp_path / "heads", trained)
        alone = load.load_ngrams(tmp_path)
        assert alone.version.startswith("blend-v1-")
        assert alone.version.endswith("/ngrams")
        assert kit.ask(alone, "I forgot my password").top[0].label == "account_access"

    def test_pickled_arrays_are_refused(self, trained: artifact.Heads, tmp_path: Path) -> None:
        """An array of objects, which would be unpickled, is not read, even under a right hash."""

        class Trap:
            def __reduce__(self) -> tuple[type[Path], tuple[str]]:
                return Path, (str(tmp_path / "touched"),)

        artifact.save(tmp_path, trained)
        with (tmp_path / artifact.ARRAYS).open("wb") as file:
            np.savez(file, allow_pickle=True, **{"en/idf": np.array([Trap()], dtype=object)})
        index = json.loads((tmp_path / artifact.INDEX).read_text())
        index["arrays"] = encoder.sha256(tmp_path / artifact.ARRAYS)
        (tmp_path / artifact.INDEX).write_text(json.dumps(index))
        assert pickle.dumps(Trap())
        with pytest.raises(errors.ModelDamaged, match="cannot be read"):
            artifact.load(tmp_path, encoder=None)

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1}'])
    def test_a_broken_index_is_refused(self, tmp_path: Path, content: str) -> None:
        """With the fix."""
        (tmp_path / artifact.INDEX).write_text(content)
        with pytest.raises(errors.ModelDamaged, match="run: python -m classifiers"):
            artifact.load(tmp_path, encoder=None)


class TestOwnTaxonomy:
    """A company's own, smaller than ours."""

    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        """Two intents, one language."""
        (tmp_path / "taxonomy.yaml").write_text(
            "queues: {a: {en: A}, b: {en: B}}\n"
            "intents:\n"
            "  - {id: buy, queue: a, name: {en: Buy}, description: {en: Wants to buy}}\n"
            "  - {id: sell, queue: b, name: {en: Sell}, description: {en: Wants to sell}}\n"
        )
        (tmp_path / "examples.en.yaml").write_text(
            "buy: [I want to buy a car, buying a house, can I buy this, purchase please]\n"
            "sell: [I want to sell my car, selling a house, can I sell this, sale please]\n"
        )
        return tmp_path

    def test_two_intents_and_one_language_are_enough(self, own: Path) -> None:
        """No out-of-scope list, no Chinese, no intent named like ours."""
        content = taxonomy.read(own)
        heads = training.train(content, None)
        classifier = BlendClassifier(labels=content.labels, heads=heads, version="own")
        assert kit.ask(classifier, "I would like to sell my house").top[0].label == "sell"
        answer = kit.ask(classifier, "谢谢")
        assert answer.abstain
        assert answer.closure >= 0.9

    @pytest.mark.parametrize(
        ("file", "old", "new", "problem"),
        [
            ("taxonomy.yaml", "queue: b", "queue: c", "intent sell names queue 'c'"),
            ("taxonomy.yaml", "id: sell", "id: buy", "intent buy is listed twice"),
            ("taxonomy.yaml", "intents:", "things:", "at least two intents"),
            ("taxonomy.yaml", "id: sell,", "", "an intent has no id"),
            ("taxonomy.yaml", "{en: Sell}", "Sell", "name of intent sell must give a text per language"),
            ("taxonomy.yaml", "id: sell,", "id: sell, priority: huge,", "priority 'huge'"),
            ("taxonomy.yaml", "intents:", "intents: [", "taxonomy.yaml: is not YAML"),
            ("examples.en.yaml", "sell:", "rent:", "intent rent is not in taxonomy.yaml"),
            ("examples.en.yaml", ", sale please]", "]", "intent sell needs at least 4 examples"),
            ("examples.en.yaml", "buy:", "- buy:", "examples.en.yaml: is not YAML"),
            ("examples.en.yaml", "can I sell this", "sell: this", "examples.en.yaml: sell, number 3: is not a text"),
            ("examples.en.yaml", "purchase please", "yes", "examples.en.yaml: buy, number 4: is not a text"),
        ],
    )
    def test_mistakes_are_named(self, own: Path, file: str, old: str, new: str, problem: str) -> None:
        """One line per mistake, with file and intent."""
        text = (own / file).read_text()
        assert old in text
        (own / file).write_text(text.replace(old, new))
        with pytest.raises(errors.TaxonomyError) as caught:
            taxonomy.read(own)
        assert any(problem in line for line in caught.value.problems), caught.value.problems


class TestStarter:
    """The taxonomy we ship."""

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_every_intent_has_examples_and_words(self, starter: Taxonomy, language: str) -> None:
        """Twenty examples, eight golden sentences, a name and a description in each language."""
        for label in starter.labels:
            mine = [e for e in starter.examples if (e.intent, e.language) == (label.id, language)]
            assert len(mine) >= 20
            assert sum(intent == label.id for _, intent in kit.golden(language)) >= 8
            assert label.names[language]
            assert label.descriptions[language]

    def test_a_golden_set_has_texts_only(self, tmp_path: Path) -> None:
        """What YAML did not read as a text is named there, too."""
        (tmp_path / "golden.yaml").write_text("en: {buy: [12, I want to buy]}")
        with pytest.raises(errors.TaxonomyError, match=r"golden\.yaml: en buy, number 1: is not a text"):
            taxonomy.golden(tmp_path)

    def test_it_is_large_enough(self, starter: Taxonomy) -> None:
        """24 to 30 intents in at most twelve queues, and hundreds of texts out of scope or ending a conversation."""
        assert 24 <= len(starter.labels) <= 30
        assert len({label.queue for label in starter.labels}) <= 12
        closures = [example for example in starter.examples if "/closure/" in example.id]
        assert sum(map(len, starter.strangers.values())) + len(closures) >= 200
        for language in ("en", "zh"):
            assert len(taxonomy.golden_strangers()[language]) >= 40
            assert len(taxonomy.golden_closures()[language]) >= 15

    def test_no_two_sentences_are_alike(self, starter: Taxonomy) -> None:
        """Not among the examples, not across to the golden set, not out of scope; nor does any stand twice."""
        sentences = [one.text for one in (*starter.examples, *taxonomy.golden())]
        apart = (starter.strangers, taxonomy.golden_strangers())
        sentences += [text for texts_of in apart for texts in texts_of.values() for text in texts]
        normal = sorted(filter(None, map(normalise, sentences)))
        assert normal == sorted(set(normal))
        assert [(sentences[one], sentences[other]) for one, other, _ in twins.pairs(sentences)] == []
