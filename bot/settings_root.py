"""The whole of config.yaml as one typed value, and what follows from it: where the stores are, what bars a start."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bot import settings_secrets
from bot.settings_alerts import AlertSettings, AutomaticSettings
from bot.settings_contacts import ContactSettings
from bot.settings_desk import DeskSettings
from bot.settings_learning import LearningSettings
from bot.settings_parts import (
    AuditSettings,
    BackupSettings,
    ClassifierSettings,
    ClockSettings,
    KeysSettings,
    LimitsSettings,
    LogSettings,
    Name,
    QueueSettings,
    RolesSettings,
    RuleSettings,
    SlackSettings,
    StoreSettings,
    TelegramSettings,
    WebSettings,
)
from bot.settings_privacy import FilesSettings, PrivacySettings, RetentionSettings
from bot.settings_secrets import Secrets
from bot.settings_segments import FieldSettings, SegmentSettings, usual
from bot.settings_sla import SlaSettings
from bot.settings_values import is_loopback
from storage import tls


class Settings(BaseSettings):
    """Everything an operator can choose. Paths are absolute after `load`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, title="config.yaml")

    data_dir: Path = Field(default=Path("data"), description="The one folder that holds what we keep.")
    database: StoreSettings = StoreSettings()
    keystore: StoreSettings = StoreSettings()
    keys: KeysSettings = KeysSettings()
    telegram: TelegramSettings = TelegramSettings()
    slack: SlackSettings = SlackSettings()
    languages: tuple[Name, ...] = Field(
        default=("en", "zh"), min_length=1, description="Of fixed texts; the first is the fallback."
    )
    queues: dict[Name, QueueSettings] = Field(min_length=1)
    default_queue: str
    triage_queue: str = Field(description="Where the classifier's doubts go.")
    routing: tuple[RuleSettings, ...]
    roles: RolesSettings = RolesSettings()
    sla: SlaSettings
    alerts: AlertSettings = AlertSettings()
    automatic: AutomaticSettings = AutomaticSettings()
    desk: DeskSettings = DeskSettings()
    profile: dict[Name, FieldSettings] = Field(default_factory=usual, description="What is kept about a customer.")
    contacts: ContactSettings = ContactSettings()
    segments: dict[Name, SegmentSettings] = Field(default_factory=dict, description="Groups of customers.")
    privacy: PrivacySettings = PrivacySettings()
    files: FilesSettings = FilesSettings()
    retention: RetentionSettings = RetentionSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    learning: LearningSettings = LearningSettings()
    web: WebSettings = WebSettings()
    clock: ClockSettings = ClockSettings()
    limits: LimitsSettings = LimitsSettings()
    backup: BackupSettings = BackupSettings()
    audit: AuditSettings = AuditSettings()
    log: LogSettings = LogSettings()

    _secrets: Secrets = PrivateAttr(default_factory=Secrets)
    _path: Path = PrivateAttr(default=Path("config.yaml"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` has merged from file and environment, so that errors can name their source."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def secrets(self) -> Secrets:
        """Tokens and keys; never part of a dump of the settings."""
        return self._secrets

    @property
    def path(self) -> Path:
        """The file this was read from."""
        return self._path

    @property
    def sandbox(self) -> bool:
        """True when every platform is on this machine: then the sandbox's fixed tokens are used."""
        return is_loopback(self.slack.base_url) and (not self.telegram.enabled or is_loopback(self.telegram.base_url))

    @property
    def database_url(self) -> str:
        """Where the record lives, for SQLAlchemy. May hold a password: never log it."""
        given = self._secrets.database_url or self.database.url
        return _url(given, self.data_dir / "relaydesk.db", tls_by=self.database.tls)

    @property
    def keystore_url(self) -> str:
        """Where wrapped data keys live, for SQLAlchemy. May hold a password: never log it."""
        given = self._secrets.keystore_url or self.keystore.url
        return _url(given, self.data_dir / "keys.db", tls_by=self.keystore.tls)

    def blockers(self) -> list[str]:
        """What a start would be refused for: one line each, with the fix. The key file is only looked for."""
        wanted = {"slack_bot_token": True, "slack_app_token": self.slack.mode == "socket"}
        wanted["slack_signing_secret"] = self.slack.mode == "http"
        wanted["telegram_token"] = self.telegram.enabled
        wanted["alert_webhook_secret"] = self.alerts.webhook is not None
        wanted["telegram_webhook_secret"] = self.telegram.enabled and self.telegram.mode == "webhook"
        lines = []
        for name, needed in wanted.items():
            if needed and getattr(self._secrets, name) is None:
                shape = settings_secrets.SHAPES[name][1]
                variable = settings_secrets.variable(name)
                lines.append(f"environment: {variable}: is missing; run `relaydesk init` (it {shape})")
        if self._secrets.master_key is None and not self.keys.master_file.is_file():
            lines.append(
                f"{self._path}: keys.master_file: there is no {self.keys.master_file}; "
                "run `relaydesk init`, or give the key in RELAYDESK_MASTER_KEY_FILE"
            )
        return lines


def _url(given: SecretStr | None, file: Path, *, tls_by: str) -> str:
    url = given.get_secret_value() if given else f"sqlite:///{file}"
    for short in ("postgres://", "postgresql://"):
        if url.startswith(short):
            url = "postgresql+asyncpg://" + url.removeprefix(short)
    if tls_by == "elsewhere" and url.startswith("postgresql"):
        url = tls.without(url)
    return url
