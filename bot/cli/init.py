"""`relaydesk init`: from nothing to a bot that may start. Safe to run again: what is there and good is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bot.cli.terminal import DEFAULT_CONFIG, FAILED, ConfigFile, advise, complain, guarded, say
from domain.errors import ConfigError

if TYPE_CHECKING:
    from bot.cli.accounts import Workspace
    from bot.settings import Settings

MANIFEST: Final = Path(__file__).parents[2] / "slack-manifest.yaml"
CHANNEL: Final = re.compile(r"[CG][A-Z0-9]{5,}")
MEMBER: Final = re.compile(r"[SUW][A-Z0-9]{3,}")
SANDBOX_CHANNELS: Final = frozenset({"C0SUPPORT", "C0BILLING", "C0TECH", "C0TRIAGE", "C0LEADS"})
SANDBOX_GROUPS: Final = {"S0AGENTS": "agents, who answer customers", "S0LEADS": "leads, who get escalations"}

TELEGRAM_STEPS = """
Telegram
  1. In Telegram write to @BotFather: /newbot, and follow it.
  2. It gives a token like 123456789:AA... ; paste it here (it is not shown)."""
SLACK_STEPS = """
Slack
  1. Open https://api.slack.com/apps?new_app=1 and choose "From a manifest".
  2. Choose your workspace, paste the contents of {manifest}, press Create, then Install.
  3. OAuth & Permissions shows the Bot User OAuth Token (xoxb-...)."""
SOCKET_STEP = """  4. Basic Information > App-Level Tokens: generate one with connections:write (xapp-...)."""
HTTP_STEP = """  4. Basic Information > App Credentials shows the Signing Secret."""


@dataclass(kw_only=True, slots=True)
class Asker:
    """Where values come from: typed by a person, or, without a person, only what is there already."""

    present: dict[str, str]
    typed: bool
    offline: bool
    values: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def secret(self, name: str, title: str, test: Callable[[str], str]) -> str | None:
        """A secret that passed its test; asked again until it does. None when there is nobody to ask."""
        from bot import settings_secrets

        variable = settings_secrets.variable(name)
        present = self.present.get(name)
        while True:
            value = present
            if self.typed:
                hint = " (Enter keeps the one you have)" if present else ""
                value = typer.prompt(f"{title}{hint}", default=present or "", hide_input=True, show_default=False)
            if not value:
                if not self.typed:
                    self.missing.append(f"{variable}: is missing; set it, or {variable}_FILE, and run this again")
                    return None
                continue
            if problem := self._problem(name, value.strip(), test):
                complain(f"  {problem}")
                if self.typed:
                    continue
                self.missing.append(f"{variable}: {problem}")
                return None
            self.values[variable] = value.strip()
            return value.strip()

    def _problem(self, name: str, value: str, test: Callable[[str], str]) -> str | None:
        from bot import settings_secrets
        from bot.cli.accounts import NotAccepted

        shape = settings_secrets.SHAPES[name]
        if not shape[0].fullmatch(value):
            return f"That is not it: it {shape[1]}."
        if self.offline:
            return None
        try:
            say(f"  {test(value)}")
        except NotAccepted as error:
            return str(error)
        return None


@guarded
def init(
    path: ConfigFile = DEFAULT_CONFIG,
    real: Annotated[
        bool | None, typer.Option("--real/--sandbox", help="Connect real accounts, or stay in the sandbox.")
    ] = None,
    no_input: Annotated[
        bool, typer.Option("--no-input", help="Ask nothing: take secrets from the environment or .env.")
    ] = False,
    channel: Annotated[
        list[str] | None, typer.Option(metavar="QUEUE=ID", help="The Slack channel of a queue; may be repeated.")
    ] = None,
    agents: Annotated[str | None, typer.Option(metavar="ID", help="The user group of the agents.")] = None,
    leads: Annotated[str | None, typer.Option(metavar="ID", help="The user group of the leads.")] = None,
    keep_addresses: Annotated[
        bool, typer.Option("--keep-addresses", help="Leave base_url as it is (your own API server).")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not test tokens.")] = False,
) -> None:
    """Ask for tokens, test each, make the master key, write .env and the ids into config.yaml."""
    from bot import settings
    from bot.cli import encoders, files
    from bot.whole_files import write_whole

    read = settings.load(path)
    typed = not no_input
    if real is None:
        real = not read.sandbox or (
            typed and typer.confirm(f"{path} names the local sandbox. Connect real accounts now?", default=True)
        )
    if real:
        text = path.read_text(encoding="utf-8")
        new_text = text if keep_addresses else files.without_sandbox(text)
        asker = Asker(present=_present(path), typed=typed, offline=offline)
        telegram_url, slack_url = _addresses(read, keep_addresses)
        workspace = _ask_tokens(asker, read, telegram_url, slack_url)
        ids = _given(read, channel or [], agents, leads)
        if typed and not offline and workspace is not None:
            ids |= _ask_ids(read, asker, slack_url, ids)
        if asker.missing:
            for line in asker.missing:
                complain(line)
            raise typer.Exit(FAILED)
        files.update_env(path.resolve().parent / ".env", asker.values)
        new_text = files.with_ids(new_text, ids)
        if new_text != text:
            write_whole(path, new_text, path.stat().st_mode & 0o777)
        read = settings.load(path)
        say()
        say(f"Written: .env (mode 0600) beside {path}" + (f", and {path} itself." if new_text != text else "."))
        _invite(read, workspace.bot if workspace else "relaydesk")
    _make_key(read, typed)
    prepare = typed and real and not offline and encoders.offer(read, path)
    say()
    steps = "relaydesk doctor, then relaydesk run." if real else "relaydesk demo."
    advise(f"Next: {'relaydesk model prepare, then ' if prepare else ''}{steps}")


def _addresses(read: Settings, keep: bool) -> tuple[str, str]:
    from bot.settings_parts import SLACK_API, TELEGRAM_API
    from bot.settings_values import is_loopback

    telegram, slack = read.telegram.base_url, read.slack.base_url
    if keep:
        return telegram, slack
    return TELEGRAM_API if is_loopback(telegram) else telegram, SLACK_API if is_loopback(slack) else slack


def _present(path: Path) -> dict[str, str]:
    """What is set already, the sandbox's fixed tokens left out."""
    import os

    from bot import settings, settings_secrets

    folder = path.resolve().parent
    variables = settings.dotenv_of(folder) | dict(os.environ)
    secrets, problems = settings_secrets.read(variables, folder, sandbox=False)
    if problems:
        raise ConfigError(*problems)
    found = {name: getattr(secrets, name) for name in settings_secrets.NAMES}
    return {name: secret.get_secret_value() for name, secret in found.items() if secret is not None}


def _ask_tokens(asker: Asker, read: Settings, telegram_url: str, slack_url: str) -> Workspace | None:
    import secrets

    from bot import settings_secrets
    from bot.cli import accounts

    if read.telegram.enabled:
        say(TELEGRAM_STEPS)
        asker.secret(
            "telegram_token", "Bot token", lambda token: f"Hello, @{accounts.telegram_bot(telegram_url, token)}."
        )
        if read.telegram.mode == "webhook":
            name = "telegram_webhook_secret"
            asker.values[settings_secrets.variable(name)] = asker.present.get(name) or secrets.token_urlsafe(32)
    say(SLACK_STEPS.format(manifest=MANIFEST))
    workspaces: list[Workspace] = []

    def hello(token: str) -> str:
        workspaces.append(accounts.slack_workspace(slack_url, token))
        return f"Hello, {workspaces[-1].team}. The bot is @{workspaces[-1].bot}."

    asker.secret("slack_bot_token", "Bot User OAuth Token", hello)

    def connect(token: str) -> str:
        accounts.slack_socket(slack_url, token)
        return "Socket Mode can connect."

    if read.slack.mode == "socket":
        say(SOCKET_STEP)
        asker.secret("slack_app_token", "App-Level Token", connect)
    else:
        say(HTTP_STEP)
        asker.secret("slack_signing_secret", "Signing Secret", lambda _secret: "Taken; Slack will prove it.")
    return workspaces[-1] if workspaces else None


def _given(read: Settings, channels: list[str], agents: str | None, leads: str | None) -> dict[str, str]:
    """Ids from the command line, by the id that stands in the file now."""
    from bot.settings_problems import did_you_mean

    ids = {}
    for pair in channels:
        queue, _, new = pair.partition("=")
        if queue not in read.queues:
            raise typer.BadParameter(f"unknown queue {queue!r}{did_you_mean(queue, read.queues)}")
        if not CHANNEL.fullmatch(new):
            raise typer.BadParameter(f"{pair!r}: give QUEUE=ID, with a channel id such as C0123456789")
        ids[read.queues[queue].channel] = new
    for old, member in (("S0AGENTS", agents), ("S0LEADS", leads)):
        if member is not None:
            if not MEMBER.fullmatch(member):
                raise typer.BadParameter(f"{member!r} is not a user group id (S...) or user id (U...)")
            ids[old] = member
    return ids


def _ask_ids(read: Settings, asker: Asker, slack_url: str, given: dict[str, str]) -> dict[str, str]:
    """Channels and user groups for the sandbox's ids that still stand in the file."""
    from bot.cli import accounts

    token = asker.values["RELAYDESK_SLACK_BOT_TOKEN"]
    channels = accounts.slack_channels(slack_url, token)
    groups = accounts.slack_groups(slack_url, token)
    ids = {}
    say()
    say("Which Slack channel does each queue get? (#name or id)")
    places = {queue.channel: f"  {name}" for name, queue in read.queues.items()}
    if read.slack.ops_channel and read.slack.ops_channel not in places:
        places[read.slack.ops_channel] = "  messages to the operator"
    for old, title in places.items():
        if old in SANDBOX_CHANNELS and old not in given:
            ids[old] = _resolved(title, channels, CHANNEL, "channel")
    say("Which user group holds? (@handle or id)")
    used = {member for role in (read.roles.agent, read.roles.lead, read.roles.admin) for member in role}
    for old, title in SANDBOX_GROUPS.items():
        if old in used and old not in given:
            ids[old] = _resolved(f"  {title}", groups, MEMBER, "user group")
    return ids


def _resolved(title: str, known: dict[str, str], shape: re.Pattern[str], what: str) -> str:
    from bot.cli import accounts
    from bot.settings_problems import did_you_mean

    while True:
        word = typer.prompt(title)
        if found := accounts.resolve(word, known, shape):
            return found
        complain(f"  There is no {what} {word} that the bot can see{did_you_mean(word.lstrip('#@'), known)}")


def _invite(read: Settings, bot: str) -> None:
    say()
    if left := sorted({queue.channel for queue in read.queues.values()} & SANDBOX_CHANNELS):
        say(f"{read.path} still names channels of the sandbox: put your own ids in place of {', '.join(left)}.")
    say("In each of these Slack channels type the line once, so that the bot may post there:")
    places = dict.fromkeys(queue.channel for queue in read.queues.values())
    if read.slack.ops_channel:
        places[read.slack.ops_channel] = None
    for place in places:
        say(f"  {place}:  /invite @{bot}")


def _make_key(read: Settings, typed: bool) -> None:
    from bot.cli import checks
    from storage import rings

    file = read.keys.master_file
    say()
    if read.secrets.master_key is not None:
        say("The master key comes from the environment; no file was made.")
        return
    if file.exists():
        rings.MasterRing.read(file)
        say(f"The master key {file} is there; it was left as it is.")
    else:
        rings.create_master_file(file)
        say(f"Made the master key {file} (mode 0600).")
    say("Copy it to a safe place apart from the data: whoever loses it loses every name and message.")
    if typed and not checks.is_copied(file, set(rings.MasterRing.read(file).keys)):
        if typer.confirm("Have you copied it?", default=False):
            checks.confirm_copied(file)
        else:
            advise("Then say so later: relaydesk doctor --key-is-copied")
