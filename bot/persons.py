"""A person as a colleague sees them: everything of all customers who are one person, and who else may be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from bot import times
from domain import facts
from domain.errors import UnknownPerson
from domain.facts import Fact
from domain.links import Suspect
from domain.model import EntryKind
from domain.ports import PersonView
from domain.rulebook import Rulebook
from storage import digests, revealing
from storage.database import Database
from storage.dossier import Dossier, Dossiers
from storage.links import Links
from storage.record import Record

SUSPECTS: Final = 3
"""Who else may be this person: a card names so many of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Persons:
    """Puts a card's contents together. A read of a person: whoever asks has audited it."""

    database: Database
    dossiers: Dossiers
    record: Record
    rules: Rulebook
    now: Callable[[], datetime]  # product time
    topic: Callable[[str], str]
    links: Links | None = None

    async def asked_for(self, delivery_id: str, data: Mapping[str, Any]) -> PersonView:
        """The card that a delivery asks for, by number or by our id. Raises UnknownPerson.

        Whoever asked was checked, and their look audited, when it was decided. Whom else it shows is known only
        now, and audited before it is shown: once, however often the delivery is tried.
        """
        user, held = str(data["user"]), [str(role) for role in data.get("roles") or ()]
        who = data.get("customer")
        if who is None:
            found = await self.record.by_number(int(data["number"]))
            who = None if found is None else found.customer_id
        shown = await self.view(str(who), lambda queue: self.rules.sees(user, held, queue))
        others = [*shown.members[1:], *(str(_other(one, shown.members)) for one, _ in shown.suspects)]
        if others:
            things, key = [f"customer:{one}" for one in others], self.record.audit_key
            look = revealing.Look(
                actor=f"agent:{user}",
                action="customer.reveal" if data.get("reveal") == "yes" else "customer.open",
                things=things,
                detail=f"{data.get('reason') or ''} with customer:{who}".strip(),
                at=times.real(),
                digests=await self.database.query(lambda conn: digests.of(conn, things)),
            )
            await self.database.write(lambda conn: revealing.note(conn, key, delivery_id, look))
        return shown

    async def view(self, customer_id: str, sees: Callable[[str], bool] = lambda _queue: True) -> PersonView:
        """Whoever this customer is, as one person, without what happened in queues that the one who asks may not see.

        Who was only there is left out, among those who are this person and among those who may be. Raises
        UnknownPerson, also where that is who was asked for, or where all of it happened there.
        """
        given = await self.dossiers.person(customer_id)
        whole = [
            replace(one, conversations=tuple(case for case in one.conversations if sees(case.queue)))
            for one in given
            if _is_seen((case.queue for case in one.conversations), sees)
        ]
        is_hidden = not any(one.conversations for one in whole) and any(one.conversations for one in given)
        if is_hidden or not whole or whole[0].customer.id != customer_id:
            raise UnknownPerson("nothing of this customer may be seen by who asks")
        kept = [one.customer.id for one in whole]
        _, edges, suspects = ([], [], []) if self.links is None else await self.links.of(customer_id)
        edges = [both for both in edges if set(both) <= set(kept)]
        theirs = {one: _other(one, kept) for one in suspects}
        queues = await self.dossiers.queues({other for other in theirs.values() if other is not None})
        maybe = {
            one: other for one, other in theirs.items() if other is not None and _is_seen(queues.get(other, ()), sees)
        }
        people = await self.record.people({*kept, *maybe.values()})
        names = {customer.id: customer.name for customer, _, _ in people}
        customer = whole[0].customer
        return PersonView(
            customer_id=customer_id,
            name=customer.name,
            language=customer.language,
            since=min(one.customer.created_at for one in whole),
            identities=tuple(chat for one in whole for chat in one.identities),
            segments=tuple(dict.fromkeys(word for one in whole for word in one.customer.segments)),
            tags=tuple(dict.fromkeys(word for one in whole for word in one.customer.tags)),
            consents=customer.consents,
            conversations=tuple(case for one in whole for case in one.conversations),
            entries=tuple(
                sorted(
                    (line for one in whole for case in one.conversations for line in one.entries.get(case.id, ())),
                    key=lambda line: line.at,
                )
            ),
            profile={
                name: said.value for one in reversed(whole) for name, said in one.profile.current.items()
            },  # the first one's own come last, and count
            corrected={
                name: old
                for one in reversed(whole)
                for name, said in one.profile.values.items()
                if (old := tuple(each for each in said if each.until is not None))
            },
            channels=self.rules.channel_titles,
            fields=tuple(self.rules.profile),
            contacts=tuple(point for one in whole for point in one.contacts if point.holds),
            due=frozenset(self._due(whole)),
            facts=tuple(_facts(whole)),
            former=tuple(dict.fromkeys(name for one in whole for name in one.former)),
            links=tuple((one, other, names.get(other if one == customer_id else one, "")) for one, other in edges),
            suspects=tuple((one, names[other]) for one, other in maybe.items() if other in names)[:SUSPECTS],
            ratings=_ratings(whole),
            members=tuple(kept),
            topics={intent: self.topic(intent) for intent in self.rules.intents},
        )

    def _due(self, whole: Sequence[Dossier]) -> Iterator[str]:
        """The contact points that nobody made sure of for too long."""
        seen = [case.last_customer_at for one in whole for case in one.conversations if case.last_customer_at]
        last, now = max(seen, default=whole[0].customer.created_at), self.now()
        freshness = self.rules.contacts.freshness
        yield from (point.id for one in whole for point in one.contacts if freshness.is_due(point, last, now))


def _is_seen(queues: Iterable[str], sees: Callable[[str], bool]) -> bool:
    """Whether somebody with conversations in these queues is known to who asks; who had none is."""
    known = list(queues)
    return not known or any(map(sees, known))


def _other(suspect: Suspect, members: Collection[str]) -> str | None:
    """Who may be the same as one of these; None where none of them is meant."""
    if suspect.one in members:
        return suspect.other
    return suspect.one if suspect.other in members else None


def _ratings(whole: Sequence[Dossier]) -> dict[str, str]:
    """What was said last of each of the conversations that are shown."""
    shown = {case.id for one in whole for case in one.conversations}
    lines = [line for one in whole for line in one.entries.get(one.customer.id, ()) if line.kind is EntryKind.RATED]
    told = {str(line.data.get("of")): str(line.data.get("to")) for line in sorted(lines, key=lambda line: line.at)}
    return {of: rating for of, rating in told.items() if of in shown}


def _facts(whole: Sequence[Dossier]) -> Iterator[Fact]:
    """What happened with this person elsewhere."""
    for one in whole:
        for line in one.entries.get(one.customer.id, ()):
            if line.kind is EntryKind.FACT:
                found = facts.opened(line.data.get("fact"), line.data.get("source"), line.body, line.at)
                if found is not None:
                    yield found
