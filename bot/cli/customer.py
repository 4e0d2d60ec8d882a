"""`relaydesk customer find`: people by their whole name, user name, address or id."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bot.cli import contacts, facts, links, profiles
from bot.cli.show import Reveal
from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, complain, guarded, say, show_json, table

if TYPE_CHECKING:
    from domain.model import Customer, Identity

app = typer.Typer(help="Customers: find, note, correct, merge.", no_args_is_help=True)


@app.callback()
def customer() -> None:
    """Customers: find, note, correct, merge."""


@app.command()
@guarded
def find(
    words: Annotated[list[str], typer.Argument(metavar="TEXT", help="A whole name, @user name, chat id or our id.")],
    path: ConfigFile = DEFAULT_CONFIG,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Find people by an equal value. The search is audited under your user; personal text needs --reveal."""
    from bot import settings
    from bot.cli import people, stores
    from domain.roles import Act

    text, read = " ".join(words), settings.load(path)

    async def work() -> list[tuple[Customer, list[Identity], int]]:
        async with stores.existing(read) as opened:
            await people.allowed(read, opened, Act.REVEAL if reveal else Act.SEE, "customer:find")
            found = await opened.record.find_people(text)
            seen = await people.seen(read, opened, [person.id for person, _, _ in found])
            found = [one for one in found if one[0].id in seen]
            things = [f"customer:{person.id}" for person, _, _ in found] or ["customer:none"]
            await stores.audited_all(opened, "customer.find.reveal" if reveal else "customer.find", things)
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


@app.command()
@guarded
def tag(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Our id, a whole name, @user name or chat id.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the clear, so name no person.")],
    add: Annotated[list[str] | None, typer.Option("--add", help="A word to note; may be given again.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="A word to take back.")] = None,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Note words about a customer, such as vip, for segments. Audited under your user."""
    from bot import settings, times
    from bot.cli import people, stores
    from domain.roles import Act

    read, added, removed = settings.load(path), _words(add), _words(remove)
    if not added and not removed:
        raise typer.BadParameter("nothing to do: give --add or --remove")

    async def work() -> tuple[str, tuple[str, ...]]:
        async with stores.existing(read) as opened:
            who = await people.one_person(opened, customer)
            actor = await people.allowed(read, opened, Act.CORRECT, f"customer:{who}")
            left = await opened.segmentation.tag(
                who, add=added, remove=removed, actor=actor, reason=reason, now=times.real()
            )
            return who, left

    who, left = asyncio.run(work())
    say(f"Customer {who}: {', '.join(left) or 'no tags'}. Segments follow within seconds of the next message.")


app.command("profile", short_help="What is known about a customer, and who said it.")(profiles.profile)
app.command("set")(profiles.set_)
app.command("contacts", short_help="A customer's phone numbers and e-mail addresses.")(contacts.contacts)
app.command("contact", short_help="Note, confirm or take back a phone number or e-mail address.")(contacts.contact)
app.command("stale", short_help="Contact points that nobody made sure of for too long.")(contacts.stale)
app.command("fact", short_help="Note what happened: a purchase, an order, a visit, a call.")(facts.fact)
app.command("add")(facts.add)
app.command("duplicates", short_help="Pairs of customers who may be one person, and why.")(links.duplicates)
app.command("merge")(links.merge)
app.command("unmerge")(links.unmerge)
app.command("distinct", short_help="Say that two customers are not one person.")(links.distinct)

TAG: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def _words(given: list[str] | None) -> tuple[str, ...]:
    """Tags as the configuration writes them; a person's name does not fit."""
    for word in given or ():
        if not TAG.fullmatch(word):
            raise typer.BadParameter(f"{word!r} is no tag: small letters, digits, _ and -, a letter first")
    return tuple(given or ())


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
