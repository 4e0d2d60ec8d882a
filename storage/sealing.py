"""Rows to values and back: personal columns are sealed with the customer's data key, bound to table, column and row."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from domain import sla
from domain.changes import ClockRow
from domain.consent import Purpose
from domain.model import (
    Actor,
    ActorKind,
    Attachment,
    Conversation,
    Customer,
    Entry,
    EntryKind,
    Identity,
    Priority,
    Reach,
    Status,
    Thread,
)
from storage import crypto
from storage.tables import maybe_stamp, maybe_unstamp, stamp, unstamp

TRAINING = Purpose.TRAINING.value  # in a column of its own: what labels may be kept is asked for in SQL
ERASED = ""  # what a sealed text reads as once its key was destroyed


def seal_text(key: bytes, table: str, column: str, row_id: str, text: str) -> bytes:
    """Seal a text for one cell."""
    return crypto.seal(key, text.encode("utf-8", "surrogatepass"), crypto.aad(table, column, row_id))


def open_text(key: bytes | None, table: str, column: str, row_id: str, blob: bytes | None) -> str:
    """Open a cell; without its key, or emptied (erased), it reads as the empty text.

    The process that reads may still hold a key that another one has just destroyed.
    """
    if key is None or not blob:
        return ERASED
    return crypto.open_sealed(key, blob, crypto.aad(table, column, row_id)).decode("utf-8", "surrogatepass")


def customer_row(key: bytes, customer: Customer) -> dict[str, Any]:
    """A customer as its row."""
    return {
        "id": customer.id,
        "name_sealed": seal_text(key, "customers", "name", customer.id, customer.name),
        "language": customer.language,
        "segments": json.dumps(list(customer.segments)),
        "tags": json.dumps(list(customer.tags)),
        "training": None if customer.training is None else int(customer.training),
        "consents": json.dumps({word: said for word, said in customer.consents.items() if word != TRAINING}),
        "notice": customer.notice,
        "created_at": stamp(customer.created_at),
    }


def customer_of(key: bytes | None, row: Row[Any]) -> Customer:
    """A row as a customer."""
    return Customer(
        id=row.id,
        name=open_text(key, "customers", "name", row.id, row.name_sealed),
        language=row.language,
        segments=tuple(json.loads(row.segments)),
        tags=tuple(json.loads(row.tags)),
        region=row.region,
        consents=json.loads(row.consents) | ({} if row.training is None else {TRAINING: bool(row.training)}),
        notice=row.notice,
        created_at=unstamp(row.created_at),
    )


def address_mac(index_key: bytes, channel: str, address: str) -> str:
    """The keyed hash under which an address is found."""
    return crypto.mac(index_key, "address", channel, address)


def name_mac(index_key: bytes, name: str) -> str:
    """The keyed hash under which a whole name is found, whatever its case and spacing."""
    return crypto.mac(index_key, "name", " ".join(name.casefold().split()))


def identity_row(key: bytes, index_key: bytes, identity: Identity) -> dict[str, Any]:
    """An identity as its row."""
    username = identity.username
    return {
        "id": identity.id,
        "customer_id": identity.customer_id,
        "channel": identity.channel,
        "address_mac": address_mac(index_key, identity.channel, identity.address),
        "address_sealed": seal_text(key, "identities", "address", identity.id, identity.address),
        "name_sealed": seal_text(key, "identities", "name", identity.id, identity.name),
        "name_mac": name_mac(index_key, identity.name),
        "username_sealed": None
        if username is None
        else seal_text(key, "identities", "username", identity.id, username),
        "username_mac": None if username is None else name_mac(index_key, username),
        "language": identity.language,
        "reachable": int(identity.reachable),
        "unreachable_reason": identity.unreachable_reason,
        "muted_until": maybe_stamp(identity.muted_until),
        "muted_count": identity.muted_count,
        "topic": identity.topic,
    }


def identity_of(key: bytes | None, row: Row[Any]) -> Identity:
    """A row as an identity."""
    username = None
    if row.username_sealed is not None:
        username = open_text(key, "identities", "username", row.id, row.username_sealed)
    return Identity(
        id=row.id,
        customer_id=row.customer_id,
        channel=row.channel,
        address=open_text(key, "identities", "address", row.id, row.address_sealed),
        name=open_text(key, "identities", "name", row.id, row.name_sealed),
        username=username,
        language=row.language,
        reachable=bool(row.reachable),
        unreachable_reason=row.unreachable_reason,
        muted_until=maybe_unstamp(row.muted_until),
        muted_count=row.muted_count,
        topic=row.topic,
    )


def conversation_row(conversation: Conversation, decision_id: str) -> dict[str, Any]:
    """A conversation as its row, at the version after this decision. Holds no personal text."""
    c = conversation
    return {
        "id": c.id,
        "number": c.number,
        "customer_id": c.customer_id,
        "identity_id": c.identity_id,
        "channel": c.channel,
        "lane": c.lane,
        "desk_channel": c.thread.channel,
        "desk_thread": c.thread.ts,
        "status": c.status.value,
        "priority": c.priority.value,
        "queue": c.queue,
        "assignee": c.assignee,
        "intent": c.intent,
        "language": c.language,
        "assessment": None if c.assessment is None else json.dumps(c.assessment),
        "label_by_human": int(c.label_by_human),
        "priority_by_human": int(c.priority_by_human),
        "queue_moves": c.queue_moves,
        "touched_by_human": int(c.touched_by_human),
        "customer_version": c.customer_version,
        "policy": c.policy,
        "opened_at": stamp(c.opened_at),
        "resolved_at": maybe_stamp(c.resolved_at),
        "last_customer_at": maybe_stamp(c.last_customer_at),
        "last_agent_at": maybe_stamp(c.last_agent_at),
        "unanswered_since": maybe_stamp(c.unanswered_since),
        "delivery_state": None if c.delivery_state is None else c.delivery_state.value,
        "delivery_reason": c.delivery_reason,
        "previous": c.previous,
        "acknowledged_at": maybe_stamp(c.acknowledged_at),
        "desk_before": c.thread.before,
        "snoozed_until": maybe_stamp(c.snoozed_until),
        "outcome": c.outcome,
        "merged_into": c.merged_into,
        "version": c.version + 1,
        "changed_by": decision_id,
    }


def conversation_of(row: Row[Any]) -> Conversation:
    """A row as a conversation."""
    return Conversation(
        id=row.id,
        number=row.number,
        customer_id=row.customer_id,
        identity_id=row.identity_id,
        channel=row.channel,
        lane=row.lane,
        thread=Thread(channel=row.desk_channel, ts=row.desk_thread, before=row.desk_before),
        status=Status(row.status),
        priority=Priority(row.priority),
        queue=row.queue,
        assignee=row.assignee,
        intent=row.intent,
        language=row.language,
        assessment=None if row.assessment is None else json.loads(row.assessment),
        label_by_human=bool(row.label_by_human),
        priority_by_human=bool(row.priority_by_human),
        queue_moves=row.queue_moves,
        touched_by_human=bool(row.touched_by_human),
        customer_version=row.customer_version,
        policy=row.policy,
        opened_at=unstamp(row.opened_at),
        resolved_at=maybe_unstamp(row.resolved_at),
        last_customer_at=maybe_unstamp(row.last_customer_at),
        last_agent_at=maybe_unstamp(row.last_agent_at),
        unanswered_since=maybe_unstamp(row.unanswered_since),
        delivery_state=None if row.delivery_state is None else Reach(row.delivery_state),
        delivery_reason=row.delivery_reason,
        previous=row.previous,
        acknowledged_at=maybe_unstamp(row.acknowledged_at),
        snoozed_until=maybe_unstamp(row.snoozed_until),
        outcome=row.outcome,
        merged_into=row.merged_into,
        version=row.version,
    )


def entry_row(key: bytes, entry: Entry, recorded_at: float) -> dict[str, Any]:
    """A timeline entry as its row."""
    files = _files(entry)
    sla_kind = entry.data.get("sla")
    return {
        "id": entry.id,
        "conversation_id": entry.conversation_id,
        "customer_id": entry.customer_id,
        "kind": entry.kind.value,
        "actor_kind": entry.actor.kind.value,
        "actor_id": entry.actor.id,
        "at": stamp(entry.at),
        "recorded_at": recorded_at,
        "body_sealed": seal_text(key, "timeline", "body", entry.id, entry.body) if entry.body else None,
        "data": json.dumps(entry.data),
        "platform_id": entry.platform_id,
        "reply_to": entry.reply_to,
        "files_sealed": None if files is None else seal_text(key, "timeline", "files", entry.id, files),
        "sla": sla_kind,
    }


def entry_of(key: bytes | None, row: Row[Any]) -> Entry:
    """A row as a timeline entry."""
    files, details = _from_files(open_text(key, "timeline", "files", row.id, row.files_sealed))
    return Entry(
        id=row.id,
        conversation_id=row.conversation_id,
        customer_id=row.customer_id,
        kind=EntryKind(row.kind),
        actor=Actor(kind=ActorKind(row.actor_kind), id=row.actor_id),
        at=unstamp(row.at),
        body=open_text(key, "timeline", "body", row.id, row.body_sealed),
        data=json.loads(row.data),
        platform_id=row.platform_id,
        reply_to=row.reply_to,
        attachments=files,
        details=details,
    )


def _files(entry: Entry) -> str | None:
    """What stands in the cell of an entry's files: a list of them, with its details an object of both."""
    if not entry.attachments and not entry.details:
        return None
    files = [asdict(file) for file in entry.attachments]
    whole = {"files": files, "details": dict(entry.details)} if entry.details else files
    return json.dumps(whole, ensure_ascii=False)


def _from_files(cell: str) -> tuple[tuple[Attachment, ...], dict[str, str]]:
    if not cell:
        return (), {}
    found = json.loads(cell)
    files, details = (found["files"], found["details"]) if isinstance(found, dict) else (found, {})
    return tuple(Attachment(**file) for file in files), details


def clock_row(clock: ClockRow) -> dict[str, Any]:
    """A clock as its row."""
    return {
        "id": clock.id,
        "conversation_id": clock.conversation_id,
        "metric": clock.metric.value,
        "instance": clock.instance,
        "state": clock.state.value,
        "started_at": stamp(clock.started_at),
        "due_at": maybe_stamp(clock.due_at),
        "stopped_at": maybe_stamp(clock.stopped_at),
        "next_alert_at": maybe_stamp(clock.next_alert_at),
        "alerts_done": json.dumps(sorted(clock.alerts_done)),
        "excused_by": clock.excused_by,
    }


def clock_of(row: Row[Any]) -> ClockRow:
    """A row as a clock."""
    return ClockRow(
        id=row.id,
        conversation_id=row.conversation_id,
        metric=sla.Metric(row.metric),
        instance=row.instance,
        state=sla.ClockState(row.state),
        started_at=unstamp(row.started_at),
        due_at=maybe_unstamp(row.due_at),
        stopped_at=maybe_unstamp(row.stopped_at),
        next_alert_at=maybe_unstamp(row.next_alert_at),
        alerts_done=frozenset(json.loads(row.alerts_done)),
        excused_by=row.excused_by,
    )
