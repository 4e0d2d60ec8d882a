"""The Bot API of one account, called through python-telegram-bot, with raw results.

`Bot._post` is protected: tests/bot/channels/test_telegram_library.py holds the library to it, and pyproject.toml to
22.x. Raw results are needed because one update that the library cannot parse would hold up all others for ever.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from telegram import Bot
from telegram.error import NetworkError

from bot.channels import telegram_wire
from domain import errors

POLL_GRACE_S = 10.0
"""How much longer than the long poll its answer may take."""
SEND_CONNECTIONS = 32


class Api:
    """Two pools, so that sending never waits for the long poll. Nothing is opened before the first call."""

    def __init__(self, *, token: str, base_url: str, read_timeout_s: float, transfer_timeout_s: float = 300.0) -> None:
        base = base_url.rstrip("/")
        self._file_url = f"{base}/file/bot{token}"
        self.wire = telegram_wire.Wire(
            base_url=base,
            read_timeout_s=read_timeout_s,
            pool=SEND_CONNECTIONS,
            transfer_timeout_s=transfer_timeout_s,
        )
        self.poll_wire = telegram_wire.Wire(base_url=base, read_timeout_s=read_timeout_s, pool=2)
        self._bot = Bot(
            token,
            base_url=f"{base}/bot",
            base_file_url=f"{base}/file/bot",
            request=self.wire,
            get_updates_request=self.poll_wire,
        )
        self._heard_at: float | None = None

    async def call(
        self, method: str, data: Mapping[str, object] | None = None, *, read_timeout_s: float | None = None
    ) -> object:
        """Call a method of the Bot API and return its raw `result`; None values are left out.

        Raises telegram.error.TelegramError (with the finer types of telegram_wire), or the DeliveryError that a file on
        its way up ended with.
        """
        timeout = self.wire.read_timeout if read_timeout_s is None else read_timeout_s
        try:
            return await self._bot._post(method, dict(data or {}), read_timeout=timeout)
        except NetworkError as error:
            if isinstance(error.__cause__, errors.DeliveryError):
                raise error.__cause__ from None
            if isinstance(error.__cause__, UnicodeError):
                raise errors.NeverPossible("unencodable", "the text holds half a character") from None
            raise
        except (LookupError, TypeError, AttributeError, ValueError):
            raise telegram_wire.OddAnswer(began_ok=False) from None

    async def updates(self, *, offset: int, timeout_s: float, allowed: list[str]) -> object:
        """One long poll; the raw result, normally a list of dicts."""
        result = await self.call(
            "getUpdates",
            {"offset": offset, "timeout": int(timeout_s), "allowed_updates": allowed},
            read_timeout_s=timeout_s + POLL_GRACE_S,
        )
        self.heard()
        return result

    def heard(self) -> None:
        """Note that incoming messages would reach us just now."""
        self._heard_at = time.monotonic()

    def silence_s(self) -> float:
        """Seconds since `heard`, infinity before the first time."""
        return float("inf") if self._heard_at is None else time.monotonic() - self._heard_at

    def file_url(self, path: str) -> str:
        """The address of a file's bytes. It holds the token: never log, store or show it."""
        return f"{self._file_url}/{path}"

    async def close(self) -> None:
        """Close both pools. Idempotent."""
        await self.poll_wire.shutdown()
        await self.wire.shutdown()
