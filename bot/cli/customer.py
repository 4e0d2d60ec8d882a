"""`relaydesk customer find`: people by their whole name, user name, address or id."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.show import Reveal
from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, complain, guarded, say, show_json, table

if TYPE_CHECKING:
    from domain.model import Customer, Identity

app = typer.Typer(help="Find a customer.", no_args_is_help=True)


@app.callback()
def customer() -> None:
    """Find a customer."""


@app.command()
@guarded
def find(
    words: Annotated[list[str], typer.Argument(metavar="TEXT...", help="A whole name, @user name, chat id or our id.")],
    path: ConfigFile = DEFAULT_CONFIG,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Find people by an equal value. The search is audited under your user; personal text needs --reveal."""
    from bot import settings
    from bot.cli import stores

    text = " ".join(words)

    async def work() -> list[tuple[Customer, list[Identity], int]]:
        async with stores.existing(settings.load(path)) as opened:
            found = await opened.record.find_people(text)
            action = "customer.find.reveal" if reveal else "customer.find"
            for person, _, _ in found:
                await stores.audited(opened, action, f"customer:{person.id}")
            if not found:
                await stores.audited(opened, action, "customer:none")
            return found

    rows = [row for person in asyncio.run(work()) for row in _rows(*person, reveal=reveal)]
    if as_json:
        show_json(rows)
    elif rows:
        keys = ("customer", "name", "channel", "address", "language", "conversations")
        table(*keys, rows=[[str(row[key] or "") for key in keys] for row in rows], right=(5,))
    if not rows:
        complain("relaydesk: nobody is called exactly so; give a whole name, @user name, chat id or our id")
        raise typer.Exit(FAILED)
    if not reveal and not as_json:
        say("Names and addresses are masked; --reveal prints them, and that is written into the audit trail.")


def _rows(person: Customer, identities: list[Identity], count: int, *, reveal: bool) -> list[dict[str, Any]]:
    from domain import privacy

    return [
        {
            "customer": person.id,
            "name": person.name if reveal else privacy.mask_name(person.name),
            "channel": identity.channel,
            "address": identity.address if reveal else privacy.mask_id(identity.address),
            "language": person.language,
            "conversations": count,
        }
        for identity in identities
    ]
