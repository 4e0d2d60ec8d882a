"""`relaydesk search`: messages, people and conversations by their words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.show import Reveal
from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, complain, guarded, say, show_json, table, when

if TYPE_CHECKING:
    from domain.search import Found, Query

Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="So many of each kind at most.")]
EXCERPT = 96
"""Characters of a message that are shown around what was found."""


@guarded
def search(
    words: Annotated[
        list[str], typer.Argument(metavar="WORDS...", help='Words, "phrases", #1042, label: agent: after: ...')
    ],
    path: ConfigFile = DEFAULT_CONFIG,
    limit: Limit = 20,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Find messages, people and conversations. Audited under your user; personal text needs --reveal."""
    from bot import settings
    from bot.cli import stores
    from domain import search as queries

    # A word that the shell gave us with spaces in it was quoted: it is a phrase here, too.
    given = " ".join(f'"{word}"' if " " in word and ":" not in word and '"' not in word else word for word in words)
    try:
        query = queries.parse(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if query.is_empty:
        raise typer.BadParameter("say what to look for, such as: parcel, 退款, #1042, label:refund")

    async def work() -> Found:
        async with stores.existing(settings.load(path)) as opened:
            found = await opened.search.find(query, limit=limit)
            action = "search.reveal" if reveal else "search"
            await stores.audited_all(opened, action, _concerned(found), _detail(query, found))
            return found

    found = asyncio.run(work())
    people, chats, messages = _people(found, reveal), _conversations(found), _messages(found, query, reveal)
    if as_json:
        show_json({"people": people, "conversations": chats, "messages": messages, "more": found.more})
    else:
        _show(people, ("customer", "name", "channel", "address", "conversations"), right=(4,))
        _show(chats, ("number", "opened", "status", "queue", "topic", "assignee"), right=(0,))
        _show(messages, ("number", "at", "who", "text"), right=(0,))
    if not (people or chats or messages):
        complain("relaydesk: nothing was found" + (_too_short(query) or "; all words must be in one message"))
        raise typer.Exit(FAILED)
    if as_json:
        return
    if found.more:
        say("There are older ones: name a day (before:...), a filter, or a higher --limit.")
    if not reveal:
        say("Names and texts are masked; --reveal prints them, and that is written into the audit trail.")


def _too_short(query: Query) -> str:
    short = [term.runs[0][0] for term in query.terms if term.is_too_short]
    return f"; one character alone ({short[0]}) finds names only, give two" if short else ""


def _concerned(found: Found) -> list[str]:
    """Whose data this answer shows: customers, and conversations where only those were asked for."""
    people = {f"customer:{person.customer.id}" for person in found.people}
    people |= {f"customer:{hit.entry.customer_id}" for hit in found.messages}
    return sorted(people | {f"conversation:{it.id}" for it in found.conversations}) or ["customer:none"]


def _detail(query: Query, found: Found) -> str:
    """What the audit trail keeps of a search: how much, never the words."""
    return f"words {len(query.terms)}, messages {len(found.messages)}, people {len(found.people)}"


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
