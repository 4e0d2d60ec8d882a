"""What a reply window needs to know when it opens: the conversation, what was said, and the answers that fit.

A window shows no more than the thread: nothing of a queue that is hidden from whoever asks, and words as its mask has
them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from bot import auditing, masking
from bot.canned import Canned
from bot.ids import new_id
from bot.signing import Signing
from classifiers.encoder import Encodes
from classifiers.similar import Similar
from domain import canned, privacy
from domain.canned import Book, Reply
from domain.model import Entry
from domain.rulebook import Rulebook
from storage.answering import Answering
from storage.database import Database
from storage.record import Record
from storage.wishes import Wanted

SUGGESTED = 3
LISTED = 90
"""Slack takes 100 choices in a menu."""
QUESTION_CHARACTERS = 600
Refusal = Literal["customer_unknown", "refused_queue"]
"""What is told to whoever asked instead of a window."""
_UNKNOWN: Final[Refusal] = "customer_unknown"
_HIDDEN: Final[Refusal] = "refused_queue"


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One reply window. `entry_id` is what the answer will be in the record: sent twice it is there once.

    `answers` is the customer's message that it is for, by the platform's number, `newest` its words then, and `post`
    where it stands; `shows` is the message whose words it has, by our id. `seen` is the conversation's version when
    it was opened; `others` are colleagues who are answering too.
    Words and name are as the conversation's mask has them; a masked name is for the eye, and in no answer. `signed` is
    the name that the customer will read above the answer, empty where there is none.
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
    seen: int
    assignee: str | None
    others: tuple[str, ...] = ()
    best: tuple[Reply, ...] = ()
    rest: tuple[Reply, ...] = ()
    chosen: str = ""
    text: str = ""
    post: str | None = None
    answers: str | None = None
    is_masked: bool = False
    shows: str = ""
    signed: str = ""


class Replying:
    """Makes forms, and keeps who has one open."""

    def __init__(
        self,
        *,
        database: Database,
        record: Record,
        rules: Rulebook,
        answering: Answering,
        replies: Canned,
        aside: Callable[[Callable[[], list[float]]], Awaitable[list[float]]],
        encoder: Callable[[], Encodes | None],
        languages: Sequence[str],
        real: Callable[[], datetime],
        standing: Callable[[str, str], Awaitable[Sequence[Entry]]],
        worded: Callable[[Sequence[Entry]], Awaitable[Sequence[Entry]]],
        lately: Callable[[str], Awaitable[Sequence[Entry]]],
        signing: Signing,
    ) -> None:
        self._db = database
        self._record = record
        self._rules = rules
        self.answering = answering
        self.canned = replies
        self._aside = aside
        self._encoder = encoder
        self.languages = tuple(languages)
        self._similar = Similar()
        self._real = real
        self._standing = standing
        self._worded = worded
        self._lately = lately
        self._signing = signing

    async def form(
        self,
        agent_id: str,
        roles: Collection[str],
        *,
        conversation_id: str | None = None,
        number: int | None = None,
        thread: tuple[str, str] | None = None,
        post: tuple[str, str] | None = None,
        words: str = "",
    ) -> Form | Refusal:
        """The form for a conversation; "customer_unknown" where there is none or its thread is not posted yet.

        "refused_queue" where it is hidden from who asks, which is audited. `post` is the one that it was opened on.
        """
        if conversation_id is None and thread is None:
            found = await self._record.by_number(number or 0)
            if found is None:
                return _UNKNOWN
            conversation_id = found.id
        wanted = Wanted(key="form", conversation_id=conversation_id, thread=thread)
        situation = (await self._record.load([wanted]))["form"]
        conversation = situation.conversation
        if conversation is None:
            return _UNKNOWN
        if not self._rules.sees(agent_id, roles, conversation.queue):
            await self.refused(agent_id, f"conversation:{conversation.id}", f"reply in {conversation.queue}")
            return _HIDDEN
        if conversation.thread.ts is None or situation.identity is None:
            return _UNKNOWN
        mask = self._rules.mask_in(conversation.thread.channel, conversation.queue)
        lately = [entry for entry in await self._lately(conversation.id) if entry.body]
        unanswered = [entry for entry in await self._worded(situation.window) if entry.body]
        said = unanswered or lately[-1:]  # where all is answered, what the last answer was to
        shown = [masking.said(entry.body, mask) for entry in said]
        name = situation.identity.name or (situation.customer.name if situation.customer else "")
        on = await self._on(post, conversation.id)
        newest = masking.said(on.body, mask) if on is not None else shown[-1] if shown else ""
        best, rest = await self._fitting(said, words, conversation.language)
        others = await self.answering.others(conversation.id, agent_id, self._real())
        how, language = self._rules.signature_of(conversation.queue), situation.identity.language
        under = await self._signing.name(how, conversation.queue, agent_id, language)
        return Form(
            entry_id=new_id(),
            conversation_id=conversation.id,
            number=conversation.number,
            place=conversation.thread.channel,
            thread_ts=conversation.thread.ts,
            language=conversation.language,
            customer=privacy.mask_name(name) if name and mask != "none" else name,
            order="" if mask == "everything" else canned.order_in(masking.said(one.body, mask) for one in lately),
            newest=newest,
            seen=conversation.version,
            assignee=conversation.assignee if conversation.assignee != agent_id else None,
            others=others,
            best=tuple(best),
            rest=tuple(rest[:LISTED]),
            is_masked=mask != "none",
            post=post[1] if post is not None and on is not None else None,
            answers=None if on is None else on.platform_id,
            shows=on.id if on is not None else said[-1].id if said else "",
            signed="" if under is None else under.said,
        )

    def called(self, agent_id: str, at_the_desk: str) -> str:
        """What customers call an agent whom the desk calls so."""
        return self._rules.agent_names.get(agent_id, at_the_desk)

    async def opened(self, agent_id: str, form: Form) -> None:
        """A window shows a customer's words: that somebody opened one stands in the trail, like every read."""
        act = ("reply.open", f"conversation:{form.conversation_id}", form.shows)
        await auditing.note(self._db, self._record, f"agent:{agent_id}", [act], self._real())

    async def _on(self, post: tuple[str, str] | None, conversation_id: str) -> Entry | None:
        """The customer's message that stands in a post of this conversation; of several the newest."""
        standing = await self._standing(*post) if post is not None else ()
        own = [entry for entry in standing if entry.conversation_id == conversation_id and entry.platform_id]
        return own[-1] if own else None

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
            canned.NAME: "" if form.is_masked else form.customer,
            canned.ORDER: form.order,
            canned.AGENT: agent_name,
            **book.links,
        }
        return canned.fill(canned.in_language(reply.texts, form.language, *self.languages), values)

    async def edited(self, agent_id: str, reply_id: str) -> None:
        """What colleagues write to customers was changed for everybody: it stands in the trail."""
        act = ("replies.edit", f"reply:{reply_id}", "")
        await auditing.note(self._db, self._record, f"agent:{agent_id}", [act], self._real())

    async def refused(self, agent_id: str, thing: str, detail: str) -> None:
        """A refusal stands in the trail like one of a button: what opens at the door passes no worker."""
        refused = ("refused", thing, detail)
        await auditing.note(self._db, self._record, f"agent:{agent_id}", [refused], self._real())

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
