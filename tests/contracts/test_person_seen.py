"""Whom of several customers who are one person, or may be, a colleague is shown, and whom the audit trail names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.persons import Persons
from domain.changes import Changes
from domain.errors import UnknownPerson
from domain.links import Evidence, LinkAct, Sign, Suspect, pair
from domain.roles import Limits
from domain.routing import Queue
from storage import tables
from storage.dossier import Dossiers
from tests.contracts.storage_kit import NOW, Process, Story, new_id, outgoing, sending, story
from tests.contracts.test_storage_links import change, links
from tests.handlers.kit import JONAS, MAYA, rulebook

SEEN, HIDDEN = "general", "care"


def persons(one: Process) -> Persons:
    queues = {name: Queue(name=name, title=name, slack_channel=f"C0{name}") for name in (SEEN, HIDDEN)}
    queues[HIDDEN] = replace(queues[HIDDEN], seen_by=Limits(agents=frozenset({JONAS})))
    return Persons(
        database=one.db,
        dossiers=Dossiers(one.db, one.keys),
        record=one.record,
        rules=rulebook(queues=queues),
        now=lambda: NOW,
        topic=str,
        links=links(one),
    )


async def known(one: Process) -> dict[str, Story]:
    """Ann, who is one person with three others and maybe with three more; some were only in the hidden queue."""
    where = {"Ann": SEEN, "Seen": SEEN, "Hidden": HIDDEN, "Behind": SEEN, "Maybe": SEEN, "Secret": HIDDEN, "Far": SEEN}
    found = {name: story(name, str(place), queue=queue) for place, (name, queue) in enumerate(where.items())}
    await one.decide(*(each.opening("hello") for each in found.values()))
    for first, second in (("Ann", "Seen"), ("Ann", "Hidden"), ("Hidden", "Behind")):
        await one.decide(Changes(reason="merged", links=(change(LinkAct.MERGE, found[first], found[second]),)))
    for first, second in (("Ann", "Maybe"), ("Ann", "Secret"), ("Hidden", "Far")):
        both = pair(found[first].customer.id, found[second].customer.id)
        suspect = Suspect(one=both[0], other=both[1], evidence=(Evidence(sign=Sign.NAME, score=90),), found_at=NOW)
        await links(one).suggest([(new_id(), suspect)])
    return found


@pytest.mark.parametrize(
    ("who", "linked", "members", "maybe"),
    [
        (MAYA, {"Seen"}, {"Ann", "Seen", "Behind"}, {"Maybe"}),
        (JONAS, {"Seen", "Hidden", "Behind"}, {"Ann", "Seen", "Hidden", "Behind"}, {"Maybe", "Secret", "Far"}),
    ],
)
async def test_who_was_only_in_a_hidden_queue_is_on_no_card(
    one: Process, who: str, linked: set[str], members: set[str], maybe: set[str]
) -> None:
    """Neither as the same person nor as maybe the same; a reveal is audited for each who is on it."""
    found = await known(one)
    ids = {each.customer.id: name for name, each in found.items()}
    asked = {"user": who, "roles": ["agent"], "customer": found["Ann"].customer.id}
    view = await persons(one).asked_for(new_id(), asked)
    assert {ids[one] for one in view.members} == members
    assert {ids[case.customer_id] for case in view.conversations} == members
    assert {ids[each] for one, other, _ in view.links for each in (one, other)} <= members
    assert {name for _, _, name in view.links} >= linked - {"Behind"}
    assert {name for _, name in view.suspects} == maybe
    assert [row for row in await one.rows(tables.audit) if row["action"] == "customer.reveal"] == []
    row = outgoing(f"whisper:{who}", data={**asked, "reveal": "yes", "reason": "law"})
    await one.decide(sending(row))
    for _ in range(2):  # Slack was away the first time
        await persons(one).asked_for(row.id, row.data)
    rows = [row for row in await one.rows(tables.audit) if row["action"] == "customer.reveal"]
    assert {ids[str(row["object"]).removeprefix("customer:")] for row in rows} == (members | maybe) - {"Ann"}
    assert len(rows) == len((members | maybe) - {"Ann"}), "each once"
    assert {row["actor"] for row in rows} == {f"agent:{who}"}
    assert all(len(str(row["digest"])) == 64 for row in rows), "the digest of what was read"
    looks = [row for row in await one.rows(tables.audit) if row["action"] == "customer.open"]
    assert {row["object"] for row in looks} == {row["object"] for row in rows}, "a masked look, too"
    assert all(str(row["detail"]).startswith("law with customer:") for row in rows)


async def test_who_was_only_in_a_hidden_queue_is_unknown(one: Process) -> None:
    """Also where they are one person with somebody who may be seen: that one is asked for by themselves."""
    found = await known(one)
    for name, unknown in (("Hidden", True), ("Secret", True), ("Behind", False)):
        asked = {"user": MAYA, "roles": ["agent"], "customer": found[name].customer.id}
        if unknown:
            with pytest.raises(UnknownPerson):
                await persons(one).asked_for(new_id(), asked)
        else:
            assert (await persons(one).asked_for(new_id(), asked)).name == name
