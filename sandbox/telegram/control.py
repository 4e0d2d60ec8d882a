"""The control interface of the Telegram side: the phones of the customers, and what Telegram can be made to
do.
"""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from sandbox.control import ControlError, body, ok
from sandbox.telegram import customers, view
from sandbox.telegram.model import Json
from sandbox.telegram.params import LARGEST_REQUEST
from sandbox.telegram.side import TelegramSide

Act = Callable[[TelegramSide, Json], Json]

SAFE_TO_SHOW = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "audio/ogg", "audio/mpeg", "video/mp4"})
"""What the page may show in place; everything else is only offered for download."""


def add_routes(app: web.Application, side: TelegramSide) -> None:
    """Mount `/control/telegram/`."""
    phones = Phones(side)
    post, get = app.router.add_post, app.router.add_get
    get("/control/telegram/customers", phones.list_customers)
    post("/control/telegram/customers", phones.join)
    post("/control/telegram/groups", phones.add_group)
    post("/control/telegram/send_many", phones.send_many)
    acts: dict[str, Act] = {
        "send": customers.send,
        "edit": customers.edit,
        "delete": customers.delete,
        "react": customers.react,
        "press": customers.press,
        "block": lambda who, wish: customers.set_blocked(who, wish, blocked=True),
        "unblock": lambda who, wish: customers.set_blocked(who, wish, blocked=False),
        "deactivate": _deactivate,
        "migrate": customers.migrate,
        "raw": _raw,
        "update_id": _jump,
        "expire_links": _expire_links,
        "largest_request": _largest_request,
    }
    for name, act in acts.items():
        post(f"/control/telegram/{name}", phones.doing(act))
    get("/control/telegram/chat/{chat_id}", phones.show_chat)
    get("/control/telegram/file/{unique_id}", phones.show_file)
    get("/control/telegram/updates", phones.list_updates)


class Phones:
    """The handlers, bound to one Telegram."""

    def __init__(self, side: TelegramSide) -> None:
        self._side = side

    def doing(self, act: Act) -> Callable[[web.Request], Any]:
        """A handler that passes the JSON body to `act` and answers what it returns."""

        async def handle(request: web.Request) -> web.Response:
            return ok(**act(self._side, await body(request)))

        return handle

    async def join(self, request: web.Request) -> web.Response:
        """A new customer."""
        customer = customers.join(self._side, await body(request))
        return ok(user_id=customer.user["id"], chat_id=customer.chat_id)

    async def list_customers(self, _request: web.Request) -> web.Response:
        """All customers with their chats."""
        side = self._side
        return ok(
            customers=[
                {
                    **customer.user,
                    "user_id": customer.user["id"],
                    "chat_id": customer.chat_id,
                    "blocked": side.chats[customer.chat_id].blocked,
                    "messages": len(side.chats[customer.chat_id].messages),
                }
                for customer in side.customers.values()
            ]
        )

    async def add_group(self, request: web.Request) -> web.Response:
        """A new group with the bot and the named customers."""
        wish = await body(request)
        members = wish.get("members", [])
        if not isinstance(members, list) or any(member not in self._side.customers for member in members):
            raise ControlError("members must be a list of user ids")
        title, topics = str(wish.get("title", "Group")), wish.get("topics")
        if topics is None:
            return ok(chat_id=self._side.add_group(title, members).id)
        if not isinstance(topics, list) or not all(isinstance(name, str) and name for name in topics):
            raise ControlError("topics must be a list of names")
        forum = self._side.add_forum(title, members, topics)
        return ok(chat_id=forum.id, topics={name: number for number, name in forum.topics.items()})

    async def send_many(self, request: web.Request) -> web.Response:
        """Many messages in one request, in order."""
        messages = (await body(request)).get("messages")
        if not isinstance(messages, list):
            raise ControlError("messages must be a list of what /control/telegram/send takes")
        return ok(sent=[customers.send(self._side, wish) for wish in messages])

    async def show_chat(self, request: web.Request) -> web.Response:
        """A chat as the customer sees it."""
        chat = customers.chat_of(self._side, {"chat_id": request.match_info["chat_id"]})
        return ok(**view.chat(self._side, chat))

    async def show_file(self, request: web.Request) -> web.Response:
        """The bytes of a file, for the page."""
        file = self._side.files.by_unique(request.match_info["unique_id"])
        if file is None:
            raise ControlError("there is no such file", status=404)
        shown = file.mime_type in SAFE_TO_SHOW
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": "inline" if shown else "attachment",
        }
        kind = file.mime_type if shown else "application/octet-stream"
        return web.Response(body=file.data, content_type=kind, headers=headers)

    async def list_updates(self, _request: web.Request) -> web.Response:
        """The updates that the bot has not confirmed."""
        waiting = self._side.updates.waiting()
        now = self._side.desk.clock.now()
        return ok(
            updates=[
                {"update_id": one.id, "kind": one.kind, "served": one.served, "age_s": now - one.at} for one in waiting
            ]
        )


def _deactivate(side: TelegramSide, wish: Json) -> Json:
    chat = customers.chat_of(side, wish)
    chat.deactivated = True
    side.desk.log.add("telegram", "customer_deactivated", str(chat.id), {})
    return {"chat_id": chat.id}


def _raw(side: TelegramSide, wish: Json) -> Json:
    times = wish.get("times")
    if times is not None and (not isinstance(times, int) or times < 1):
        raise ControlError("times must be a whole number from 1, or null for until confirmed")
    if "update" in wish:
        update = wish["update"]
        own_id = update.get("update_id") if isinstance(update, dict) else None
        usable = own_id if isinstance(own_id, int) and not isinstance(own_id, bool) else None
        data = json.dumps(update).encode()
    elif isinstance(wish.get("raw"), str):
        usable = wish.get("update_id")
        data = wish["raw"].encode("utf-8", "surrogatepass")
    else:
        raise ControlError("give update (any JSON) or raw (text)")
    queued = side.updates.inject(data, update_id=usable, times=times, lane=str(wish.get("lane", "raw")))
    side.desk.log.add("telegram", "update_injected", str(queued), {"bytes": len(data)})
    return {"update_id": queued}


def _jump(side: TelegramSide, wish: Json) -> Json:
    wanted = wish.get("next")
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise ControlError("next must be a whole number from 1")
    if wish.get("idle") is True and side.updates.waiting():
        raise ControlError("updates wait to be fetched; Telegram jumps after a silent week", status=409)
    side.updates.jump(wanted)
    return {"next": wanted}


def _largest_request(side: TelegramSide, wish: Json) -> Json:
    wanted = wish.get("bytes", LARGEST_REQUEST)
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise ControlError("bytes must be a whole number from 1")
    side.largest_request = wanted
    return {"bytes": wanted}


def _expire_links(side: TelegramSide, _wish: Json) -> Json:
    side.files.expire_links()
    return {}
