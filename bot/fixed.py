"""Fixed texts on their way to a customer: in their language, with what is filled in and what can be tapped under it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot import texts
from bot.notices import Notices
from bot.unsent import NothingToSend
from domain.contacts import ContactKind
from domain.model import Customer, Identity
from domain.ports import Button, ChatDelivery
from handlers import contacts as asking
from handlers import privacy, satisfaction
from storage.contacts import Contacts
from storage.outbox import Waiting


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedTexts:
    """Renders the fixed text that a row names. `now` is product time."""

    notices: Notices
    languages: Sequence[str]
    customer: Callable[[str], Awaitable[Customer | None]]
    now: Callable[[], datetime]
    contacts: Contacts | None = None

    async def of(self, base: ChatDelivery, row: Waiting, identity: Identity) -> ChatDelivery:
        """The delivery with its words. Raises NothingToSend where they say nothing true any more."""
        key, language = str(row.data["text"]), row.data.get("language") or identity.language
        if at := row.data.get("at"):
            return replace(base, text=self._timed(key, language, str(at), str(row.data["zone"])))
        if key in (asking.CHECK, asking.SHARE):
            return await self._asked(base, key, language, str(row.data["contact"]))
        if key == satisfaction.ASK:
            return self._rated(base, language, str(row.data["of"]))
        customer = await self.customer(identity.customer_id) if key == privacy.CHOICES else None
        said, buttons = self.notices.text(key, language, customer)
        return replace(base, text=said, buttons=buttons)

    async def _asked(self, base: ChatDelivery, key: str, language: str | None, contact_id: str) -> ChatDelivery:
        """The question whether a contact point still holds, masked; or the one for another."""
        found = {} if self.contacts is None else await self.contacts.by_id([contact_id])
        point = found.get(contact_id)

        def say(word: str, **values: str) -> str:
            return texts.text(word, language, fallback=self.languages, **values)

        if point is None or not point.value or (key == asking.CHECK and not point.holds):
            raise NothingToSend("contact_gone")
        if key == asking.SHARE:
            button = say("contact_share_button") if point.kind is ContactKind.PHONE else None
            return replace(base, text=say(f"contact_share_{point.kind.value}"), ask_contact=button)
        yes = Button(text=say("contact_yes"), choice=asking.choice(contact_id, right=True))
        no = Button(text=say("contact_no"), choice=asking.choice(contact_id, right=False))
        return replace(base, text=say(f"contact_check_{point.kind.value}", value=point.masked), buttons=((yes, no),))

    def _rated(self, base: ChatDelivery, language: str | None, of: str) -> ChatDelivery:
        """The question how it was, with a button for each answer."""

        def say(word: str) -> str:
            return texts.text(word, language, fallback=self.languages)

        buttons = tuple(
            Button(text=say(f"satisfaction_{rating}"), choice=satisfaction.choice(rating, of))
            for rating in satisfaction.RATINGS
        )
        return replace(base, text=say(satisfaction.ASK), buttons=(buttons,))

    def _timed(self, key: str, language: str | None, at: str, zone: str) -> str:
        """A fixed text that gives a time. One whose time has passed while it waited says nothing true any more."""
        moment, now = datetime.fromisoformat(at), self.now()
        if moment <= now:
            raise NothingToSend("time_has_passed")
        time = texts.moment(moment, now, zone, language, self.languages)
        return texts.text(key, language, fallback=self.languages, time=time)
