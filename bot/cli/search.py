"""`relaydesk search`: messages, people and conversations by their words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.show import Reveal
from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, complain, guarded, say, show_json, table, when

if TYPE_CHECKING:
    from bot.settings import Settings
    from domain.search import Found, Query

Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many of each kind at most.")]
EXCERPT = 96
"""Characters of a message that are shown around what was found."""


@guarded
def search(
    words: Annotated[
        list[str], typer.Argument(metavar="WORDS", help='Words, "phrases", #1042, label: agent: after: ...')
    ],
    path: ConfigFile = DEFAULT_CONFIG,
    limit: Limit = 20,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Find messages, people and conversations. Audited under your user; personal text needs --reveal."""
    from bot import settings, times
    from bot.cli import people, stores
    from bot.searching import Trail
    from domain import search as queries
    from domain.roles import Act

    # A word that the shell gave us with spaces in it was quoted: it is a phrase here, too.
    given = " ".join(f'"{word}"' if " " in word and ":" not in word and '"' not in word else word for word in words)
    try:
        query = queries.parse(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if query.is_empty:
        raise typer.BadParameter("say what to look for, such as: parcel, 退款, #1042, label:refund_status")

    read = settings.load(path)

    async def work() -> Found:
        async with stores.existing(read) as opened:
            actor = await people.allowed(read, opened, Act.REVEAL if reveal else Act.SEE, "customer:search")
            found = await opened.search.find(query, limit=limit, hidden=people.hidden(read))
            trail = Trail(database=opened.database, record=opened.record, now=times.real)
            await trail.found(actor, "search.reveal" if reveal else "search", query, found)
            return found

    found = asyncio.run(work())
    persons, chats, messages = _people(found, reveal), _conversations(found), _messages(found, query, reveal)
    if as_json:
        show_json({"people": persons, "conversations": chats, "messages": messages, "more": found.more})
    else:
        _show(persons, ("customer", "name", "channel", "address", "conversations"), right=(4,))
        _show(chats, ("number", "opened", "status", "queue", "topic", "assignee"), right=(0,))
        _show(messages, ("number", "at", "who", "text"), right=(0,))
    if not (persons or chats or messages):
        complain(f"relaydesk: {_why_nothing(read, query)}")
        raise typer.Exit(FAILED)
    if as_json:
        return
    if found.more:
        say("There are older ones: name a day (before:...), a filter, or a higher --limit.")
    if not reveal:
        say("Names and texts are masked; --reveal prints them, and that is written into the audit trail.")


def _why_nothing(read: Settings, query: Query) -> str:
    """What to change about it, in the words of the desk."""
    from bot.desk import found as desk
    from classifiers import taxonomy
    from domain.model import Status

    labels = taxonomy.read(read.classifier.taxonomy or taxonomy.STARTER).labels if query.labels else ()
    known = {"status": tuple(Status), "queue": tuple(read.queues), "label": [label.id for label in labels]}
    return desk.nothing(query, known, shown=str)


def _people(found: Found, reveal: bool) -> list[dict[str, Any]]:
    from domain import privacy

    return [
        {
            "customer": person.customer.id,
            "name": person.customer.name if reveal else privacy.mask_name(person.customer.name),
            "channel": identity.channel,
            "address": identity.address if reveal else privacy.mask_id(identity.address),
            "conversations": person.conversations,
        }
        for person in found.people
        for identity in person.identities
    ]


def _conversations(found: Found) -> list[dict[str, Any]]:
    return [
        {
            "number": f"#{it.number}",
            "opened": when(it.opened_at),
            "status": it.status.value,
            "queue": it.queue,
            "topic": it.intent or "not sure",
            "assignee": it.assignee or "nobody yet",
        }
        for it in found.conversations
    ]


def _messages(found: Found, query: Query, reveal: bool) -> list[dict[str, Any]]:
    from domain import privacy
    from domain import search as queries

    lines = []
    for hit in found.messages:
        said = hit.entry.body or ", ".join(file.name for file in hit.entry.attachments)
        text = queries.excerpt(said, query, EXCERPT) if reveal else privacy.HIDDEN
        who = str(hit.entry.actor)
        lines.append(
            {"number": f"#{hit.number}", "at": when(hit.entry.at), "who": who, "queue": hit.queue, "text": text}
        )
    return lines


def _show(rows: list[dict[str, Any]], keys: tuple[str, ...], *, right: tuple[int, ...]) -> None:
    if rows:
        table(*keys, rows=[[str(row[key]) for key in keys] for row in rows], right=right)
        say()
