"""What a reply window needs to know when it opens: the conversation, what was said, and the answers that fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.canned import Canned
from bot.worker import new_id
from classifiers.encoder import Encodes
from classifiers.similar import Similar
from domain import canned
from domain.canned import Book, Reply
from domain.model import Entry
from storage.answering import Answering
from storage.loading import Wanted
from storage.record import Record

SUGGESTED = 3
LISTED = 90
"""Slack takes 100 choices in a menu."""
QUESTION_CHARACTERS = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One reply window. `entry_id` is what the answer will be in the record: sent twice it is there once.

    `seen` is when the newest message that it shows was written; `others` are colleagues who are answering too.
    """

    entry_id: str
    conversation_id: str
    number: int
    place: str
    thread_ts: str
    language: str | None
    customer: str
    order: str
    newest: str
    seen: datetime | None
    assignee: str | None
    others: tuple[str, ...] = ()
    best: tuple[Reply, ...] = ()
    rest: tuple[Reply, ...] = ()
    chosen: str = ""
    text: str = ""


class Replying:
    """Makes forms, and keeps who has one open."""

    def __init__(
        self,
        *,
        record: Record,
        answering: Answering,
        replies: Canned,
        aside: Callable[[Callable[[], list[float]]], Awaitable[list[float]]],
        encoder: Callable[[], Encodes | None],
        languages: Sequence[str],
        real: Callable[[], datetime],
    ) -> None:
        self._record = record
        self.answering = answering
        self.canned = replies
        self._aside = aside
        self._encoder = encoder
        self._languages = tuple(languages)
        self._similar = Similar()
        self._real = real

    async def form(
        self, agent_id: str, *, conversation_id: str | None = None, number: int | None = None, words: str = ""
    ) -> Form | None:
        """The form for a conversation, None where there is none or its thread is not posted yet."""
        if conversation_id is None:
            found = await self._record.by_number(number or 0)
            if found is None:
                return None
            conversation_id = found.id
        situation = (await self._record.load([Wanted(key="form", conversation_id=conversation_id)]))["form"]
        conversation = situation.conversation
        if conversation is None or conversation.thread.ts is None or situation.identity is None:
            return None
        said = [entry for entry in situation.window if entry.body]
        best, rest = await self._fitting(said, words, conversation.language)
        others = await self.answering.others(conversation.id, agent_id, self._real())
        return Form(
            entry_id=new_id(),
            conversation_id=conversation.id,
            number=conversation.number,
            place=conversation.thread.channel,
            thread_ts=conversation.thread.ts,
            language=conversation.language,
            customer=situation.identity.name or (situation.customer.name if situation.customer else ""),
            order=canned.order_in(entry.body for entry in said),
            newest=said[-1].body if said else "",
            seen=conversation.last_customer_at,
            assignee=conversation.assignee if conversation.assignee != agent_id else None,
            others=others,
            best=tuple(best),
            rest=tuple(rest[:LISTED]),
        )

    def filled(self, form: Form, reply_id: str, agent_name: str, typed: str) -> Form:
        """The form with a canned reply in its text, behind what was typed already."""
        book = self.canned.book()
        reply = book.get(reply_id)
        if reply is None:
            return form
        words = self.text_of(form, reply, book, agent_name)
        typed = typed.strip()
        return replace(form, chosen=reply_id, text=f"{typed}\n\n{words}" if typed else words)

    def text_of(self, form: Form, reply: Reply, book: Book, agent_name: str) -> str:
        """A canned reply as this customer would get it."""
        values = {
            canned.NAME: form.customer,
            canned.ORDER: form.order,
            canned.AGENT: agent_name,
            **book.links,
        }
        return canned.fill(canned.in_language(reply.texts, form.language, *self._languages), values)

    async def _fitting(
        self, said: Sequence[Entry], words: str, language: str | None
    ) -> tuple[list[Reply], list[Reply]]:
        """The replies that were looked for (all without words), the nearest to what the customer asks first."""
        found = canned.search(self.canned.book().replies, words)
        question = "\n".join(entry.body for entry in said)[-QUESTION_CHARACTERS:]
        if not question.strip() or len(found) < 2:
            return found[:SUGGESTED], found[SUGGESTED:]
        texts = [
            f"{canned.in_language(one.titles, language)}. {canned.in_language(one.texts, language)}" for one in found
        ]
        encoder = self._encoder()
        near = await self._aside(lambda: self._similar.rank(question, texts, encoder))
        order = sorted(range(len(found)), key=lambda place: (-near[place], place))
        best = [found[place] for place in order[:SUGGESTED]]
        return best, [one for one in found if one not in best]
