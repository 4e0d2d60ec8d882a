"""What `doctor` looks at on this machine: files, keys, stores, model, calendars. Each check says cause and fix."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from domain.errors import RelaydeskError
from domain.ports import Probe

if TYPE_CHECKING:
    from bot.settings import Settings

State = Literal["ok", "note", "wrong"]

SCARCE_BYTES: Final = 2 * 1024**3
"""Below this a busy desk should get more room."""
FULL_BYTES: Final = 256 * 1024**2
"""Below this the next backup or log may fill the disk."""
LATE_BACKUPS: Final = 2
"""So many times the chosen pause without a proved backup are too long."""
LONG_CLOSED: Final = timedelta(days=14)
"""A team that is closed for longer is a slip in its calendar, or a long holiday that somebody should know of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One line of `doctor`. A `note` asks for something without being wrong."""

    name: str
    state: State
    found: str
    fix: str = ""


def of_probe(probe: Probe) -> Check:
    """A platform's own check in our shape."""
    return Check(name=probe.name, state="ok" if probe.ok else "wrong", found=probe.found, fix=probe.fix)


async def tried(name: str, check: Callable[[], Awaitable[list[Check]]]) -> list[Check]:
    """A check's lines; whatever it raises becomes a line of its own."""
    try:
        return await check()
    except RelaydeskError as error:
        found, _, fix = str(error).partition("; ")
        return [Check(name=name, state="wrong", found=found, fix=fix)]
    except Exception as error:  # noqa: BLE001 -- one broken check must not hide the others
        return [Check(name=name, state="wrong", found=type(error).__name__, fix="run `relaydesk doctor` once more")]


async def secrets(settings: Settings) -> list[Check]:
    """Is everything there that a start needs, and is `.env` for our eyes only."""
    checks = [
        Check(name="secrets", state="wrong", found=what.removeprefix("environment: "), fix=fix)
        for what, _, fix in (line.partition("; ") for line in settings.blockers())
    ]
    file = settings.path.resolve().parent / ".env"
    if file.is_file() and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        checks.append(
            Check(name="secrets", state="wrong", found=f"others may read {file}", fix=f"run: chmod 600 {file}")
        )
    return checks or [Check(name="secrets", state="ok", found="all that a start needs")]


async def keys(settings: Settings) -> list[Check]:
    """Can the master keys be read, has somebody copied them away, and do they open the key store."""
    from bot import opening
    from storage.keys import KeyStore

    ring = opening.read_ring(settings)
    checks = [Check(name="master key", state="ok", found=f"{ring.active} (of {len(ring.keys)})")]
    if settings.secrets.master_key is None and not is_copied(settings.keys.master_file, set(ring.keys)):
        checks.append(
            Check(
                name="key copy",
                state="note",
                found="nobody has said that the master key was copied away; without it the record is lost",
                fix=f"copy {settings.keys.master_file} to a safe place, then run: relaydesk doctor --key-is-copied",
            )
        )
    if _missing_file(settings.keystore_url):
        return [*checks, Check(name="key store", state="note", found="not there yet", fix="`relaydesk run` makes it")]
    store = await KeyStore.open(settings.keystore_url, ring, create=False)
    await store.close()
    return [*checks, Check(name="key store", state="ok", found="opens with the master key")]


def copied_note(master_file: Path) -> Path:
    """Where it is written down that the keys were copied away."""
    return master_file.with_name(master_file.name + ".copied")


def is_copied(master_file: Path, ids: set[str]) -> bool:
    """Whether a person has said so for exactly these keys."""
    try:
        return set(copied_note(master_file).read_text(encoding="utf-8").split()) >= ids
    except (OSError, UnicodeDecodeError):
        return False


def confirm_copied(master_file: Path) -> None:
    """Write down that the keys of this file were copied away. Raises RefusedToStart when there is no key file."""
    from storage.rings import MasterRing

    ids = MasterRing.read(master_file).keys
    copied_note(master_file).write_text("\n".join(sorted(ids)) + "\n", encoding="utf-8")


async def disk(settings: Settings) -> list[Check]:
    """Is there room, and is it a disk of this machine."""
    from storage import engines

    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    room = f"{free / 1024**3:.1f} GiB free"
    if free < FULL_BYTES:
        checks = [Check(name="disk", state="wrong", found=room, fix="make room before messages are refused")]
    elif free < SCARCE_BYTES:
        checks = [Check(name="disk", state="note", found=room, fix="plan for more room")]
    else:
        checks = [Check(name="disk", state="ok", found=room)]
    if settings.database_url.startswith("sqlite"):
        engines.refuse_network_file_system(folder)
    return checks


async def database(settings: Settings) -> list[Check]:
    """Is the record reachable, at this release's schema, and is anything set aside."""
    from bot.cli import stores

    if _missing_file(settings.database_url):
        return [Check(name="database", state="note", found="not there yet", fix="`relaydesk run` makes it")]
    found, wanted = await stores.schema(settings)
    if found != wanted:
        return [
            Check(
                name="database",
                state="wrong",
                found=f"schema {found or 'none'}, this release wants {wanted}",
                fix="stop the bot and run: relaydesk db upgrade",
            )
        ]
    checks = [Check(name="database", state="ok", found=f"reachable, schema {found}")]
    async with stores.existing(settings) as opened:
        count = len(await opened.inbox.dead()) + len(await opened.outbox.dead())
        kept = await opened.attachments.used()
    since = "" if kept.oldest is None else f", the oldest of {kept.oldest:%Y-%m-%d}"
    checks.append(Check(name="files", state="ok", found=f"{kept.files} kept, {kept.bytes / 1e6:,.1f} MB{since}"))
    if count:
        fix = "see them with: relaydesk dead list"
        return [*checks, Check(name="dead letters", state="wrong", found=f"{count} set aside", fix=fix)]
    return [*checks, Check(name="dead letters", state="ok", found="none")]


async def backups(settings: Settings, now: datetime) -> list[Check]:
    """Are backups made, and how old is the last one that was proved to be readable."""
    from bot.cli import stores
    from storage import backup

    given = settings.backup
    if not given.record_to:
        fix = f"set backup.record_to and backup.keys_to in {settings.path}, to directories apart"
        return [Check(name="backups", state="note", found="none are made", fix=fix)]
    if _missing_file(settings.database_url):
        return []
    found, wanted = await stores.schema(settings)
    if found != wanted:
        return []
    async with stores.existing(settings) as opened:
        last = await backup.last_verified(opened.database)
    if last is None:
        fix = "run: relaydesk backup now"
        return [Check(name="backups", state="wrong", found="none was ever proved to be readable", fix=fix)]
    found = f"the last proved one is {(now - last) / timedelta(hours=1):.1f} h old"
    is_late = now - last > LATE_BACKUPS * given.every
    fix = "run `relaydesk backup now`, and see the log for backup.failed" if is_late else ""
    return [Check(name="backups", state="wrong" if is_late else "ok", found=found, fix=fix)]


async def model(settings: Settings) -> list[Check]:
    """Is the classifier there, is it the one that was asked for, and are its files the ones that were built."""
    from bot import models, settings_rulebook
    from domain.errors import RefusedToStart

    try:
        found = models.choose(settings)
    except RefusedToStart as error:
        return [Check(name="model", state="wrong", found=str(error), fix="run: relaydesk model prepare")]
    settings_rulebook.build(settings, found.classifier.labels)
    if found.state != "live":
        what = (
            f"{models.STATES[found.state]} answer: {found.reason}"
            if found.state == "ngrams"
            else (f"{models.STATES[found.state]} answers: {found.reason}")
        )
        return [Check(name="model", state="wrong", found=what, fix="run: relaydesk model prepare")]
    intents = f"{found.classifier.version}, {len(found.classifier.labels)} intents"
    return [Check(name="model", state="ok", found=intents), *await _server(settings)]


async def _server(settings: Settings) -> list[Check]:
    """Does the encoder's server answer, where one is named."""
    import asyncio

    from classifiers import remote
    from classifiers.errors import ModelError

    chosen = settings.classifier.chosen
    if chosen is None or chosen.kind != "server":
        return []
    key = settings.secrets.encoder_key
    try:
        far = await asyncio.to_thread(remote.connect, chosen.name, key=key.get_secret_value() if key else None)
    except ModelError as error:
        found, _, fix = str(error).partition("; ")
        return [Check(name="encoder", state="wrong", found=found, fix=fix)]
    if far.about.fingerprint != remote.read_description(settings.classifier.home).fingerprint:
        found = f"{chosen.name} runs {far.about.model}, another model than the heads were trained with"
        return [Check(name="encoder", state="wrong", found=found, fix="run: relaydesk model prepare")]
    return [Check(name="encoder", state="ok", found=f"{chosen.name} answers ({far.about.model})")]


async def privacy(settings: Settings) -> list[Check]:
    """Whether anybody can decide what customers ask about their data, and sees it."""
    place = settings.privacy.channel or settings.slack.ops_channel
    if not settings.roles.privacy_officer:
        found, fix = "nobody has the role: requests about data cannot be decided at the desk", "roles.privacy_officer"
    elif place is None:
        found, fix = "requests about data are shown nowhere", "privacy.channel"
    else:
        return [Check(name="privacy officer", state="ok", found=f"requests about data are shown in {place}")]
    return [Check(name="privacy officer", state="note", found=found, fix=f"set {fix} in {settings.path}")]


async def calendars(settings: Settings, now: datetime) -> list[Check]:
    """When does each team open next."""
    checks = []
    for name, given in settings.sla.calendars.items():
        calendar = given.build(name)
        opening = calendar.next_open(now)
        found = f"opens {opening:%Y-%m-%d %H:%M} UTC" if opening > now else "open now"
        is_long = opening - now > LONG_CLOSED
        fix = f"see sla.calendars.{name} in {settings.path}: no deadline runs until then" if is_long else ""
        checks.append(Check(name=f"calendar {name}", state="wrong" if is_long else "ok", found=found, fix=fix))
        if (year := calendar.unannounced(now.date())) is not None:
            found = f"the make-up days of {year} and the days off around holidays are not known to this release"
            fix = f"once they are announced, name them under sla.calendars.{name}.holidays (work and add)"
            checks.append(Check(name=f"calendar {name}", state="note", found=found, fix=fix))
    return checks


def _missing_file(url: str) -> bool:
    from sqlalchemy import make_url

    parsed = make_url(url)
    return parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file()
