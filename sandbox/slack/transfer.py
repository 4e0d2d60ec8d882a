"""Files over HTTP, and answers over a response_url."""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aiohttp import web

from sandbox.slack import api, interactions, messages
from sandbox.slack import blocks as block_kit
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Json

if TYPE_CHECKING:
    from sandbox.slack.side import ResponseUrl, SlackSide

Handle = Callable[[web.Request], Awaitable[web.Response]]
LOGIN_PAGE = (
    '<!DOCTYPE html><html lang="en-US"><head><title>Sign in | Slack</title></head>'
    "<body><h1>Sign in to Sandbox</h1></body></html>"
)


class Transfer:
    """`/slack/upload/`, `/slack/files-pri/`, `/slack/response/`."""

    def __init__(self, side: "SlackSide", web_api: api.Api) -> None:
        self._side = side
        self._api = web_api

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """The second step of an upload: the bytes, raw or as the one file of a multipart form."""
        return await self._around("files.upload", request, self._upload)

    async def download(self, request: web.Request) -> web.StreamResponse:
        """`url_private`. Without a good token and files:read, Slack shows its sign-in page with status 200."""
        return await self._around("files.download", request, self._download)

    async def permalink(self, request: web.Request) -> web.StreamResponse:
        """A link to a message leads to the page: `/?channel=…&ts=…`, with `thread_ts` for a reply."""
        packed = request.match_info["message"].removeprefix("p")
        where = {"channel": request.match_info["channel"], "ts": f"{packed[:-6]}.{packed[-6:]}"}
        if "thread_ts" in request.query:
            where["thread_ts"] = request.query["thread_ts"]
        raise web.HTTPFound(f"/?{urlencode(where)}")

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """A response_url: five times, for half an hour."""
        return await self._around("response_url", request, self._respond)

    async def _around(self, name: str, request: web.Request, handle: Handle) -> web.StreamResponse:
        desk = self._side.desk
        desk.log.request("slack", name)
        return await desk.faults.around("slack", name, request, lambda: handle(request), api.refusal)

    async def _upload(self, request: web.Request) -> web.Response:
        file = self._side.files.get(request.match_info["file"])
        if file is None or file.secret != request.match_info["secret"] or file.deleted:
            return web.Response(status=404, text="File not found")
        if request.content_type == "multipart/form-data":
            parts = (await request.post()).values()
            field = next((part for part in parts if isinstance(part, web.FileField)), None)
            content = field.file.read() if field is not None else b""
        else:
            content = await request.read()
        if len(content) != file.size:
            return web.Response(status=400, text=f"Expected {file.size} bytes, got {len(content)}")
        file.stored = content
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.Response:
        try:
            token = self._api.authenticate(request, {})
        except SlackError:
            return web.Response(text=LOGIN_PAGE, content_type="text/html")
        file_id = request.match_info["file"].rpartition("-")[2]
        file = self._side.files.get(file_id)
        if file is None or file.stored is None:
            return web.Response(status=404, text="File not found")
        shared = [self._side.channels[c] for c in file.channels if c in self._side.channels]
        visible = file.user == self._side.bot.id or any(self._side.bot.id in channel.members for channel in shared)
        if "files:read" not in token.scopes or not visible:
            return web.Response(text=LOGIN_PAGE, content_type="text/html")
        return web.Response(body=file.stored, content_type=file.mimetype)

    async def _respond(self, request: web.Request) -> web.Response:
        entry = self._side.response_urls.get(request.match_info["key"])
        if entry is None or time.monotonic() - entry.born > self._side.settings.response_url_lifetime_s:
            return _refused("expired_url")
        if entry.uses_left == 0:
            return _refused("used_url")
        try:
            said = await request.json()
        except ValueError:
            return _refused("invalid_payload", status=400)
        if not isinstance(said, dict):
            return _refused("invalid_payload", status=400)
        entry.uses_left -= 1
        try:
            self._answer(entry, said)
        except SlackError as error:
            return _refused(error.code)
        return web.Response(text="ok")

    def _answer(self, entry: "ResponseUrl", said: Json) -> None:
        side = self._side
        channel = side.channel(entry.channel)
        if channel.is_archived:
            raise SlackError("is_archived")
        blocks = said.get("blocks")
        if blocks is not None and (errors := block_kit.check(blocks)):
            raise SlackError("invalid_blocks", errors=errors)
        if entry.message_ts is not None and (said.get("replace_original") or said.get("delete_original")):
            self._change(channel, entry, said)
            return
        if not said.get("text") and not blocks:
            raise SlackError("no_text")
        interactions.show_answer(
            side, channel, side.user(entry.user), said, thread_ts=said.get("thread_ts"), via="response_url"
        )

    def _change(self, channel: Channel, entry: "ResponseUrl", said: Json) -> None:
        side = self._side
        bot = side.bot
        ephemeral = next((e for e in channel.ephemerals if e.body["ts"] == entry.message_ts), None)
        if ephemeral is not None:
            channel.ephemerals.remove(ephemeral)
            side.publish("ephemeral_closed", channel=channel.id, user=ephemeral.user, ts=entry.message_ts)
            if not said.get("delete_original"):
                messages.show_ephemeral(
                    side,
                    channel,
                    side.user(ephemeral.user),
                    str(said.get("text") or ""),
                    blocks=said.get("blocks"),
                    thread_ts=ephemeral.body.get("thread_ts"),
                    via="response_url",
                )
            return
        message = messages.find(channel, entry.message_ts)
        if message.body.get("bot_id") != bot.bot_id:
            raise SlackError("cant_update_message")
        if said.get("delete_original"):
            messages.delete(side, channel, message, by=bot, via="response_url")
            return
        text, blocks = str(said.get("text") or ""), said.get("blocks")
        messages.edit(side, channel, message, bot, text=text, blocks=blocks, via="response_url")


def _refused(code: str, *, status: int = 404) -> web.Response:
    return web.json_response({"ok": False, "error": code}, status=status)
