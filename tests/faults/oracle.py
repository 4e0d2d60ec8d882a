"""The judge: what the platforms really stored, against what people really wrote."""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from bot import opening
from bot.cli import rules
from bot.settings import Settings
from domain import signs
from storage.rebuild import Rebuild
from tests.faults import parcels
from tests.faults.books import Books
from tests.faults.traffic import UNCLEAR, Customer, Traffic
from tests.world import World

BOT = "U0SANDBOT"
ALERTS = (" is due ", "is overdue")
LOCKED_OUT = re.compile(r"\*(\w+) does not let us in any more")
WORKS_AGAIN = re.compile(r"\*(\w+) works again\.\*")
UNDER_WAY = {signs.WAITING, signs.UNCLEAR}
SAID = re.compile(r"Customer-\d+ says \d+: .+")
HANDED = re.compile(r"handed over \d+: Customer-\d+")
ALREADY = "have this conversation already"


@dataclass(kw_only=True)
class Verdict:
    """Faults, in words, by what they are; and the counts of a report. No faults: the promise held."""

    messages: int = 0
    answers: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    storms: list[str] = field(default_factory=list)
    record: list[str] = field(default_factory=list)
    unclear: int = 0
    overtaken: int = 0
    sent_again: int = 0

    @property
    def faults(self) -> list[str]:
        """Every fault as `kind: words`."""
        kinds = ("lost", "doubled", "misplaced", "out_of_order", "left_over", "storms", "record")
        return [f"{kind}: {words}" for kind in kinds for words in getattr(self, kind)]

    def counts(self) -> dict[str, Any]:
        """The fields of a row that is written down."""
        lost, doubled, out_of_order = len(self.lost), len(self.doubled), len(self.out_of_order)
        return {
            "messages": self.messages,
            "answers": self.answers,
            "lost": lost,
            "doubled": doubled,
            "out_of_order": out_of_order,
            "unexplained": len(self.faults) - lost - doubled - out_of_order,
            "explained": self.unclear + self.overtaken,
            "failures": tuple(self.faults),
        }

    def compare(
        self,
        what: str,
        wanted: Sequence[str],
        got: Sequence[str],
        overtook: Callable[[str, str], bool] = lambda _first, _second: False,
    ) -> None:
        """Hold what arrived against what was written: each once, in this order, nothing else.

        `overtook` says whether the platform itself handed the first over before the second, against their order.
        """
        counts = Counter(got)
        self.lost += [f"{what}: {text}" for text in wanted if not counts[text]]
        self.doubled += [f"{what}: {text} ({count} times)" for text, count in counts.items() if count > 1]
        self.misplaced += [f"{what}: {text}" for text in counts if text not in wanted]
        places = {text: place for place, text in enumerate(wanted)}
        arrived = [text for text in dict.fromkeys(got) if text in places]
        for first, second in itertools.combinations(arrived, 2):
            if places[first] > places[second]:
                if overtook(first, second):
                    self.overtaken += 1
                else:
                    self.out_of_order.append(f"{what}: {first!r} came before {second!r}")

    def corrections(self, customer: Customer, lines: Sequence[str]) -> None:
        """Hold the lines about changed messages, as they stand now, against the changes: of each message the newest
        words stand in one of them, none stands twice. Those of different messages may overtake each other.
        """
        newest = {text.rpartition(" ")[2]: f"(edited) {text}" for text in customer.edits}
        counts = Counter(line for line in lines if " corrects " in line and line.startswith("(edited) "))
        what = f"edits of {customer.name}"
        self.lost += [f"{what}: {text}" for text in newest.values() if not counts[text]]
        self.doubled += [f"{what}: {text} ({count} times)" for text, count in counts.items() if count > 1]
        made = {f"(edited) {text}" for text in customer.edits}
        self.misplaced += [f"{what}: {text}" for text in counts if text not in made]


async def judge(verdict: Verdict, world: World, traffic: Traffic, books: Books) -> None:
    """Look at everything once it is quiet, and write down what is wrong."""
    posts = [r["data"] for r in await world.log(platform="slack", kind="post") if r["data"]["user"] == BOT]
    offered: dict[int, int] = {}
    taken: dict[int, int] = {}
    for place, record in enumerate(await world.log(platform="telegram", kind="webhook_post")):
        offered.setdefault(int(record["key"]), place)
        if record["data"]["status"] == HTTPStatus.OK:
            taken.setdefault(int(record["key"]), place)

    def overtook(first: str, second: str) -> bool:
        """Whether Telegram posted the first to our webhook before we had said of the second that we have it."""
        one, other = offered.get(traffic.updates.get(first, 0)), taken.get(traffic.updates.get(second, 0))
        return one is not None and other is not None and one < other

    for customer in traffic.customers:
        await _conversation(verdict, customer, posts, world, overtook)
    _elsewhere(verdict, traffic, posts)
    await parcels.judge(verdict, world, traffic)
    whispers = await world.log(platform="slack", kind="ephemeral")
    if len(whispers) > traffic.whispers_allowed:
        verdict.storms.append(f"{len(whispers)} whispers, {traffic.whispers_allowed} presses")
    handed = _handed_over(verdict, traffic, posts, [str(one["data"]["text"]) for one in whispers])
    await _left_over(verdict, books)
    await _record(verdict, traffic, books, handed)
    verdict.sent_again = sum(action == "retry" for action in traffic.settled.values())


def _handed_over(verdict: Verdict, traffic: Traffic, posts: Sequence[dict[str, Any]], whispers: Sequence[str]) -> int:
    """How many conversations were given away: what Slack got an answer to once, in its order, what it did not at most.

    Who gives it to the colleague who has it changes nothing, and is told so.
    """
    shown = [note for post in posts if post["thread_ts"] for note in HANDED.findall(str(post["text"]))]
    counts = Counter(shown)
    typed = [note for customer in traffic.customers for note in customer.handed]
    verdict.doubled += [f"command: {note} ({count} times)" for note, count in counts.items() if count > 1]
    verdict.misplaced += [f"command: {note}" for note in counts if note not in typed]
    for customer in traffic.customers:
        order = [note for note in dict.fromkeys(shown) if note in customer.handed]
        if order != [note for note in customer.handed if note in counts]:
            verdict.out_of_order.append(f"commands about {customer.name}: {order}")
    missing = sorted(traffic.acknowledged - counts.keys())
    if len(missing) > sum(ALREADY in text for text in whispers):
        verdict.lost.append(f"commands, some of: {', '.join(missing)}")
    return len(counts)


def _elsewhere(verdict: Verdict, traffic: Traffic, posts: Sequence[dict[str, Any]]) -> None:
    """Outside the threads only alerts may stand, each once, with a link to the card that they are about.

    Where a platform refused our token the operator is told so, and that it works again, which is never said more often.
    """
    known = {customer.card.ts for customer in traffic.customers if customer.card is not None}
    links = tuple(f"/p{ts.replace('.', '')}" for ts in known)
    alerts: Counter[tuple[str, str]] = Counter()
    closed: Counter[str] = Counter()
    for post in posts:
        if (post["thread_ts"] or post["ts"]) in known:
            continue
        if traffic.is_locked_out_at_times and (refused := LOCKED_OUT.search(post["text"])):
            closed[refused[1]] += 1
            continue
        if (back := WORKS_AGAIN.search(post["text"])) and closed[back[1]]:
            closed[back[1]] -= 1
            continue
        if any(words in post["text"] for words in ALERTS) and any(link in post["text"] for link in links):
            alerts[post["channel"], post["text"]] += 1
        else:
            verdict.misplaced.append(f"a post elsewhere: {post['text']}")
    verdict.storms += [f"alert in {where} {n} times: {text[:80]}" for (where, text), n in alerts.items() if n > 1]


def standing(post: dict[str, Any]) -> list[str]:
    """The lines of a post that stand for something written: all of a post in a thread, what a card was posted with.

    A card quotes the newest words besides; only those that were joined into it count as posted there.
    """
    if post["thread_ts"] is not None:
        return str(post["text"]).splitlines()
    joined = ((post.get("metadata") or {}).get("event_payload") or {}).get("joined", ())
    return SAID.findall("\n".join(_texts(post["blocks"])))[: len(joined)]


async def _now_in(world: World, card: dict[str, Any]) -> list[str]:
    """The lines of our posts under a card, as they stand now."""
    page = await world.look(f"slack/channel/{card['channel']}")
    root: dict[str, Any] = next((post for post in page["messages"] if post["ts"] == card["ts"]), {})
    posts = [post for post in root.get("replies", []) if post.get("bot_id")]
    return [line for post in posts for line in str(post["text"]).splitlines()]


def _texts(value: Any) -> list[str]:
    """Every text in blocks, in order."""
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for inner in value.values() for text in _texts(inner)]
    return [text for inner in value for text in _texts(inner)] if isinstance(value, list) else []


async def rebuilt(verdict: Verdict, read: Settings) -> None:
    """Hold the stored state against what the timeline alone gives."""
    async with opening.open_stores(read) as opened:
        context = await rules.context(read, opened)
        report = await Rebuild(opened.database, opened.keys).check(context.rules, context.now)
    verdict.record += [
        f"{one.of}, {one.field}: {one.stored}, by its timeline {one.rebuilt}" for one in report.differences
    ]


async def _conversation(
    verdict: Verdict,
    customer: Customer,
    posts: Sequence[dict[str, Any]],
    world: World,
    overtook: Callable[[str, str], bool],
) -> None:
    cards = [p for p in posts if p["thread_ts"] is None and f" {customer.name} " in p["text"]]
    if len(cards) > 1:
        verdict.doubled.append(f"card of {customer.name} ({len(cards)} times)")
    if not cards:
        verdict.lost.append(f"card of {customer.name}")
        return
    card = cards[0]
    here = [p for p in posts if p is card or (p["thread_ts"] == card["ts"] and p["channel"] == card["channel"])]
    thread = [line for post in here for line in standing(post)]
    said = [text for text in thread if f"{customer.name} says " in text]
    verdict.compare(f"thread of {customer.name}", customer.said, said, overtook)
    verdict.corrections(customer, await _now_in(world, card))
    got = [
        r["data"].get("text") or r["data"].get("caption")
        for r in await world.log(platform="telegram", kind="bot_message")
        if r["key"].startswith(f"{customer.phone.chat_id}:")
    ]
    verdict.compare(f"chat of {customer.name}", customer.answers, got)
    if customer.card is not None:  # whatever died meanwhile, nobody is told for ever that an answer is on its way
        lines = [post for post in await customer.card.posts() if not post.get("bot_id")]
        shown = {line["text"]: {one["name"] for one in line.get("reactions") or ()} for line in lines}
        verdict.left_over += [
            f"a sign on {text!r}: {sorted(own)}"
            for text, own in shown.items()
            if own & UNDER_WAY or (text in customer.answers and signs.SENT not in own)
        ]
    verdict.messages += len(customer.said)
    verdict.answers += len(customer.answers)
    verdict.unclear += sum(UNCLEAR in text for text in thread)
    alerts = Counter(text for text in thread if any(words in text for words in ALERTS))
    verdict.storms += [
        f"alert in {customer.name}'s thread {n} times: {text[:80]}" for text, n in alerts.items() if n > 1
    ]


async def _left_over(verdict: Verdict, books: Books) -> None:
    incoming, outgoing = await books.waiting()
    if incoming or outgoing:
        rows = "; ".join(await books.stuck(time.time()))
        verdict.left_over.append(f"{incoming} inbox and {outgoing} outbox rows are not done: {rows}")
    verdict.left_over += [f"dead letter: {letter}" for letter in await books.dead()]


async def _record(verdict: Verdict, traffic: Traffic, books: Books, handed: int) -> None:
    verdict.record += [f"recorded twice: {row}" for row in await books.recorded_twice()]
    kinds = await books.kinds()
    for kind, wanted in (
        ("incoming", sum(len(c.said) for c in traffic.customers)),
        ("incoming_edit", sum(len(c.edits) for c in traffic.customers)),
        ("outgoing", sum(len(c.answers) for c in traffic.customers)),
        ("note", sum(len(c.notes) for c in traffic.customers) + handed),
    ):
        if kinds.get(kind, 0) != wanted:
            verdict.record.append(f"{kinds.get(kind, 0)} entries of kind {kind}, {wanted} were written")
    integrity = await books.integrity()
    if integrity != "ok":
        verdict.record.append(f"integrity_check: {integrity}")
