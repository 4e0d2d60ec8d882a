"""Secrets: from the environment, `.env` beside config.yaml, or `*_FILE` files; never from config.yaml."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

PREFIX: Final = "RELAYDESK_"
LONGEST_BYTES: Final = 64 * 1024
"""A secret file larger than this is some other file."""

SANDBOX: Final[Mapping[str, str]] = {
    "telegram_token": "8400000001:AAsandboxsandboxsandboxsandboxsandb",
    "telegram_webhook_secret": "sandbox-webhook-secret",
    "slack_bot_token": "xoxb-sandbox",
    "slack_app_token": "xapp-sandbox",
    "slack_signing_secret": "sandbox-signing-secret",
    "alert_webhook_secret": "sandbox-alert-webhook-secret",
    "facts_secret": "sandbox-facts-secret",
}
"""The sandbox's fixed tokens: they open nothing but the sandbox on this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Secrets:
    """What must not be seen. `master_key` is the ring as text, None where it is in `keys.master_file`."""

    telegram_token: SecretStr | None = None
    telegram_webhook_secret: SecretStr | None = None
    slack_bot_token: SecretStr | None = None
    slack_app_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    alert_webhook_secret: SecretStr | None = None
    facts_secret: SecretStr | None = None
    encoder_key: SecretStr | None = None
    master_key: SecretStr | None = None
    database_url: SecretStr | None = None
    keystore_url: SecretStr | None = None


NAMES: Final = tuple(Secrets.__dataclass_fields__)
SHAPES: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "telegram_token": (
        re.compile(r"\d{3,}:[\w-]{30,}", re.ASCII),
        "looks like 123456789:AA...; @BotFather gives it",
    ),
    "telegram_webhook_secret": (
        re.compile(r"[\w-]{1,256}", re.ASCII),
        "may hold letters, digits, _ and - only",
    ),
    "slack_bot_token": (
        re.compile(r"xox[be]\S+"),
        "begins with xoxb-; Slack shows it under OAuth & Permissions",
    ),
    "slack_app_token": (
        re.compile(r"xapp-\S+"),
        "begins with xapp-; Slack shows it under Basic Information > App-Level Tokens",
    ),
    "slack_signing_secret": (
        re.compile(r"[\x21-\x7e]{8,}"),
        "stands in Slack under Basic Information > App Credentials",
    ),
    "encoder_key": (
        re.compile(r"[\x21-\x7e]+"),
        "has no spaces; whoever runs the encoder's server chose it",
    ),
    "facts_secret": (
        re.compile(r"[\x21-\x7e]{16,}"),
        "has at least 16 characters; you choose it, and whoever posts facts signs with it",
    ),
    "alert_webhook_secret": (
        re.compile(r"[\x21-\x7e]{16,}"),
        "has at least 16 characters; you choose it, and the on-call service checks signatures with it",
    ),
}
"""What each secret looks like, and where a person finds it."""


def variable(name: str) -> str:
    """The environment variable of a secret: `slack_app_token` -> `RELAYDESK_SLACK_APP_TOKEN`."""
    return PREFIX + name.upper()


def read(environment: Mapping[str, str], folder: Path, *, sandbox: bool) -> tuple[Secrets, list[str]]:
    """The secrets, and one line per mistake, never showing one. Relative files count from `folder`."""
    found: dict[str, SecretStr] = {}
    problems: list[str] = []
    for name in NAMES:
        text, problem = _one(name, environment, folder)
        if problem:
            problems.append(problem)
        elif text:
            shape = SHAPES.get(name)
            if shape and not shape[0].fullmatch(text) and not (sandbox and text == SANDBOX.get(name)):
                problems.append(f"environment: {variable(name)}: has the wrong form; it {shape[1]}")
            found[name] = SecretStr(text)
        elif sandbox and name in SANDBOX:
            found[name] = SecretStr(SANDBOX[name])
    return Secrets(**found), problems


def _one(name: str, environment: Mapping[str, str], folder: Path) -> tuple[str, str]:
    key = variable(name)
    direct, file = environment.get(key, "").strip(), environment.get(f"{key}_FILE", "").strip()
    if direct and file:
        return "", f"environment: {key}: is given twice; keep either {key} or {key}_FILE"
    if not file:
        return direct, ""
    where = f"environment: {key}_FILE"
    path = folder / Path(file).expanduser()
    try:
        mode = path.stat()
        if not stat.S_ISREG(mode.st_mode):
            return "", f"{where}: {path} is not a file; give the file that holds the secret"
        if mode.st_size > LONGEST_BYTES:
            return "", f"{where}: {path} is too large to be a secret; give the file that holds it"
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return "", f"{where}: there is no file {path}; create it with mode 0600 or unset {key}_FILE"
    except PermissionError:
        return (
            "",
            f"{where}: {path} cannot be read by this user; give it to the user that runs us, mode 0600",
        )
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        return "", f"{where}: {path} cannot be read ({reason}); give the text file that holds the secret"
    if not text:
        return "", f"{where}: {path} is empty; put the secret into it"
    return text, ""
