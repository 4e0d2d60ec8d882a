"""One, two and ten files of every kind, and files at the limits: both ways, over real sockets."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bot.channels.telegram_limits import DOWNLOAD_LIMIT_BYTES, PHOTO_LIMIT_BYTES, UPLOAD_LIMIT_BYTES
from tests.journeys.test_files import PNG, encoded
from tests.world import MAYA, World, eventually

ALBUMS = {"photo": "image/png", "video": "video/mp4", "audio": "audio/mpeg", "document": "application/pdf"}
"""What may come and go as an album; anything else goes by itself."""
ALONE = {"voice": "audio/ogg", "animation": "image/gif"}


async def test_two_and_ten_files_of_every_kind_arrive_in_their_order(world: World) -> None:
    """As albums where there are such, else one after the other; none is lost, doubled or out of turn, either way."""
    phone = await world.customer("Ann")
    await phone.says("All of it, please")
    card = await world.card()
    wanted: list[str] = []
    for kind, mime in ALBUMS.items():
        for count in (2, 10):
            names = [f"{kind}-{count}-{place}.bin" for place in range(count)]
            data = encoded(PNG if kind == "photo" else b"x" * 100)
            part = {"chat_id": phone.chat_id, "media_group_id": f"{kind}{count}"}
            files = [{"data": data, "filename": name, "mime": mime} for name in names]
            await world.control("telegram/send_many", messages=[{**part, kind: one} for one in files])
            wanted += ["photo.jpg"] * count if kind == "photo" else names

    async def shown() -> list[str]:
        posts = [post for post in await card.posts() if post.get("bot_id")]
        found = [str(file["title"]) for post in posts for file in post.get("files", [])]
        return found if len(found) >= len(wanted) else []

    assert await eventually(shown, what="all files in the thread") == wanted

    sent: list[tuple[str, str, bool]] = []
    for kind, mime in (ALBUMS | ALONE).items():
        for count in (2, 10):
            names = [f"{kind}-{count}-{place}.bin" for place in range(count)]
            data = encoded(PNG if kind == "photo" else b"x" * 100)
            await card.says(MAYA, "", files=[{"base64": data, "name": name, "mime": mime} for name in names])
            sent += [(kind, name, kind in ALBUMS) for name in names]

    async def arrived() -> list[tuple[str, str, bool]]:
        found = [m for m in await phone.chat() if m["from"] == "bot"]
        seen = [(m["file"]["kind"], m["file"]["name"], bool(m["media_group_id"])) for m in found if m["file"]]
        return seen if len(seen) >= len(sent) else []

    assert await eventually(arrived, what="all files on the phone") == sent
    groups = Counter(m["media_group_id"] for m in await phone.chat() if m["from"] == "bot" and m["media_group_id"])
    assert sorted(groups.values()) == [2, 2, 2, 2, 10, 10, 10, 10]


async def test_files_at_the_limit_arrive_and_larger_ones_are_named(world: World) -> None:
    """To the last byte that Telegram hands out, and that it shows as a picture; what is larger is named, or a paper."""
    phone = await world.customer("Ann")
    largest, picture = bytes(range(256)) * (DOWNLOAD_LIMIT_BYTES // 256), PNG.ljust(PHOTO_LIMIT_BYTES, b"x")
    await phone.says(document=encoded(largest), filename="in.bin", mime="application/octet-stream")
    card = await world.card()
    post = await card.says_ours("in.bin")
    assert (await world.client.get(f"/control/slack/file/{post['files'][0]['id']}")).content == largest
    more = {"file_id": "BQACAgQ", "file_unique_id": "AgAD", "file_name": "more.bin", "file_size": len(largest) + 1}
    await (await world.customer("Ben")).says(content={"document": more})
    await (await world.card(1)).says_ours("more.bin", "21.0 MB", "too large")

    async def arrived() -> list[dict[str, Any]]:
        return [m["file"] for m in await phone.chat() if m["from"] == "bot" and m["file"]]

    for data, name in ((picture, "mug.png"), (picture + b"x", "large.png")):
        await card.says(MAYA, "", files=[{"base64": encoded(data), "name": name, "mime": "image/png"}])

    async def both() -> bool:
        return len(await arrived()) == 2

    await eventually(both, what="both pictures on the phone")
    assert [(file["kind"], file["name"]) for file in await arrived()] == [
        ("photo", "mug.png"),
        ("document", "large.png"),
    ]
    for file, data in zip(await arrived(), (picture, picture + b"x"), strict=True):
        assert (await world.client.get(str(file["url"]))).content == data

    ten = b"0123456789"
    over = {"base64": encoded(b"x"), "times": UPLOAD_LIMIT_BYTES + 1, "name": "over.bin"}
    whole = {"base64": encoded(ten), "times": UPLOAD_LIMIT_BYTES // len(ten), "name": "whole.bin"}
    await card.says(MAYA, "", files=[over])
    sizes = f"it has {UPLOAD_LIMIT_BYTES + 1:,} B, the chat takes at most {UPLOAD_LIMIT_BYTES:,} B"
    await card.says_ours("was not delivered", "too large", sizes, "over.bin")
    await card.says(MAYA, "", files=[whole])

    async def all_of_it() -> dict[str, Any] | None:
        return next((file for file in await arrived() if file["name"] == "whole.bin"), None)

    file = await eventually(all_of_it, what="a file of all that a bot may send")
    assert (await world.client.get(str(file["url"]))).content == ten * (UPLOAD_LIMIT_BYTES // len(ten))
    assert "over.bin" not in {one["name"] for one in await arrived()}
