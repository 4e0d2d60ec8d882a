"""What the bot sends is stored as sent, and refused in Telegram's own words where Telegram refuses."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    MessageEntity,
    ReplyKeyboardMarkup,
    ReplyParameters,
)
from telegram.constants import ParseMode
from telegram.error import BadRequest, ChatMigrated, Forbidden, NetworkError, RetryAfter, TelegramError

from sandbox.telegram.errors import ApiError
from sandbox.telegram.limits import FloodLimits
from tests import patience
from tests.sandbox import telegram_kit
from tests.sandbox.telegram_kit import TOKEN, Desk, Json

WINE = "🍷"
"""One character, two UTF-16 units."""


def phone(desk: Desk, chat: int) -> list[Json]:
    """The messages on the customer's phone."""
    messages: list[Json] = desk.get(f"telegram/chat/{chat}")["messages"]
    return messages


async def test_a_message_arrives_as_typed(desk: Desk) -> None:
    """Text without a parse mode arrives character by character, and the log has it once with one request."""
    chat = desk.join()
    text = "a_b <c> & *d* [e](f) 你好 😀"
    async with telegram_kit.bot(desk) as bot:
        sent = await bot.send_message(chat, text)
    assert sent.text == text
    assert phone(desk, chat)[0]["text"] == text
    (record,) = desk.log("bot_message")
    assert (record["key"], record["requests"]) == (f"{chat}:{sent.message_id}", 1)
    assert desk.get("log/counts")["requests"]["telegram"]["sendMessage"] == 1


@pytest.mark.parametrize("text", ["x" * 4096, WINE * 2048, f"  {'x' * 4096}  "])
async def test_the_longest_text_is_taken(desk: Desk, text: str) -> None:
    """4,096 UTF-16 units are allowed; white space at the ends does not count."""
    async with telegram_kit.bot(desk) as bot:
        assert (await bot.send_message(desk.join(), text)).text == text.strip()


REFUSED_TEXTS = [
    ({"text": ""}, "Message text is empty"),
    ({"text": " \n\t "}, "Text must be non-empty"),
    ({"text": "x" * 4097}, "Message is too long"),
    ({"text": WINE * 2048 + "x"}, "Message is too long"),
    ({"text": "x", "parse_mode": "RTF"}, "Unsupported parse_mode"),
    (
        {"text": "<b>x", "parse_mode": "HTML"},
        "Can't parse entities: can't find end tag corresponding to start tag b",
    ),
    (
        {"text": "é<u>x</b>", "parse_mode": "HTML"},
        'Can\'t parse entities: unmatched end tag at byte offset 6, expected "</u>", found "</b>"',
    ),
    (
        {"text": "1 <x> 2", "parse_mode": "HTML"},
        'Can\'t parse entities: unsupported start tag "x" at byte offset 2',
    ),
    ({"text": "a < b", "parse_mode": "HTML"}, 'Can\'t parse entities: unsupported start tag "" at byte offset 2'),
    ({"text": "a <b", "parse_mode": "HTML"}, "Can't parse entities: unclosed start tag at byte offset 2"),
    ({"text": "</b>", "parse_mode": "HTML"}, "Can't parse entities: unexpected end tag at byte offset 0"),
    (
        {"text": "Version 1.0", "parse_mode": "MarkdownV2"},
        "Can't parse entities: character '.' is reserved and must be escaped with the preceding '\\'",
    ),
    (
        {"text": "é *bold", "parse_mode": "MarkdownV2"},
        "Can't parse entities: can't find end of bold entity at byte offset 3",
    ),
    (
        {"text": "snake_case", "parse_mode": "Markdown"},
        "Can't parse entities: can't find end of the entity starting at byte offset 5",
    ),
    (
        {"text": "x", "entities": [MessageEntity("bold", 0, 2)]},
        "Entity beginning at utf-16 offset 0 ends after the end of the text at utf-16 offset 2",
    ),
    (
        {"text": "x", "entities": [MessageEntity("bold", 9, 2)]},
        "Entity begins after the end of the text at utf-16 offset 9",
    ),
    (
        {"text": "x", "reply_parameters": ReplyParameters(message_id=999)},
        "Message to be replied not found",
    ),
    (
        {
            "text": "x",
            "reply_markup": InlineKeyboardMarkup([[InlineKeyboardButton("b", callback_data="d" * 65)]]),
        },
        "Button_data_invalid",
    ),
]


@pytest.mark.parametrize(("arguments", "refusal"), REFUSED_TEXTS, ids=[refusal[:60] for _, refusal in REFUSED_TEXTS])
async def test_what_telegram_refuses_is_refused(desk: Desk, arguments: Json, refusal: str) -> None:
    """Each mistake is a BadRequest with Telegram's words, and nothing is stored."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        with pytest.raises(BadRequest) as refused:
            await bot.send_message(chat, **arguments)
    assert refused.value.message.lower() == refusal.lower()
    assert phone(desk, chat) == []
    assert desk.log("bot_message") == []


async def test_lone_surrogates_are_refused(desk: Desk) -> None:
    """Half a character is not UTF-8 and never stored."""
    chat = desk.join()
    answer = desk.http.post(
        f"/telegram/bot{TOKEN}/sendMessage",
        content=b'{"chat_id": %d, "text": "a\\ud800b"}' % chat,
        headers={"Content-Type": "application/json"},
    )
    assert answer.json()["description"] == "Bad Request: strings must be encoded in UTF-8"
    assert phone(desk, chat) == []


@pytest.mark.parametrize(
    ("mode", "source", "text", "kinds"),
    [
        (ParseMode.HTML, "<b>a</b> <i>b</i> &lt;&amp;&#33;", "a b <&!", ["bold", "italic"]),
        (ParseMode.HTML, '<a href="https://x.org/?a=1&amp;b=2">l</a>', "l", ["text_link"]),
        (ParseMode.HTML, "<pre><code>x &lt; y</code></pre>", "x < y", ["pre", "code"]),
        (ParseMode.HTML, "<blockquote>q</blockquote>n", "qn", ["blockquote"]),
        (ParseMode.HTML, "AT&T &nbsp; <s>x</s>", "AT&T &nbsp; x", ["strikethrough"]),
        (ParseMode.MARKDOWN_V2, r"*a* _b_ __c__ ~d~ \.", "a b c d .", ["bold", "italic", "underline", "strikethrough"]),
        (ParseMode.MARKDOWN_V2, "[l](https://x.org/a\\)b) ||s||", "l s", ["text_link", "spoiler"]),
        (ParseMode.MARKDOWN_V2, "`a.b` ```py\nc.d```", "a.b c.d", ["code", "pre"]),
        (ParseMode.MARKDOWN, "*a* _b_ c_d".replace("_d", "\\_d"), "a b c_d", ["bold", "italic"]),
        (None, "see https://x.org/a, or me@x.org /help @someone", None, ["url", "email", "bot_command", "mention"]),
    ],
)
async def test_entities_come_out_of_the_text(
    desk: Desk, mode: ParseMode | None, source: str, text: str | None, kinds: list[str]
) -> None:
    """Markup becomes entities over the plain text, and what Telegram recognises by itself is marked too."""
    async with telegram_kit.bot(desk) as bot:
        sent = await bot.send_message(desk.join(), source, parse_mode=mode)
    assert sent.text == (source if text is None else text)
    assert sorted(entity.type for entity in sent.entities) == sorted(kinds)


async def test_entity_offsets_count_utf16_units(desk: Desk) -> None:
    """An emoji before a bold word moves it by two."""
    async with telegram_kit.bot(desk) as bot:
        sent = await bot.send_message(desk.join(), f"{WINE}<b>{WINE}b</b>", parse_mode="HTML")
    (bold,) = sent.entities
    assert (bold.offset, bold.length) == (2, 3)
    assert sent.parse_entity(bold) == f"{WINE}b"


async def test_who_cannot_be_reached_is_said_as_telegram_says_it(desk: Desk) -> None:
    """Unknown chat, blocked bot, deactivated account, a person who never wrote: the right exception each."""
    blocked, gone, shy = desk.join(), desk.join(), desk.join(started=False)
    desk.post("telegram/block", chat_id=blocked)
    desk.post("telegram/deactivate", chat_id=gone)
    expected: list[tuple[int, type[TelegramError], str]] = [
        (42, BadRequest, "Chat not found"),
        (blocked, Forbidden, "Forbidden: bot was blocked by the user"),
        (gone, Forbidden, "Forbidden: user is deactivated"),
        (shy, Forbidden, "Forbidden: bot can't initiate conversation with a user"),
    ]
    async with telegram_kit.bot(desk) as bot:
        for chat, error, words in expected:
            with pytest.raises(error) as refused:
                await bot.send_message(chat, "hello")
            assert refused.value.message == words
        desk.post("telegram/unblock", chat_id=blocked)
        assert await bot.send_message(blocked, "hello again")


async def test_a_migrated_group_names_its_new_id(desk: Desk) -> None:
    """Writing to the old id of a group is ChatMigrated with the new one; the new one takes the message."""
    group = desk.post("telegram/groups", title="Buyers", members=[desk.join()])["chat_id"]
    async with telegram_kit.bot(desk) as bot:
        assert (await bot.send_message(group, "before")).chat.type == "group"
        fresh = desk.post("telegram/migrate", chat_id=group)["chat_id"]
        with pytest.raises(ChatMigrated) as moved:
            await bot.send_message(group, "after")
        assert moved.value.new_chat_id == fresh
        assert (await bot.send_message(fresh, "after")).chat.type == "supergroup"
        old, new = await bot.get_updates()
        assert old.message is not None
        assert old.message.migrate_to_chat_id == fresh
        assert new.message is not None
        assert new.message.migrate_from_chat_id == group


async def test_an_edit_replaces_and_is_marked(desk: Desk) -> None:
    """The customer sees the new text with the mark, the log has both, and an edit that changes nothing is refused."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        sent = await bot.send_message(chat, "10 euros")
        edited = await bot.edit_message_text("12 euros", chat, sent.message_id)
        assert not isinstance(edited, bool)
        assert edited.edit_date is not None
        with pytest.raises(BadRequest, match="Message is not modified"):
            await bot.edit_message_text("12 euros", chat, sent.message_id)
        with pytest.raises(BadRequest, match="Message to edit not found"):
            await bot.edit_message_text("x", chat, 999)
        with pytest.raises(BadRequest, match="There is no caption in the message to edit"):
            await bot.edit_message_caption(chat, sent.message_id, caption="x")
        theirs = desk.say(chat, "mine")["message_id"]
        with pytest.raises(BadRequest, match="Message can't be edited"):
            await bot.edit_message_text("x", chat, theirs)
    shown = phone(desk, chat)[0]
    assert (shown["text"], [version["text"] for version in shown["versions"]]) == ("12 euros", ["10 euros"])
    assert [record["data"]["text"] for record in desk.log("bot_edit")] == ["12 euros"]


async def test_a_message_can_be_deleted_for_48_hours(desk: Desk) -> None:
    """Deleting works for 48 hours of product time, once."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        first, second = await bot.send_message(chat, "1"), await bot.send_message(chat, "2")
        assert await bot.delete_message(chat, first.message_id)
        with pytest.raises(BadRequest, match="Message to delete not found"):
            await bot.delete_message(chat, first.message_id)
        desk.post("clock", advance_s=48 * 3600 + 1)
        with pytest.raises(BadRequest, match="Message can't be deleted for everyone"):
            await bot.delete_message(chat, second.message_id)
    assert [message["deleted"] for message in phone(desk, chat)] == [True, False]
    assert len(desk.log("bot_delete")) == 1


async def test_keyboards_reach_the_phone(desk: Desk) -> None:
    """An inline keyboard stays with the message and can be taken away; a reply keyboard only shows on the phone."""
    chat = desk.join()
    keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Yes", callback_data="y")]])
    async with telegram_kit.bot(desk) as bot:
        sent = await bot.send_message(chat, "sure?", reply_markup=keyboard)
        assert sent.reply_markup == keyboard
        assert phone(desk, chat)[0]["keyboard"] == [[{"text": "Yes", "callback_data": "y"}]]
        cleared = await bot.edit_message_reply_markup(chat, sent.message_id)
        assert not isinstance(cleared, bool)
        assert cleared.reply_markup is None
        plain = await bot.send_message(chat, "or", reply_markup=ReplyKeyboardMarkup([["A", "B"]]))
        assert plain.reply_markup is None
    assert phone(desk, chat)[1]["reply_keyboard"]["keyboard"] == [[{"text": "A"}, {"text": "B"}]]


async def test_replies_reactions_and_typing(desk: Desk) -> None:
    """A reply quotes its message, a reaction shows on it, typing shows on the phone; nonsense is refused."""
    chat = desk.join()
    theirs = desk.say(chat, "where is it?")["message_id"]
    async with telegram_kit.bot(desk) as bot:
        assert await bot.send_chat_action(chat, "typing")
        assert desk.get(f"telegram/chat/{chat}")["action"] == "typing"
        sent = await bot.send_message(chat, "on its way", reply_parameters=ReplyParameters(theirs))
        assert sent.reply_to_message is not None
        assert sent.reply_to_message.text == "where is it?"
        assert await bot.set_message_reaction(chat, theirs, "👍")
        with pytest.raises(BadRequest, match="Reaction_invalid"):
            await bot.set_message_reaction(chat, theirs, "🧾")
        with pytest.raises(BadRequest, match="Message to react not found"):
            await bot.set_message_reaction(chat, 999, "👍")
        with pytest.raises(BadRequest, match="Wrong parameter action"):
            await bot.send_chat_action(chat, "dancing")
    shown = phone(desk, chat)
    assert shown[0]["reactions"] == {"bot": ["👍"], "customer": []}
    assert shown[1]["reply_to"] == theirs


async def test_flood_limits_when_switched_on(desk: Desk) -> None:
    """Of a burst to one chat or group some is refused, in Telegram's words, and not stored; off by default."""
    chat = desk.join()
    group = desk.post("telegram/groups", members=[chat])["chat_id"]
    async with telegram_kit.bot(desk) as bot, httpx.AsyncClient(base_url=desk.url, trust_env=False) as raw:
        for number in range(5):
            await bot.send_message(chat, f"free {number}")
        desk.post("limits", on=True)
        for place in (chat, group):
            before = len(desk.log("bot_message"))
            burst = (bot.send_message(place, f"{number}") for number in range(10))
            tried = await asyncio.gather(*burst, return_exceptions=True)
            refused = [one for one in tried if isinstance(one, RetryAfter)]
            assert refused
            assert {one.retry_after for one in refused} == {timedelta(seconds=1)}
            assert len(desk.log("bot_message")) == before + 10 - len(refused)
        posts = (raw.post(f"/telegram/bot{TOKEN}/sendMessage", json={"chat_id": chat, "text": "x"}) for _ in range(5))
        refusal = next(one.json() for one in await asyncio.gather(*posts) if one.status_code == 429)
    assert refusal["error_code"] == 429
    assert refusal["description"] == "Too Many Requests: retry after 1"
    assert refusal["parameters"] == {"retry_after": 1}


def test_a_chat_takes_one_a_second_and_all_together_thirty() -> None:
    """The next one in a chat waits for a second, the thirty-first over all until the first is a second old."""
    limits = FloodLimits()
    for number in range(30):
        limits.admit(number, is_group=False, now=1000.0 + number / 100)
    for chat, now in ((99, 1000.5), (29, 1001.2)):
        with pytest.raises(ApiError) as flood:
            limits.admit(chat, is_group=False, now=now)
        assert flood.value.parameters == {"retry_after": 1}
    limits.admit(99, is_group=False, now=1001.2)
    limits.admit(29, is_group=False, now=1001.3)


def test_a_group_takes_twenty_a_minute() -> None:
    """The twenty-first message within a minute waits for the first to be a minute old."""
    limits = FloodLimits()
    for second in range(20):
        limits.admit(-5, is_group=True, now=1000.0 + second)
    with pytest.raises(ApiError) as flood:
        limits.admit(-5, is_group=True, now=1021.0)
    assert flood.value.parameters == {"retry_after": 39}
    limits.admit(-5, is_group=True, now=1060.5)


async def test_dates_come_from_the_fast_clock(desk: Desk) -> None:
    """A message sent after an hour of product time is dated an hour later."""
    chat = desk.join()
    async with telegram_kit.bot(desk) as bot:
        before = await bot.send_message(chat, "before")
        desk.post("clock", advance_s=3600)
        after = await bot.send_message(chat, "after")
    assert 3600 <= (after.date - before.date).total_seconds() < 3610


@pytest.mark.parametrize(
    ("fault", "error", "stored"),
    [
        ("drop_before", NetworkError, 0),
        ("drop_after", NetworkError, 1),
        ("500", NetworkError, 0),
        ("500_after", NetworkError, 1),
        ("html", TelegramError, 0),
        ("html_after", TelegramError, 1),
        ("truncated", TelegramError, 1),
        ("429", RetryAfter, 0),
        ("429_no_header", NetworkError, 0),
        ("401", TelegramError, 0),
        ("403", Forbidden, 0),
        ("409", TelegramError, 0),
        ("delay", None, 1),
        ("delay_after", None, 1),
    ],
)
async def test_the_log_says_what_a_fault_really_stored(
    desk: Desk, fault: str, error: type[TelegramError] | None, stored: int
) -> None:
    """Whatever the bot saw, the log says whether the message was stored, and the next call works again."""
    chat = desk.join()
    desk.fault("sendMessage", fault, seconds=0.05 if "delay" in fault else 3)
    async with telegram_kit.bot(desk) as bot:
        if error is None:
            await bot.send_message(chat, "first")
        else:
            with pytest.raises(error):
                await bot.send_message(chat, "first")
        assert len(desk.log("bot_message")) == stored
        assert [record["data"]["fault"] for record in desk.log("fault")] == [fault]
        await bot.send_message(chat, "second")
    assert len(desk.log("bot_message")) == stored + 1
    assert desk.get("faults")["faults"] == []


async def test_faults_hold_for_their_count_their_method_and_their_chance(desk: Desk) -> None:
    """A rule without count stays, one with a chance is repeatable by its seed, and other methods are not touched."""
    chat = desk.join()

    async def failures(seed: int) -> list[bool]:
        rule = desk.fault("sendMessage", "500", count=None, probability=0.5, seed=seed)
        seen = []
        async with telegram_kit.bot(desk) as bot:
            for _ in range(12):
                await bot.get_me()
                try:
                    await bot.send_message(chat, "x")
                    seen.append(False)
                except NetworkError:
                    seen.append(True)
        assert desk.http.delete(f"/control/faults/{rule}").json()["ok"]
        return seen

    first = await failures(7)
    assert first == await failures(7)
    assert set(first) == {True, False}


async def test_a_named_error_can_be_asked_for(desk: Desk) -> None:
    """Any refusal of Telegram can be played by its description."""
    desk.fault("*", "error", error="Forbidden: bot was kicked from the supergroup chat")
    async with telegram_kit.bot(desk) as bot:
        with pytest.raises(Forbidden, match="kicked from the supergroup"):
            await bot.send_message(desk.join(), "x")


async def test_a_delayed_request_counts_although_the_client_has_given_up(desk: Desk) -> None:
    """A request that reached the platform is stored, also when the client has stopped waiting for the answer."""
    chat = desk.join()
    desk.fault("sendMessage", "delay", seconds=patience.LONG_S)
    async with telegram_kit.bot(desk) as bot:
        hasty = asyncio.create_task(bot.send_message(chat, "slow"))
        await patience.eventually(lambda: desk.log("fault"), what="it has arrived")
        hasty.cancel()
        await asyncio.gather(hasty, return_exceptions=True)
        assert hasty.cancelled()
    assert desk.log("bot_message") == []
    assert desk.http.delete("/control/faults").json()["ok"]
    await patience.eventually(lambda: desk.log("bot_message"), what="it is stored all the same")
    assert [record["data"]["text"] for record in desk.log("bot_message")] == ["slow"]


async def test_a_reset_breaks_off_what_was_delayed(desk: Desk) -> None:
    """What a fault kept waiting belongs to the world before: its caller hears nothing, the new one knows nothing."""
    desk.fault("getMe", "delay", seconds=patience.LONG_S)
    async with telegram_kit.bot(desk) as bot:
        asking = asyncio.create_task(bot.get_me())
        await patience.eventually(lambda: desk.log("fault"), what="it has arrived")
        desk.post("reset")
        with pytest.raises(NetworkError):
            await asking
    assert desk.get("log")["records"] == []


async def test_a_topic_of_a_forum_is_a_place_of_its_own(desk: Desk) -> None:
    """What is said in a topic says so, and hangs on the message that opened it; an unknown topic is refused."""
    ada = desk.join()
    made = desk.post("telegram/groups", title="Shop", members=[ada], topics=["Orders"])
    forum, topic = made["chat_id"], made["topics"]["Orders"]
    desk.say(forum, "hi", user_id=ada, topic=topic)
    async with telegram_kit.bot(desk) as bot:
        (update,) = await bot.get_updates(timeout=2)
        assert update.message is not None
        assert (update.message.message_thread_id, update.message.is_topic_message) == (topic, True)
        assert update.message.reply_to_message is not None
        assert update.message.reply_to_message.forum_topic_created is not None
        sent = await bot.send_message(forum, "hello", message_thread_id=topic)
        assert sent.message_thread_id == topic
        with pytest.raises(BadRequest, match="thread not found"):
            await bot.send_message(forum, "hello", message_thread_id=999)
