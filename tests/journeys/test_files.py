"""Files both ways, and what is no text."""

from __future__ import annotations

import base64
from typing import Any

import httpx

from tests.world import MAYA, World, eventually, said

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
LOST = "Bad Request: wrong file_id or the file is temporarily unavailable"
PDF = b"%PDF-1.4\n" + b"invoice " * 200 + b"\n%%EOF"


def encoded(data: bytes) -> str:
    """As the control interface takes it."""
    return base64.b64encode(data).decode()


async def test_a_photo_and_a_document_go_both_ways(pairwise: World) -> None:
    """What a customer sends stands in the thread byte for byte; what an agent attaches arrives in the chat."""
    phone = await pairwise.customer("Ann")
    await phone.says(photo={"data": encoded(PNG), "filename": "mug.png", "mime": "image/png"}, caption="it is broken")
    card = await pairwise.card()
    await card.says_ours("it is broken")
    photo = await card.says_ours("files-pri")
    await phone.says(document=encoded(PDF), filename="invoice 7.pdf", mime="application/pdf")
    document = await card.says_ours("invoice 7.pdf")
    for post, data in ((photo, PNG), (document, PDF)):
        file = post["files"][0]
        answer = await pairwise.client.get(f"/control/slack/file/{file['id']}")
        assert answer.content == data

    files = [{"base64": encoded(PDF), "name": "credit note.pdf", "mime": "application/pdf"}]
    await card.says(MAYA, "Here is your credit note", files=files)

    async def arrived() -> list[dict[str, Any]]:
        return [m for m in await phone.chat() if m["from"] == "bot" and m.get("file")]

    received = (await eventually(arrived, what="the file on the phone"))[0]
    assert await phone.answers() == ["Here is your credit note"], "as its caption"
    answer = await pairwise.client.get(str(received["file"]["url"]))
    assert answer.content == PDF
    assert received["file"]["name"] == "credit note.pdf"
    assert "AAsandbox" not in said(await card.root()), "no address with the bot's token stands in Slack"
    async with httpx.AsyncClient(trust_env=False) as web:
        figures = (await web.get(f"{pairwise.address}/metrics")).text
    kept = sum(map(len, (PNG, PDF, PDF)))
    assert {"relaydesk_kept_files 3.0", f"relaydesk_kept_bytes {kept:.1f}"} <= set(figures.splitlines())


async def test_a_file_too_large_says_so(world: World) -> None:
    """A file that Telegram does not hand out is named in the thread, with its size and the reason."""
    phone = await world.customer("Ann")
    large = {"file_id": "BQACAgQ", "file_unique_id": "AgAD", "file_name": "holiday.mov", "file_size": 48_000_000}
    await phone.says(content={"document": large, "caption": "look at this"})
    card = await world.card()
    await card.says_ours("look at this")
    await card.says_ours("holiday.mov", "48.0 MB", "too large")


async def test_what_is_no_text_is_shown_as_what_it_is(world: World) -> None:
    """A sticker, a place, a voice message, a contact, a dice: the agent sees what came, and can answer."""
    phone = await world.customer("Ann")
    await phone.says(location={"latitude": 31.2, "longitude": 121.5})
    card = await world.card()
    await phone.says(voice={"data": encoded(b"OggS" + bytes(400)), "mime": "audio/ogg"})
    await phone.says(sticker={"data": encoded(b"RIFF" + bytes(400)), "mime": "image/webp"})
    await phone.says(contact={"phone_number": "+49301234567", "first_name": "Ada"})
    await phone.says(content={"dice": {"emoji": "🎲", "value": 4}})
    for kind in ("a place", "a voice message", "a sticker", "a contact", "dice"):
        await card.says_ours("The customer sent", kind)
    await card.says(MAYA, "Thank you, I see where you are")
    assert await eventually(phone.answers, what="the answer") == ["Thank you, I see where you are"]


async def test_one_lost_file_hides_nothing_else(world: World) -> None:
    """Of several files each is shown by itself: one that cannot be had leaves a line, the others are there."""
    phone = await world.customer("Ann")
    await world.control("faults", platform="telegram", method="getFile", fault="error", count=3, error=LOST)
    for name in ("one.pdf", "two.pdf"):
        await phone.says(document=encoded(PDF), filename=name, mime="application/pdf", media_group_id="77")
    card = await world.card()
    await card.says_ours("one.pdf", "could not be shown")
    found = await card.says_ours("two.pdf")
    assert found["files"]


async def test_several_files_of_an_agent_are_one_album(world: World) -> None:
    """They arrive as one, the words under the first; an edit changes them, a deletion takes all of it away.

    Where Telegram refuses the album nothing is kept back: the words and each file go by themselves, once.
    """
    phone = await world.customer("Ann")
    await phone.says("Show me")
    card = await world.card()
    pictures = [{"base64": encoded(PNG), "name": f"{n}.png", "mime": "image/png"} for n in range(10)]
    ts = await card.says(MAYA, "All ten of them", files=pictures)

    async def album() -> list[dict[str, Any]]:
        return [m for m in await phone.chat() if m["from"] == "bot" and m["media_group_id"] and not m["deleted"]]

    found = await eventually(album, what="the album")
    assert len(found) == 10
    assert len({m["media_group_id"] for m in found}) == 1
    assert [m["caption"] for m in found] == ["All ten of them", *[None] * 9]
    assert [m["file"]["kind"] for m in found] == ["photo"] * 10
    await eventually(lambda: _has(card, ts, "white_check_mark"), what="its receipt")
    await world.control("slack/edit", user=MAYA, channel=card.channel, ts=ts, text="These are all")

    async def edited() -> bool:
        return bool((await album())[0]["caption"] == "These are all")

    await eventually(edited, what="the new words under the first")
    await world.control("slack/delete", user=MAYA, channel=card.channel, ts=ts)

    async def gone() -> bool:
        return not await album()

    await eventually(gone, what="the whole album gone")
    await world.control(
        "faults", platform="telegram", method="sendMediaGroup", fault="error", count=1, error="Bad Request: MEDIA_EMPTY"
    )
    ts = await card.says(MAYA, "Again", files=pictures[:2])

    async def pieces() -> bool:
        return len([m for m in await phone.chat() if m["from"] == "bot" and m["file"] and not m["deleted"]]) == 2

    await eventually(pieces, what="each by itself")
    await eventually(lambda: _has(card, ts, "white_check_mark"), what="its receipt")
    assert await phone.answers() == ["Again", "", ""]


async def _has(card: Any, ts: str, name: str) -> bool:
    return name in await card.reactions(ts)
