"""Files to Telegram by their kinds, albums, and the sign that an answer is on its way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram.constants import ReactionEmoji

from bot.channels import telegram_address, telegram_limits, telegram_reactions, telegram_typing, telegram_uploads
from bot.channels.telegram import TelegramChannel
from bot.channels.telegram_typing import PER_SECOND
from domain import errors
from domain.changes import DeliveryKind
from domain.formatting import Span, Style
from domain.ports import ChatDelivery, File
from tests import patience
from tests.bot.channels.conftest import until
from tests.bot.channels.scripted_api import ScriptedApi, ok, refused

SENT = [{"message_id": number, "date": 1_760_000_000} for number in (31, 32, 35)]


def test_the_emoji_we_offer_are_those_that_telegram_allows() -> None:
    """The list is the library's, whose makers follow the platform (which writes them without U+FE0F)."""
    assert {one.value.replace("\ufe0f", "") for one in ReactionEmoji} == telegram_reactions.ALLOWED
    assert set(telegram_reactions.USUAL.values()) <= telegram_reactions.ALLOWED


def file(mime: str, *, name: str = "a.bin", size: int = 10, kind: str = "", delay_s: float = 0.0) -> File:
    async def content() -> AsyncIterator[bytes]:
        await asyncio.sleep(delay_s)
        yield b"x" * size

    return File(name=name, mime=mime, size=size, open=content, kind=kind)


def album(*files: File, text: str = "", spans: tuple[Span, ...] = ()) -> ChatDelivery:
    return ChatDelivery(id="D", kind=DeliveryKind.CHAT_FILE, address="42", text=text, spans=spans, files=files)


@pytest.mark.parametrize(
    ("mime", "kind", "method"),
    [
        ("image/jpeg", "", "sendPhoto"),
        ("video/mp4", "", "sendVideo"),
        ("audio/mpeg", "", "sendAudio"),
        ("audio/ogg", "", "sendVoice"),
        ("audio/mp4", "voice", "sendVoice"),
        ("image/gif", "", "sendAnimation"),
        ("application/pdf", "", "sendDocument"),
        ("text/html; charset=utf-8", "", "sendDocument"),
    ],
)
async def test_a_file_goes_by_the_method_of_its_kind(
    api: ScriptedApi, channel: TelegramChannel, mime: str, kind: str, method: str
) -> None:
    """What a phone can show in place is shown there; what is refused as that kind still arrives, as a document."""
    delivery = replace(album(), file=file(mime, kind=kind), text="Here.")
    await channel.send(delivery)
    (call,) = api.asked(method)
    assert call.fields["caption"] == "Here."
    if method != "sendDocument":
        api.say(method, refused(400, "Bad Request: VOICE_MESSAGES_FORBIDDEN"))
        await channel.send(delivery)
        assert len(api.asked("sendDocument")) == 1


async def test_several_files_are_one_album_with_its_caption(api: ScriptedApi, channel: TelegramChannel) -> None:
    """One call, every file in its place, the words dressed under the first; its id stands for all its messages."""
    api.say("sendMediaGroup", ok(SENT))
    bold = (Span(style=Style.BOLD, start=0, length=4),)
    files = (file("image/png", name="a.png"), file("video/mp4", name="b.mp4"), file("image/jpeg", name="c.jpg"))
    receipt = await channel.send(album(*files, text="Here they are", spans=bold))
    (call,) = api.asked("sendMediaGroup")
    media = json.loads(call.fields["media"])
    assert [one["type"] for one in media] == ["photo", "video", "photo"]
    assert media[0]["caption"] == "Here they are"
    assert media[0]["caption_entities"] == [{"type": "bold", "offset": 0, "length": 4}]
    assert [call.files[one["media"].removeprefix("attach://")][0] for one in media] == ["a.png", "b.mp4", "c.jpg"]
    assert receipt.platform_id == "31.1.3"
    await channel.send(ChatDelivery(id="E", kind=DeliveryKind.CHAT_DELETE, address="42", message_id="31.1.3"))
    (gone,) = api.asked("deleteMessages")
    assert json.loads(gone.fields["message_ids"]) == [31, 32, 35]
    await channel.send(ChatDelivery(id="F", kind=DeliveryKind.CHAT_EDIT, address="42", message_id="31.1.3", text="x"))
    assert api.asked("editMessageText")[0].fields["message_id"] == "31"


async def test_an_album_that_cannot_be_shown_goes_as_documents(api: ScriptedApi, channel: TelegramChannel) -> None:
    """A picture too large to be one among pictures, or one that is refused: all of them arrive, as files."""
    large = file("image/png", size=telegram_limits.PHOTO_LIMIT_BYTES + 1)
    await channel.send(album(file("image/png"), large))
    api.say("sendMediaGroup", refused(400, "Bad Request: PHOTO_INVALID_DIMENSIONS"))
    await channel.send(album(file("image/png"), file("image/png")))
    said = [{one["type"] for one in json.loads(call.fields["media"])} for call in api.asked("sendMediaGroup")]
    assert said == [{"document"}, {"photo"}, {"document"}]
    with pytest.raises(errors.NeverPossible, match="too_large"):
        await channel.send(album(file("image/png"), file("image/png", size=telegram_limits.UPLOAD_LIMIT_BYTES + 1)))


async def test_a_file_is_taken_up_to_the_limit(api: ScriptedApi, channel: TelegramChannel) -> None:
    """To the last byte, alone and beside others; one that turns out larger while it is read is not sent."""
    limit = telegram_limits.UPLOAD_LIMIT_BYTES
    await channel.send(replace(album(), file=file("application/pdf", size=limit)))
    (call,) = api.asked("sendDocument")
    assert len(call.files["document"][-1]) == limit
    unknown = replace(file("application/pdf", size=limit + 1), size=None)
    with pytest.raises(errors.NeverPossible, match="too_large"):
        await channel.send(replace(album(), file=unknown))
    assert len(api.asked("sendDocument")) == 1


@given(st.lists(st.integers(1, 2**40), min_size=1, max_size=10))
def test_an_albums_id_stands_for_all_its_messages(ids: list[int]) -> None:
    """Whatever numbers Telegram gave them, each is found again."""
    assert telegram_uploads.messages(telegram_uploads.numbers([{"message_id": one} for one in ids])) == ids


@pytest.mark.parametrize("place", ["-100123", "-100123/7", "-100123@42", "-100123@42/7", "42"])
def test_a_place_keeps_its_topic_and_its_person_when_its_chat_moves(place: str) -> None:
    """Only the chat is another one afterwards."""
    told = telegram_address.where(place)
    moved = telegram_address.where(telegram_address.moved(place, "-100999"))
    assert moved == {**told, "chat_id": "-100999"}
    assert telegram_address.moved(place, "-100999").partition("9")[2].lstrip("9") == place.lstrip("-0123456789")


async def test_typing_is_shown_seldom_and_never_against_the_platforms_wish(
    api: ScriptedApi, channel: TelegramChannel
) -> None:
    """Once in five seconds for a chat, so many chats a second, and not at all while Telegram asks for less."""
    for _ in range(3):
        channel.show_typing("42/7")
    for other in range(20):
        channel.show_typing(str(other))
    await until(lambda: len(api.asked("sendChatAction")) == PER_SECOND)
    assert api.asked("sendChatAction")[0].fields == {"chat_id": "42", "message_thread_id": "7", "action": "typing"}
    await asyncio.sleep(0)
    assert len(api.asked("sendChatAction")) == PER_SECOND


async def test_a_refused_typing_is_nobodys_concern(api: ScriptedApi, channel: TelegramChannel) -> None:
    """A blocked bot or a rate limit: nothing is raised, and after a 429 it is quiet for as long as Telegram says."""
    api.say("sendChatAction", refused(429, "Too Many Requests", retry_after=30))
    channel.show_typing("1")
    await until(lambda: api.asked("sendChatAction"))
    await channel.send(ChatDelivery(id="D", kind=DeliveryKind.CHAT_TEXT, address="1", text="a", more=True))
    channel.show_typing("2")
    await channel.send(ChatDelivery(id="E", kind=DeliveryKind.CHAT_TEXT, address="1", text="b"))
    assert len(api.asked("sendChatAction")) == 1


async def test_a_slow_upload_is_seen_coming(
    api: ScriptedApi, channel: TelegramChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that takes its time is announced by its kind; a quick one is not."""
    monkeypatch.setattr(telegram_typing, "SLOW_S", patience.LONG_S)
    await channel.send(replace(album(), file=file("image/png")))
    assert api.asked("sendChatAction") == []
    monkeypatch.setattr(telegram_typing, "SLOW_S", 0.1)
    await channel.send(replace(album(), file=file("video/mp4", delay_s=2.0)))
    assert [call.fields["action"] for call in api.asked("sendChatAction")] == ["upload_video"]
