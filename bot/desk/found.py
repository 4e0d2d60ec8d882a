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

WORDS = frozenset({"search", "find", "搜索", "查找"})
"""What may stand behind the slash command."""
EXCERPT = 120
TITLE, PEOPLE, CONVERSATIONS, MESSAGES = "Found", "*People*", "*Conversations*", "*Messages*"
PERSON = "{name}, {count} conversations: `/relaydesk customer {id}`"
NOTHING = "Nothing was found. All words must be in one message."
SHORT = "Nothing was found. One character alone ({short}) finds names only: give two."
MORE = "There are older ones: name a day (`before:2026-11-01`), a queue (`queue:`) or another word."
MASKED = "Masked, for you alone; that you looked stands in the audit trail."
HOW = (
    'Say what to look for: `/relaydesk search parcel 退款`, `"not arrived"`, `#1042`, a phone number, a name, or '
    "filters such as `label:`, `queue:`, `agent:`, `status:`, `after:2026-11-01`."
)
CUSTOMER, COLLEAGUE, MACHINE = "the customer", "a colleague", "automatic"

Address = Callable[[str, str], Awaitable[str | None]]
"""The address of a post, by channel and time; None where Slack does not say."""
Names = Callable[[str], str | None]


async def post(query: Query, found: Found, *, place: str, rules: Rulebook, address: Address, names: Names) -> Post:
    """The answer, in a channel that may want less than a queue does; each number leads to its thread."""
    made: list[blocks.Block] = []
    if found.people:
        made.append(_section([PEOPLE, *(_person(one) for one in found.people)]))
    if found.conversations:
        lines = [await _conversation(one, address, rules) for one in found.conversations]
        made.append(_section([CONVERSATIONS, *lines]))
    if found.messages:
        lines = [await _message(one, query, place, rules, address, names) for one in found.messages]
        made.append(_section([MESSAGES, *lines]))
    if not made:
        made.append(_section([_nothing(query)]))
    made.append(blocks.context(f"{MORE} {MASKED}" if found.more else MASKED))
    return Post(text=TITLE, blocks=made)


def mask_of(place: str, hit: Hit, rules: Rulebook) -> str:
    """How much of a message is masked in an answer: the strictest of where it stands and where it was asked for.

    An answer is a list of several people's words: what is personal is masked in it in any case.
    """
    asked = ("personal", rules.mask_in(hit.thread.channel, hit.queue), rules.mask_in(place, hit.queue))
    return max(asked, key=MASKS.index)


def _person(one: Person) -> str:
    name = text.escape_mrkdwn(privacy.mask_name(one.customer.name))
    return PERSON.format(name=name, count=one.conversations, id=one.customer.id)


async def _conversation(one: Conversation, address: Address, rules: Rulebook) -> str:
    topic = rules.intents.get(one.intent or "")
    named = topic.names.get("en", topic.id) if topic else (one.intent or "not sure")
    queue = rules.queues.get(one.queue)
    parts = (
        await _number(one.number, one.thread, address),
        blocks.date(one.opened_at),
        words.STATUS[one.status.value],
        text.escape_mrkdwn(queue.title if queue else one.queue),
        text.escape_mrkdwn(named),
    )
    return blocks.SEPARATOR.join(parts)


async def _message(hit: Hit, query: Query, place: str, rules: Rulebook, address: Address, names: Names) -> str:
    said = hit.entry.body or ", ".join(masking.filename(file.name) for file in hit.entry.attachments)
    mask = mask_of(place, hit, rules)
    shown = masking.KEPT_AWAY if mask == "everything" else search.excerpt(privacy.mask(said), query, EXCERPT)
    head = (await _number(hit.number, hit.thread, address), blocks.date(hit.entry.at), _who(hit.entry.actor, names))
    return f"{blocks.SEPARATOR.join(head)}: {text.escape_mrkdwn(shown)}"


async def _number(number: int, thread: Thread, address: Address) -> str:
    link = await address(thread.channel, thread.ts) if thread.ts else None
    return f"<{link}|#{number}>" if link else f"#{number}"


def _who(actor: Actor, names: Names) -> str:
    if actor.kind is ActorKind.CUSTOMER:
        return CUSTOMER
    if actor.kind is ActorKind.AGENT:
        return text.escape_mrkdwn(names(actor.id or "") or COLLEAGUE)
    return MACHINE


def _nothing(query: Query) -> str:
    short = [term.runs[0][0] for term in query.terms if term.is_too_short]
    return SHORT.format(short=text.escape_mrkdwn(short[0])) if short else NOTHING


def _section(lines: Sequence[str]) -> blocks.Block:
    """Whole lines, as many as Slack takes in one block."""
    kept, length = [], 0
    for line in lines:
        length += len(line) + 1
        if length > blocks.SECTION_LIMIT:
            break
        kept.append(line)
    return {"type": "section", "text": blocks.mrkdwn("\n".join(kept))}
