"""The parameters of a Bot API call: from the query, a form, a multipart body or JSON."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web

from sandbox.telegram.errors import ApiError, bad_request

PIECE_BYTES = 256 * 1024
LARGEST_REQUEST = 4_000_000_000
"""What the Bot API's own server takes at most, all files of an album together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that came with a multipart request."""

    filename: str
    mime_type: str
    data: bytes


class Params:
    """Typed look-ups with Telegram's leniency: numbers may be text, objects may be JSON text."""

    __slots__ = ("_uploads", "_values")

    def __init__(self, values: dict[str, Any], uploads: dict[str, Upload] | None = None) -> None:
        self._values = values
        self._uploads = uploads or {}

    def text(self, name: str) -> str:
        """The value as text, empty when missing."""
        value = self._values.get(name)
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    def given(self, name: str) -> bool:
        """Whether the parameter was sent at all."""
        return name in self._values

    def integer(self, name: str, default: int = 0) -> int:
        """The value as a whole number, `default` when missing or not a number, as Telegram does."""
        value = self._values.get(name)
        try:
            return default if value is None or isinstance(value, bool) else int(value)
        except (ValueError, TypeError):
            return default

    def flag(self, name: str) -> bool:
        """The value as a yes or no."""
        value = self._values.get(name)
        return value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "1"))

    def parsed(self, name: str, error: str) -> Any:  # noqa: ANN401  (JSON from outside has no narrower type)
        """The value as JSON, None when missing or empty. A 400 with `error` when it is not JSON."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise bad_request(error) from None

    def upload(self, name: str) -> Upload | None:
        """The file sent under this name or referred to as `attach://other`, None if there is none."""
        value = self._values.get(name)
        if isinstance(value, str) and value.startswith("attach://"):
            return self._uploads.get(value.removeprefix("attach://"))
        return self._uploads.get(name)


async def read(request: web.Request, largest: int = LARGEST_REQUEST) -> Params:
    """All parameters of a request, whichever way they came. ApiError 413 for one of more than `largest` bytes."""
    if (request.content_length or 0) > largest:
        raise too_large()
    values: dict[str, Any] = dict(request.query) if request.query_string else {}
    if request.method != "POST" or not request.body_exists:
        return Params(values)
    kind = request.content_type
    if kind == "application/x-www-form-urlencoded":
        values.update(parse_qsl(await request.text(), keep_blank_values=True))
        return Params(values)
    if kind == "application/json":
        try:
            body = await request.json()
        except ValueError:
            raise ApiError(400, "Bad Request: can't parse JSON object") from None
        if not isinstance(body, dict):
            raise ApiError(400, "Bad Request: object expected as JSON request body")
        values.update(body)
        return Params(values)
    if kind == "multipart/form-data":
        return await _multipart(request, values, largest)
    return Params(values)


async def _multipart(request: web.Request, values: dict[str, Any], largest: int) -> Params:
    """Read part by part: an album is larger than what this server takes of any other request."""
    uploads: dict[str, Upload] = {}
    left = largest
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            data = b"".join([piece async for piece in _pieces(part, left)])
            left -= len(data)
            if part.filename is None:
                values[part.name] = data.decode("utf-8", "replace")
                continue
            mime_type = part.headers.get("Content-Type", "application/octet-stream")
            uploads[part.name] = Upload(filename=part.filename or "file", mime_type=mime_type, data=data)
    except ValueError:
        raise bad_request("can't parse the multipart body") from None
    return Params(values, uploads)


async def _pieces(part: BodyPartReader, left: int) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk(PIECE_BYTES):
        left -= len(piece)
        if left < 0:
            raise too_large()
        yield piece


def too_large() -> ApiError:
    """What the server in front says of a body that it does not take."""
    return ApiError(413, "Request Entity Too Large")
