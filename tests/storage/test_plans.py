"""What is asked for every message is found by an index, however much has been settled before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, create_engine, event

from storage import (
    board,
    clocks,
    contacts,
    flush,
    home,
    inbox,
    joining,
    labels,
    lanes,
    likeness,
    links,
    loading,
    outbox,
    outgoing,
    paces,
    places,
    rare,
    record,
    search,
    segmentation,
    signing,
    stretches,
    tables,
    threads,
    views,
    wishes,
)

LANES = {"b_lanes": ["a", "b"]}
HELD = {"b_side": "out", "b_owner": "me", "b_now": 1.0, **LANES}
HOT: dict[str, tuple[Executable, dict[str, Any]]] = {
    "an event that is known": (inbox._KNOWN, {"b_sources": ["s"], "b_macs": ["m"]}),
    "the waiting rows of a lane": (inbox._WAITING, {**LANES, "b_limit": 9}),
    "what was said earlier in a lane": (inbox._EARLIER, {"b_lane": "a", "b_source": "s", "b_position": 1.0}),
    "the lane of a thread": (inbox._THREADS, {"b_places": ["C1"], "b_threads": ["1.0"]}),
    "the head of a lane": (outbox._HEADS, LANES),
    "an update that waits": (outgoing._COLLAPSING, LANES),
    "giving an inbox lane back": (lanes._GIVE_BACK["in"], HELD),
    "giving an outbox lane back": (lanes._GIVE_BACK["out"], HELD),
    "who writes from an address": (wishes.BY_ADDRESS, {"b_channels": ["telegram"], "b_macs": ["m"]}),
    "where a thread went": (wishes.MOVED, {"b_places": ["C1"], "b_threads": ["1.0"]}),
    "what nobody has answered, for a new thread": (
        threads.UNANSWERED,
        {"b_id": "c", "b_since": 1.0, "b_finder": "o"},
    ),
    "what was said last, for a new thread": (record.SAID_BEFORE, {"b_id": "c", "b_until": 1.0, "b_limit": 6}),
    "what waits behind something": (places.BEHIND, {"b_lane": "a", "b_seq": 1}),
    "a card that is being posted": (threads.CARD_LEAVES, LANES),
    "the other parts of an answer": (outbox.OTHER_PARTS, {"b_entry": "e", "b_id": "o"}),
    "the name shown last in a conversation": (signing.NEWEST, {"b_id": "c"}),
    "agents' emoji in a conversation": (rare.REACTIONS, {"b_ids": ["c"]}),
    "all that somebody wrote in their chats": (rare.SAID, {"b_customers": ["c", "d"]}),
    "the answers that are on their way": (rare.LEAVING, {"b_ids": ["c"], "b_lanes": ["chat:i"]}),
    "the fixed texts sent in a conversation": (rare.AUTOMATIC, {"b_ids": ["c"]}),
    "questions, for a conversation that is joined": (rare.HELD, {"b_ids": ["c"]}),
    "the lines of these questions": (rare.LINES, {"b_ids": ["c"], "b_lines": ["1.0"]}),
    "questions, for a new thread": (threads.QUESTIONS, {"b_id": "c", "b_finder": "o"}),
    "the lines they ask about": (threads.LINES, {"b_id": "c", "b_lines": ["1.0"]}),
    "where they stood": (threads.STOOD, {"b_ids": ["e"], "b_place": "C1"}),
    "the files of messages, for a new thread": (threads.FILES, {"b_ids": ["e"]}),
    "the parts of an answer": (loading._PARTS, {"b_ids": ["e"]}),
    "the conversation of a thread": (wishes.BY_THREAD, {"b_places": ["C1"], "b_threads": ["1.0"]}),
    "the newest conversation of somebody": (wishes.NEWEST, {"b_ids": ["i"]}),
    "the history of a conversation": (loading._HISTORY, {"b_ids": ["c"]}),
    "an answer that still waits": (outbox._ANSWERS, {"b_lane": "a", "b_conversation": "c", "b_entry": "e"}),
    "what nobody has answered": (loading._WINDOW, {"b_ids": ["c"], "b_since": 1.0}),
    "the messages that an event names": (loading._NAMED, {"b_ids": ["c"], "b_messages": ["1"]}),
    "the nearest alerts": (clocks.COMING, {"b_limit": 9}),
    "conversations that are still as they were": (clocks.UNTOUCHED, {"b_ids": ["c"]}),
    "deadlines that are overdue or due soon": (board.BETWEEN, {"b_after": 0.0, "b_until": 1.0, "b_limit": 9}),
    "somebody's own deadlines": (board.OF_AGENT, {"b_agent": "U1", "b_limit": 9}),
    "how many deadlines there are": (board.COUNT, {"b_after": 0.0, "b_until": 1.0, "b_limit": 9}),
    "what was said of a clock": (clocks.ALERTS, {"b_ids": ["c"]}),
    "clocks that are no more": (flush.FORGET_CLOCKS, {"b_ids": ["c"], "b_kept": ["k"]}),
    "the conversation of an agent's line": (wishes.ECHOED, {"b_keys": ["reaction:1.0:waiting"]}),
    "the conversation of a post": (wishes.BY_POST, {"b_places": ["C1"], "b_posts": ["1.0"]}),
    "the clocks of a conversation": (loading.CLOCKS, {"b_ids": ["c"]}),
    "the messages that were read": (loading.ENTRIES, {"b_ids": ["e"]}),
    "labels since the last training": (labels._SINCE, {"b_since": 1.0, "b_kind": "intent"}),
    "an earlier label": (labels._FORGET, {"b_ids": ["c"], "b_kind": "intent"}),
    "names of documents": (search._CHUNKS, {"b_segments": [1], "b_chunks": [0], "b_pairs": [(1, 0)]}),
    "whose contact point it is": (contacts.BY_VALUE, {"b_macs": ["m"]}),
    "the contact points of a customer": (contacts.OF_CUSTOMERS, {"b_ids": ["c"]}),
    "who is one person with a customer": (links.NEIGHBOURS, {"b_ids": ["c"]}),
    "who may be one person with a customer": (links._SUSPECTS, {"b_ids": ["c"]}),
    "who shares what tells people apart": (likeness._SHARED, {"b_macs": ["m"]}),
    "facts of a customer": (segmentation._DEEDS, {"b_ids": ["c"]}),
    "the newest message of a conversation": (views._LATEST, {"b_ids": ["c"]}),
    "what a customer wrote last, for the reply window": (views._LATELY, {"b_id": "c"}),
    "what is open for somebody": (home.MINE, {"b_agent": "U1", "b_limit": 9}),
    "what somebody promised": (home.PROMISES, {"b_agent": "U1", "b_limit": 9}),
    "what waits behind the head of a lane": (joining.FIRST_ROWS, LANES),
    "turns that are taken": (paces._SPENT, {"b_buckets": ["b"], "b_now": 1.0}),
    "where a quiet stretch begins": (stretches.BEGINS, {"b_of": "c", "b_entry": "e"}),
    "where a quiet stretch ends": (stretches.ENDS, {"b_of": "c", "b_entry": "e"}),
    "what a customer changed in a conversation": (stretches.CHANGES, {"b_of": "c", "b_kind": "incoming_edit"}),
    "what did not arrive in a conversation": (record.FAILURES, {"b_id": "c", "b_entry": "e"}),
    "changes with a row of their own": (stretches.BEHIND, {"b_ids": ["e"]}),
    "whether a message is still to be shown": (stretches.WAITS, {"b_message": "e"}),
    "what stands in a post": (joining.STANDING, {"b_place": "C1", "b_ts": "1.0"}),
    "what was changed of it": (joining.EDITS, {"b_ids": ["c"], "b_messages": ["1"]}),
}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """An empty record."""
    engine = create_engine(f"sqlite:///{tmp_path / 'plans.db'}")
    with engine.connect() as opened:
        tables.metadata.create_all(opened)
        yield opened
    engine.dispose()


@pytest.mark.parametrize("name", HOT)
def test_no_hot_statement_reads_a_whole_table(connection: Connection, name: str) -> None:
    """SQLite searches by an index; reading a table from its beginning would get slower with every message kept."""
    sent: list[tuple[str, Any]] = []

    @event.listens_for(connection, "before_cursor_execute")
    def _remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        sent.append((statement, parameters))

    connection.execute(*HOT[name])
    statement, parameters = sent[0]
    plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    steps = [str(row[3]) for row in plan]
    scanned = [step.split()[1] for step in steps if step.startswith("SCAN")]
    assert not [name for name in scanned if name in tables.metadata.tables]
