"""Posts in Slack: put there once, changed where they stand, and found again by the delivery that they name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bot.desk import files, transcripts
from bot.desk.client import SlackApi
from bot.desk.entries import Post
from bot.desk.payloads import mapping, moment, string
from domain.changes import DeliveryKind
from domain.errors import DeliveryError, NeverPossible, RetryLater, ThreadGone, Unclear
from domain.ports import DeskDelivery, Receipt

log = structlog.get_logger(__name__)

EVENT_TYPE = "relaydesk_delivery"
STANDS_NO_MORE = frozenset({"cant_update_message", "edit_window_closed", "message_not_found"})
"""Why a post cannot be changed where it stands: another is to be made in its place."""
LOOK_BACK = timedelta(seconds=60)
"""How far before our own note of the sending a post may be dated: clocks differ."""
PAGE = 200
MAX_PAGES = 25
UNSEEN = frozenset(
    {DeliveryKind.DESK_HOME, DeliveryKind.DESK_UPDATE, DeliveryKind.DESK_WHISPER, DeliveryKind.DESK_REACTION}
)
"""Kinds that leave no post of their own; doing them again is the same as once."""


class Posts:
    """Puts posts into Slack and finds them again. `now` is product time, for what Slack gives no time of."""

    def __init__(self, api: SlackApi, ops_channel: str | None, now: Callable[[], datetime]) -> None:
        self._api = api
        self._ops_channel = ops_channel
        self._now = now

    async def put(self, delivery: DeskDelivery, post: Post, *, thread: bool = True) -> Receipt:
        """Put a post into its thread, or into the channel itself. Raises ThreadGone where the thread is no more."""
        place = self._place(delivery)
        answer = await self._api.call(
            "chat.postMessage",
            channel=place,
            thread_ts=delivery.thread_ts if thread else None,
            text=post.text,
            blocks=post.blocks,
            metadata={"event_type": EVENT_TYPE, "event_payload": _named(delivery)},
            unfurl_links=False,
            unfurl_media=False,
            link_names=False,
            parse="none",
        )
        if thread and delivery.thread_ts is not None and _is_on_its_own(answer, delivery.thread_ts):
            await self._take_back(place, string(answer, "ts"))
            raise ThreadGone("root_deleted", delivery.thread_ts)
        return receipt_of(answer, place)

    async def update(self, delivery: DeskDelivery, post: Post) -> Receipt:
        """Change the post that a delivery is about. Raises NeverPossible where it cannot be changed."""
        if delivery.message_ts is None:
            raise NeverPossible("no_post_to_change", delivery.kind.value)
        answer = await self._api.call(
            "chat.update",
            channel=delivery.place,
            ts=delivery.message_ts,
            text=post.text,
            blocks=post.blocks,
            link_names=False,
            parse="none",
        )
        return receipt_of(answer, delivery.place)

    async def update_if_there(self, delivery: DeskDelivery, post: Post) -> Receipt | None:
        """Change the post that a delivery is about, where it stands; None when it has none, or it stands no more."""
        if delivery.message_ts is None:
            return None
        try:
            return await self.update(delivery, post)
        except NeverPossible as error:
            if error.code not in STANDS_NO_MORE:
                raise
            return None

    async def whisper(self, delivery: DeskDelivery, text: str, blocks: Sequence[Mapping[str, Any]] | None) -> Receipt:
        """Say something that only the person whom the delivery names sees."""
        answer = await self._api.call(
            "chat.postEphemeral",
            channel=delivery.place,
            user=str(delivery.data.get("user") or ""),
            thread_ts=delivery.thread_ts,
            text=text,
            blocks=blocks,
            link_names=False,
            parse="none",
        )
        return receipt_of({"ts": answer.get("message_ts")}, delivery.place)

    async def find(self, delivery: DeskDelivery, since: datetime) -> Receipt | None:
        """The receipt of a delivery that may have arrived; None means that it certainly has not.

        Raises RetryLater or AccessRevoked when Slack cannot be asked now.
        """
        if delivery.kind in UNSEEN:
            return None
        if delivery.kind is DeliveryKind.DESK_ALERT and delivery.data.get("way") != "thread":
            delivery = replace(delivery, thread_ts=None)
        place = await self.direct(self._place(delivery))
        behind = max(datetime.now(UTC) - self._now(), timedelta(0))  # product time may be slow where it is not real
        oldest = f"{(since - LOOK_BACK - behind).timestamp():.6f}"
        async for message in self._messages(place, self._thread(delivery), oldest):
            if receipt := _receipt_in(message, delivery, place):
                return receipt
        return None

    async def direct(self, place: str) -> str:
        """The channel of a place: a person's is the direct message with them."""
        if place[:1] not in ("U", "W"):
            return place
        answer = await self._api.call("conversations.open", users=place)
        opened = string(mapping(answer.get("channel")), "id")
        if not opened:
            raise NeverPossible("user_not_found", "no direct message could be opened")
        return opened

    async def _take_back(self, place: str, ts: str) -> None:
        """Slack puts a reply to a thread that is gone into the channel: there it says nothing to anybody."""
        try:
            await self._api.call("chat.delete", channel=place, ts=ts)
        except DeliveryError as error:
            log.warning("desk.stray_post_kept", code=error.code, place=place)

    def _place(self, delivery: DeskDelivery) -> str:
        place = delivery.place
        if not place and delivery.kind is DeliveryKind.DESK_NOTICE:
            place = self._ops_channel or ""
        if not place:
            raise NeverPossible("no_channel", delivery.kind.value)
        return place

    def _thread(self, delivery: DeskDelivery) -> str | None:
        return None if delivery.kind is DeliveryKind.DESK_CARD else delivery.thread_ts

    async def _messages(self, place: str, thread_ts: str | None, oldest: str) -> AsyncIterator[Mapping[str, Any]]:
        method = "conversations.replies" if thread_ts else "conversations.history"
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            answer = await self._api.call(
                method,
                channel=place,
                ts=thread_ts,
                oldest=oldest,
                inclusive=True,
                include_all_metadata=True,
                limit=PAGE,
                cursor=cursor,
            )
            for message in answer.get("messages") or ():
                yield mapping(message)
            cursor = string(mapping(answer.get("response_metadata")), "next_cursor") or None
            if cursor is None:
                return
        raise RetryLater("too_much_history", f"more than {MAX_PAGES * PAGE} messages since the sending")


def _named(delivery: DeskDelivery) -> dict[str, Any]:
    """What a post says of the deliveries it is: its own, and those of all that were joined into it."""
    return {"id": delivery.id} | ({"joined": list(delivery.joined)} if delivery.joined else {})


def _is_on_its_own(answer: Mapping[str, Any], thread_ts: str) -> bool:
    """Whether a reply did not go under the post it was meant for. An answer that does not show it is believed."""
    message = mapping(answer.get("message"))
    return bool(message) and message.get("thread_ts") != thread_ts


def receipt_of(answer: Mapping[str, Any], place: str) -> Receipt:
    """What Slack's answer says of a post. Raises Unclear when it gives no time: the post may stand there."""
    ts = answer.get("ts")
    try:
        return Receipt(platform_id=str(ts), at=moment(ts), place=string(answer, "channel") or place)
    except ValueError:
        raise Unclear("odd_answer", "no time in it") from None


def _receipt_in(message: Mapping[str, Any], delivery: DeskDelivery, place: str) -> Receipt | None:
    metadata = mapping(message.get("metadata"))
    named = mapping(metadata.get("event_payload")) if metadata.get("event_type") == EVENT_TYPE else {}
    if named and (named.get("id") == delivery.id or delivery.id in (named.get("joined") or ())):
        return receipt_of({"ts": message.get("ts"), "channel": place}, place)
    name = delivery.file.name if delivery.kind is DeliveryKind.DESK_FILE and delivery.file is not None else ""
    if delivery.kind is DeliveryKind.DESK_TRANSCRIPT:
        name = transcripts.name(int(delivery.data["number"]))
    if name and (file_id := files.is_file_of(delivery, message, name)):
        return Receipt(platform_id=file_id, at=moment(message.get("ts")), place=place)
    return None
