"""Contact points that grow old: who agreed to be written to is asked in the chat, a few a day, in office hours."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

import structlog

from bot.ids import new_id
from domain import consent
from domain.changes import Changes
from domain.contacts import ContactPoint
from domain.model import Customer, Identity
from domain.rulebook import Rulebook
from handlers import contacts as asking
from handlers.frame import Context
from storage import flush, outbox
from storage.contacts import Contacts
from storage.database import Database
from storage.record import Record

log = structlog.get_logger()

A_DAY: Final = 50
"""So many people are asked on one day: answers come back to the same desk."""


class Renewal:
    """Asks customers whether old contact points still hold. Everybody else's are shown to whoever opens their card."""

    def __init__(self, database: Database, record: Record, contacts: Contacts, rules: Rulebook) -> None:
        self._db = database
        self._record = record
        self._contacts = contacts
        self._rules = rules
        self._asked_on: date | None = None

    async def daily(self, now: datetime) -> int:
        """Ask, once a day, while the team is there; returns how many are asked. `now` is product time."""
        rules = self._rules.contacts
        if rules.ask == "nobody" or self._asked_on == now.date():
            return 0
        if not self._rules.calendar_of_queue(self._rules.default_queue).is_open(now):
            return 0
        due = await self._contacts.due(rules.freshness, now, limit=A_DAY, to_be_asked=True)
        people = {
            customer.id: (customer, identities)
            for customer, identities, _ in await self._record.people({one.customer_id for one in due})
        }
        context = Context(rules=self._rules, now=now, new_id=new_id)
        decisions = []
        for point in due:
            where = _chat(*people[point.customer_id]) if point.customer_id in people else None
            if where is not None:
                decisions.append(flush.Decision(id=new_id(), changes=_question(point, where, context)))
        if decisions:
            prepared = await self._record.prepare(decisions, now)
            await self._db.write(
                lambda conn: flush.write(conn, prepared, self._record.audit_key), wake=(outbox.SIGNAL,)
            )
            log.info("contacts.asked", count=len(decisions))
        self._asked_on = now.date()
        return len(decisions)


def _chat(customer: Customer, identities: list[Identity]) -> Identity | None:
    """Where to ask somebody: only who agreed to be written to unasked, and only where it arrives."""
    if not consent.allowed(customer.consents, consent.Purpose.OUTREACH):
        return None
    return next((one for one in reversed(identities) if one.reachable and one.address), None)


def _question(point: ContactPoint, where: Identity, context: Context) -> Changes:
    entry, item = asking.asking(point.id, where, point.customer_id, context)
    checked = asking.asked_now(point.id, point.customer_id, context)
    return Changes(reason="contact_asked", entries=(entry,), outbox=(item,), checked=(checked,))
