"""A sentence encoder on another machine: asked in time, believed when it is the right one, done without when not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from classifiers import build, errors, load, remote, sources
from classifiers.remote import FAILURES, PAUSE_S, RemoteBlend, RemoteEncoder, ServerUnavailable
from domain.assessment import Text
from tests import patience
from tests.classifiers import embed_server, kit
from tests.classifiers.embed_server import Embedder
from tests.classifiers.shop import make_shop, make_starter

MOODS = ["overloaded", "broken", "short", "words", "nan", "portal", "silent", "drip"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    """One server for this file."""
    with embed_server.embedder(tmp_path_factory.mktemp("server") / "model") as state:
        yield state


@pytest.fixture(autouse=True)
def well(server: Embedder) -> None:
    """Every test finds it well."""
    server.mood, server.model, server.key, server.rows = "well", "org/tiny", "", 8
    server.asked.clear()
    server.texts.clear()


class Seconds:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class TestEncoder:
    """Texts to vectors over HTTP."""

    def test_its_vectors_are_the_servers(self, server: Embedder) -> None:
        """In parts no larger than the server allows, in order."""
        texts = [f"where is my order {number}" for number in range(20)]
        far = remote.connect(server.url)
        vectors = far.encode(texts).vectors
        assert server.asked["/embed"] == 1 + 3
        near = server.encoder.encode(texts).vectors
        assert float((vectors * near).sum(axis=1).min()) > 0.95
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(20), abs=1e-5)

    def test_nothing_asks_nobody(self, server: Embedder) -> None:
        """An empty list is answered here."""
        far = remote.connect(server.url)
        server.asked.clear()
        assert far.encode([]).vectors.shape == (0, far.width)
        assert server.asked == {}

    def test_what_it_cannot_read_is_counted(self, server: Embedder) -> None:
        """The share of unknown tokens of texts that are not plain ASCII, asked of the server's own tokenizer."""
        unknown = remote.connect(server.url).encode(["where is my order", "𓀀𓀀𓀀 𒀀", "我要退货"]).unknown
        assert unknown[0] == 0.0
        assert unknown[1] > 0.9
        assert unknown[2] < 0.3

    def test_an_older_server_is_used_without_that(self, server: Embedder) -> None:
        """No /tokenize: how well it reads a language is then learnt from the examples alone."""
        server.mood = "old"
        assert float(remote.connect(server.url).encode(["𓀀𓀀"]).unknown[0]) == 0.0

    def test_a_key_opens_it(self, server: Embedder) -> None:
        """Sent as a bearer token; without it the reason is named, and no key stands in a message."""
        server.key = "s3cret-key"
        assert remote.connect(server.url, key="s3cret-key").encode(["x"]).vectors.shape == (1, 24)
        with pytest.raises(ServerUnavailable, match="answered 401") as caught:
            remote.connect(server.url, key="wr0ng-key")
        assert "wr0ng" not in str(caught.value)

    @pytest.mark.parametrize("mood", [*MOODS[:-1]])
    def test_a_server_that_is_none_is_explained(self, server: Embedder, mood: str) -> None:
        """While the model is prepared: the setting to look at is named."""
        far = remote.connect(server.url)
        server.mood = mood
        with pytest.raises(ServerUnavailable):
            far.encode(["a", "b"])
        if mood not in ("words", "nan"):
            with pytest.raises(ServerUnavailable, match=r"look at classifier\.encoder"):
                remote.connect(server.url)

    def test_plain_http_to_elsewhere_is_refused(self) -> None:
        """Customers' words do not travel in the clear, masked or not."""
        with pytest.raises(ServerUnavailable, match="not reached by https"):
            remote.connect("http://embed.example.com")

    def test_a_dripping_answer_is_given_up(self, server: Embedder) -> None:
        """A byte now and then is no answer in time."""
        about = remote.connect(server.url).about
        server.mood = "drip"
        with patience.Own() as took, pytest.raises(ServerUnavailable, match="too slowly"):
            RemoteEncoder(about, timeout_s=0.3).encode(["hello"])
        assert took.seconds < 2.0

    def test_another_model_behind_the_address_is_not_believed(self, server: Embedder) -> None:
        """Heads are bound to the model they were trained with; its numbers from another would mean nothing."""
        about = remote.connect(server.url).about
        server.model = "org/other"
        with pytest.raises(ServerUnavailable, match="runs another model"):
            RemoteEncoder(about).encode(["hello"])

    def test_it_is_left_alone_after_failures(self, server: Embedder) -> None:
        """Three in a row, then a pause in which nobody is asked; the pause doubles, and ends with a good answer."""
        clock = Seconds()
        far = RemoteEncoder(remote.connect(server.url).about, clock=clock)
        server.mood = "broken"
        for _ in range(FAILURES):
            with pytest.raises(ServerUnavailable):
                far.encode(["hello"])
        server.asked.clear()
        with pytest.raises(ServerUnavailable, match="left alone"):
            far.encode(["hello"])
        assert (server.asked, far.is_away) == ({}, True)
        clock.now += PAUSE_S
        with pytest.raises(ServerUnavailable, match="answered 500"):
            far.encode(["hello"])
        clock.now += PAUSE_S
        assert far.is_away  # twice as long
        clock.now += PAUSE_S
        server.mood = "well"
        assert far.encode(["hello"]).vectors.shape == (1, 24)
        assert (far.failures, far.is_away) == (0, False)


@pytest.fixture(scope="module")
def home(server: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads trained with the server's encoder."""
    chosen = sources.parse(server.url)
    model = tmp_path_factory.mktemp("far")
    server.mood, server.model, server.key, server.rows = "well", "org/tiny", "", 8  # whatever test came before
    build.prepare(model, chosen=chosen, examples=make_starter(model / "shop"))
    return sources.home(model, chosen)


@pytest.fixture
def served(home: Path, tmp_path: Path) -> RemoteBlend:
    """The classifier, with the n-gram experts as its fallback."""
    made = load.load_server(home, local_dir=tmp_path / "nothing", timeout_s=0.5)
    assert isinstance(made, RemoteBlend)
    return made


class TestClassifier:
    """Answers whatever the server does."""

    def test_it_reads_with_the_server(self, server: Embedder, served: RemoteBlend) -> None:
        """And says so in its version."""
        answer = kit.ask(served, "Where is my order?")
        assert (answer.top[0].label, answer.version) == ("order_status", served.version)
        assert server.asked["/embed"] >= 1

    @pytest.mark.parametrize("mood", MOODS)
    def test_it_answers_without_the_server(self, server: Embedder, served: RemoteBlend, mood: str) -> None:
        """Whatever is wrong with the server the message is triaged, and the version names who did it."""
        server.mood = mood
        answers = served.assess([Text(key="1", text="Where is my order?"), Text(key="2", text="我要退货")])
        assert [answer.top[0].label for answer in answers] == ["order_status", "return_refund"]
        assert {answer.version for answer in answers} == {served.without_encoder().version}

    def test_it_looks_and_learns_no_worse(self, server: Embedder, served: RemoteBlend) -> None:
        """Explaining goes on with the n-gram expert; learning at once waits for the server."""
        server.mood = "broken"
        assert served.look([Text(key="1", text="Where is my order?")])[0].decision is not None
        assert served.learn("label/1", "en", "my parcel is late") in (True, False)

    def test_no_personal_data_leaves(self, server: Embedder, served: RemoteBlend) -> None:
        """What the server is sent names kinds, never people."""
        kit.ask(served, "I am at 221B Baker Street, call +49 170 1234567 or write to anna@example.com about my order")
        sent = " ".join(server.texts)
        assert "order" in sent
        assert not {"baker", "1234567", "anna"} & set(sent.replace("@", " ").split())

    def test_the_default_classifier_answers_where_it_is_prepared(self, server: Embedder, home: Path) -> None:
        """A better fallback than n-grams alone, where it knows the same intents."""
        served = load.load_server(home, local_dir=kit.model_dir(), timeout_s=0.5)
        server.mood = "broken"
        assert kit.ask(served, "Where is my order?").version == kit.default().version

    def test_a_start_needs_no_server(self, server: Embedder, home: Path, tmp_path: Path) -> None:
        """Away at the start, back later."""
        server.mood = "broken"
        served = load.load_server(home, local_dir=tmp_path)
        assert kit.ask(served, "Where is my order?").version == served.without_encoder().version
        server.mood = "well"
        assert kit.ask(served, "Where is my parcel?").version == served.version

    def test_a_broken_description_is_refused(self, home: Path, tmp_path: Path) -> None:
        """With the command that makes it again."""
        with pytest.raises(errors.ModelMissing, match="run: relaydesk model prepare"):
            remote.read_description(tmp_path)
        for content in ("", "{}", "[]", json.dumps({"url": "x", "width": "y"})):
            (tmp_path / sources.SERVER).write_text(content)
            with pytest.raises(errors.ModelDamaged, match="cannot be read"):
                remote.read_description(tmp_path)

    def test_another_model_at_the_address_gets_other_heads(self, server: Embedder, tmp_path: Path) -> None:
        """Preparing again notices; what was trained for the one is not served with the other."""
        chosen = sources.parse(server.url)
        shop = make_shop(tmp_path / "shop")
        build.prepare(tmp_path, chosen=chosen, examples=shop)
        home = sources.home(tmp_path, chosen)
        before = load.load_ngrams(home)
        server.model = "org/other"
        remote.write_description(home, remote.connect(server.url).about)
        with pytest.raises(errors.HeadMismatch):
            load.load_server(home, local_dir=tmp_path)
        steps: list[str] = []
        build.prepare(tmp_path, chosen=chosen, examples=shop, progress=lambda step, _share: steps.append(step))
        assert "training on the examples" in steps
        assert before.labels == load.load_server(home, local_dir=tmp_path).labels
