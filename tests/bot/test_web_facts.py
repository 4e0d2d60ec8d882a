"""`POST /api/facts` over a real socket: signed, once for each key, and never anything worse than 400, 401 or 413."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from bot.facts import Facts
from bot.web import server
from bot.web.facts import BODY_LIMIT, Endpoint, signature
from domain.model import EntryKind
from storage import tables
from storage.contacts import Contacts
from storage.dossier import Dossiers
from storage.erasures import Erasures
from storage.facts import FactKeys
from storage.links import Links
from tests import patience
from tests.contracts import storage_kit
from tests.contracts.storage_kit import NOW, Process, story

SECRET = "a-secret-that-both-know"
CALL = {"kind": "call", "what": "asked for an invoice", "source": "phone"}


@dataclass(kw_only=True)
class Api:
    """A served endpoint and the record behind it."""

    client: httpx.AsyncClient
    record: Process

    async def post(
        self,
        body: object,
        *,
        key: str = "k1",
        secret: str = SECRET,
        age_s: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """A signed call: status and answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = signature(secret, int(NOW.timestamp()) - age_s, key, raw)
        given = {"Relaydesk-Signature": signed, "Idempotency-Key": key} | dict(headers or {})
        answer = await self.client.post("/api/facts", content=raw, headers=given)
        found: dict[str, Any] = answer.json()
        return answer.status_code, found

    async def facts(self, customer: str) -> list[dict[str, Any]]:
        """What stands in a customer's timeline."""
        found = await self.record.record.timeline(customer)
        return [{**entry.data, **json.loads(entry.body)} for entry in found if entry.kind is EntryKind.FACT]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """It, over SQLite."""
    async with storage_kit.process(f"sqlite:///{tmp_path / 'r.db'}", f"sqlite:///{tmp_path / 'k.db'}") as one:
        taking = Facts(
            database=one.db,
            record=one.record,
            contacts=Contacts(one.db, one.keys),
            links=Links(one.db, one.keys),
            keys=FactKeys(one.db, one.keys),
            rules=None,
            now=lambda: NOW,
        )
        site = Starlette(routes=Endpoint(taking, SECRET, region="DE", real=lambda: NOW).routes())
        address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(server.serve(site, "127.0.0.1", 0, ready=address.set_result))
        try:
            async with httpx.AsyncClient(
                base_url=await asyncio.wait_for(address, patience.LONG_S), verify=False
            ) as client:
                yield Api(client=client, record=one)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_a_fact_is_noted_once_for_each_key(api: Api) -> None:
    """The same call again is the same entry, also when both come at once; another fact under the key is refused."""
    ann = story("Ann", "1")
    await api.record.decide(ann.opening("hello"))
    fact = CALL | {"customer": ann.customer.id}
    calls = await asyncio.gather(*(api.post(fact) for _ in range(4)))
    assert sorted(status for status, _ in calls) == [200, 200, 200, 201]
    assert len({answer["id"] for _, answer in calls}) == 1
    assert await api.facts(ann.customer.id) == [{"fact": "call", "source": "phone", "what": "asked for an invoice"}]
    status, answer = await api.post(fact | {"what": "something else"})
    assert (status, answer["error"]["code"]) == (400, "key_reused")
    assert (await api.post(fact, key="k2"))[0] == 201
    assert len(await api.facts(ann.customer.id)) == 2
    dump = await api.record.dump()
    assert b"invoice" not in dump
    assert b'"k1"' not in dump


async def test_who_is_not_known_is_entered_with_a_name(api: Api) -> None:
    """By phone or over the counter: found afterwards by number, e-mail and name, and never entered twice."""
    came = CALL | {"phone": "0170 1234567", "email": "Bo@Example.com"}
    assert (await api.post(came))[1]["error"]["code"] == "unknown_customer"
    status, answer = await api.post(came | {"name": "Bo Miller"}, key="k2")
    assert (status, answer["new"]) == (201, True)
    bo = answer["customer"]
    assert (await api.post(came, key="k3"))[1]["customer"] == bo
    for words in ("Bo Miller", "+49 170 1234567", "bo@example.com"):
        assert [person.id for person, _, _ in await api.record.record.find_people(words)] == [bo]
    dossier = await Dossiers(api.record.db, api.record.keys).of(bo)
    assert [(one.channel, one.reachable) for one in dossier.identities] == [("by_hand", False)]
    assert [one.verified_at for one in dossier.contacts] == [None, None]
    assert [row["region"] for row in await api.record.rows(tables.customers)] == ["DE"]
    ann = story("Ann", "1")
    await api.record.decide(ann.opening("hello"))
    assert (await api.post(CALL | {"channel": "telegram", "address": "1"}, key="k4"))[1]["customer"] == ann.customer.id


REFUSED: list[tuple[Any, dict[str, str], int, str]] = [
    (b"", {}, 400, "not_json"),
    (b"[]", {}, 400, "not_json"),
    (b"[" * 40_000, {}, 400, "not_json"),
    (b"\xff\xfe", {}, 400, "not_json"),
    (b"x" * (BODY_LIMIT + 1), {}, 413, "too_large"),
    (CALL, {}, 400, "invalid"),
    (CALL | {"customer": "nobody"}, {}, 400, "invalid"),
    (CALL | {"customer": "0" * 26}, {}, 400, "unknown_customer"),
    (CALL | {"phone": "12"}, {}, 400, "invalid"),
    (CALL | {"phone": ["+49"]}, {}, 400, "invalid"),
    (CALL | {"channel": "telegram", "address": "9", "name": "Bo"}, {}, 400, "unknown_customer"),
    (CALL | {"amount": "1e-999999999", "currency": "EUR"}, {}, 400, "invalid"),
    (CALL | {"channel": "telegram"}, {}, 400, "invalid"),
    (CALL | {"channel": "tele\0gram", "address": "1"}, {}, 400, "invalid"),
    (CALL | {"channel": "telegram", "address": "\0\ud800"}, {}, 400, "unknown_customer"),
    (CALL | {"name": "Bo", "what": "\0"}, {}, 400, "invalid"),
    (CALL | {"name": "Bo", "kind": {}}, {}, 400, "invalid"),
    (CALL | {"name": "Bo"}, {"Idempotency-Key": "a b"}, 400, "idempotency_key"),
    (CALL | {"name": "Bo"}, {"Relaydesk-Signature": ""}, 401, "signature"),
    (CALL | {"name": "Bo"}, {"Relaydesk-Signature": "t=1,v1=" + "0" * 64}, 401, "signature"),
]


async def test_bad_requests_are_refused_and_leave_nothing(api: Api) -> None:
    """One shape of answer with a word for programs and a sentence for people."""
    for body, headers, status, code in REFUSED:
        found, answer = await api.post(body, headers=headers)
        assert (found, answer["error"]["code"]) == (status, code), body[:60] if isinstance(body, bytes) else body
        assert answer["error"]["message"]
    assert await api.record.rows(tables.timeline) == []


async def test_a_forged_or_replayed_call_is_refused(api: Api) -> None:
    """Another secret, a changed body, a call that somebody kept for six minutes."""
    fact = CALL | {"name": "Bo"}
    assert (await api.post(fact, secret="another-secret-entirely"))[0] == 401
    assert (await api.post(fact, age_s=301))[0] == 401
    assert (await api.post(fact, age_s=-301))[0] == 401
    signed = signature(SECRET, int(NOW.timestamp()), "k1", b"{}")
    assert (await api.post(fact, headers={"Relaydesk-Signature": signed}))[0] == 401
    assert (await api.post(fact, headers={"Idempotency-Key": "k2"}))[0] == 401, "one signature is for one key"
    assert (await api.post(fact, age_s=299))[0] == 201


async def test_whom_several_are_known_by_must_be_named(api: Api) -> None:
    """Two customers with one number are two people until somebody says otherwise."""
    for name, key in (("Bo", "k1"), ("Cy", "k2")):
        await api.post(CALL | {"name": name, "email": f"{name}@example.com".lower()}, key=key)
    first, second = [row["id"] for row in await api.record.rows(tables.customers)]
    both = CALL | {"phone": "+49 170 1234567"}
    await api.post(both | {"name": "Dee"}, key="k3")
    status, answer = await api.post(CALL | {"phone": "+49 170 1234567", "email": "bo@example.com"}, key="k4")
    assert (status, answer["error"]["code"]) == (400, "ambiguous_customer")
    assert first != second


async def test_nothing_is_noted_about_who_was_erased(api: Api) -> None:
    """Neither under our id nor under the old key, which is forgotten with them."""
    ann = story("Ann", "1")
    await api.record.decide(ann.opening("hello"))
    fact = CALL | {"customer": ann.customer.id}
    await api.post(fact)
    erasures = Erasures(api.record.db, api.record.keys, api.record.segments, storage_kit.new_id)
    erasure = await erasures.begin(ann.customer.id, actor="os:carol", reason="asked to", now=NOW)
    assert (await api.post(fact, key="k2"))[1]["error"]["code"] == "unknown_customer"
    await erasures.go_on(erasure, NOW)
    assert (await api.post(fact, key="k3"))[1]["error"]["code"] == "unknown_customer"
    assert await api.record.rows(tables.fact_keys) == []
