"""Telegram: a bot account as a channel. Polling or webhook in, the Bot API out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal

import structlog
from starlette.routing import Route
from telegram.error import TelegramError

from bot import texts
from bot.channels import telegram_files, telegram_parse, telegram_probe
from bot.channels.backoff import Backoff
from bot.channels.telegram_api import Api
from bot.channels.telegram_hook import MAX_BODY_BYTES, Hook
from bot.channels.telegram_limits import CAPTION_UNITS, DOWNLOAD_LIMIT_BYTES, TEXT_UNITS, UPLOAD_LIMIT_BYTES
from bot.channels.telegram_poll import Poller
from bot.channels.telegram_send import Sender
from domain.errors import ConfigError
from domain.events import Event, Ignored
from domain.model import Attachment
from domain.ports import Accept, Capabilities, ChatDelivery, File, Probe, Receipt

COMMANDS = ("start", "help", "privacy")
DESCRIPTIONS = (("Description", "description"), ("ShortDescription", "short_description"))
"""What Telegram shows of a bot: in an empty chat, and on its profile."""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,100}")
LONGEST_POLL_S = 50

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class TelegramConfig:
    """One bot account. Durations in seconds, sizes in bytes; tests and the sandbox shorten them.

    `webhook_url` is the public address that reaches the route `/telegram/<name>`; `webhook_secret` is what Telegram
    shows with every post. Raises ConfigError for a token, name, address or secret that cannot work.
    """

    type: ClassVar[str] = "telegram"

    token: str = field(repr=False)
    name: str = "telegram"
    base_url: str = "https://api.telegram.org"
    mode: Literal["polling", "webhook"] = "polling"
    webhook_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    poll_timeout_s: float = 25.0
    send_timeout_s: float = 20.0
    transfer_timeout_s: float = 300.0
    watch_every_s: float = 30.0
    typing: bool = True
    groups: telegram_parse.Groups = "chat"
    download_limit: int = DOWNLOAD_LIMIT_BYTES
    upload_limit: int = UPLOAD_LIMIT_BYTES
    files_folder: Path | None = None
    max_body_bytes: int = MAX_BODY_BYTES
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        problems = []
        if not TOKEN.fullmatch(self.token):
            problems.append("telegram: the bot token is not one; it looks like 123456:ABC... and comes from @BotFather")
        if not NAME.fullmatch(self.name):
            problems.append("telegram.name: use small letters, digits, _ and -, a letter first")
        if not self.base_url.startswith(("http://", "https://")):
            problems.append("telegram.base_url: must begin with https:// (http:// for the sandbox)")
        if not 1 <= self.poll_timeout_s <= LONGEST_POLL_S:
            problems.append(f"telegram.poll_timeout: must be 1s to {LONGEST_POLL_S}s")
        if self.mode == "webhook":
            if not self.webhook_url:
                problems.append("telegram.webhook_url: mode webhook needs the public address that Telegram shall call")
            if not SECRET.fullmatch(self.webhook_secret or ""):
                problems.append("telegram: mode webhook needs a secret of letters, digits, _ and - (1 to 256)")
        if problems:
            raise ConfigError(*problems)


class TelegramChannel:
    """Implements `domain.ports.Channel`. `now` is product time, for what the platform did not date."""

    def __init__(self, config: TelegramConfig, *, now: Callable[[], datetime] | None = None) -> None:
        self._config = config
        self._api = Api(
            token=config.token,
            base_url=config.base_url,
            read_timeout_s=config.send_timeout_s,
            transfer_timeout_s=config.transfer_timeout_s,
        )
        self._sender = Sender(self._api, now=now or _utc_now, upload_limit=config.upload_limit)
        self._hook = self._build_hook() if config.mode == "webhook" else None

    @property
    def name(self) -> str:
        """The configured account's name."""
        return self._config.name

    @property
    def capabilities(self) -> Capabilities:
        """What the Bot API carries. No reply window: who has written once can be answered until they block us."""
        return Capabilities(
            text_limit=TEXT_UNITS,
            caption_limit=CAPTION_UNITS,
            edits=True,
            deletes=True,
            buttons=True,
            files=True,
            download_limit=self._config.download_limit,
            upload_limit=self._config.upload_limit,
        )

    def routes(self) -> list[Route]:
        """What the web server has to mount: the webhook, or nothing when polling."""
        return self._hook.routes() if self._hook is not None else []

    def open(self, accept: Accept) -> None:
        """Take in what Telegram posts here, though another process watches the webhook; nothing when polling."""
        if self._hook is not None:
            self._hook.open(accept)

    async def run(self, accept: Accept) -> None:
        """Take updates in until cancelled; see telegram_poll and telegram_hook for what is confirmed when."""
        describing = asyncio.create_task(self._describe_commands(), name=f"{self.name}:commands")
        try:
            if self._hook is not None:
                await self._hook.run(accept)
            else:
                await self._build_poller().run(accept)
        finally:
            describing.cancel()
            await asyncio.gather(describing, return_exceptions=True)

    def parse(self, payload: str) -> Event | Ignored:
        """Read a stored update. Raises MalformedEvent."""
        return telegram_parse.parse(
            payload, source=self.name, download_limit=self._config.download_limit, groups=self._config.groups
        )

    async def send(self, delivery: ChatDelivery) -> Receipt:
        """Send one delivery, once. Raises a DeliveryError."""
        return await self._sender.send(delivery)

    def show_typing(self, address: str) -> None:
        """Show the customer that an answer is on its way, where the account wants that. Never waits, never fails."""
        if self._config.typing:
            self._sender.show_typing(address)

    async def open_file(self, attachment: Attachment) -> File:
        """A customer's file. Raises NeverPossible, RetryLater or AccessRevoked."""
        limit, limit_s = self._config.download_limit, self._config.transfer_timeout_s
        folder = self._config.files_folder
        return await telegram_files.open_file(self._api, attachment, limit=limit, limit_s=limit_s, folder=folder)

    async def probe(self) -> list[Probe]:
        """Token, webhook against mode, what waits at Telegram, clock."""
        webhook_url = self._config.webhook_url if self._config.mode == "webhook" else None
        return await telegram_probe.probe(
            self._api, source=self.name, webhook_url=webhook_url, in_groups=self._config.groups != "chat"
        )

    def last_success_age(self) -> float:
        """Seconds since a poll was answered, or a webhook post or the webhook's registration was seen."""
        return self._api.silence_s()

    async def close(self) -> None:
        """Close all connections."""
        await self._sender.close()
        await self._api.close()

    def _build_poller(self) -> Poller:
        return Poller(self._api, source=self.name, timeout_s=self._config.poll_timeout_s, backoff=self._config.backoff)

    def _build_hook(self) -> Hook:
        return Hook(
            self._api,
            source=self.name,
            url=self._config.webhook_url or "",
            secret=self._config.webhook_secret or "",
            watch_every_s=self._config.watch_every_s,
            backoff=self._config.backoff,
            max_body_bytes=self._config.max_body_bytes,
        )

    async def _describe_commands(self) -> None:
        """Tell Telegram what its menu shows, per language. A failure costs the menu only, until the next start."""
        for language in texts.languages():
            commands = [{"command": c, "description": texts.text(f"command_{c}", language)} for c in COMMANDS]
            code = None if language == texts.DEFAULT else language
            try:
                await self._api.call("setMyCommands", {"commands": commands, "language_code": code})
            except TelegramError as error:
                log.warning(
                    "telegram_commands_not_set",
                    channel=self.name,
                    language=language,
                    error=type(error).__name__,
                )
                return
        try:
            await self._describe_us()
        except TelegramError as error:
            log.warning("telegram_description_not_set", channel=self.name, error=type(error).__name__)

    async def _describe_us(self) -> None:
        """Say in an empty chat and on the profile what this is for, per language, where nobody has said it yet.

        The default language comes last: Telegram shows its text where another one is asked for that has none.
        """
        for language in sorted(texts.languages(), key=lambda one: one == texts.DEFAULT):
            code = None if language == texts.DEFAULT else language
            for method, name in DESCRIPTIONS:
                known = await self._api.call(f"getMy{method}", {"language_code": code})
                if isinstance(known, dict) and not known.get(name):
                    said = texts.text(f"bot_{name}", language)
                    await self._api.call(f"setMy{method}", {name: said, "language_code": code})


def _utc_now() -> datetime:
    return datetime.now(UTC)
