"""Everything a customer can send, and what the agent sees of it: the table of docs/desk.md, row by row."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain import albums
from tests.bot.desk.test_inert import leaves
from tests.journeys.test_files import PDF, PNG, encoded
from tests.world import MAYA, Card, Phone, World, eventually, said

Json = dict[str, Any]
DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \|", re.MULTILINE)
TOKENS = {"words": "文字", "line": "说明", "file": "文件"}
PLACE = {"latitude": 52.520008, "longitude": 13.404954}
MOVING = {"width": 512, "height": 512, "is_animated": True, "is_video": False, "type": "regular", "emoji": "😀"}
STICKER = {**MOVING, "file_id": "CAACbig", "file_unique_id": "big", "file_size": 30_000}

# What is sent; the line that says what it is; words of the customer that are shown; how many files.
KINDS: dict[str, tuple[Json, str, tuple[str, ...], int]] = {
    "text": ({"text": "where is it?"}, "", ("where is it?",), 0),
    "photo": ({"photo": encoded(PNG), "caption": "broken"}, "", ("broken",), 1),
    "document": ({"document": encoded(PDF), "filename": "bill.pdf", "caption": "this"}, "", ("this",), 1),
    "voice": ({"voice": encoded(b"OggS" * 50), "duration": 3}, "a voice message", (), 1),
    "audio": ({"audio": encoded(b"ID3" * 50), "filename": "song.mp3"}, "a piece of audio", (), 1),
    "video": ({"video": encoded(b"ftyp" * 50), "caption": "look"}, "a video", ("look",), 1),
    "video_note": ({"video_note": encoded(b"ftyp" * 50)}, "a video message", (), 1),
    "animation": ({"animation": encoded(b"ftyp" * 50)}, "an animation", (), 1),
    "sticker": ({"sticker": encoded(PNG), "emoji": "😀"}, "a sticker", ("😀",), 1),
    "location": ({"location": PLACE}, "a place", ("52.520008, 13.404954",), 0),
    "venue": (
        {"content": {"venue": {"title": "Café", "address": "Hauptstr. 1", "location": PLACE}, "location": PLACE}},
        "a place",
        ("Café, Hauptstr. 1",),
        0,
    ),
    "contact": (
        {"contact": {"first_name": "Ben", "last_name": "Li", "phone_number": "+4930123456"}},
        "a contact",
        ("Ben Li +4930123456",),
        0,
    ),
    "poll": (
        {
            "content": {
                "poll": {
                    "id": "1",
                    "question": "Red or blue?",
                    "options": [{"text": one, "voter_count": 0, "persistent_id": one} for one in ("red", "blue")],
                    "total_voter_count": 0,
                    "is_closed": False,
                    "is_anonymous": True,
                    "type": "regular",
                    "allows_multiple_answers": False,
                }
            }
        },
        "a poll",
        ("Red or blue?", "- blue"),
        0,
    ),
    "dice": ({"content": {"dice": {"emoji": "🎲", "value": 4}}}, "a throw of the dice", ("🎲 4",), 0),
    "story": (
        {"content": {"story": {"id": 1, "chat": {"id": 5, "type": "private", "first_name": "A"}}}},
        "a story",
        (),
        0,
    ),
    "game": ({"content": {"game": {"title": "Chess", "description": "Two play", "photo": []}}}, "a game", (), 0),
    "paid_media": (
        {"content": {"paid_media": {"star_count": 1, "paid_media": []}}},
        "paid media",
        (),
        0,
    ),
    "checklist": (
        {"content": {"checklist": {"title": "To do", "tasks": [{"id": 1, "text": "call"}]}}},
        "a checklist",
        ("To do", "- call"),
        0,
    ),
    "gift_of_tomorrow": ({"content": {"gift_of_tomorrow": {"a": 1}}}, "gift of tomorrow", (), 0),
}


def outcome(kind: str) -> list[str]:
    """Which of line, words and file a kind leaves in the thread, as the table says it."""
    _, line, words, files = KINDS[kind]
    return [name for name, there in (("line", line), ("words", words), ("file", files)) if there]


@pytest.mark.parametrize(("document", "separator"), [("desk.md", ", "), ("desk.zh.md", "、")])
def test_the_table_of_kinds_is_true(document: str, separator: str) -> None:
    """Each kind of the test stands in both tables with what is left of it in the thread, and no other does."""
    found = dict(ROW.findall((DOCS / document).read_text(encoding="utf-8").partition("<!-- kinds -->")[2]))
    wanted = {
        kind: separator.join(one if document == "desk.md" else TOKENS[one] for one in outcome(kind))
        for kind in KINDS
        if kind != "gift_of_tomorrow"
    }
    assert found == wanted


# What an agent attaches, and what the customer's phone shows it as.
SENT = {
    "image/png": "photo",
    "video/mp4": "video",
    "audio/mpeg": "audio",
    "audio/ogg": "voice",
    "image/gif": "animation",
    "application/pdf": "document",
}


@pytest.mark.parametrize("document", ["desk.md", "desk.zh.md"])
def test_the_table_of_what_is_sent_is_true(document: str) -> None:
    """Each kind that a file of an agent can arrive as stands in both tables, and no other does."""
    found = (DOCS / document).read_text(encoding="utf-8").partition("<!-- sent -->")[2].partition("##")[0]
    assert set(re.findall(r"\| `(\w+)` \|", found)) == set(SENT.values())


async def test_every_kind_of_file_arrives_as_what_it_is(world: World) -> None:
    """A picture is shown, a song is played, a paper is a file: by its type, whatever it is called."""
    phone = await world.customer("Ann")
    await phone.says("Send me all of it")
    card = await world.card()
    for number, mime in enumerate(SENT):
        data = PNG if mime == "image/png" else b"x" * 300
        await card.says(MAYA, "", files=[{"base64": encoded(data), "name": f"{number}.bin", "mime": mime}])

    async def arrived() -> list[str]:
        kinds = [message["file"]["kind"] for message in await phone.chat() if message["from"] == "bot"]
        return kinds if len(kinds) == len(SENT) else []

    assert await eventually(arrived, what="all files") == list(SENT.values())


async def test_every_kind_is_seen_in_the_thread(world: World) -> None:
    """Whatever is sent opens a conversation, says what it is, shows its words, and puts its file into the thread."""
    for number, (kind, (content, line, words, files)) in enumerate(KINDS.items()):
        phone = await world.customer(kind)
        await phone.says(**content)
        card = await world.card(number)
        if line:
            await card.says_ours(f"The customer sent {line}.")
        for shown in words:
            await card.says_ours(json.dumps(shown, ensure_ascii=False)[1:-1])

        async def there(card: Card = card, files: int = files) -> bool:
            return len([file for post in await card.posts() for file in post.get("files", [])]) == files

        await eventually(there, what=f"the files of a {kind}")
        await card.says(MAYA, f"about the {kind}")
        await eventually(phone.answers, what=f"an answer to a {kind}")


async def test_a_sticker_that_moves_is_its_picture(world: World) -> None:
    """Slack shows no animated sticker: the still picture that Telegram has of it stands there instead."""
    phone = await world.customer("Ann")
    await phone.says(photo=encoded(PNG))
    sizes = (await world.log(platform="telegram", kind="customer_message"))[0]["data"]["photo"]
    await phone.says(content={"sticker": {**STICKER, "thumbnail": sizes[0]}})
    card = await world.card()

    async def shown() -> list[Json]:
        return [file for post in await card.posts() for file in post.get("files", [])]

    await eventually(lambda: _at_least(shown, 2), what="both pictures")
    assert [_plain(file["name"]) for file in await shown()] == ["photo.jpg", "sticker.webp"]


def _plain(name: str) -> str:
    """A file's name without what tells its share apart from others."""
    return re.sub(r"-[a-z0-9]{12}(?=\.\w+$)", "", name)


async def _at_least(look: Any, count: int) -> bool:
    return len(await look()) >= count


async def test_an_album_is_one_message(pairwise: World) -> None:
    """Three files sent as one stand in the thread as one message with its caption, once, and its files in order."""
    world = pairwise
    phone = await world.customer("Ann")
    files = [
        {"photo": encoded(PNG), "media_group_id": "77"},
        {"photo": encoded(PNG), "media_group_id": "77", "caption": "two pictures and the bill"},
        {"document": encoded(PDF), "filename": "bill.pdf", "media_group_id": "77"},
    ]
    await world.control("telegram/send_many", messages=[{"chat_id": phone.chat_id, **one} for one in files])
    await phone.says("and one more thing")
    card = await world.card()
    await card.says_ours("and one more thing")
    posts = [post for post in await card.posts() if post.get("bot_id")]
    heads = [said(post) for post in posts if "two pictures and the bill" in said(post)]
    assert len(heads) == 1, "one message"
    assert "The customer sent several files." in heads[0]

    async def shown() -> list[str]:
        return [_plain(file["name"]) for post in await card.posts() for file in post.get("files", [])]

    await eventually(lambda: _at_least(shown, 3), what="all files")
    assert await shown() == ["photo.jpg", "photo.jpg", "bill.pdf"]


async def test_an_album_survives_a_restart_while_it_grows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an album has come when the process stops: the other half joins it afterwards, in one message."""
    monkeypatch.setattr(albums, "SETTLE", timedelta(seconds=10))  # a restart takes a second or two here
    phone = await world.customer("Ann")
    await phone.says(photo=encoded(PNG), media_group_id="9", caption="before")

    async def stored() -> bool:
        return not (await world.look("telegram/updates"))["updates"]

    await eventually(stored, what="the first part is ours")
    await world.stop()
    await phone.says(photo=encoded(PNG), media_group_id="9", caption="after")
    await world.start()
    card = await world.card()
    whole = await card.says_ours("before", "after")
    assert [said(one) for one in await card.posts() if "after" in said(one)] == [said(whole)]


async def test_a_late_part_of_an_album_is_a_message_of_its_own(world: World) -> None:
    """What comes after an album was shown is not lost."""
    phone = await world.customer("Ann")
    await phone.says(photo=encoded(PNG), media_group_id="5", caption="first")
    card = await world.card()
    await card.says_ours("first")
    await phone.says(photo=encoded(PNG), media_group_id="5", caption="much later")
    await card.says_ours("much later")
    assert albums.SETTLE.total_seconds() < 5


async def test_an_answer_shows_the_line_it_answers(world: World) -> None:
    """The quoted line stands above the words, or the part of it that was picked; a forward names its origin."""
    phone = await world.customer("Ann")
    first = await phone.says("My order 17 has not come. Also the bill is wrong.")
    card = await world.card()
    await phone.says("I mean this", reply_to=first)
    await card.says_ours("In answer to: My order 17 has not come.", "I mean this")
    await phone.says("only this", reply_to=first, content={"quote": {"text": "the bill is wrong", "position": 30}})
    await card.says_ours("In answer to: the bill is wrong", "only this")
    await card.says(MAYA, "Which bill?")
    (answer,) = await eventually(lambda: _from_bot(phone), what="the answer")
    await phone.says("that one", reply_to=answer["message_id"])
    await card.says_ours("In answer to: Which bill?", "that one")
    for origin, name in (
        ({"type": "user", "date": 1, "sender_user": {"id": 9, "is_bot": False, "first_name": "Ben <!here>"}}, "Ben"),
        ({"type": "hidden_user", "date": 1, "sender_user_name": "Carla"}, "Carla"),
        (
            {"type": "channel", "date": 1, "message_id": 3, "chat": {"id": -5, "type": "channel", "title": "News"}},
            "News",
        ),
    ):
        await phone.says(f"from {name}", content={"forward_origin": origin})
        post = await card.says_ours(f"Forwarded from {name}", f"from {name}")
        assert "<!here>" not in post["text"]
        assert {leaf["type"] for leaf in leaves(post["blocks"])} <= {"plain_text", "text"}, "none of it is markup"


async def test_a_customers_emoji_is_told_in_the_thread(world: World) -> None:
    """On an answer of ours the line names the answer; taking it away says nothing; no clock and no status moves."""
    phone = await world.customer("Ann")
    await phone.says("Where is my order?")
    card = await world.card()
    await card.says(MAYA, "It left today <at noon>")
    (answer,) = await eventually(lambda: _from_bot(phone), what="the answer")
    await card.shows("Waiting for customer")
    await phone.does("react", message_id=answer["message_id"], reaction="👍")
    await card.says_ours("The customer put 👍 on “It left today &lt;at noon&gt;”")
    posts = len(await card.posts())
    await phone.does("react", message_id=answer["message_id"], reaction=[])
    await phone.says("thank you, and one question")
    await card.says_ours("one question")
    assert len(await card.posts()) == posts + 1


async def _from_bot(phone: Phone) -> list[Json]:
    return [message for message in await phone.chat() if message["from"] == "bot"]
