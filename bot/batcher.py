"""Loads that are asked for one by one and made together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

V = TypeVar("V")

LIMIT = 64


class Batcher(Generic[V]):
    """Gathers the keys asked for while a load is under way and loads them with the next one.

    A lone caller does not wait for company: its load starts in the same turn of the loop.
    """

    def __init__(self, load: Callable[[Sequence[str]], Awaitable[Mapping[str, V]]]) -> None:
        self._load = load
        self._waiting: dict[str, asyncio.Future[V | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def get(self, key: str) -> V | None:
        """The value of `key`, None where there is none. Raises what the load raised."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(future)

    async def _run(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[:LIMIT]
                asked = {key: self._waiting.pop(key) for key in keys}
                try:
                    found = await self._load(keys)
                except Exception as error:  # noqa: BLE001  # handed to whoever asked
                    if len(asked) == 1:
                        _fail(asked[keys[0]], error)
                    else:
                        await self._one_by_one(asked)
                    continue
                for key, future in asked.items():
                    if not future.done():
                        future.set_result(found.get(key))
        finally:
            self._task = None

    async def _one_by_one(self, asked: Mapping[str, asyncio.Future[V | None]]) -> None:
        """One value that cannot be loaded must not fail those who asked for others."""
        for key, future in asked.items():
            try:
                found = (await self._load([key])).get(key)
            except Exception as error:  # noqa: BLE001  # handed to whoever asked
                _fail(future, error)
            else:
                if not future.done():
                    future.set_result(found)


def _fail(future: asyncio.Future[V | None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
