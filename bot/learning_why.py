"""Why a conversation was sorted as it was, in four lines: for the desk's "Why?" and for `relaydesk explain`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from bot.desk import blocks, words
from classifiers import taxonomy
from classifiers.errors import TaxonomyError
from classifiers.explain import Explanation
from domain import text
from domain.rulebook import Rulebook
from storage import loading
from storage.labels import Labels
from storage.record import Record
from storage.views import Views

log = structlog.get_logger(__name__)

Explains = Callable[[str, str | None], Awaitable[Explanation]]
"""Explains one text (with the language that the chat platform named) with the heads that answer now."""
EXAMPLE_CHARS = 60
CLEAR_TONE = 0.3
LABEL = "label/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A nearest example: its words (masked where a customer wrote them), its topic, how like it is (cosine).

    `confirmed` says that it is a message that a person labelled.
    """

    text: str
    topic: str
    similarity: float
    confirmed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Why:
    """What can be said about one conversation.

    `tone` is how the customer sounds, -1 to 1, None where no word tells; it decided nothing. `then` are the
    probabilities that were recorded when it was read, likeliest first; `queue` the likeliest queue, what it got and
    what it needed. `words` are pieces of the customer's text. `version` read it then, `now` answers today.
    """

    topic: str | None
    by_human: bool
    abstained: str
    then: tuple[tuple[str, float], ...]
    queue: tuple[str, float, float] | None
    words: tuple[str, ...]
    lexical_share: float
    nearest: tuple[Example, ...]
    rules: tuple[str, ...]
    language: str
    version: str
    now: str
    temperature: float
    tone: float | None

    def lines(self) -> dict[str, str]:
        """The four lines as they fill the desk's text, unescaped, in the reader's language."""
        none = words.say("list.none")
        return {
            "said": self._said(),
            "words": words.listed(_shown(word) for word in self.words) or words.say("explained.no_words"),
            "nearest": words.say("list.semicolon").join(self._example(one) for one in self.nearest) or none,
            "rules": words.listed(words.signal(rule) for rule in self.rules) or none,
            "versions": self._versions(),
        }

    def _said(self) -> str:
        guesses = words.listed(f"{name} {share:.0%}" for name, share in self.then if share >= blocks.SHOWN)
        parts = [guesses or words.say("explained.nothing")]
        if self.queue is not None:
            name, share, needed = self.queue
            parts.append(words.say("explained.queue", name=name, share=f"{share:.0%}", needed=f"{needed:.0%}"))
        if self.abstained:
            parts.append(words.say("explained.left", why=words.named("explained_reason", self.abstained)))
        if self.by_human and self.topic:
            parts.append(words.say("explained.chosen", topic=self.topic))
        return words.SEPARATOR.join(parts)

    def _example(self, one: Example) -> str:
        key = "explained.example_confirmed" if one.confirmed else "explained.example"
        said = text.excerpt(one.text, EXAMPLE_CHARS)
        return words.say(key, words=said, topic=one.topic, share=f"{one.similarity:.0%}")

    def _versions(self) -> str:
        known, read = bool(self.language), bool(self.version)
        parts = [
            words.say(
                f"explained.{'language' if known else 'language_unknown'}", language=words.language(self.language)
            ),
            words.say(f"explained.{'read_by' if read else 'read_by_nobody'}", version=self.version),
        ]
        if self.tone is not None:
            parts.append(words.say(f"explained.tone_{_tone(self.tone)}"))
        if self.now != self.version:
            parts.append(words.say("explained.now", version=self.now))
        if self.temperature != 1.0:
            parts.append(words.say("explained.set_right"))
        return words.SEPARATOR.join(parts)


def _shown(word: str) -> str:
    """A piece of the text; the classifier reads all numbers of one length as the same one, of zeros alone."""
    return words.say("explained.a_number") if word and not word.strip("0") else word


def _tone(tone: float) -> str:
    return "glad" if tone >= CLEAR_TONE else "cross" if tone <= -CLEAR_TONE else "neither"


class Reasons:
    """Looks up what an explanation needs."""

    def __init__(
        self,
        *,
        views: Views,
        record: Record,
        labels: Labels,
        rules: Rulebook,
        explains: Explains,
        examples: Path = taxonomy.STARTER,
    ) -> None:
        self._views = views
        self._record = record
        self._labels = labels
        self._rules = rules
        self._explains = explains
        self._folder = examples
        self._examples: Mapping[str, tuple[str, str]] | None = None

    async def why(self, conversation_id: str) -> Why | None:
        """Explain a conversation; None where there is none of this id. Its text is read again from the record."""
        view = (await self._views.load([conversation_id])).get(conversation_id)
        if view is None:
            return None
        conversation = view.conversation
        ids = loading.assessed_entries(conversation)
        entries = await self._record.entries(ids)
        said = "\n".join(entries[one].body for one in ids if one in entries)[-self._rules.window_characters :]
        found = await self._explains(said, view.identity.language)
        assessment = conversation.assessment or {}
        queues = assessment.get("queues") or []
        return Why(
            topic=self._topic(conversation.intent) if conversation.intent else None,
            by_human=conversation.label_by_human,
            abstained=str(assessment.get("reason") or ""),
            then=tuple((self._topic(str(s["label"])), float(s["confidence"])) for s in assessment.get("top", ())),
            queue=(self._queue(str(queues[0]["label"])), float(queues[0]["confidence"]), found.threshold)
            if queues
            else None,
            words=tuple(word for word, _ in found.words if any(map(str.isalnum, word))),
            lexical_share=found.lexical_share,
            nearest=await self._near(found),
            rules=tuple(dict.fromkeys((*assessment.get("priority_reasons", ()), *found.rules))),
            language=str(assessment.get("language") or conversation.language or ""),
            version=str(assessment.get("version") or ""),
            now=found.answer.version,
            temperature=found.temperature,
            tone=None if assessment.get("sentiment") is None else float(assessment["sentiment"]),
        )

    async def lines(self, conversation_id: str) -> dict[str, str]:
        """The four lines of the desk's answer."""
        found = await self.why(conversation_id)
        if found is None:
            none = words.say("list.none")
            unknown = {"words": none, "nearest": none, "rules": none, "versions": words.say("explained.unknown")}
            return {"said": words.say("explained.nothing"), **unknown}
        return found.lines()

    async def _near(self, found: Explanation) -> tuple[Example, ...]:
        confirmed = await self._labels.by_id(
            [one.example.removeprefix(LABEL) for one in found.nearest if one.example.startswith(LABEL)]
        )
        known = await self._known()
        made = []
        for one in found.nearest:
            label = confirmed.get(one.example.removeprefix(LABEL))
            if label is not None:
                made.append((label.text, label.label, one.similarity, True))
            elif one.example in known:
                made.append((*known[one.example], one.similarity, False))
        return tuple(
            Example(text=said, topic=self._topic(intent), similarity=similarity, confirmed=is_confirmed)
            for said, intent, similarity, is_confirmed in made
        )

    async def _known(self) -> Mapping[str, tuple[str, str]]:
        """The taxonomy's own examples, names and descriptions by id: (text, intent)."""
        if self._examples is None:
            self._examples = await asyncio.to_thread(examples_of, self._folder)
        return self._examples

    def _topic(self, intent: str) -> str:
        known = self._rules.intents.get(intent)
        if known is None:
            return intent.replace("_", " ")
        return known.names.get(words.language_now(), known.names.get("en", intent))

    def _queue(self, name: str) -> str:
        known = self._rules.queues.get(name)
        return known.called(words.language_now()) if known else name


class Likeness:
    """What a card that is not sure shows as evidence: an example of the taxonomy, never the words of a customer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._examples: Mapping[str, tuple[str, str]] | None = None

    async def of(self, assessment: Mapping[str, Any]) -> tuple[str, str] | None:
        """The nearest (text, intent) that the assessment found; None where only what people labelled is near."""
        own = [str(one) for one in assessment.get("evidence") or () if not str(one).startswith(LABEL)]
        if not own:
            return None
        if self._examples is None:
            self._examples = await asyncio.to_thread(_kept, self._folder)
        return next((self._examples[one] for one in own if one in self._examples), None)


@lru_cache(maxsize=1)
def _kept(folder: Path) -> Mapping[str, tuple[str, str]]:
    """Read once in a process. A taxonomy that cannot be read shows no evidence."""
    try:
        return examples_of(folder)
    except (TaxonomyError, OSError) as error:
        log.warning("likeness.no_examples", error=type(error).__name__)
        return {}


def examples_of(folder: Path) -> dict[str, tuple[str, str]]:
    """What a taxonomy's example ids stand for: (text, intent). Raises TaxonomyError."""
    content = taxonomy.read(folder)
    found = {example.id: (example.text, example.intent) for example in content.examples}
    for label in content.labels:
        for kind, said in (("name", label.names), ("description", label.descriptions)):
            found |= {f"{language}/{label.id}/{kind}": (one, label.id) for language, one in said.items()}
    return found
