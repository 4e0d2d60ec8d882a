"""The n-gram expert served from plain arrays against scikit-learn, which it must equal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from classifiers import experts, ngrams, taxonomy
from classifiers.ngrams import Family, Sparse, Vocabulary
from classifiers.normalise import normalise

TOLERANCE = 1e-6


def sklearn_vectorizer(family: Family) -> TfidfVectorizer:
    """scikit-learn's own, set up as the expert's family says."""
    return TfidfVectorizer(
        analyzer=family.kind,
        ngram_range=(family.low, family.high),
        token_pattern=ngrams.TOKEN if family.kind == "word" else None,
        lowercase=False,
        sublinear_tf=True,
    )


def matrix_of(features: list[Sparse], columns: int) -> csr_matrix:
    """The feature vectors as the rows of one matrix."""
    ends = np.cumsum([0, *(len(one.columns) for one in features)])
    values, places = (
        np.concatenate(parts) for parts in zip(*((one.values, one.columns) for one in features), strict=True)
    )
    return csr_matrix((values, places, ends), shape=(len(features), columns))


def texts(language: str) -> list[str]:
    """The starter's examples as they are trained on."""
    return [normalise(example.text) for example in taxonomy.read().examples if example.language == language]


class TestAgainstScikitLearn:
    """Same texts, same numbers."""

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_features_are_equal(self, language: str) -> None:
        """Every n-gram gets scikit-learn's weight, on texts it was fitted on and on others."""
        families = ngrams.families(language)
        vocabulary = experts.vocabulary(texts(language), families)
        vectorizers = [sklearn_vectorizer(family).fit(texts(language)) for family in families]
        names = [term for terms in vocabulary.terms for term in terms]
        assert names == [term for one in vectorizers for term in one.get_feature_names_out()]
        others = [*texts("en"), *texts("zh"), "", "a", " ", "zzzz qqqq", "😀", "where is my 0000"]
        theirs = hstack([one.transform(others) for one in vectorizers]) / np.sqrt(len(families))
        ours = matrix_of([vocabulary.features(text) for text in others], len(names))
        assert theirs.shape == ours.shape
        assert abs(theirs - ours).max() < TOLERANCE

    @pytest.mark.parametrize("language", ["en", "zh"])
    def test_margins_are_equal(self, language: str) -> None:
        """The served head gives LinearSVC's decision function."""
        families = ngrams.families(language)
        fitted = texts(language)
        classes = np.arange(len(fitted)) % 7
        vocabulary = experts.vocabulary(fitted, families)
        features = [vocabulary.features(text) for text in fitted]
        served = experts.fit_ngrams(features, classes, vocabulary, 7)
        matrix = matrix_of(features, vocabulary.idf.shape[0])
        model = LinearSVC(C=experts.MARGIN_C * len(families), random_state=experts.SEED).fit(matrix, classes)
        ours = np.array([served.scores(one) for one in features])
        assert np.abs(model.decision_function(matrix) - ours).max() < TOLERANCE

    def test_every_class_counts_alike(self) -> None:
        """One whose texts weigh three times as much as those of the others draws no more texts to itself."""
        fitted = texts("en")[:60]
        classes = np.arange(len(fitted)) % 3
        even = np.ones(len(fitted))
        loud = np.where(classes == 1, 3.0, 1.0) * 0.6  # as much in all
        ours, theirs = (
            experts.fit(
                experts.Texts(texts=fitted, classes=classes, weights=weights, encoded=None), ngrams.families("en"), 3
            ).ngrams.weights
            for weights in (even, loud)
        )
        assert np.abs(ours - theirs).max() < TOLERANCE
        assert np.abs(ours).max() > 0.1

    @given(text=st.text(max_size=60))
    @settings(max_examples=150, deadline=None)
    def test_n_grams_are_equal_on_any_text(self, text: str) -> None:
        """Also on what nobody foresaw: the same n-grams in the same numbers."""
        normal = normalise(text)
        for family in (*ngrams.ALPHABETIC, *ngrams.IDEOGRAPHIC):
            theirs = sklearn_vectorizer(family).build_analyzer()(normal)
            assert sorted(family.grams(normal)) == sorted(theirs)


class TestFeatures:
    """What the vectors promise."""

    def test_a_known_text_has_length_one(self) -> None:
        """Vectors are unit vectors, so that their product is a cosine."""
        vocabulary = experts.vocabulary(texts("zh"), ngrams.IDEOGRAPHIC)
        features = vocabulary.features("我的快递到哪了")
        assert float(features.values @ features.values) == pytest.approx(1.0)

    def test_an_unknown_text_has_no_features(self) -> None:
        """Nothing known gives an empty vector and says so."""
        vocabulary = Vocabulary(families=ngrams.IDEOGRAPHIC[:1], terms=({"我": 0},), idf=np.ones(1))
        features = vocabulary.features("xyz")
        assert (features.columns.shape, features.known) == ((0,), 0.0)

    def test_a_second_look_sees_the_same(self) -> None:
        """What is kept of words that the training knew changes nothing, and no other word is kept."""
        fitted = texts("en")
        fresh, used = (experts.vocabulary(fitted, ngrams.ALPHABETIC) for _ in range(2))
        for text in (*fitted[:50], "my parcel hunter2secret, parcel parcel!"):
            used.features(text)
            first, second = fresh.features(text), used.features(text)
            assert (first.columns == second.columns).all()
            assert (first.values == second.values).all()
            assert first.known == second.known
        assert "parcel" in used._pieces
        assert used._pieces.keys() <= used.terms[0].keys() | used.terms[1].keys()
        assert "hunter2secret," not in used._pieces
