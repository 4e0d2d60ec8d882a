"""What customers do on their phones reaches the bot in Telegram's shapes."""

import base64

import pytest
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, ReactionTypeEmoji
from telegram.constants import ChatMemberStatus, UpdateType
from telegram.error import BadRequest

from sandbox.picture import damaged_mug
from tests.sandbox import telegram_kit
from tests.sandbox.telegram_kit import Desk

PICTURE = base64.b64encode(damaged_mug()).decode()
ALL_KINDS = [kind.value for kind in UpdateType]


async def test_a_customer_is_a_real_user(desk: Desk) -> None:
    """Names, user name and language are in the update, and the private chat has the user's id."""
    chat = desk.join(first_name="静", last_name="李", username="lijing", language_code="zh-hans")
    desk.say(chat, "你好")
    async with telegram_kit.bot(desk) as bot:
        (update,) = await bot.get_updates()
        full = await bot.get_chat(chat)
    user, message = update.effective_user, update.message
    assert user is not None
    assert message is not None
    assert (user.id, user.full_name, user.language_code) == (chat, "静 李", "zh-hans")
    assert (message.chat.id, message.chat.type, message.chat.username) == (chat, "private", "lijing")
    assert full.first_name == "静"


async def test_a_photo_comes_in_several_sizes(desk: Desk) -> None:
    """A photo with caption has rising sizes, and the biggest can be downloaded byte by byte."""
    chat = desk.join()
    desk.post("telegram/send", chat_id=chat, photo=PICTURE, filename="m.png", mime="image/png", caption="broken")
    async with telegram_kit.bot(desk) as bot:
        (update,) = await bot.get_updates()
        assert update.message is not None
        sizes = update.message.photo
        assert [(size.width, size.height) for size in sizes] == [(90, 68), (320, 240)]
        assert len({size.file_unique_id for size in sizes}) == 2
        assert update.message.caption == "broken"
        file = await bot.get_file(sizes[-1].file_id)
        assert bytes(await file.download_as_bytearray()) == damaged_mug()
    shown = desk.get(f"telegram/chat/{chat}")["messages"][0]["file"]
    picture = desk.http.get(shown["url"])
    assert picture.content == damaged_mug()
    assert picture.headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("kind", ["document", "voice", "video", "audio", "sticker", "animation", "video_note"])
async def test_other_files_have_their_own_shape(desk: Desk, kind: str) -> None:
    """Each kind of file parses as that kind, with its size, and can be fetched."""
    data = {"data": base64.b64encode(b"0123456789").decode(), "filename": "a.bin", "mime": "application/x-a"}
    desk.post("telegram/send", chat_id=desk.join(), **{kind: data})
    async with telegram_kit.bot(desk) as bot:
        (update,) = await bot.get_updates()
        assert update.message is not None
        part = getattr(update.message, kind)
        assert part.file_size == 10
        assert bytes(await (await bot.get_file(part.file_id)).download_as_bytearray()) == b"0123456789"


async def test_an_album_shares_one_group(desk: Desk) -> None:
    """The pictures of an album are separate updates with one media_group_id."""
    chat = desk.join()
    for _ in range(3):
        desk.post("telegram/send", chat_id=chat, photo=PICTURE, media_group_id="77")
    async with telegram_kit.bot(desk) as bot:
        updates = await bot.get_updates()
    assert [update.message.media_group_id for update in updates if update.message] == ["77"] * 3


async def test_places_contacts_and_anything_else(desk: Desk) -> None:
    """Location and contact arrive as such, and any other content can be given as message fields."""
    chat = desk.join()
    desk.post("telegram/send", chat_id=chat, location={"latitude": 31.2, "longitude": 121.5})
    desk.post("telegram/send", chat_id=chat, contact={"phone_number": "+49301234567", "first_name": "Ada"})
    desk.post("telegram/send", chat_id=chat, content={"dice": {"emoji": "🎲", "value": 4}})
    async with telegram_kit.bot(desk) as bot:
        place, person, dice = [update.message for update in await bot.get_updates()]
    assert place is not None
    assert place.location is not None
    assert place.location.latitude == 31.2
    assert person is not None
    assert person.contact is not None
    assert person.contact.phone_number == "+49301234567"
    assert dice is not None
    assert dice.dice is not None
    assert dice.dice.value == 4


async def test_an_edit_is_an_edited_message(desk: Desk) -> None:
    """The same message id comes again as edited_message with an edit date; the phone keeps the old text."""
    chat = desk.join()
    message_id = desk.say(chat, "order 1043")["message_id"]
    desk.post("telegram/edit", chat_id=chat, message_id=message_id, text="order 1034")
    async with telegram_kit.bot(desk) as bot:
        first, second = await bot.get_updates()
    assert first.message is not None
    assert first.message.text == "order 1043"
    assert second.edited_message is not None
    assert (second.edited_message.message_id, second.edited_message.text) == (message_id, "order 1034")
    assert second.edited_message.edit_date is not None
    shown = desk.get(f"telegram/chat/{chat}")["messages"][0]
    assert [version["text"] for version in shown["versions"]] == ["order 1043"]


async def test_a_reaction_names_old_and_new(desk: Desk) -> None:
    """message_reaction comes to a bot that asked for it, with what was there before."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        await bot.get_updates(allowed_updates=ALL_KINDS)
        sent = await bot.send_message(chat, "solved?")
        desk.post("telegram/react", chat_id=chat, message_id=sent.message_id, reaction="👍")
        desk.post("telegram/react", chat_id=chat, message_id=sent.message_id, reaction=["👎"])
        _, second = await bot.get_updates()
    assert second.message_reaction is not None
    assert second.message_reaction.old_reaction == (ReactionTypeEmoji("👍"),)
    assert second.message_reaction.new_reaction == (ReactionTypeEmoji("👎"),)


async def test_blocking_and_unblocking(desk: Desk) -> None:
    """my_chat_member tells of both; a customer who has blocked the bot cannot write to it."""
    chat = desk.join()
    desk.post("telegram/block", chat_id=chat)
    refused = desk.http.post("/control/telegram/send", json={"chat_id": chat, "text": "x"})
    assert "unblock" in refused.json()["error"]
    desk.post("telegram/unblock", chat_id=chat)
    async with telegram_kit.bot(desk) as bot:
        updates = await bot.get_updates()
    changes = [
        (update.my_chat_member.old_chat_member.status, update.my_chat_member.new_chat_member.status)
        for update in updates
        if update.my_chat_member
    ]
    assert changes == [
        (ChatMemberStatus.MEMBER, ChatMemberStatus.BANNED),
        (ChatMemberStatus.BANNED, ChatMemberStatus.MEMBER),
    ]


async def test_pressing_a_button_is_answered_once(desk: Desk) -> None:
    """A press is a callback query with the button's data; it can be answered once, and only a real button pressed."""
    chat = desk.join()
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Good", callback_data="csat:5")]])
    async with telegram_kit.bot(desk) as bot:
        sent = await bot.send_message(chat, "how was it?", reply_markup=keyboard)
        desk.post("telegram/press", chat_id=chat, message_id=sent.message_id, text="Good")
        (update,) = await bot.get_updates()
        query = update.callback_query
        assert query is not None
        assert (query.data, query.from_user.id) == ("csat:5", chat)
        assert query.message is not None
        assert query.message.message_id == sent.message_id
        assert await bot.answer_callback_query(query.id, text="thank you")
        with pytest.raises(BadRequest, match="Query is too old"):
            await bot.answer_callback_query(query.id)
    assert [record["data"]["text"] for record in desk.log("query_answer")] == ["thank you"]
    missing = {"chat_id": chat, "message_id": sent.message_id, "data": "other"}
    assert desk.http.post("/control/telegram/press", json=missing).status_code == 404


async def test_a_long_text_is_sent_in_parts(desk: Desk) -> None:
    """A phone splits what is too long for one message; nothing is cut off."""
    chat = desk.join()
    text = "".join(chr(0x4E00 + number % 500) for number in range(9000)) + "🍷" * 10
    sent = desk.say(chat, text)
    assert len(sent["message_ids"]) == 3
    async with telegram_kit.bot(desk) as bot:
        updates = await bot.get_updates()
    parts = [update.message.text or "" for update in updates if update.message]
    assert "".join(parts) == text
    assert all(len(part.encode("utf-16-le")) // 2 <= 4096 for part in parts)


async def test_a_group_has_members_and_one_numbering_of_its_own_after_migration(desk: Desk) -> None:
    """In a group the sender is who acts; a reply quotes; a supergroup starts counting at 1."""
    ada, ben = desk.join(first_name="Ada"), desk.join(first_name="Ben")
    group = desk.post("telegram/groups", title="Buyers", members=[ada, ben])["chat_id"]
    first = desk.post("telegram/send", chat_id=group, user_id=ada, text="hello")["message_id"]
    desk.post("telegram/send", chat_id=group, user_id=ben, text="hi", reply_to=first)
    async with telegram_kit.bot(desk) as bot:
        _, answer = await bot.get_updates()
    assert answer.effective_user is not None
    assert answer.effective_user.first_name == "Ben"
    assert answer.message is not None
    assert answer.message.chat.title == "Buyers"
    assert answer.message.reply_to_message is not None
    assert answer.message.reply_to_message.text == "hello"
    fresh = desk.post("telegram/migrate", chat_id=group)["chat_id"]
    assert desk.post("telegram/send", chat_id=fresh, user_id=ada, text="again")["message_id"] == 2


async def test_a_deletion_by_the_customer_is_not_told(desk: Desk) -> None:
    """Telegram does not tell an ordinary bot that a message is gone; the phone and the log know."""
    chat = desk.join()
    message_id = desk.say(chat, "oops")["message_id"]
    desk.post("telegram/delete", chat_id=chat, message_id=message_id)
    async with telegram_kit.bot(desk) as bot:
        assert len(await bot.get_updates()) == 1
    assert desk.get(f"telegram/chat/{chat}")["messages"][0]["deleted"] is True
    assert len(desk.log("customer_delete")) == 1
