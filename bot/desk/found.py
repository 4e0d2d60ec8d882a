"""What a search found, for the one who asked: where it stands, and its words masked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches

from bot import masking
from bot.desk import blocks, words
from bot.desk.entries import Post
from bot.desk.words import Names
from domain import privacy, search, text
from domain.model import Actor, ActorKind, Conversation, Status, Thread
from domain.routing import MASKS
from domain.rulebook import Rulebook
from domain.search import Found, Hit, Person, Query
from handlers import commands

WORDS = commands.called("search") | {"find"}
"""What may stand behind the slash command."""
EXCERPT = 120

Address = Callable[[str, str], Awaitable[str | None]]
"""The address of a post, by channel and time; None where Slack does not say."""
Meet = Callable[[Iterable[str]], Awaitable[None]]
Known = Mapping[str, Collection[str]]
"""What there is of what a filter may name: under "status", "queue" and "label"."""


async def post(
    query: Query,
    found: Found,
    *,
    place: str,
    rules: Rulebook,
    address: Address,
    names: Names,
    meet: Meet,
    hidden: Collection[str] = (),
) -> Post:
    """The answer, in a channel that may want less than a queue does; each number leads to its thread.

    `meet` learns the names of colleagues whom this process never heard of, before `names` is asked for them.
    `hidden` are queues that are named to nobody who asks here.
    """
    await meet(sorted(colleagues(found)))
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
        made.append(_section([nothing(query, _known(rules), hidden)]))
    said = [words.say("found.more")] if found.more else []
    made.append(blocks.context(words.say("list.space").join([*said, words.say("found.masked")])))
    return Post(text=words.say("found.title"), blocks=made)


def colleagues(found: Found) -> set[str]:
    """Whose names an answer says."""
    said = (hit.entry.actor for hit in found.messages)
    return {actor.id for actor in said if actor.kind is ActorKind.AGENT and actor.id}


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
    return blocks.number(number, link)


def _who(actor: Actor, names: Names) -> str:
    if actor.kind is ActorKind.CUSTOMER:
        return words.say("thread.the_customer")
    if actor.kind is ActorKind.AGENT:
        return text.escape_mrkdwn(names(actor.id or "") or words.say("alert.colleague"))
    return words.say("found.automatic")


def nothing(
    query: Query, known: Known, unnamed: Collection[str] = (), shown: Callable[[str], str] = text.inert_mrkdwn
) -> str:
    """What to change about a query that found nothing: a slip of the pen would else look like an empty record.

    `known` is what there is of what a filter may name, and `unnamed` what of it is not suggested to whoever asks;
    `shown` makes what somebody typed harmless where it is read.
    """
    wanted: Mapping[str, Collection[str]] = {
        "status": query.statuses,
        "queue": query.queues,
        "label": query.labels,
    }
    for what, given in wanted.items():
        named = sorted(set(known.get(what, ())) - set(unnamed))
        for word in sorted(set(given) - set(known.get(what, ()))):
            close = (words.say("found.word", word=shown(one)) for one in _near(word, named))
            near = words.say("found.or").join(close)
            there = words.listed(shown(one) for one in named)
            hint = words.say("found.near", near=near) if near else words.say("found.there", there=there)
            return words.say(f"found.no_{what}", word=shown(word), hint=hint)
    if short := [term.runs[0][0] for term in query.terms if term.is_too_short]:
        return words.say("found.short", short=shown(short[0]))
    if query.terms:
        return words.say("found.nothing")
    return words.say("found.nothing_holds" if query.is_filtered else "found.nothing_there")


def _near(word: str, named: Sequence[str]) -> list[str]:
    """The names that somebody may have meant: those that look alike, or have a part that does."""
    whole = get_close_matches(word, named, n=2)
    of = {part: [one for one in named if part in one.split("_")] for one in named for part in one.split("_")}
    return whole or [one for part in get_close_matches(word, of, n=1) for one in of[part]][:3]


def _known(rules: Rulebook) -> Known:
    return {"status": tuple(Status), "queue": tuple(rules.queues), "label": tuple(rules.intents)}


def _section(lines: Sequence[str]) -> blocks.Block:
    """Whole lines, as many as Slack takes in one block."""
    kept, length = [], 0
    for line in lines:
        length += len(line) + 1
        if length > blocks.SECTION_LIMIT:
            break
        kept.append(line)
    return {"type": "section", "text": blocks.mrkdwn("\n".join(kept))}
