"""`relaydesk customer duplicates`, `merge`, `unmerge` and `distinct`: who is one person. A person decides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, complain, guarded, say, show_json, table, when

if TYPE_CHECKING:
    from bot.settings import Settings
    from domain.links import LinkAct, Suspect

Who = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Our id, a whole name, @user name, number or e-mail.")]
Other = Annotated[str, typer.Argument(metavar="OTHER", help="The other one.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the clear, so name no person.")]


@guarded
def duplicates(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Pairs of customers who may be one person, with what speaks for it. Nobody is merged by itself."""
    from dataclasses import asdict

    from bot import settings
    from bot.cli import people, stores
    from domain.roles import Act

    read = settings.load(path)

    async def work() -> list[Suspect]:
        async with stores.existing(read) as opened:
            await people.allowed(read, opened, Act.SEE, "customer:duplicates")
            pairs = await opened.links.suspects()
            seen = await people.seen(read, opened, {each for pair in pairs for each in (pair.one, pair.other)})
            return [pair for pair in pairs if {pair.one, pair.other} <= seen]

    found = asyncio.run(work())
    if as_json:
        show_json([asdict(one) for one in found])
    elif not found:
        say("Nobody looks like somebody else.")
    else:
        rows = [[one.one, one.other, _signs(one), when(one.found_at)] for one in found]
        table("one", "other", "evidence", "found", rows=rows)


def _signs(one: Suspect) -> str:
    return ", ".join(f"{each.sign.value.replace('_', ' ')} {each.score}" for each in one.evidence)


@guarded
def merge(who: Who, other: Other, reason: Reason, path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Say that two customers are one person. Both records stay as they are; `unmerge` takes it back exactly."""
    _decide(who, other, reason, path, "merge", "are one person now")


@guarded
def unmerge(who: Who, other: Other, reason: Reason, path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Take a merge back: both are as they were."""
    _decide(who, other, reason, path, "unmerge", "are two people again")


@guarded
def distinct(who: Who, other: Other, reason: Reason, path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Say that two customers are not one person: it is not suggested again."""
    _decide(who, other, reason, path, "refuse", "stay two people")


def _decide(who: str, other: str, reason: str, path: ConfigFile, word: str, said: str) -> None:
    from bot import settings
    from domain.links import LinkAct

    if not reason.strip():
        raise typer.BadParameter("a reason is missing")
    one, theirs, done = asyncio.run(_write(settings.load(path), who, other, " ".join(reason.split()), LinkAct(word)))
    if not done:
        complain(f"relaydesk: {one} and {theirs}: that changes nothing; see who is one person on their card")
        raise typer.Exit(FAILED)
    say(f"{one} and {theirs} {said}.")


async def _write(read: Settings, who: str, other: str, reason: str, act: LinkAct) -> tuple[str, str, bool]:
    import os

    from bot import crashpoints, times
    from bot.cli import people, stores
    from bot.ids import new_id
    from domain import links
    from domain.links import LinkChange
    from domain.roles import Act

    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
    async with stores.existing(read) as opened:
        one, theirs = await people.one_customer(opened, who), await people.one_customer(opened, other)
        if one == theirs:
            raise typer.BadParameter("that is one and the same customer; give two")
        actor = await people.allowed(read, opened, Act.LINK, f"customer:{one}")
        change = LinkChange(
            act=act,
            one=one,
            other=theirs,
            actor=actor,
            reason=reason[: links.LONGEST_REASON],
            at=times.real(),
            ids=(new_id(), new_id(), new_id()),
        )
        return one, theirs, await opened.links.decide(change)
