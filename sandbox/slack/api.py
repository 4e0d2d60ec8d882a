"""The Web API: `/slack/api/<method>`, from the request to the answer."""

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.faults import Rule
from sandbox.slack.errors import SlackError
from sandbox.slack.methods import chat, conversations, files, reactions, users, views
from sandbox.slack.methods.call import Call, Method
from sandbox.slack.model import Json, Token

if TYPE_CHECKING:
    from sandbox.slack.side import SlackSide

METHODS: dict[str, Method] = {
    **chat.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **reactions.METHODS,
    **users.METHODS,
    **views.METHODS,
}
UNKNOWN = "(unknown)"
"""Under which name calls of methods that this Slack does not have are counted and may be made to fail."""


class Api:
    """Answers Web API calls: 200 and `{"ok": …}`, but 429 for a rate limit."""

    def __init__(self, side: "SlackSide") -> None:
        self._side = side

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET` or `POST /slack/api/<method>`."""
        name = request.match_info["method"]
        known = name if name in METHODS or name == "api.test" else UNKNOWN
        desk = self._side.desk
        desk.log.request("slack", known)
        return await desk.faults.around("slack", known, request, lambda: self._answer(name, request), refusal)

    async def _answer(self, name: str, request: web.Request) -> web.Response:
        headers: dict[str, str] = {}
        try:
            args = await _arguments(request, METHODS.get(name))
            if name == "api.test":
                return _json(_api_test(args), headers)
            method = METHODS.get(name)
            if method is None:
                raise SlackError("unknown_method", req_method=name)
            token = self.authenticate(request, args)
            headers["x-oauth-scopes"] = ",".join(token.scopes)
            headers["x-accepted-oauth-scopes"] = ",".join(method.scopes)
            body = self._call(name, method, token, args)
        except chat.RateLimited as limited:
            return web.json_response(
                limited.body(), status=429, headers={**headers, "Retry-After": str(limited.retry_after_s)}
            )
        except SlackError as error:
            body = error.body()
        return _json(body, headers)

    def authenticate(self, request: web.Request, args: Json) -> Token:
        """The token of the request, or SlackError `not_authed`, `invalid_auth`, `token_revoked`."""
        header = request.headers.get("Authorization", "")
        value = header[7:].strip() if header[:7].lower() == "bearer " else str(args.pop("token", "") or "")
        if not value:
            raise SlackError("not_authed")
        token = self._side.tokens.get(value)
        if token is None:
            raise SlackError("invalid_auth")
        if token.revoked:
            raise SlackError("token_revoked")
        return token

    def _call(self, name: str, method: Method, token: Token, args: Json) -> Json:
        if method.token not in ("any", token.kind):
            raise SlackError("not_allowed_token_type")
        call = Call(side=self._side, method=name, args=args, token=token)
        if method.scopes:
            call.need(*method.scopes)
        if self._side.desk.limits and (wait_s := self._side.limits.call(name, method.tier)) is not None:
            raise chat.RateLimited(wait_s)
        body: Json = {"ok": True, **method.handler(call)}
        if call.warnings:
            body["warning"] = ",".join(call.warnings)
            body["response_metadata"] = {**body.get("response_metadata", {}), "warnings": call.warnings}
        return body


def refusal(rule: Rule) -> web.Response:
    """How Slack refuses when a fault asks for it."""
    if rule.fault in ("429", "429_no_header"):
        headers = {} if rule.fault == "429_no_header" else {"Retry-After": str(max(1, round(rule.seconds or 1)))}
        return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
    if rule.fault in ("500", "500_after"):
        return web.Response(status=500, text="Internal Server Error", content_type="text/html")
    codes = {"401": "invalid_auth", "403": "access_denied", "404": "unknown_method", "409": "service_unavailable"}
    return web.json_response({"ok": False, "error": codes.get(rule.fault, rule.error or "internal_error")})


async def _arguments(request: web.Request, method: Method | None) -> Json:
    """Query, form and JSON arguments together. A method that takes forms only does not see JSON, as with Slack."""
    args: dict[str, Any] = dict(request.query)
    if request.method != "POST" or not request.body_exists:
        return args
    if request.content_type == "application/json":
        if method is not None and method.form_only:
            return args
        try:
            body = json.loads(await request.read())
        except ValueError:
            raise SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        args.update(body)
    elif request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        args.update((name, value) for name, value in (await request.post()).items() if isinstance(value, str))
    return args


def _api_test(args: Json) -> Json:
    args.pop("token", None)
    if args.get("error"):
        return {"ok": False, "error": args["error"], "args": args}
    return {"ok": True, "args": args}


def _json(body: Json, headers: dict[str, str]) -> web.Response:
    return web.Response(text=json.dumps(body), content_type="application/json", headers=headers)
