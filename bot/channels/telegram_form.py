"""Uploads that are streamed: a multipart body made while it is sent, so that no file is ever held whole."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from telegram.request import RequestData

from bot import crashpoints, waiting
from domain import errors, ports


class Part:
    """A file to be streamed into an upload; python-telegram-bot carries it as if it were an open file."""

    def __init__(self, file: ports.File, *, limit: int) -> None:
        self.file = file
        self.limit = limit

    async def stream(self) -> AsyncIterator[bytes]:
        """The bytes, checked against what was announced and against the platform's limit.

        Raises NeverPossible where they are others: whoever announced them would do so again, and a lane would wait.
        """
        seen = 0
        async with contextlib.AsyncExitStack() as stack:
            pieces = self.file.open()
            if isinstance(pieces, AsyncGenerator):
                stack.push_async_callback(pieces.aclose)
            async for piece in pieces:
                seen += len(piece)
                if seen > self.limit:
                    raise errors.NeverPossible("too_large", f"over {self.limit} bytes")
                if self.file.size is not None and seen > self.file.size:
                    break
                yield piece
        if self.file.size is not None and seen != self.file.size:
            raise errors.NeverPossible("file_changed", "its size is not what was announced")


class Form:
    """A multipart/form-data body that is made while it is sent. `count`: so many files are in it."""

    def __init__(self, fields: Mapping[str, str], files: Mapping[str, tuple[str, Part, str]]) -> None:
        self.handed_over = False
        self.count = len(files)
        boundary = secrets.token_hex(16)
        self._heads = [(_file_head(boundary, name, *about), about[1]) for name, about in files.items()]
        self._fields = b"".join(_field(boundary, name, value) for name, value in fields.items())
        self._tail = f"--{boundary}--\r\n".encode()
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        sizes = [part.file.size for _, part in self._heads]
        if None not in sizes:
            known = sum(size for size in sizes if size is not None)
            frame = sum(len(head) + len(b"\r\n") for head, _ in self._heads)
            self.headers["Content-Length"] = str(len(self._fields) + frame + known + len(self._tail))

    @classmethod
    def of(cls, data: RequestData | None) -> Form | None:
        """The body for a request that carries a Part, None for one that does not."""
        if data is None or not data.contains_files:
            return None
        files: dict[str, tuple[str, Part, str]] = {}
        for field, (name, content, mime) in data.multipart_data.items():
            part: object = content
            if isinstance(part, Part):
                files[field] = (name, part, mime)
        return cls(data.json_parameters, files)

    async def stream(self, wait: waiting.Waiting) -> AsyncIterator[bytes]:
        """The body. `handed_over` turns true when its last piece is taken; before that no server can act on it.

        The time in which the files themselves are waited for is no part of `wait`.
        """
        yield self._fields
        for head, part in self._heads:
            yield head
            async for piece in wait.source(part.stream()):
                yield piece
                crashpoints.reach("in_upload")
            yield b"\r\n"
        self.handed_over = True
        yield self._tail


def _field(boundary: str, name: str, value: str) -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def _file_head(boundary: str, field: str, name: str, _part: Part, mime: str) -> bytes:
    plain = name.replace("\r", " ").replace("\n", " ").replace("\\", "_").replace('"', "%22")
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{plain}"\r\n'
        f"Content-Type: {mime}\r\n\r\n"
    ).encode()
