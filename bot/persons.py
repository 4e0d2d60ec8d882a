"""A person as a colleague sees them: everything of all customers who are one person, and who else may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from domain import facts
from domain.errors import UnknownPerson
from domain.facts import Fact
from domain.model import EntryKind
from domain.ports import PersonView
from domain.rulebook import Rulebook
from storage.dossier import Dossier, Dossiers
from storage.links import Links
from storage.record import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Persons:
    """Puts a card's contents together. A read of a person: whoever asks has audited it."""

    dossiers: Dossiers
    record: Record
    rules: Rulebook
    now: Callable[[], datetime]  # product time
    topic: Callable[[str], str]
    links: Links | None = None

    async def view(self, customer_id: str, sees: Callable[[str], bool] = lambda _queue: True) -> PersonView:
        """Whoever this customer is, as one person, without what happened in queues that the one who asks may not see.

        Raises UnknownPerson, also where all of it happened there.
        """
        given = await self.dossiers.person(customer_id)
        whole = [
            replace(one, conversations=tuple(case for case in one.conversations if sees(case.queue))) for one in given
        ]
        if not any(one.conversations for one in whole) and any(one.conversations for one in given):
            raise UnknownPerson("nothing of this customer may be seen by who asks")
        first = whole[0]
        members, edges, suspects = ([customer_id], [], []) if self.links is None else await self.links.of(customer_id)
        others = {each for both in edges for each in both} | {each for one in suspects for each in (one.one, one.other)}
        names = {customer.id: customer.name for customer, _, _ in await self.record.people(others)}
        customer = first.customer
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
            fields=tuple(self.rules.profile),
            contacts=tuple(point for one in whole for point in one.contacts if point.holds),
            due=frozenset(self._due(whole)),
            facts=tuple(_facts(whole)),
            former=tuple(dict.fromkeys(name for one in whole for name in one.former)),
            links=tuple((one, other, names.get(other if one == customer_id else one, "")) for one, other in edges),
            suspects=tuple(
                (one, names[theirs])
                for one in suspects
                if (theirs := one.other if one.one in members else one.one) in names
            ),
            topics={intent: self.topic(intent) for intent in self.rules.intents},
        )

    def _due(self, whole: Sequence[Dossier]) -> Iterator[str]:
        """The contact points that nobody made sure of for too long."""
        seen = [case.last_customer_at for one in whole for case in one.conversations if case.last_customer_at]
        last, now = max(seen, default=whole[0].customer.created_at), self.now()
        freshness = self.rules.contacts.freshness
        yield from (point.id for one in whole for point in one.contacts if freshness.is_due(point, last, now))


def _facts(whole: Sequence[Dossier]) -> Iterator[Fact]:
    """What happened with this person elsewhere."""
    for one in whole:
        for line in one.entries.get(one.customer.id, ()):
            if line.kind is EntryKind.FACT:
                found = facts.opened(line.data.get("fact"), line.data.get("source"), line.body, line.at)
                if found is not None:
                    yield found
