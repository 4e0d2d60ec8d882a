"""`relaydesk customer contacts`, `contact` and `stale`: phone numbers and e-mail addresses, and how sure they are."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.show import Reveal
from bot.cli.terminal import DEFAULT_CONFIG, AsJson, ConfigFile, guarded, say, show_json, table, when

if TYPE_CHECKING:
    from datetime import datetime

    from bot.opening import Stores
    from bot.settings import Settings
    from domain.contacts import ContactPoint

LISTED = 500
"""Numbers and addresses that `stale` shows."""

Who = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Our id, a whole name, @user name, number or e-mail.")]


@guarded
def contacts(who: Who, path: ConfigFile = DEFAULT_CONFIG, reveal: Reveal = False, as_json: AsJson = False) -> None:
    """A customer's phone numbers and e-mail addresses: who said so, how and when it was made sure. Audited."""
    from bot import settings
    from bot.cli import people, stores
    from domain.roles import Act

    read = settings.load(path)

    async def work() -> list[ContactPoint]:
        async with stores.existing(read) as opened:
            customer = await people.one_person(opened, who)
            await people.allowed(read, opened, Act.REVEAL if reveal else Act.SEE, f"customer:{customer}")
            action = "customer.contacts.reveal" if reveal else "customer.contacts"
            await stores.audited(opened, action, f"customer:{customer}")
            return list((await opened.contacts.of([customer])).get(customer, ()))

    _show([_row(one, reveal=reveal) for one in asyncio.run(work())], as_json=as_json, none="None is known.")


@guarded
def contact(
    who: Who,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A phone number or an e-mail address.")],
    type_: Annotated[str | None, typer.Option("--type", help="mobile, landline, home, work or other.")] = None,
    source: Annotated[str, typer.Option("--source", help="customer, agent, crm, import or model.")] = "agent",
    verified: Annotated[bool, typer.Option("--verified", help="You made sure that it is theirs.")] = False,
    wrong: Annotated[bool, typer.Option("--wrong", help="It is theirs no more; it stays as history.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="It was never theirs: take it back.")] = False,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Note a phone number or an e-mail address of a customer, say that it was made sure of, or take it back."""
    from bot import settings
    from domain import contacts as points
    from domain.profile import Source

    read = settings.load(path)
    if source not in list(Source):
        raise typer.BadParameter(f"{source!r} is no source; there are {', '.join(Source)}")
    if type_ is not None and type_ not in points.TYPES:
        raise typer.BadParameter(f"{type_!r} is no type; there are {', '.join(points.TYPES)}")
    if verified + wrong + remove > 1:
        raise typer.BadParameter("give one of --verified, --wrong and --remove")
    try:
        points.read(value, read.contacts.region)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    act = "wrong" if wrong else "remove" if remove else "verified" if verified else "add"
    say(asyncio.run(_note(read, who, value, type_, source, act)))


async def _note(read: Settings, who: str, value: str, type_: str | None, source: str, act: str) -> str:
    from bot import times
    from bot.cli import people, stores
    from bot.cli.stores import os_user
    from bot.ids import new_id
    from domain import contacts as points
    from domain.contacts import Checked, ContactPoint, How
    from domain.model import Actor, ActorKind
    from domain.profile import Source
    from domain.roles import Act

    kind, normal = points.read(value, read.contacts.region)
    now, actor = times.real(), Actor(kind=ActorKind.OPERATOR, id=os_user()[:40])
    async with stores.existing(read) as opened:
        customer = await people.one_person(opened, who)
        await people.allowed(read, opened, Act.CORRECT, f"customer:{customer}")
        known = (await opened.contacts.of([customer])).get(customer, ())
        point = next((one for one in known if (one.kind, one.value) == (kind, normal)), None)
        if point is None and act in ("wrong", "remove"):
            raise typer.BadParameter("this customer has no such number or address")
        if point is None or not point.holds or (act == "add" and type_ not in (None, point.type)):
            point = ContactPoint(
                id=new_id() if point is None else point.id,
                customer_id=customer,
                kind=kind,
                value=normal,
                type=type_ or points.type_of(kind, normal),
                source=Source(source),
                added_at=now,
            )
            await opened.contacts.add(point, entry_id=new_id(), actor=actor, now=now)
        if act == "remove":
            await opened.contacts.remove(point, entry_id=new_id(), actor=actor, now=now)
        elif act in ("verified", "wrong"):
            checked = Checked(
                contact_id=point.id, customer_id=customer, right=act == "verified", how=How.CHECKED, at=now
            )
            await opened.contacts.check(point, checked, entry_id=new_id(), actor=actor)
        return f"Customer {customer}: {point.masked} {_SAID[act]}."


_SAID = {"add": "is noted", "verified": "is verified", "wrong": "is theirs no more", "remove": "is taken back"}


@guarded
def stale(path: ConfigFile = DEFAULT_CONFIG, reveal: Reveal = False, as_json: AsJson = False) -> None:
    """Phone numbers and e-mail addresses that nobody made sure of for too long, the oldest first. Audited."""
    from bot import settings, times
    from bot.cli import people, stores
    from domain.roles import Act

    read = settings.load(path)
    rules = read.contacts.build({})

    async def work(opened: Stores, now: datetime) -> list[ContactPoint]:
        found: list[ContactPoint] = []
        for offset in itertools.count(0, LISTED):  # of hidden customers none counts
            due = await opened.contacts.due(rules.freshness, now, limit=LISTED, offset=offset)
            seen = await people.seen(read, opened, {point.customer_id for point in due})
            found += [point for point in due if point.customer_id in seen]
            if len(due) < LISTED or len(found) >= LISTED:
                break
        del found[LISTED:]
        things = [f"customer:{one}" for one in sorted({point.customer_id for point in found})]
        await stores.audited_all(opened, "customer.contacts.reveal" if reveal else "customer.contacts", things)
        return found

    async def opened_work() -> list[ContactPoint]:
        async with stores.existing(read) as opened:
            await people.allowed(read, opened, Act.REVEAL if reveal else Act.SEE, "customer:stale")
            return await work(opened, times.real())

    none = "Everything was made sure of lately enough."
    _show([_row(one, reveal=reveal) for one in asyncio.run(opened_work())], as_json=as_json, none=none)


def _row(one: ContactPoint, *, reveal: bool) -> dict[str, Any]:
    return {
        "customer": one.customer_id,
        "kind": one.kind.value,
        "value": one.value if reveal else one.masked,
        "type": one.type,
        "source": one.source.value,
        "since": one.added_at,
        "verified": one.verified_at,
        "how": None if one.verified_how is None else one.verified_how.value,
        "state": "taken back" if not one.holds else "reachable" if one.reachable else (one.reason or "not reachable"),
    }


def _show(rows: list[dict[str, Any]], *, as_json: bool, none: str) -> None:
    if as_json:
        show_json(rows)
    elif not rows:
        say(none)
    else:
        keys = ("customer", "kind", "value", "type", "source", "since", "verified", "how", "state")
        cells = [
            [
                row["customer"],
                row["kind"],
                row["value"],
                row["type"],
                row["source"],
                when(row["since"]),
                "" if row["verified"] is None else when(row["verified"]),
                row["how"] or "",
                row["state"].replace("_", " "),
            ]
            for row in rows
        ]
        table(*keys, rows=cells)
