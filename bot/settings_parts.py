"""The parts of config.yaml, one class each. Defaults are those of a real installation, not of the sandbox."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from bot.channels import telegram_limits
from bot.settings_values import (
    ChannelId,
    DeskLanguage,
    LanguageTag,
    Many,
    MemberId,
    ModelLine,
    Section,
    ShownName,
    Span,
    Url,
    ViewerId,
    is_loopback,
)
from classifiers import sources
from domain.model import Priority
from domain.roles import Limits, Role
from domain.routing import Assign, Leaves, Mask
from domain.signing import Signature

TELEGRAM_API = "https://api.telegram.org"
MEGABYTE = 1_000_000
SLACK_API = "https://slack.com/api/"

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
"""A word of the configuration: lower case, digits, `_` and `-`."""


class StoreSettings(Section):
    """Where a store lives. Without `url` it is an SQLite file in `data_dir`."""

    url: SecretStr | None = Field(
        default=None,
        description="postgresql+asyncpg://user@host/name or sqlite:///path. "
        "An address with a password belongs in RELAYDESK_DATABASE_URL or RELAYDESK_KEYSTORE_URL.",
    )
    tls: Literal["verify", "elsewhere"] = Field(
        default="verify",
        description="A server on another host is reached with TLS and its name verified; elsewhere: a tunnel or a mesh "
        "on the way encrypts.",
    )


class KeysSettings(Section):
    """The master key, under which every other key is wrapped."""

    master_file: Path = Field(
        default=Path("keys/master.key"), description="Made by `relaydesk init`; outside data_dir, mode 0600."
    )


class LinkSettings(Section):
    """A link to the bot that says what the customer comes about: https://t.me/<bot>?start=<prefix><value>."""

    prefix: str = Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", description="What its value begins with, such as order-.")
    pattern: str = Field(
        default="[A-Za-z0-9_-]{1,60}", max_length=200, description="What stands behind it, as a regular expression."
    )

    @field_validator("pattern")
    @classmethod
    def _pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error:
            raise ValueError("is not a regular expression; write for example [0-9]{4,10}") from None
        return value


class TelegramSettings(Section):
    """The Telegram bot account."""

    enabled: bool = True
    name: Name = Field(default="telegram", description="The account's name in the record. Do not change it later.")
    title: str = Field(default="Telegram", description="What agents read on the card.")
    region: str | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}$",
        description="The country of phone numbers without one that come over it; `contacts.region` without it.",
    )
    mode: Literal["polling", "webhook"] = "polling"
    base_url: Url = Field(default=TELEGRAM_API, description="Another Bot API server, or the sandbox.")
    webhook_url: Url | None = Field(
        default=None, description="The public address that Telegram shall call (mode webhook)."
    )
    poll_timeout: Span = Field(default=timedelta(seconds=30), description="How long one long poll waits (1s to 50s).")
    deaf_after: Span = Field(default=timedelta(seconds=90), description="No successful poll for so long: exit code 70.")
    send_timeout: Span = timedelta(seconds=20)
    transfer_timeout: Span = Field(
        default=timedelta(minutes=5), description="How long one file may take, either way; an album: each of its files."
    )
    download_mb: float | None = Field(
        default=None, ge=0.001, le=4000, description="What the Bot API server hands out of one file (million bytes)."
    )
    upload_mb: float | None = Field(
        default=None, ge=0.001, le=4000, description="What it takes of one file; without these: Telegram's own limits."
    )
    files_folder: Path | None = Field(
        default=None, description="Where a Bot API server of your own (`--local`) keeps its files, on this machine too."
    )
    links: dict[Name, LinkSettings] = Field(
        default_factory=dict, description="Links that fill a field of the profile, by the field's name."
    )
    groups: Literal["chat", "topic", "customer"] = Field(
        default="chat", description="In a group: one conversation per chat, per topic of a forum, or per customer."
    )
    typing: bool = Field(default=True, description="Show the customer that an answer is on its way.")

    @property
    def download_limit(self) -> int:
        """Bytes of one file that comes, at most."""
        return telegram_limits.DOWNLOAD_LIMIT_BYTES if self.download_mb is None else round(self.download_mb * MEGABYTE)

    @property
    def upload_limit(self) -> int:
        """Bytes of one file that goes, at most."""
        return telegram_limits.UPLOAD_LIMIT_BYTES if self.upload_mb is None else round(self.upload_mb * MEGABYTE)

    @field_validator("poll_timeout")
    @classmethod
    def _poll_timeout(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=1) <= value <= timedelta(seconds=50):
            raise ValueError("is out of range; Telegram allows 1s to 50s")
        return value

    @field_validator("transfer_timeout")
    @classmethod
    def _transfer_timeout(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=30) <= value <= timedelta(hours=2):
            raise ValueError("is out of range (30s to 2h); a file that takes longer is not sent")
        return value

    @field_validator("files_folder")
    @classmethod
    def _files_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("must be absolute: the folder as the Bot API server names it, under the same name here")
        return value


class SlackSettings(Section):
    """The Slack app."""

    mode: Literal["socket", "http"] = "socket"
    base_url: Url = Field(default=SLACK_API, description="The Web API, or the sandbox.")
    ops_channel: ChannelId | None = Field(default=None, description="Where the operator is told what needs a hand.")
    team_id: str | None = Field(
        default=None,
        pattern=r"^[TE][A-Z0-9]{2,20}$",
        description="The workspace (T...): a token of any other is refused. Without it the token's own counts.",
    )
    connections: int = Field(default=2, ge=1, le=10, description="Socket Mode connections (Slack allows ten).")
    deaf_after: Span = Field(default=timedelta(seconds=60), description="No socket for so long: exit code 70.")
    fill_gaps_every: Span = Field(
        default=timedelta(minutes=5),
        description="How often open threads are asked for replies that we missed.",
    )

    @field_validator("base_url")
    @classmethod
    def _slash(cls, value: str) -> str:
        return value.rstrip("/") + "/"


class Title(Section):
    """What people read, per language; a language without one reads `en`."""

    en: str = Field(min_length=1)
    zh: str | None = None


class SeenBySettings(Section):
    """Who may look at a queue's conversations; without it whoever may see conversations at all."""

    roles: Many = ()
    agents: tuple[ViewerId, ...] = Field(
        default=(),
        description="People who may, beside these roles: at the desk (U...), at the command line (os:carol).",
    )

    @field_validator("roles")
    @classmethod
    def _roles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = [role.value for role in Role]
        if wrong := [word for word in value if word not in known]:
            raise ValueError(f'"{wrong[0]}" is not a role; use some of {", ".join(known)}')
        return value

    def build(self) -> Limits:
        """As a decision asks it."""
        return Limits(roles=frozenset(self.roles), agents=frozenset(self.agents))


class QueueSettings(Section):
    """A team's pile and the Slack channel it appears in."""

    channel: ChannelId
    more_channels: tuple[ChannelId, ...] = Field(
        default=(), description="Channels that share this queue's conversations: Slack takes one post a second in each."
    )
    title: Title | None = None
    mention: MemberId | None = Field(
        default=None, description="Who is named on a new urgent conversation and on alerts."
    )
    assign: Assign = "none"
    calendar: str | None = Field(
        default=None, description="When this team is open, for policies without a calendar of their own."
    )
    leaves: Leaves = Field(
        default="implicit",
        description="Which lines of a thread go to the customer: implicit (every agent's, but notes), explicit (only "
        "with `>>` or Send to customer), assignee (only the assignee's).",
    )
    signature: Signature | None = Field(
        default=None, description="Under which name its answers leave, where that is another than `desk.signature`."
    )
    signed_as: dict[LanguageTag, ShownName] = Field(
        default_factory=dict, description="The team's name for customers, by language. Without it: `title`."
    )
    mask: Mask = Field(
        default="none",
        description="What its channel shows of a customer's words: none of them masked, personal data masked, or "
        "everything kept away, for data that must not leave; a Reveal button shows them to who may.",
    )
    seen_by: SeenBySettings = SeenBySettings()
    language: DeskLanguage | None = Field(
        default=None, description="What its channels read, where that is another language than `desk.language`."
    )


class When(Section):
    """Conditions of a rule; all that are given must hold, and of a list one is enough."""

    intent: Many = ()
    label: Many = ()
    priority: Many = ()
    language: Many = ()
    channel: Many = ()
    segment: Many = ()
    business_hours: bool | None = Field(default=None, description="true: only in business hours; false: only outside.")

    @field_validator("priority")
    @classmethod
    def _priority(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = [priority.value for priority in Priority]
        if wrong := [word for word in value if word not in known]:
            raise ValueError(f'"{wrong[0]}" is not a priority; use one of {", ".join(known)}')
        return value


class RuleSettings(Section):
    """One line of the routing table."""

    when: When | None = None
    queue: str
    name: str | None = None
    channel: ChannelId | None = Field(default=None, description="Another Slack channel than the queue's own.")
    priority: Priority | None = Field(default=None, description="Replaces the assessed priority, up or down.")
    mention: MemberId | None = None
    assign: Assign | None = None


class RolesSettings(Section):
    """Who may do what: Slack user ids or user group ids. Empty means nobody."""

    agent: tuple[MemberId, ...] = ()
    lead: tuple[MemberId, ...] = ()
    admin: tuple[MemberId, ...] = ()
    privacy_officer: tuple[MemberId, ...] = ()
    auditor: tuple[MemberId, ...] = ()
    command_line: dict[str, tuple[Role, ...]] = Field(
        default_factory=dict,
        description="Who may do what at the command line, by the operating system's user name. "
        "Empty: whoever can open the stores.",
    )


class WindowSettings(Section):
    """Which unanswered messages are read together."""

    gap: Span = timedelta(seconds=120)
    messages: int = Field(default=5, ge=1, le=50)
    characters: int = Field(default=1000, ge=50, le=20_000)


class ClassifierSettings(Section):
    """The reader of messages."""

    taxonomy: Path | None = Field(default=None, description="A folder of your own intents and examples.")
    model_dir: Path = Field(default=Path(".cache/model"), description="What `relaydesk model prepare` built.")
    encoder: ModelLine | None = Field(
        default=None,
        description="Another sentence encoder: NAME@REVISION of a model hub, a folder, or the https address of a "
        "server that speaks Text Embeddings Inference.",
    )
    encoder_timeout: Span = Field(
        default=timedelta(milliseconds=1500), description="How long such a server may take before we answer locally."
    )
    kind: Literal["default", "sequence", "zero_shot"] = Field(
        default="default",
        description="Who reads: our own classifier, a fine-tuned sequence classifier, or an NLI model without "
        "examples. The latter two need the extra hf.",
    )
    model: ModelLine | None = Field(
        default=None, description="Kinds sequence and zero_shot: NAME@REVISION of a model hub, or a folder."
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="Kind sequence: from the model's labels to intents, where they differ."
    )
    threshold: Share = Field(
        default=0.8, description="Kinds sequence and zero_shot: how sure of a queue they must be to route alone."
    )
    hurry_after: Span | None = Field(
        default=timedelta(minutes=2),
        description="When a message has waited so long to be read, the n-gram experts alone read until half of it is "
        "caught up; null: never.",
    )
    closure_threshold: Share = Field(default=0.8, description='How sure a "thanks" must be to leave a case closed.')
    tiers: dict[str, Priority] = Field(
        default_factory=dict, description="The least priority of what a segment's customers write, such as vip: high."
    )
    repeated_contacts: int = Field(
        default=3,
        ge=0,
        le=50,
        description="So many unanswered messages, apart from each other, make it high; 0: never.",
    )
    threads: int = Field(default=1, ge=1, le=64)
    window: WindowSettings = WindowSettings()

    @model_validator(mode="after")
    def _model_fits(self) -> ClassifierSettings:
        if self.kind != "default" and not self.model:
            raise ValueError(f"kind {self.kind} needs a model; write model: NAME@REVISION, or a folder")
        if self.kind == "default" and self.model:
            raise ValueError("a model is for the kinds sequence and zero_shot; an encoder is named under encoder")
        if self.model and sources.parse(self.model).kind == "server":
            raise ValueError("a model cannot be a server; a server's encoder is named under encoder")
        return self

    @property
    def chosen(self) -> sources.Source | None:
        """The encoder, or the model, that is named; None for the default one."""
        line = self.encoder if self.kind == "default" else self.model
        return sources.parse(line) if line else None

    @property
    def home(self) -> Path:
        """Where the model is that is to be served: another encoder has a folder of its own in `model_dir`."""
        return sources.home(self.model_dir, self.chosen)


class WebSettings(Section):
    """The web server for health, metrics and webhooks. Put it behind TLS before it faces the internet."""

    host: str = "127.0.0.1"
    port: int = Field(default=8480, ge=0, le=65535)
    behind_tls: bool = Field(
        default=False,
        description="true: a proxy in front ends TLS, and nobody else reaches this port. Needed where host is not this "
        "machine alone.",
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(f"http://[{self.host}]" if ":" in self.host else f"http://{self.host}")


class ClockSettings(Section):
    """Product time. `source` is the sandbox's fast clock and is refused with real accounts."""

    source: Url | None = None

    @field_validator("source")
    @classmethod
    def _loopback(cls, value: str | None) -> str | None:
        if value is not None and not is_loopback(value):
            raise ValueError(
                "must be on this machine; it is the sandbox's clock: remove it, or use http://127.0.0.1:8400/clock"
            )
        return value


class LimitsSettings(Section):
    """What we keep to before a platform tells us to. `enabled: false` is for benchmarks in the sandbox."""

    enabled: bool = True
    telegram_per_chat_per_second: float = Field(default=1, gt=0, le=100)
    slack_per_channel_per_second: float = Field(default=1, gt=0, le=100)


class BackupSettings(Section):
    """Backups of record and key store, sealed under the master key, to directories apart."""

    record_to: tuple[Path, ...] = Field(
        default=(), description="Directories for the record; a mounted remote one is fine."
    )
    keys_to: tuple[Path, ...] = Field(
        default=(), description="Directories for the key store; never one of the record's."
    )
    every: Span = timedelta(hours=24)
    keep_record: Span = timedelta(days=90)
    keep_keys: Span = Field(
        default=timedelta(days=30), description="30 days at most: an old copy brings erased keys back."
    )

    @field_validator("keep_keys")
    @classmethod
    def _keep_keys(cls, value: timedelta) -> timedelta:
        if value > timedelta(days=30):
            raise ValueError("is too long; after 30 days an erased customer's key must be gone everywhere")
        return value

    @model_validator(mode="after")
    def _apart(self) -> BackupSettings:
        if bool(self.record_to) != bool(self.keys_to):
            raise ValueError("needs both record_to and keys_to: a record without its keys cannot be read")
        if shared := {path.expanduser() for path in self.record_to} & {path.expanduser() for path in self.keys_to}:
            raise ValueError(f"names {min(shared)} for both; who gets record and keys together needs one key less")
        return self


class AuditSettings(Section):
    """Where the head of the audit trail is kept, once a day, so that a trail that was cut or written anew shows."""

    head_channel: ChannelId | None = Field(default=None, description="A Slack channel that gets the day's head.")
    head_file: Path | None = Field(default=None, description="A file that gets a line a day; best on another machine.")


class LogSettings(Section):
    """What the process says about itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else JSON."
    )
