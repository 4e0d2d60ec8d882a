"""How conversations ended and were found, as counts, on both engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain.changes import Changes
from domain.model import EntryKind, Status
from storage import outcomes
from storage.wishes import Wanted
from tests.contracts.storage_kit import NOW, Process, Story, at, new_id, story


def rated(person: Story, rating: str, seconds: float) -> Changes:
    """A tap of the customer."""
    line = person.said("", seconds=seconds, kind=EntryKind.RATED, data={"of": person.conversation.id, "to": rating})
    own = replace(line, id=new_id(), conversation_id=person.customer.id)
    return Changes(reason="rated", entries=(own,))


async def test_ends_and_taps_are_counted_from_a_day_on(one: Process) -> None:
    """By outcome, without one too; of each conversation its customer's last tap alone; nothing of before."""
    done = {"status": Status.DONE, "resolved_at": at(60)}
    ann, bo = story("Ann", "1", outcome="solved", **done), story("Bo", "2", **done)
    old = story("Cy", "3", outcome="solved", status=Status.DONE, resolved_at=NOW - timedelta(days=40))
    still = story("Di", "4")
    await one.decide(*(person.opening("hello") for person in (ann, bo, old, still)))
    await one.decide(rated(ann, "bad", 70), rated(ann, "good", 80), rated(bo, "partly", 90))
    found = await outcomes.since(one.db, NOW - timedelta(days=1))
    assert found.ends == {"solved": 1, "unsaid": 1}
    assert found.ratings == {"good": 1, "partly": 1}
    queues = {person.conversation.queue for person in (ann, bo)}
    nothing = outcomes.Outcomes(ends={}, ratings={})
    assert await outcomes.since(one.db, NOW - timedelta(days=1), queues) == nothing, "of hidden queues nothing counts"
    assert await outcomes.since(one.db, NOW - timedelta(days=1), {"another"}) == found
    odd = replace(rated(bo, "bad", 95).entries[0], id=new_id(), data={"of": ann.conversation.id, "to": "bad"})
    nobodys = replace(odd, id=new_id(), data={"of": new_id(), "to": "bad"})
    await one.decide(Changes(reason="rated", entries=(odd, nobodys)))
    assert (await outcomes.since(one.db, NOW - timedelta(days=1))).ratings == found.ratings, "only of one's own"
    assert await outcomes.since(one.db, NOW + timedelta(days=1)) == outcomes.Outcomes(ends={}, ratings={})


async def test_the_fixed_texts_sent_in_a_conversation_are_known_where_it_ends(one: Process) -> None:
    """Each once, of that conversation alone, and only for who asks."""
    ann, bo = story("Ann", "1"), story("Bo", "2")
    await one.decide(ann.opening("hello"), bo.opening("hello"))
    lines = [ann.said("", kind=EntryKind.AUTOMATIC, data={"text": name}) for name in ("received", "received", "ask")]
    other = bo.said("", kind=EntryKind.AUTOMATIC, data={"text": "closed"})
    await one.decide(Changes(reason="told", entries=(*lines, other)))
    wanted = Wanted(key="it", conversation_id=ann.conversation.id, automatic=True)
    assert (await one.record.load([wanted]))["it"].automatic == {"received", "ask"}
    assert (await one.record.load([replace(wanted, automatic=False)]))["it"].automatic == frozenset()
