"""`relaydesk customer fact` and `add`: what happened elsewhere, and people who came by phone or over the counter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import DEFAULT_CONFIG, ConfigFile, guarded, say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bot.facts import Noted, Whom
    from bot.opening import Stores
    from bot.settings import Settings
    from domain.facts import Fact

Who = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Our id, a whole name, @user name, number or e-mail.")]
Kind = Annotated[str, typer.Argument(metavar="KIND", help="purchase, order, visit, call or shop.")]
What = Annotated[str, typer.Argument(metavar="WHAT", help="In a few words; kept encrypted.")]
Source = Annotated[str, typer.Option("--source", help="Who says so, as a word: shop, crm, phone.")]
At = Annotated[str | None, typer.Option("--at", help="When it was, with its offset; now without it.")]
Note = Annotated[str | None, typer.Option("--note", help="More about it; kept encrypted.")]


@guarded
def fact(
    who: Who,
    kind: Kind,
    what: What,
    source: Source = "by_hand",
    at: At = None,
    note: Note = None,
    amount: Annotated[str | None, typer.Option("--amount", help="How much, such as 129.90.")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="Of the amount, such as EUR.")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="What others call it: an order's number.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Given again, it is the same fact.")] = None,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Note a purchase, an order, a visit, a call or a shop contact in a customer's timeline. Audited."""
    from bot import settings
    from bot.facts import Whom

    given = {"kind": kind, "what": what, "source": source, "at": at, "note": note}
    told = _read(given | {"amount": amount, "currency": currency, "reference": reference})
    read = settings.load(path)

    async def whom(opened: Stores) -> Whom:
        from bot.cli import people

        return Whom(customer_id=await people.one_person(opened, who))

    noted = asyncio.run(_note(read, whom, told, key))
    say(f"Customer {noted.customer_id}: {'noted' if noted.is_new else 'noted before'} as {noted.entry_id}.")


@guarded
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As they gave it; kept encrypted.")],
    kind: Kind,
    what: What,
    source: Source = "by_hand",
    phone: Annotated[str | None, typer.Option("--phone", help="Their phone number.")] = None,
    email: Annotated[str | None, typer.Option("--email", help="Their e-mail address.")] = None,
    at: At = None,
    note: Note = None,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Enter somebody who called or came by, with what it was about. Who has the number or address already is taken."""
    from bot import settings
    from bot.facts import Whom
    from domain import contacts, text
    from domain.contacts import ContactKind

    told = _read({"kind": kind, "what": what, "source": source, "at": at, "note": note})
    read = settings.load(path)
    if not text.clean_name(name):
        raise typer.BadParameter("a name is missing")
    try:
        points = [(ContactKind.PHONE, contacts.phone(phone, read.contacts.region))] if phone else []
        points += [(ContactKind.EMAIL, contacts.email(email))] if email else []
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None

    async def whom(_opened: Stores) -> Whom:
        return Whom(points=tuple(points), name=text.clean_name(name))

    noted = asyncio.run(_note(read, whom, told, None))
    say(f"Customer {noted.customer_id}: noted as {noted.entry_id}.")


def _read(given: dict[str, Any]) -> Fact:
    from bot import times
    from domain import facts

    try:
        return facts.read({name: value for name, value in given.items() if value is not None}, times.real())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


async def _note(read: Settings, whom: Callable[[Stores], Awaitable[Whom]], told: Fact, key: str | None) -> Noted:
    from bot import times
    from bot.cli import people, stores
    from bot.cli.stores import os_user
    from bot.facts import Facts
    from domain.model import Actor, ActorKind
    from domain.roles import Act

    async with stores.existing(read) as opened:
        await people.allowed(read, opened, Act.NOTE, "customer:fact")
        taking = Facts(
            database=opened.database,
            record=opened.record,
            contacts=opened.contacts,
            links=opened.links,
            keys=opened.fact_keys,
            rules=None,
            now=times.real,
        )
        actor = Actor(kind=ActorKind.OPERATOR, id=os_user()[:40])
        return await taking.note(await whom(opened), told, actor, way="command", key=key, said=told.body.encode())
