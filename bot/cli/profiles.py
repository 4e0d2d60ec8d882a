"""`relaydesk customer profile` and `customer set`: what is known about somebody, who said so, and corrections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.show import Reveal
from bot.cli.terminal import DEFAULT_CONFIG, AsJson, ConfigFile, guarded, say, show_json, table, when

if TYPE_CHECKING:
    from bot.settings import Settings
    from domain.profile import Profile, Source

Who = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Our id, a whole name, @user name or chat id.")]


@guarded
def profile(who: Who, path: ConfigFile = DEFAULT_CONFIG, reveal: Reveal = False, as_json: AsJson = False) -> None:
    """What is known about a customer: each value with who said it, when, and what was corrected. Audited."""
    from bot import settings
    from bot.cli import people, stores
    from domain.roles import Act

    read = settings.load(path)

    async def work() -> Profile:
        async with stores.existing(read) as opened:
            customer = await people.one_person(opened, who)
            await people.allowed(read, opened, Act.REVEAL if reveal else Act.SEE, f"customer:{customer}")
            action = "customer.profile.reveal" if reveal else "customer.profile.open"
            await stores.audited(opened, action, f"customer:{customer}")
            return await opened.profiles.of(customer)

    rows = _rows(asyncio.run(work()), reveal=reveal)
    if as_json:
        show_json(rows)
    elif not rows:
        say("Nothing is known beyond the name in the chat.")
    else:
        keys = ("field", "value", "said by", "since", "until", "why")
        cells = [
            [row["field"], row["value"], row["source"], when(row["at"]), _when(row), row["reason"] or ""]
            for row in rows
        ]
        table(*keys, rows=cells)


def _when(row: dict[str, Any]) -> str:
    return "" if row["until"] is None else when(row["until"])


def _rows(found: Profile, *, reveal: bool) -> list[dict[str, Any]]:
    from domain import privacy

    return [
        {
            "field": name,
            "value": one.value if reveal else privacy.HIDDEN,
            "source": f"{one.source.value} ({one.actor})",
            "at": one.at,
            "until": one.until,
            "reason": one.reason if reveal or one.reason is None else privacy.mask(one.reason),
        }
        for name, said in sorted(found.values.items())
        for one in said
    ]


@guarded
def set_(
    who: Who,
    fields: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE", help="An empty value takes it back.")],
    reason: Annotated[
        str, typer.Option("--reason", help="Why it is so now; kept encrypted, shown with the old value.")
    ],
    source: Annotated[str, typer.Option("--source", help="customer, agent, crm, import or model.")] = "agent",
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Note or correct what is known about a customer. The old value stays, as corrected; nothing is lost."""
    from bot import settings
    from domain.profile import Source

    if source not in list(Source):
        raise typer.BadParameter(f"{source!r} is no source; there are {', '.join(Source)}")
    if not reason.strip():
        raise typer.BadParameter("a reason is missing")
    read = settings.load(path)
    wanted = _wanted(read, fields)
    names = asyncio.run(_set(read, who, wanted, " ".join(reason.split())[:500], Source(source)))
    say(f"Known now: {', '.join(sorted(names)) or 'nothing'}. What was there before stays, as corrected.")


def _wanted(read: Settings, fields: list[str]) -> dict[str, str]:
    """The values in their one form; empty where one is taken back."""
    wanted = {}
    for given in fields:
        name, equals, value = given.partition("=")
        if not equals or name not in read.profile:
            raise typer.BadParameter(f"{name!r} is no field; there are {', '.join(read.profile)} (write FIELD=VALUE)")
        try:
            wanted[name] = read.profile[name].build(name).normal(value) if value.strip() else ""
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return wanted


async def _set(read: Settings, who: str, wanted: dict[str, str], reason: str, source: Source) -> list[str]:
    from bot import times
    from bot.cli import people, stores
    from bot.cli.stores import os_user
    from bot.ids import new_id
    from domain.model import Actor, ActorKind
    from domain.profile import Value
    from domain.roles import Act

    now, user = times.real(), os_user()

    def change(found: Profile) -> Profile:
        for name, value in wanted.items():
            if value:
                found = found.said(name, Value(value=value, source=source, actor=f"os:{user}", at=now), reason)
            else:
                found = found.withdrawn(name, now, reason)
        return found

    async with stores.existing(read) as opened:
        customer = await people.one_person(opened, who)
        await people.allowed(read, opened, Act.CORRECT, f"customer:{customer}")
        actor = Actor(kind=ActorKind.OPERATOR, id=user[:40])
        after = await opened.profiles.change(customer, change, entry_id=new_id(), actor=actor, reason=reason, now=now)
        return list(after.current)
