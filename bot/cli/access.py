"""`relaydesk access` and `relaydesk privacy incident`: who can and did look, at whom, and whom a leak touches."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import DEFAULT_CONFIG, AsJson, ConfigFile, advise, guarded, say, show_json, table, when

if TYPE_CHECKING:
    from datetime import timedelta

    from bot.settings import Settings

app = typer.Typer(help="Who may look at customers, and who did.", no_args_is_help=True)


@app.callback()
def access() -> None:
    """Who may look at customers, and who did."""


@app.command(short_help="Who has which role, what changed, and who read what.")
@guarded
def review(
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
    done: Annotated[bool, typer.Option("--done", help="Note it as done: the next one begins here.")] = False,
) -> None:
    """Who has which role, what changed, and who read what since the last review."""
    from bot import settings

    found = asyncio.run(_review(settings.load(path), done=done))
    if as_json:
        show_json(found)
        return
    since = found["since"]
    say(f"Since {when(since)}" if since else "From the beginning: there was no review before")
    table("role", "who", rows=[[role, ", ".join(who) or "nobody"] for role, who in found["roles"].items()])
    for line in found["changed"]:
        say(f"  changed: {line}")
    say()
    rows = [[one["actor"], one["action"], str(one["count"]), when(one["last"])] for one in found["looked"]]
    table("who", "did", "times", "last", rows=rows, right=(2,))


async def _review(read: Settings, *, done: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from bot import times
    from bot.cli import people, stores
    from domain.roles import Act

    roles = held(read)
    async with stores.existing(read) as opened:
        await people.allowed(read, opened, Act.REVIEW, "access")
        before = await opened.reviews.last()
        looked = await opened.reviews.looked(before.at if before else None)
        await stores.audited(opened, "access.review", "roles", "done" if done else "")
        if done:
            await opened.reviews.note(times.real(), roles)
    return {
        "since": before.at if before else None,
        "roles": roles,
        "changed": changes({role: list(who) for role, who in before.roles.items()} if before else roles, roles),
        "looked": [asdict(one) for one in looked],
    }


@app.command(short_help="Who looked at a customer or did something about them.")
@guarded
def looks(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Our id, a whole name, @user name or chat id.")],
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="How far back: 90d, 4w, 12h.")] = None,
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Who looked at a customer or did something about them, when and why, by the audit trail. Audited itself."""
    from bot import settings
    from bot.cli.simulate import span_of

    found = asyncio.run(_looks(settings.load(path), customer, None if since is None else span_of(since)))
    if as_json:
        show_json(found)
    elif not found:
        say("The audit trail has nothing about this customer.")
    else:
        rows = [[when(one["at"]), one["actor"], one["action"], one["object"], one["detail"]] for one in found]
        table("when", "who", "did", "what it is about", "more", rows=rows)


async def _looks(read: Settings, customer: str, span: timedelta | None) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from bot import times
    from bot.cli import people, stores
    from domain.roles import Act

    async with stores.existing(read) as opened:
        who = await people.one_person(opened, customer)
        await people.allowed(read, opened, Act.REVIEW, f"customer:{who}")
        members = await opened.links.members(who)
        found = await opened.reviews.about(members, None if span is None else times.real() - span)
        await stores.audited_all(opened, "access.looks", [f"customer:{one}" for one in members])
    return [asdict(one) for one in found]


def held(read: Settings) -> dict[str, list[str]]:
    """Who has which role, by the configuration: Slack users and groups, and users of this machine."""
    from domain.roles import Role

    return {
        role.value: sorted(
            [*getattr(read.roles, role.value)]
            + [f"os:{user}" for user, own in read.roles.command_line.items() if role in own]
        )
        for role in Role
    }


def changes(before: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    """What was given and taken, role by role."""
    lines = []
    for role in sorted(before.keys() | now.keys()):
        had, has = set(before.get(role, ())), set(now.get(role, ()))
        lines += [f"{who} is {role} now" for who in sorted(has - had)]
        lines += [f"{who} is {role} no longer" for who in sorted(had - has)]
    return lines


MEANING = {
    "content": "names, addresses and messages of these customers can be read",
    "threads": "what stands in the Slack threads of these customers can be read",
    "traffic": "new messages can be read and written as the bot until the token is revoked (@BotFather)",
    "shape": "no name and no word: only how many, when, which queues and topics",
    "none": "nothing without another part",
}


@guarded
def incident(
    leaked: Annotated[list[str], typer.Option("--leaked", help="record, keystore, master, slack, telegram, export.")],
    path: ConfigFile = DEFAULT_CONFIG,
    at: Annotated[
        str | None, typer.Option("--at", help="When the copy was made, as 2026-11-20T10:00; now without.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Whose data a leaked database, backup, key or token touches, for the notification. Give --leaked for each part."""
    from bot import settings
    from domain import incidents

    if wrong := [word for word in leaked if word not in list(incidents.Part)]:
        raise typer.BadParameter(f"{wrong[0]!r} is no part; there are {', '.join(incidents.Part)}")
    parts = [incidents.Part(word) for word in leaked]
    found = asyncio.run(_incident(settings.load(path), parts, _moment(at)))
    if as_json:
        show_json(found)
        return
    for reach in found["reach"]:
        say(f"{reach}: {MEANING[reach]}")
    if found["exports"]:
        advise(f"Exports are in the audit trail: relaydesk access review ({found['exports']} so far)")
    if found["customers"]:
        rows = [
            [
                one["customer_id"],
                when(one["since"]),
                one["language"] or "",
                " ".join(f"#{n}" for n in one["numbers"]),
                when(one["erased_at"]) if one["erased_at"] else "",
            ]
            for one in found["customers"]
        ]
        table("customer", "known since", "language", "conversations", "erased since", rows=rows)
    gone = sum(one["erased_at"] is not None for one in found["customers"])
    say(f"{len(found['customers']) - gone} customers to notify.")
    if gone:
        say(f"{gone} more were erased after that copy was made: it has them, and here nothing says how to reach them.")


async def _incident(read: Settings, parts: list[Any], at: datetime | None) -> dict[str, Any]:
    from dataclasses import asdict

    from bot.cli import people, stores
    from domain import incidents
    from domain.roles import Act

    reach = incidents.reach(parts)
    async with stores.existing(read) as opened:
        await people.allowed(read, opened, Act.REVIEW, "incident")
        await stores.audited(opened, "privacy.incident", "incident", " ".join(sorted(parts)))
        touched = []
        if {incidents.Reach.CONTENT, incidents.Reach.THREADS} & set(reach):
            only_threads = incidents.Reach.CONTENT not in reach
            touched = await opened.reviews.touched(only_threads=only_threads, until=at)
        exports = 0
        if incidents.Part.EXPORT in parts:
            exports = sum(one.count for one in await opened.reviews.looked(None) if one.action == "privacy.export")
    return {"reach": [one.value for one in reach], "exports": exports, "customers": [asdict(one) for one in touched]}


def _moment(at: str | None) -> datetime | None:
    if at is None:
        return None
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        raise typer.BadParameter(f"{at!r} is no time; write 2026-11-20T10:00 (UTC)") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
