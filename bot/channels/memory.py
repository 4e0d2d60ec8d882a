"""A chat platform without a platform: for trying the house without a socket, and the model of a new channel.

It keeps the port's promises as the real ones do: what is not accepted is handed over again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

from bot.channels.backoff import Backoff
from domain import errors, text
from domain.changes import DeliveryKind
from domain.events import CustomerEdit, CustomerMessage, CustomerRef, Event, Ignored
from domain.model import Attachment
from domain.ports import Accept, Arrival, Capabilities, ChatDelivery, File, Probe, Receipt


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryConfig:
    """A channel in memory. `backoff` is how long a batch that was not accepted waits."""

    type: ClassVar[str] = "memory"

    name: str = "memory"
    text_limit: int = 4096
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=0.01, cap_s=0.1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A message as the customer sees it."""

    address: str
    text: str
    file: tuple[str, bytes] | None = None
    files: tuple[tuple[str, bytes], ...] = ()


class MemoryChannel:
    """Implements `domain.ports.Channel`. `say` and `edit` act as the customer; `sent` is what they see, by id."""

    def __init__(self, config: MemoryConfig, *, now: Callable[[], datetime] | None = None) -> None:
        self._config = config
        self._now = now or _utc_now
        self._waiting: list[Arrival] = []
        self._news = asyncio.Event()
        self._files: dict[str, bytes] = {}
        self._last_id = 0
        self._heard_at: float | None = None
        self.sent: dict[str, Sent] = {}
        self.blocked: set[str] = set()
        self.reactions: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The configured name."""
        return self._config.name

    @property
    def capabilities(self) -> Capabilities:
        """Everything, up to the configured text limit."""
        return Capabilities(
            text_limit=self._config.text_limit,
            caption_limit=self._config.text_limit,
            edits=True,
            deletes=True,
            buttons=False,
            files=True,
            download_limit=None,
            upload_limit=None,
        )

    def say(self, address: str, words: str, *, file: tuple[str, bytes] | None = None) -> str:
        """A customer writes, perhaps with a file (name, bytes). Returns the message's id."""
        number = self._next_id()
        if file is not None:
            self._files[number] = file[1]
        self._push(number, {"address": address, "text": words, "file": file[0] if file is not None else None})
        return number

    def edit(self, address: str, message_id: str, words: str) -> None:
        """A customer changes a message."""
        self._push(self._next_id(), {"address": address, "text": words, "edits": message_id})

    async def run(self, accept: Accept) -> None:
        """Hand over what waits until cancelled; what was not accepted stays first."""
        failures = 0
        while True:
            self._heard_at = time.monotonic()
            batch = list(self._waiting)
            if not batch:
                self._news.clear()
                await self._news.wait()
                continue
            try:
                await accept(batch)
            except Exception:  # noqa: BLE001 - whatever storage runs into, the batch is kept
                failures += 1
                await asyncio.sleep(self._config.backoff.wait_s(failures))
                continue
            failures = 0
            del self._waiting[: len(batch)]

    def parse(self, payload: str) -> Event | Ignored:
        """Read a stored message. Raises MalformedEvent."""
        try:
            said = json.loads(payload)
            at = datetime.fromisoformat(said["at"])
            customer = CustomerRef(channel=self.name, address=said["address"], name=said["address"])
            words = text.clean(said["text"])
            if "edits" in said:
                return CustomerEdit(customer=customer, at=at, message_id=said["edits"], text=words)
            name = said["file"]
            file = () if name is None else (self._attachment(said["id"], name),)
            kind = "document" if file else "text"
            return CustomerMessage(
                customer=customer, at=at, message_id=said["id"], kind=kind, text=words, attachments=file
            )
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise errors.MalformedEvent("not a message of this channel") from None

    async def send(self, delivery: ChatDelivery) -> Receipt:
        """Send, change or delete. Raises NeverPossible when blocked, too long, or the message is unknown."""
        if delivery.address in self.blocked:
            raise errors.NeverPossible("blocked")
        if text.utf16_len(delivery.text) > self._config.text_limit:
            raise errors.NeverPossible("too_long")
        if delivery.kind is DeliveryKind.CHAT_ANSWER:  # without buttons nobody has tapped one
            return Receipt(platform_id="", at=self._now())
        if delivery.kind is DeliveryKind.CHAT_REACTION:
            self.reactions[delivery.message_id or ""] = delivery.text
            return Receipt(platform_id="", at=self._now())
        if delivery.kind in (DeliveryKind.CHAT_EDIT, DeliveryKind.CHAT_DELETE):
            number = delivery.message_id or ""
            if number not in self.sent:
                raise errors.NeverPossible("message_gone")
        else:
            number = self._next_id()
        if delivery.kind is DeliveryKind.CHAT_DELETE:
            del self.sent[number]
        else:
            content = None if delivery.file is None else b"".join([piece async for piece in delivery.file.open()])
            file = None if delivery.file is None or content is None else (delivery.file.name, content)
            album = [(one.name, b"".join([piece async for piece in one.open()])) for one in delivery.files]
            self.sent[number] = Sent(address=delivery.address, text=delivery.text, file=file, files=tuple(album))
        return Receipt(platform_id=number, at=self._now())

    def show_typing(self, address: str) -> None:
        """Nobody looks."""

    async def open_file(self, attachment: Attachment) -> File:
        """A customer's file. Raises NeverPossible when there is none."""
        content = self._files.get(attachment.platform_id)
        if content is None:
            raise errors.NeverPossible("gone")

        async def download() -> AsyncIterator[bytes]:
            yield content

        return File(name=attachment.name, mime=attachment.mime, size=len(content), open=download)

    async def probe(self) -> list[Probe]:
        """Always well."""
        return [Probe(name=f"{self.name}.memory", ok=True, found=f"{len(self._waiting)} waiting")]

    def last_success_age(self) -> float:
        """Seconds since `run` last looked, infinity before."""
        return float("inf") if self._heard_at is None else time.monotonic() - self._heard_at

    async def close(self) -> None:
        """Nothing to release."""

    def _push(self, number: str, said: dict[str, str | None]) -> None:
        payload = json.dumps({"id": number, "at": self._now().isoformat(), **said})
        self._waiting.append(
            Arrival(
                source=self.name,
                event_key=number,
                lane_key=f"{self.name}:{said['address']}",
                payload=payload,
                kind="message",
            )
        )
        self._news.set()

    def _next_id(self) -> str:
        self._last_id += 1
        return str(self._last_id)

    def _attachment(self, number: str, name: str) -> Attachment:
        return Attachment(
            id=number,
            kind="document",
            platform_id=number,
            name=text.safe_filename(name),
            mime="application/octet-stream",
            size=len(self._files[number]) if number in self._files else None,
        )


def _utc_now() -> datetime:
    return datetime.now(UTC)
