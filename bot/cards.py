"""What a conversation's card shows, in the language in force: from the newest state, by the rules of now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot import texts
from bot.desk import words
from bot.ids import new_id
from bot.shown import nearest, newest_words
from domain import deeplinks
from domain.ports import CardView
from domain.rulebook import Rulebook
from handlers import frame
from handlers.frame import Context
from handlers.muting import is_muted
from storage.views import View

Like = Callable[[Mapping[str, Any]], Awaitable[tuple[str, str] | None]]
"""Says which example an assessment found most like: (text, intent)."""
Named = tuple[tuple[str, str], ...]
"""Ids with what they are called."""


class Cards:
    """Makes the view of a card, and names what it speaks of. Without `like` nothing is compared with examples."""

    def __init__(self, rules: Rulebook, now: Callable[[], datetime], like: Like | None = None) -> None:
        self._rules = rules
        self._now = now
        self._like = like
        self._topics_in: dict[str, Named] = {}

    async def of(self, view: View) -> CardView:
        """The card; where it is not sure, with what its message is most like."""
        card = self._plain(view)
        found = await self._like(card.conversation.assessment or {}) if self._like and card.abstained else None
        return replace(card, like=(found[0], self.topic(found[1]))) if found else card

    def topic(self, intent: str) -> str:
        """What a topic is called."""
        known = self._rules.intents.get(intent)
        return known.names.get(words.language_now(), known.names.get(texts.DEFAULT, intent)) if known else intent

    def titles(self) -> dict[str, dict[str, str]]:
        """What queues (under "queue") and topics (under "label") are called, by their ids."""
        return {"queue": dict(self._queues()), "label": dict(self._topics())}

    def _queues(self) -> Named:
        return tuple((one.name, one.called(words.language_now())) for one in self._rules.queues.values())

    def _topics(self) -> Named:
        language = words.language_now()
        if (known := self._topics_in.get(language)) is None:
            known = tuple((intent, self.topic(intent)) for intent in self._rules.intents)
            self._topics_in[language] = known
        return known

    def _plain(self, view: View) -> CardView:
        rules, conversation, now = self._rules, view.conversation, self._now()
        assessment = conversation.assessment or {}
        guesses = tuple(
            (str(score["label"]), self.topic(str(score["label"])), float(score["confidence"]))
            for score in assessment.get("top", [])[:3]
        )
        queue = rules.queues.get(conversation.queue)
        latest = None if view.latest is None else view.latest.id
        clock = nearest(view.clocks)
        due = clock.due_at if clock else None
        return CardView(
            conversation=conversation,
            customer_name=view.identity.name or view.customer.name,
            channel_title=rules.channel_titles.get(conversation.channel, conversation.channel.capitalize()),
            excerpt=newest_words(next((one for one in view.carried if one.id == latest), view.latest)),
            carried=view.carried,
            guesses=guesses,
            intent_name=self.topic(conversation.intent) if conversation.intent else None,
            confidence=float(assessment["confidence"]) if "confidence" in assessment else None,
            abstained=conversation.intent is None or bool(assessment.get("abstain")),
            doubt=str(assessment.get("reason") or ""),
            queue_title=queue.called(words.language_now()) if queue else conversation.queue,
            clock=clock,
            clock_overdue=due is not None and due <= now,
            mention=frame.mention_by_rule(
                Context(rules=rules, now=now, new_id=new_id), conversation, view.customer.segments
            ),
            backlink=None if view.previous is None else f"#{view.previous}",
            intents=self._topics(),
            queues=self._queues(),
            segments=view.customer.segments,
            muted_until=view.identity.muted_until if is_muted(view.identity, now) else None,
            came_about=deeplinks.shown(rules.deep_links, view.profile, lambda name: words.named("field", name)),
        )
