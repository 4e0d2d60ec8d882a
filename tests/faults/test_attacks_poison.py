"""Entries that no database takes: one is set aside, the process and the others go on."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from slack_sdk.signature import SignatureVerifier

from bot.settings_secrets import SANDBOX
from tests import world as worlds
from tests.world import MAYA, Card, World, eventually

HALF = "\ud800"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def over_http(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A running world in HTTP mode on each engine."""
    databases: dict[str, Any] = {}
    if request.param == "postgres":
        make: Callable[[], str] = request.getfixturevalue("postgres_database")
        databases = {"database": make(), "keystore": make()}
    async with worlds.world(tmp_path, slack="http", **databases) as made:
        yield made


async def slack_sends(world: World, payload: dict[str, Any]) -> int:
    """A payload with a good signature; the status of the answer."""
    body, stamp = json.dumps(payload).encode(), str(int(time.time()))
    signature = SignatureVerifier(SANDBOX["slack_signing_secret"]).generate_signature(timestamp=stamp, body=body)
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": str(signature)}
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{world.address}/slack/events", content=body, headers=headers | {"Content-Type": "application/json"}
        )
    return answer.status_code


def written(card: Card, number: int, **fields: str) -> dict[str, Any]:
    """A message in the card's thread, some fields replaced."""
    ts = f"{time.time() + number:.6f}"
    event = {"type": "message", "user": MAYA, "channel": card.channel, "thread_ts": card.ts, "ts": ts, "text": "hello"}
    return {"type": "event_callback", "team_id": "T0SANDBOX", "event_id": f"Ev{ts}", "event": event | fields}


async def test_what_no_database_takes_stops_nobody(over_http: World) -> None:
    """Ids and words with half a character or a NUL in them end no process; answers before and after them arrive."""
    world = over_http
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await eventually(card.posts, what="the message in the thread")
    odd = [written(card, 1, text=f"half {HALF} a character"), written(card, 2, text="a\x00b")]
    for number, field in enumerate(("user", "channel", "thread_ts", "ts"), start=3):
        odd += [written(card, number, **{field: word}) for word in (HALF, "U0\x00MAYA")]
    value = f"{HALF}|0|U\x00"
    odd.append(
        {
            "type": "block_actions",
            "team": {"id": "T0SANDBOX"},
            "user": {"id": MAYA, "team_id": "T0SANDBOX"},
            "channel": {"id": card.channel},
            "container": {"type": "message", "message_ts": card.ts, "channel_id": card.channel},
            "actions": [{"action_id": "retry", "value": value, "action_ts": f"{time.time():.6f}"}],
        }
    )
    odd.append({"type": "event_callback", "event_id": "Ev1", "event": {"type": ["message"]}})
    assert [await slack_sends(world, payload) for payload in odd] == [200] * len(odd)
    other = await world.customer("Ben")
    await other.says("Where is mine?")
    await (await world.card(1)).says(MAYA, "On its way")
    assert await eventually(other.answers, what="an answer after the poison") == ["On its way"]
    answers = await eventually(phone.answers, what="the odd answers")
    assert answers[0] == "half \ufffd a character"
    assert world.task is not None
    assert not world.task.done()
