"""What tests of the desk share: a sandbox of their own, its control interface, and believable values."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx

from bot.desk.slack import SlackConfig
from domain.changes import ClockRow, DeliveryKind
from domain.model import MACHINE, Actor, ActorKind, Conversation, Entry, EntryKind, Thread
from domain.ports import Arrival, CardView, DeskDelivery
from domain.roles import Role
from domain.sla import ClockState, Metric
from tests import patience

SUPPORT, BILLING, TRIAGE, LEADS, RANDOM = "C0SUPPORT", "C0BILLING", "C0TRIAGE", "C0LEADS", "C0RANDOM"
MAYA, LINA, JONAS, STRANGER, GUEST, PARTNER = "U0MAYA", "U0LINA", "U0JONAS", "U0STRANGER", "U0GUEST", "U0PARTNER"
AGENTS, LEAD_GROUP = "S0AGENTS", "S0LEADS"
SECRET = "sandbox-signing-secret"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
GUESSES = (("refund", "Return or refund", 0.91), ("complaint", "Complaint", 0.05), ("billing", "Payment", 0.02))
INTENTS = (("billing", "Payment"), ("complaint", "Complaint"), ("outage", "Outage"), ("refund", "Return or refund"))
CONVERSATION = "01JCONVERSATION00000000001"


class Slack:
    """The sandbox's Slack side, as a person and a judge see it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.AsyncClient(base_url=url, timeout=patience.LONG_S, verify=False, trust_env=False)

    async def post(self, path: str, **wish: object) -> dict[str, Any]:
        """A control request; the answer must be ok."""
        answer = (await self._http.post(f"/control/{path}", json=wish)).json()
        assert answer["ok"], answer
        return dict(answer)

    async def get(self, path: str) -> dict[str, Any]:
        """A control question; the answer must be ok."""
        answer = (await self._http.get(f"/control/{path}")).json()
        assert answer["ok"], answer
        return dict(answer)

    async def fault(self, method: str, fault: str, **more: object) -> None:
        """Make the next call of a method go wrong."""
        await self.post("faults", platform="slack", method=method, fault=fault, **more)

    async def remove_faults(self) -> None:
        """Let everything go well again."""
        assert (await self._http.delete("/control/faults")).json()["ok"]

    async def write(self, user: str, text: str, thread_ts: str | None = None, **more: object) -> str:
        """Somebody writes; returns the ts."""
        wish = {"user": user, "channel": SUPPORT, "text": text, **more}
        if thread_ts:
            wish["thread_ts"] = thread_ts
        return str((await self.post("slack/post", **wish))["ts"])

    async def messages(self, channel: str = SUPPORT) -> list[dict[str, Any]]:
        """What the channel shows."""
        return list((await self.get(f"slack/channel/{channel}"))["messages"])

    async def thread(self, ts: str, channel: str = SUPPORT) -> list[dict[str, Any]]:
        """What a thread shows, the root first."""
        root = (await self.get(f"slack/thread/{channel}/{ts}"))["message"]
        return [root, *root.get("replies", [])]

    async def whispers(self, user: str, channel: str = SUPPORT) -> list[dict[str, Any]]:
        """What only this person sees in the channel."""
        return list((await self.get(f"slack/channel/{channel}"))["ephemerals"].get(user, []))

    async def requests(self, method: str) -> int:
        """How often a method was called."""
        counts = await self.get("log/counts")
        return int(counts["requests"]["slack"].get(method, 0))

    async def close(self) -> None:
        """Give the sockets back."""
        await self._http.aclose()


@contextmanager
def sandbox_process() -> Iterator[str]:
    """A sandbox on a free port; its address. Ended with the block."""
    command = [sys.executable, "-m", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()


def config(url: str, **more: object) -> SlackConfig:
    """The sandbox's workspace as the shipped configuration names it."""
    known: dict[str, Any] = {
        "base_url": f"{url}/slack/api/",
        "bot_token": "xoxb-sandbox",
        "app_token": "xapp-sandbox",
        "signing_secret": SECRET,
        "team_id": "T0SANDBOX",
        "ops_channel": LEADS,
        "channels": (SUPPORT, BILLING),
        "roles": {Role.AGENT: (AGENTS,), Role.LEAD: (LEAD_GROUP,)},
    }
    return SlackConfig(**(known | more))


@dataclass
class Store:
    """An inbox in memory: dedupes by event key as the real one does; can be told to fail."""

    arrivals: dict[str, Arrival] = field(default_factory=dict)
    failures: int = 0
    offered: int = 0

    async def accept(self, arrivals: Sequence[Arrival]) -> int:
        """Store, or fail without having stored anything."""
        self.offered += len(arrivals)
        if self.failures:
            self.failures -= 1
            raise OSError("database or disk is full")
        new = {arrival.event_key: arrival for arrival in arrivals if arrival.event_key not in self.arrivals}
        self.arrivals |= new
        return len(new)

    @property
    def all(self) -> list[Arrival]:
        """What was stored, in order."""
        return list(self.arrivals.values())


until = partial(patience.eventually, every=0.02)
"""Waits until something holds; an AssertionError when it does not in time."""


def conversation(**more: object) -> Conversation:
    """An open conversation in #support."""
    known: dict[str, Any] = {
        "id": CONVERSATION,
        "number": 1042,
        "customer_id": "01JCUSTOMER",
        "identity_id": "01JIDENTITY",
        "channel": "telegram",
        "lane": "lane",
        "thread": Thread(channel=SUPPORT),
        "queue": "support",
        "intent": "refund",
        "language": "en",
        "opened_at": NOON,
        "version": 3,
    }
    return Conversation(**(known | more))


def card_view(**more: object) -> CardView:
    """A card of somebody who wants money back."""
    inner = more.pop("conversation", None) or conversation()
    known: dict[str, Any] = {
        "conversation": inner,
        "customer_name": "Anna Becker",
        "channel_title": "Telegram",
        "excerpt": "I sent the shoes back two weeks ago and still have no refund.",
        "guesses": (
            ("refund", "Return or refund", 0.91),
            ("complaint", "Complaint", 0.05),
            ("billing", "Payment", 0.02),
        ),
        "intent_name": "Return or refund",
        "confidence": 0.91,
        "queue_title": "Support",
        "clock": clock(),
        "intents": (
            ("billing", "Payment"),
            ("complaint", "Complaint"),
            ("outage", "Outage"),
            ("refund", "Return or refund"),
        ),
        "queues": (("support", "Support"), ("billing", "Billing")),
    }
    return CardView(**(known | more))


def clock(**more: object) -> ClockRow:
    """The first answer is due in an hour."""
    known: dict[str, Any] = {
        "id": "01JCLOCK",
        "conversation_id": CONVERSATION,
        "metric": Metric.FIRST_RESPONSE,
        "instance": 1,
        "state": ClockState.RUNNING,
        "started_at": NOON,
        "due_at": NOON + timedelta(hours=1),
        "stopped_at": None,
        "next_alert_at": None,
    }
    return ClockRow(**(known | more))


def entry(kind: EntryKind = EntryKind.INCOMING, body: str = "", **more: object) -> Entry:
    """A timeline entry, the customer's unless said otherwise."""
    actor = Actor(kind=ActorKind.CUSTOMER) if kind in (EntryKind.INCOMING, EntryKind.INCOMING_EDIT) else MACHINE
    known: dict[str, Any] = {
        "id": "01JENTRY",
        "conversation_id": CONVERSATION,
        "customer_id": "01JCUSTOMER",
        "kind": kind,
        "actor": actor,
        "at": NOON,
        "body": body,
    }
    return Entry(**(known | more))


def delivery(kind: DeliveryKind, number: int = 1, **more: object) -> DeskDelivery:
    """A delivery to #support with an id of its own."""
    known: dict[str, Any] = {"id": f"01JDELIVERY0000000000{number:05d}", "kind": kind, "place": SUPPORT}
    return DeskDelivery(**(known | more))


def renumbered(one: DeskDelivery, number: int) -> DeskDelivery:
    """The same delivery under another id."""
    return replace(one, id=f"01JDELIVERY0000000000{number:05d}")
