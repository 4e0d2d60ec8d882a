"""Deliveries to Telegram: the call for each kind, and what each outcome means for the outbox.

The table behind it was measured on python-telegram-bot over real sockets: what certainly was not sent may be tried
again, what certainly was is done, and what nobody can know is Unclear and never repeated blindly.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeGuard

import structlog
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, TelegramError

from bot.channels import telegram_address, telegram_entities, telegram_uploads, telegram_wire
from bot.channels.telegram_api import Api
from bot.channels.telegram_limits import UPLOAD_LIMIT_BYTES
from bot.channels.telegram_typing import Typing
from domain import errors, text
from domain.changes import DeliveryKind
from domain.ports import ChatDelivery, Receipt

log = structlog.get_logger(__name__)

FORBIDDEN = (
    ("blocked", "blocked"),
    ("deactivated", "deactivated"),
    ("kicked", "kicked"),
    ("initiate conversation", "not_started"),
    ("not a member", "not_member"),
)
"""What a 403 says, and our word for it. All of them: this customer cannot be reached."""
REFUSALS = (
    ("chat not found", "chat_not_found"),
    ("message is too long", "too_long"),
    ("caption is too long", "too_long"),
    ("text is empty", "empty"),
    ("text must be non-empty", "empty"),
    ("file must be non-empty", "empty"),
    ("can't parse entities", "bad_entities"),
    ("query is too old", "too_late"),
    ("too large", "too_large"),
    ("reaction_invalid", "reaction_invalid"),
    ("reactions_too_many", "reaction_invalid"),
    ("message to react not found", "message_gone"),
    ("too big", "too_large"),
    ("message to edit not found", "message_gone"),
    ("can't be edited", "too_late"),
    ("can't be deleted", "too_late"),
    ("no rights", "no_rights"),
    ("not enough rights", "no_rights"),
    ("user_is_blocked", "blocked"),
    ("deactivated", "deactivated"),
)
"""What a 400 says, and our word for it."""
NO_TEXT = "no text in the message to edit"
ANSWER_LIMIT = 200
"""Telegram's limit of what shows up at a tap, in characters."""
ENTITIES = {"text": "entities", "caption": "caption_entities"}
NO_PREVIEW = {"is_disabled": True}
UNCHANGED = "message is not modified"
ALREADY_GONE = "message to delete not found"
TOPIC_GONE = "message thread not found"
PLATFORM_WORD = re.compile(r"[a-z]+(?:_[a-z]+)+(?![^ ])", re.IGNORECASE)
"""Telegram's own error constant, at the beginning. Anything else in a description may quote the message."""

Now = Callable[[], datetime]


class Sender:
    """Sends one delivery at a time. Order, rate limits and repeats are the dispatcher's."""

    def __init__(self, api: Api, *, now: Now, upload_limit: int = UPLOAD_LIMIT_BYTES) -> None:
        self._api = api
        self._now = now
        self._upload_limit = upload_limit
        self._typing = Typing(api.call)

    def show_typing(self, address: str, topic: str | None = None) -> None:
        """Show that an answer is on its way. Never waits."""
        self._typing.show(address, telegram_address.where(address, topic))

    async def close(self) -> None:
        """End what is under way beside the sending."""
        await self._typing.close()

    async def send(self, delivery: ChatDelivery) -> Receipt:
        """Send it. Raises a DeliveryError for everything that is not a success."""
        try:
            receipt = await self._there(delivery)
        except telegram_wire.OddAnswer as odd:
            if odd.began_ok:
                return self._receipt(None, fallback=delivery.message_id or "")
            raise errors.Unclear("odd_answer") from None
        except telegram_wire.TooMany as error:
            self._typing.quiet(error.after.total_seconds())
            raise meaning(error) from None
        except ChatMigrated as error:
            raise errors.Moved("migrated", telegram_address.moved(delivery.address, str(error.new_chat_id))) from None
        except TelegramError as error:
            raise meaning(error) from None
        if delivery.more:
            self.show_typing(delivery.address, delivery.topic)
        return receipt

    async def _there(self, delivery: ChatDelivery) -> Receipt:
        """Into the topic where the customer wrote; into the chat where that is no more."""
        try:
            return await self._do(delivery)
        except BadRequest as error:
            if delivery.topic is None or TOPIC_GONE not in _said(error):
                raise
        return await self._do(replace(delivery, topic=None))

    async def _do(self, delivery: ChatDelivery) -> Receipt:
        if delivery.kind is DeliveryKind.CHAT_EDIT:
            return await self._edit(delivery)
        if delivery.kind is DeliveryKind.CHAT_DELETE:
            return await self._delete(delivery)
        if delivery.kind is DeliveryKind.CHAT_REACTION:
            return await self._react(delivery)
        if delivery.kind is DeliveryKind.CHAT_FILE:
            return await self._file(delivery)
        if delivery.kind is DeliveryKind.CHAT_ANSWER:
            return await self._answer(delivery)
        if delivery.kind is DeliveryKind.CHAT_AUTOMATIC and delivery.message_id is not None:
            return await self._edit(delivery)
        if delivery.kind in (DeliveryKind.CHAT_TEXT, DeliveryKind.CHAT_AUTOMATIC):
            about = {
                **telegram_address.where(delivery.address, delivery.topic),
                "link_preview_options": NO_PREVIEW,
                "reply_parameters": _reply(delivery),
                "reply_markup": _keyboard(delivery),
            }
            return self._receipt(await self._say("sendMessage", about, delivery))
        raise errors.NeverPossible("wrong_side", f"{delivery.kind.value} is not for a chat")

    async def _say(self, method: str, about: dict[str, Any], delivery: ChatDelivery, field: str = "text") -> object:
        """Call a method with the text and how it is dressed; plain where Telegram does not take the dress."""
        if not delivery.spans:
            return await self._api.call(method, {**about, field: delivery.text})
        shown, found = telegram_entities.dressed(delivery.text, delivery.spans)
        try:
            return await self._api.call(method, {**about, field: shown, ENTITIES[field]: found})
        except BadRequest as error:
            if not any(word in _said(error) for word in telegram_uploads.BAD_ENTITIES):
                raise
            log.warning("telegram_entities_refused", delivery=delivery.id, entities=len(found))
        return await self._api.call(method, {**about, field: delivery.text})

    async def _edit(self, delivery: ChatDelivery) -> Receipt:
        """Change the text, or the caption where the message is a file."""
        target = {"chat_id": telegram_address.chat_of(delivery.address), "message_id": _named(delivery)[0]}
        try:
            try:
                about = {**target, "link_preview_options": NO_PREVIEW, "reply_markup": _keyboard(delivery)}
                sent = await self._say("editMessageText", about, delivery)
            except BadRequest as error:
                if NO_TEXT not in _said(error):
                    raise
                sent = await self._say("editMessageCaption", target, delivery, "caption")
        except BadRequest as error:
            if UNCHANGED not in _said(error):
                raise
            sent = None
        return self._receipt(sent, fallback=delivery.message_id or "")

    async def _delete(self, delivery: ChatDelivery) -> Receipt:
        which = _named(delivery)
        about = {"message_id": which[0]} if len(which) == 1 else {"message_ids": which}
        method = "deleteMessage" if len(which) == 1 else "deleteMessages"
        try:
            await self._api.call(method, {"chat_id": telegram_address.chat_of(delivery.address), **about})
        except BadRequest as error:
            if ALREADY_GONE not in _said(error):
                raise
        return self._receipt(None, fallback=delivery.message_id or "")

    async def _react(self, delivery: ChatDelivery) -> Receipt:
        """Put the text, one emoji, on a message; take ours away where there is none."""
        shown = [{"type": "emoji", "emoji": delivery.text}] if delivery.text else []
        target = {"chat_id": telegram_address.chat_of(delivery.address), "message_id": _named(delivery)[0]}
        await self._api.call("setMessageReaction", {**target, "reaction": shown})
        return self._receipt(None, fallback=delivery.message_id or "")

    async def _answer(self, delivery: ChatDelivery) -> Receipt:
        """The word at the finger. Telegram takes it for a while after the tap only: later nobody misses it."""
        given = {"callback_query_id": delivery.query_id, "text": text.excerpt(delivery.text, ANSWER_LIMIT)}
        await self._api.call("answerCallbackQuery", given)
        return self._receipt(None)

    async def _file(self, delivery: ChatDelivery) -> Receipt:
        place = telegram_address.where(delivery.address, delivery.topic)
        about = {**place, "reply_parameters": _reply(delivery)}
        kind = telegram_uploads.kind_of(delivery.file) if delivery.file is not None else "document"
        async with self._typing.during(delivery.address, place, kind):
            sent = await telegram_uploads.upload(self._api.call, delivery, about, limit=self._upload_limit)
        return self._receipt(sent)

    def _receipt(self, sent: object, fallback: str = "") -> Receipt:
        """What Telegram said about the message; an empty platform id where it was sent and the answer was lost."""
        newest = sent[-1] if isinstance(sent, list) and sent else sent
        message = newest if isinstance(newest, dict) else {}
        date = message.get("edit_date") or message.get("date")
        return Receipt(
            platform_id=telegram_uploads.numbers(sent) or fallback,
            at=datetime.fromtimestamp(date, UTC) if _is_date(date) else self._now(),
        )


def meaning(error: TelegramError) -> errors.DeliveryError:
    """What must happen after a call ended with this error. No text of the platform goes into it but error constants."""
    if isinstance(error, telegram_wire.TooMany):
        return errors.RetryLater("rate_limited", after=error.after, bucket="chat")
    if isinstance(error, telegram_wire.NotSent):
        return errors.RetryLater("unreachable")
    if isinstance(error, telegram_wire.Refused):
        return errors.RetryLater("refused", f"http {error.status}")
    if isinstance(error, ChatMigrated):
        return errors.Moved("migrated", str(error.new_chat_id))
    if isinstance(error.__cause__, telegram_wire.OddAnswer):
        return errors.RetryLater("not_telegram", "something between us and Telegram refused")
    if isinstance(error, Forbidden):
        return errors.NeverPossible(_word(error, FORBIDDEN, "forbidden"))
    if isinstance(error, InvalidToken):
        return errors.AccessRevoked("token", "Telegram does not accept the bot token")
    if isinstance(error, Conflict):
        return errors.RetryLater("conflict")
    if isinstance(error, BadRequest):
        constant = PLATFORM_WORD.match(error.message)
        return errors.NeverPossible(_word(error, REFUSALS, "refused"), constant[0].upper() if constant else "")
    return errors.Unclear("no_answer")


def _word(error: TelegramError, words: tuple[tuple[str, str], ...], default: str) -> str:
    said = _said(error)
    return next((word for part, word in words if part in said), default)


def _said(error: TelegramError) -> str:
    return error.message.casefold()


def _named(delivery: ChatDelivery) -> list[int]:
    """The messages that a change or a deletion is about."""
    try:
        return telegram_uploads.messages(delivery.message_id or "")
    except ValueError:
        raise errors.NeverPossible("message_unknown", "its number at the platform is not known") from None


def _keyboard(delivery: ChatDelivery) -> dict[str, Any] | None:
    rows = [[{"text": b.text, "callback_data": b.choice} for b in row] for row in delivery.buttons]
    if not rows and delivery.ask_contact is not None:
        button = {"text": delivery.ask_contact, "request_contact": True}
        return {"keyboard": [[button]], "one_time_keyboard": True, "resize_keyboard": True}
    return {"inline_keyboard": rows} if rows else None


def _reply(delivery: ChatDelivery) -> dict[str, Any] | None:
    """The quoted message; where it is gone the answer is sent all the same."""
    if delivery.reply_to is None or not (delivery.reply_to.isascii() and delivery.reply_to.isdigit()):
        return None
    return {"message_id": int(delivery.reply_to), "allow_sending_without_reply": True}


def _is_date(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**34
