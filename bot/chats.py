"""What leaves for a chat: a row of the outbox becomes the delivery that the platform's adapter sends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot import export, exporting
from bot.batcher import Batcher
from bot.fixed import FixedTexts
from bot.signing import Signing
from bot.unsent import NothingToSend
from domain import formatting, signing, text
from domain.changes import Delivered, DeliveryKind
from domain.errors import NeverPossible
from domain.model import Entry, Identity
from domain.ports import Channel, ChatDelivery, Desk, File
from domain.signing import Name
from storage.attachments import Attachments
from storage.dossier import Dossiers
from storage.outbox import Waiting


@dataclass(frozen=True, kw_only=True, slots=True)
class Chats:
    """Renders what a customer will see. `now` is product time."""

    identities: Batcher[Identity]
    entries: Batcher[Entry]
    channels: Mapping[str, Channel]
    desk: Desk
    attachments: Attachments
    dossiers: Dossiers
    fixed: FixedTexts
    signing: Signing
    delivered: Batcher[list[Delivered]]
    now: Callable[[], datetime]
    _channel_of: dict[str, str] = field(default_factory=dict)
    _signed: dict[str, str] = field(default_factory=dict)

    def channel_of(self, row: Waiting) -> str:
        """The chat channel a rendered row goes through."""
        return self._channel_of[row.id]

    def signed(self, row: Waiting) -> str | None:
        """The key of the name that a rendered row shows, None where it shows none."""
        return self._signed.get(row.id)

    def settled(self, row: Waiting) -> None:
        """Forget a row."""
        self._channel_of.pop(row.id, None)
        self._signed.pop(row.id, None)

    async def delivery(self, row: Waiting) -> ChatDelivery:
        """The delivery of a row. Raises NothingToSend."""
        identity = await self.identities.get(str(row.identity_id))
        if identity is None or not identity.address:
            raise NothingToSend("identity_gone")
        self._channel_of[row.id] = identity.channel
        base = ChatDelivery(id=row.id, kind=row.kind, address=identity.address, topic=identity.topic)
        if row.kind is DeliveryKind.CHAT_AUTOMATIC:
            return await self.fixed.of(replace(base, message_id=row.data.get("message_id")), row, identity)
        if row.kind is DeliveryKind.CHAT_EXPORT:
            return await self._export(base, row, identity)
        if row.kind is DeliveryKind.CHAT_ANSWER:
            return await self.fixed.of(replace(base, query_id=str(row.data["query"])), row, identity)
        if row.kind is DeliveryKind.CHAT_REACTION:
            return replace(base, message_id=str(row.data["message_id"]), text=str(row.data["emoji"]))
        if row.kind is DeliveryKind.CHAT_DELETE:
            return replace(base, message_id=str(row.data["message_id"]))
        entry = await self.entries.get(str(row.entry_id))
        if entry is None:
            raise NothingToSend("entry_gone")
        limit = signing.limit(self.channels[identity.channel].capabilities.text_limit, entry.data)
        if row.kind is DeliveryKind.CHAT_EDIT:
            spans = formatting.load(entry.data.get("spans"))
            start, end = (text.split_places(entry.body, limit) or [(0, 0)])[row.part]
            base = replace(base, message_id=str(row.data["message_id"]), text=entry.body[start:end])
            return await self._changed(replace(base, spans=formatting.within(spans, start, end)), entry, identity)
        return await self._under_name(await self._answer(base, row, entry, identity, limit), row, entry, identity)

    async def _answer(
        self, base: ChatDelivery, row: Waiting, entry: Entry, identity: Identity, limit: int
    ) -> ChatDelivery:
        """A part of an agent's answer, as the agent wrote it."""
        written = int(row.data.get("texts", 1))
        quoted = entry.reply_to if row.part == 0 else None
        topic = entry.data.get("topic") or identity.topic
        base = replace(base, reply_to=quoted, topic=topic, more=row.part < int(row.data.get("parts", 1)) - 1)
        spans = () if row.data.get("plain") else formatting.load(entry.data.get("spans"))
        if row.kind is DeliveryKind.CHAT_FILE:
            places = row.data.get("files") or [row.part - written]
            most = self.channels[identity.channel].capabilities.upload_limit
            if most is not None and any((entry.attachments[int(one)].size or 0) > most for one in places):
                raise NeverPossible("too_large", f"over {most} bytes")  # what cannot leave is not fetched first
            files = [await self.attachments.through(entry, int(one), self.desk.open_file) for one in places]
            base = replace(base, file=files[0]) if len(files) == 1 else replace(base, files=tuple(files))
            return replace(base, text=entry.body, spans=spans) if row.data.get("caption") else base
        start, end = text.split_places(entry.body, limit)[row.part]
        return replace(base, text=entry.body[start:end], spans=formatting.within(spans, start, end))

    async def _under_name(self, base: ChatDelivery, row: Waiting, entry: Entry, identity: Identity) -> ChatDelivery:
        """With the name above it where the customer has not just read the same one: once for all parts of an answer,
        and once for several answers of one person.
        """
        name = await self.signing.of(entry, identity.language)
        if name is None or not await self.signing.is_news(entry.conversation_id, name):
            return base
        self._signed[row.id] = name.key
        said, spans = signing.headed(self._label(name, identity), base.text, base.spans)
        return replace(base, text=said, spans=() if row.data.get("plain") else spans)

    def _label(self, name: Name, identity: Identity) -> str:
        units = self.channels[identity.channel].capabilities.text_limit
        return self.signing.label(name, identity.language, units)

    async def _changed(self, base: ChatDelivery, entry: Entry, identity: Identity) -> ChatDelivery:
        """A change keeps the name where the customer's copy shows one, and puts none where it shows none."""
        copies = await self.delivered.get(str(entry.data.get("edit_of"))) or []
        has_one = any(one.signed for one in copies if one.side == "chat" and one.platform_id == base.message_id)
        name = await self.signing.of(entry, identity.language) if has_one else None
        if name is None:
            return base
        said, spans = signing.headed(self._label(name, identity), base.text, base.spans)
        return replace(base, text=said, spans=spans)

    async def _export(self, base: ChatDelivery, row: Waiting, identity: Identity) -> ChatDelivery:
        """A copy of the customer's data as it is now, made in memory."""
        whole = await self.dossiers.person(identity.customer_id)
        opener = exporting.opener(self.channels, self.desk, self.attachments)
        package = await export.build(whole[0], self.now(), opener, linked=whole[1:])

        async def content() -> AsyncIterator[bytes]:
            yield package.content

        name = f"{identity.customer_id}.zip"
        file = File(name=name, mime="application/zip", size=len(package.content), open=content)
        said = await self.fixed.of(base, row, identity)
        return replace(said, kind=DeliveryKind.CHAT_FILE, file=file)
