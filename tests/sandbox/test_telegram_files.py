"""Files the bot sends and fetches, and what it says about itself."""

import json
import random

import pytest
from telegram import BotCommand, BotCommandScopeChat, InputMediaDocument, InputMediaPhoto
from telegram.error import BadRequest, InvalidToken, NetworkError

from sandbox.picture import damaged_mug
from tests.sandbox import telegram_kit
from tests.sandbox.telegram_kit import Desk

MIB = 1024 * 1024


async def test_a_photo_and_a_document_reach_the_phone(desk: Desk) -> None:
    """Both arrive with caption and bytes; sending a file_id again sends the same file."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        photo = await bot.send_photo(chat, damaged_mug(), caption="<i>new</i> one", parse_mode="HTML")
        assert photo.photo[-1].width == 320
        assert (photo.caption, photo.caption_entities[0].type) == ("new one", "italic")
        document = await bot.send_document(chat, b"a;b\n", filename="发票.csv")
        assert document.document is not None
        assert document.document.file_name == "发票.csv"
        again = await bot.send_document(chat, document.document.file_id)
        assert again.document is not None
        assert again.document.file_unique_id == document.document.file_unique_id
        edited = await bot.edit_message_caption(chat, photo.message_id, caption="newer")
        assert not isinstance(edited, bool)
        assert edited.caption == "newer"
    files = [message["file"] for message in desk.get(f"telegram/chat/{chat}")["messages"]]
    assert desk.http.get(files[0]["url"]).content == damaged_mug()
    assert desk.http.get(files[1]["url"]).content == b"a;b\n"
    assert desk.http.get(files[1]["url"]).headers["Content-Disposition"] == "attachment"


async def test_an_album_arrives_as_one_and_goes_as_one(desk: Desk) -> None:
    """One group id, the caption under its own file, kinds that may stand together only, all of it or nothing."""
    chat = desk.join()
    photo = InputMediaPhoto(damaged_mug(), caption="<b>two</b>", parse_mode="HTML")
    async with telegram_kit.bot(desk) as bot:
        sent = await bot.send_media_group(chat, [photo, InputMediaPhoto(damaged_mug())])
        assert len({one.media_group_id for one in sent}) == 1
        assert (sent[0].caption, sent[0].caption_entities[0].type, sent[1].caption) == ("two", "bold", None)
        for more in ([], [InputMediaDocument(b"a")], [InputMediaPhoto(b"no picture")]):
            with pytest.raises(BadRequest):
                await bot.send_media_group(chat, [photo, *more])
        assert len(desk.get(f"telegram/chat/{chat}")["messages"]) == 2
        assert await bot.delete_messages(chat, [*(one.message_id for one in sent), 999])
    assert all(message["deleted"] for message in desk.get(f"telegram/chat/{chat}")["messages"])


async def test_captions_have_their_own_limit(desk: Desk) -> None:
    """1,024 UTF-16 units are taken, one more is refused, and no file stays behind."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        assert await bot.send_document(chat, b"x", filename="x", caption="🍷" * 512)
        with pytest.raises(BadRequest, match="Message caption is too long"):
            await bot.send_document(chat, b"x", filename="x", caption="🍷" * 512 + "x")
    assert len(desk.log("bot_message")) == 1


@pytest.mark.parametrize(
    ("data", "refusal"),
    [(b"", "File must be non-empty"), (b"no picture", "Image_process_failed")],
)
async def test_a_photo_must_be_a_picture(desk: Desk, data: bytes, refusal: str) -> None:
    """Empty and unreadable pictures are refused."""
    async with telegram_kit.bot(desk) as bot:
        with pytest.raises(BadRequest, match=refusal):
            await bot.send_photo(desk.join(), data)


async def test_more_than_20_megabytes_cannot_be_fetched(desk: Desk) -> None:
    """getFile gives links up to 20 MB; above it says so, also to a bot that could send the file itself."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        big = await bot.send_document(chat, b"x" * (20 * MIB + 1), filename="big")
        just = await bot.send_document(chat, b"x" * (20 * MIB), filename="just")
        assert big.document is not None
        assert just.document is not None
        with pytest.raises(BadRequest, match="File is too big"):
            await bot.get_file(big.document.file_id)
        assert (await bot.get_file(just.document.file_id)).file_size == 20 * MIB


async def test_more_than_50_megabytes_cannot_be_sent(desk: Desk) -> None:
    """An upload above 50 MB is 413."""
    async with telegram_kit.bot(desk) as bot:
        with pytest.raises(NetworkError, match="Request Entity Too Large"):
            await bot.send_document(desk.join(), b"x" * (50 * MIB + 1), filename="huge")


async def test_a_server_in_front_may_take_less_in_one_request(desk: Desk) -> None:
    """An album is one request: all of it counts, and nothing of it arrives."""
    chat = desk.join()
    desk.post("telegram/largest_request", bytes=100_000)
    async with telegram_kit.bot(desk) as bot:
        album = [InputMediaDocument(b"x" * 60_000, filename=name) for name in ("a", "b")]
        with pytest.raises(NetworkError, match="Request Entity Too Large"):
            await bot.send_media_group(chat, album)
        desk.post("telegram/largest_request")
        assert len(await bot.send_media_group(chat, album)) == 2


async def test_a_file_grows_from_a_seed_and_telegram_may_say_otherwise(desk: Desk) -> None:
    """Nobody sends large files here to have them; what is announced and what comes may differ, or nothing is said."""
    chat = desk.join()
    grown = {"data": "JVBERg==", "size": 1000, "seed": 7}
    for says, said in (({}, 1000), ({"file_size": 10}, 10), ({"file_size": None}, None)):
        desk.post("telegram/send", chat_id=chat, document={**grown, "says": says})
        async with telegram_kit.bot(desk) as bot:
            (*_, update) = await bot.get_updates()
            assert update.message is not None
            assert update.message.document is not None
            assert update.message.document.file_size == said
            file = await bot.get_file(update.message.document.file_id)
            assert file.file_size == said
            content = bytes(await file.download_as_bytearray())
            assert content == b"%PDF" + random.Random(7).randbytes(996)


def test_a_size_below_what_is_given_is_refused(desk: Desk) -> None:
    """It is no size of these bytes: what is to be announced wrongly is said by `says`."""
    given = {"data": "JVBERg==", "size": 3}
    body = json.dumps({"chat_id": desk.join(), "document": given})
    answer = desk.http.post("/control/telegram/send", content=body)
    assert answer.status_code == 400
    assert "size is less than the 4 bytes given" in answer.text


async def test_a_link_runs_out(desk: Desk) -> None:
    """An expired link is 404 until getFile is asked again; a path without a link never works."""
    async with telegram_kit.bot(desk) as bot:
        sent = await bot.send_document(desk.join(), b"data", filename="d.txt")
        assert sent.document is not None
        file = await bot.get_file(sent.document.file_id)
        desk.post("telegram/expire_links")
        with pytest.raises(InvalidToken):
            await file.download_as_bytearray()
        fresh = await bot.get_file(sent.document.file_id)
        assert bytes(await fresh.download_as_bytearray()) == b"data"
        with pytest.raises(BadRequest, match="file is temporarily unavailable"):
            await bot.get_file("nonsense")


async def test_a_file_download_can_fail_on_request(desk: Desk) -> None:
    """Faults reach downloads too, under the name `file`."""
    async with telegram_kit.bot(desk) as bot:
        sent = await bot.send_document(desk.join(), b"data", filename="d.txt")
        assert sent.document is not None
        file = await bot.get_file(sent.document.file_id)
        desk.fault("file", "drop_before")
        with pytest.raises(NetworkError):
            await file.download_as_bytearray()
        assert bytes(await file.download_as_bytearray()) == b"data"


async def test_commands_and_descriptions_per_language(desk: Desk) -> None:
    """Commands are kept per scope and language, descriptions per language, and can be deleted."""
    async with telegram_kit.bot(desk) as bot:
        await bot.set_my_commands([BotCommand("help", "What I can do")])
        await bot.set_my_commands([("help", "我能做什么")], language_code="zh")
        await bot.set_my_commands([("start", "Start")], scope=BotCommandScopeChat(5))
        assert [command.description for command in await bot.get_my_commands()] == ["What I can do"]
        assert [command.description for command in await bot.get_my_commands(language_code="zh")] == ["我能做什么"]
        await bot.delete_my_commands(language_code="zh")
        assert await bot.get_my_commands(language_code="zh") == ()
        with pytest.raises(BadRequest, match="Bot_command_invalid"):
            await bot.set_my_commands([("Not Valid", "x")])
        await bot.set_my_description("We answer on weekdays.")
        await bot.set_my_short_description("客服", language_code="zh")
        assert (await bot.get_my_description()).description == "We answer on weekdays."
        assert (await bot.get_my_short_description(language_code="zh")).short_description == "客服"
        assert await bot.log_out()
        assert await bot.close()
