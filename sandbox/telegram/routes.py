"""Where the Telegram side is mounted, and how a Bot API call is answered."""

import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from sandbox.faults import Rule
from sandbox.state import Sandbox
from sandbox.telegram import albums, control, params, profile, sending
from sandbox.telegram.errors import ApiError, conflict, too_many_requests
from sandbox.telegram.params import Params
from sandbox.telegram.side import TelegramSide
from sandbox.telegram.updates import OTHER_POLLER, read_kinds

DEFAULT_TOKEN = "8400000001:AAsandboxsandboxsandboxsandboxsandb"
TOKEN_SHAPE = re.compile(r"\d{1,16}:[\w-]{3,80}")
Method = Callable[[TelegramSide, Params], Any]

METHODS: dict[str, Method] = {
    "getMe": profile.get_me,
    "getChat": profile.get_chat,
    "getFile": profile.get_file,
    "setMyCommands": profile.set_commands,
    "getMyCommands": profile.get_commands,
    "deleteMyCommands": profile.delete_commands,
    "setMyDescription": profile.set_description,
    "getMyDescription": profile.get_description,
    "setMyShortDescription": profile.set_short_description,
    "getMyShortDescription": profile.get_short_description,
    "close": profile.leave,
    "logOut": profile.leave,
    "getWebhookInfo": lambda side, _: side.webhook.info(),
    "sendMessage": sending.send_message,
    "sendPhoto": sending.sender("photo"),
    "sendDocument": sending.sender("document"),
    "sendVoice": sending.sender("voice"),
    "sendVideo": sending.sender("video"),
    "sendAudio": sending.sender("audio"),
    "sendSticker": sending.sender("sticker"),
    "sendAnimation": sending.sender("animation"),
    "sendVideoNote": sending.sender("video_note"),
    "sendMediaGroup": albums.send_media_group,
    "editMessageText": sending.edit_text,
    "editMessageCaption": sending.edit_caption,
    "editMessageReplyMarkup": sending.edit_markup,
    "deleteMessage": sending.delete_message,
    "deleteMessages": sending.delete_messages,
    "sendChatAction": sending.chat_action,
    "setMessageReaction": sending.set_reaction,
    "answerCallbackQuery": sending.answer_callback,
}
"""Every method that only needs its parameters. getUpdates, setWebhook and deleteWebhook are answered in
`_call`.
"""
NAMES = {name.lower(): name for name in [*METHODS, "getUpdates", "setWebhook", "deleteWebhook"]}
"""Telegram does not care how a method is capitalised."""
SIDE: web.AppKey[TelegramSide] = web.AppKey("telegram", TelegramSide)
"""Where the Telegram side sits in the sandbox's web application."""


def add_routes(app: web.Application, desk: Sandbox, *, token: str) -> None:
    """Attach the Telegram side and mount `/telegram/` and `/control/telegram/`."""
    side = TelegramSide(desk, token=token)
    desk.attach("telegram", side)
    app[SIDE] = side
    api = Api(side)
    app.router.add_route("*", "/telegram/bot{token}/{method}", api.answer)
    app.router.add_get("/telegram/file/bot{token}/{path:.+}", api.download)
    control.add_routes(app, side)


class Api:
    """The Bot API over HTTP."""

    def __init__(self, side: TelegramSide) -> None:
        self._side = side
        self._desk = side.desk

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One call of a method."""
        token, called = request.match_info["token"], request.match_info["method"]
        if token != self._side.token:
            return _refused(_wrong_token(token))
        method = NAMES.get(called.lower(), called)
        self._desk.log.request("telegram", method)
        try:
            given = await params.read(request, self._side.largest_request)
        except ApiError as error:
            return _refused(error)
        return await self._desk.faults.around("telegram", method, request, lambda: self._handle(method, given), refusal)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """The file behind a link of getFile."""
        if request.match_info["token"] != self._side.token:
            return _refused(_wrong_token(request.match_info["token"]))
        self._desk.log.request("telegram", "file")
        return await self._desk.faults.around("telegram", "file", request, lambda: self._file(request), refusal)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        file = self._side.files.download(request.match_info["path"], now=self._desk.clock.real())
        if file is None:
            return _refused(ApiError(404, "Not Found"))
        return web.Response(body=file.data, content_type="application/octet-stream")

    async def _handle(self, method: str, given: Params) -> web.StreamResponse:
        try:
            return await self._call(method, given)
        except ApiError as error:
            return _refused(error)

    async def _call(self, method: str, given: Params) -> web.Response:
        side = self._side
        if method == "getUpdates":
            return await self._updates(given)
        if method == "setWebhook":
            return _done(*side.webhook.set(given))
        if method == "deleteWebhook":
            return _done(*side.webhook.delete(drop=given.flag("drop_pending_updates")))
        handler = METHODS.get(method)
        if handler is None:
            raise ApiError(404, "Not Found: method not found")
        return _json({"ok": True, "result": handler(side, given)})

    async def _updates(self, given: Params) -> web.Response:
        if self._side.webhook.url:
            raise conflict(
                "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
            )
        bodies = await self._side.updates.poll(
            offset=given.integer("offset"),
            limit=given.integer("limit", 100),
            timeout_s=given.integer("timeout"),
            allowed=read_kinds(given.parsed("allowed_updates", "can't parse allowed_updates JSON object")),
        )
        body = b'{"ok":true,"result":[' + b",".join(bodies) + b"]}"
        return web.Response(body=body, content_type="application/json")


def refusal(rule: Rule) -> web.Response:
    """The faults that are an answer, in Telegram's words."""
    named = {
        "401": ApiError(401, "Unauthorized"),
        "403": ApiError(403, "Forbidden: bot was blocked by the user"),
        "404": ApiError(404, "Not Found"),
        "409": conflict(OTHER_POLLER),
        "429": too_many_requests(int(rule.seconds or 1)),
        "429_no_header": ApiError(429, "Too Many Requests"),
        "error": _named_error(rule.error or "Bad Request: chat not found"),
    }
    return _refused(named.get(rule.fault, ApiError(500, "Internal Server Error")))


def _named_error(description: str) -> ApiError:
    codes = {"Bad Request": 400, "Unauthorized": 401, "Forbidden": 403, "Not Found": 404, "Conflict": 409,
             "Request Entity Too Large": 413, "Too Many Requests": 429, "Bad Gateway": 502}  # fmt: skip
    return ApiError(codes.get(description.partition(":")[0], 400), description)


def _wrong_token(token: str) -> ApiError:
    return ApiError(401, "Unauthorized") if TOKEN_SHAPE.fullmatch(token) else ApiError(404, "Not Found")


def _done(result: bool, remark: str) -> web.Response:
    return _json({"ok": True, "result": result, "description": remark})


def _refused(error: ApiError) -> web.Response:
    return _json(error.body(), status=error.code)


def _json(answer: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(answer, separators=(",", ":")).encode(),
        status=status,
        content_type="application/json",
    )
