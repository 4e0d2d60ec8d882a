"""What a search found, for the one who asked: where it stands, and its words masked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bot import masking
from bot.desk import blocks, words
from bot.desk.entries import Post
from domain import privacy, search, text
from domain.model import Actor, ActorKind, Conversation, Thread
from domain.routing import MASKS
from domain.rulebook import Rulebook
from domain.search import Found, Hit, Person, Query
from handlers import commands

WORDS = commands.called("search") | {"find"}
"""What may stand behind the slash command."""
EXCERPT = 120

Address = Callable[[str, str], Awaitable[str | None]]
"""The address of a post, by channel and time; None where Slack does not say."""
Names = Callable[[str], str | None]


async def post(query: Query, found: Found, *, place: str, rules: Rulebook, address: Address, names: Names) -> Post:
    """The answer, in a channel that may want less than a queue does; each number leads to its thread."""
    made: list[blocks.Block] = []
    if found.people:
        made.append(_section([words.say("found.people"), *(_person(one) for one in found.people)]))
    if found.conversations:
        lines = [await _conversation(one, address, rules) for one in found.conversations]
        made.append(_section([words.say("found.conversations"), *lines]))
    if found.messages:
        lines = [await _message(one, query, place, rules, address, names) for one in found.messages]
        made.append(_section([words.say("found.messages"), *lines]))
    if not made:
        made.append(_section([_nothing(query)]))
    said = [words.say("found.more")] if found.more else []
    made.append(blocks.context(words.say("list.space").join([*said, words.say("found.masked")])))
    return Post(text=words.say("found.title"), blocks=made)


def mask_of(place: str, hit: Hit, rules: Rulebook) -> str:
    """How much of a message is masked in an answer: the strictest of where it stands and where it was asked for.

    An answer is a list of several people's words: what is personal is masked in it in any case.
    """
    asked = ("personal", rules.mask_in(hit.thread.channel, hit.queue), rules.mask_in(place, hit.queue))
    return max(asked, key=MASKS.index)


def _person(one: Person) -> str:
    name = text.inert_mrkdwn(privacy.mask_name(one.customer.name))
    return words.say("found.person", name=name, count=one.conversations, id=one.customer.id)


async def _conversation(one: Conversation, address: Address, rules: Rulebook) -> str:
    topic = rules.intents.get(one.intent or "")
    named = (
        topic.names.get(words.language_now(), topic.names.get("en", topic.id))
        if topic
        else (one.intent or words.say("found.not_sure"))
    )
    queue = rules.queues.get(one.queue)
    parts = (
        await _number(one.number, one.thread, address),
        blocks.date(one.opened_at),
        words.named("status", one.status.value),
        text.escape_mrkdwn(queue.called(words.language_now()) if queue else one.queue),
        text.escape_mrkdwn(named),
    )
    return blocks.SEPARATOR.join(parts)


async def _message(hit: Hit, query: Query, place: str, rules: Rulebook, address: Address, names: Names) -> str:
    said = hit.entry.body or ", ".join(masking.filename(file.name) for file in hit.entry.attachments)
    mask = mask_of(place, hit, rules)
    shown = (
        words.say("thread.kept_away") if mask == "everything" else search.excerpt(privacy.mask(said), query, EXCERPT)
    )
    head = (await _number(hit.number, hit.thread, address), blocks.date(hit.entry.at), _who(hit.entry.actor, names))
    return f"{blocks.SEPARATOR.join(head)}{words.say('list.colon')}{text.inert_mrkdwn(shown)}"


async def _number(number: int, thread: Thread, address: Address) -> str:
    link = await address(thread.channel, thread.ts) if thread.ts else None
    return f"<{link}|#{number}>" if link else f"#{number}"


def _who(actor: Actor, names: Names) -> str:
    if actor.kind is ActorKind.CUSTOMER:
        return words.say("thread.the_customer")
    if actor.kind is ActorKind.AGENT:
        return text.escape_mrkdwn(names(actor.id or "") or words.say("alert.colleague"))
    return words.say("found.automatic")


def _nothing(query: Query) -> str:
    short = [term.runs[0][0] for term in query.terms if term.is_too_short]
    return words.say("found.short", short=text.inert_mrkdwn(short[0])) if short else words.say("found.nothing")


def _section(lines: Sequence[str]) -> blocks.Block:
    """Whole lines, as many as Slack takes in one block."""
    kept, length = [], 0
    for line in lines:
        length += len(line) + 1
        if length > blocks.SECTION_LIMIT:
            break
        kept.append(line)
    return {"type": "section", "text": blocks.mrkdwn("\n".join(kept))}
