"""`relaydesk doctor`: what is wrong, why, and what to do about it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.terminal import (
    CONFIG_MISTAKE,
    DEFAULT_CONFIG,
    FAILED,
    AsJson,
    ConfigFile,
    advise,
    complain,
    guarded,
    say,
    show_json,
    table,
)
from domain.errors import ConfigError

if TYPE_CHECKING:
    from bot.cli.checks import Check
    from bot.settings import Settings

PATIENCE_S = 20.0
"""How long the platforms may take to answer all their checks."""
WORDS = {"ok": "ok", "note": "note", "wrong": "WRONG"}


@guarded
def doctor(
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask Telegram and Slack.")] = False,
    key_is_copied: Annotated[
        bool, typer.Option("--key-is-copied", help="Note that you have copied the master key away.")
    ] = False,
) -> None:
    """Check everything and say what to do. Exit code 1 when something is wrong, 2 when the configuration is."""
    from bot import logs, settings
    from bot.cli import checks

    logs.configure("error")
    try:
        read = settings.load(path)
    except ConfigError as error:
        _show([checks.Check(name="config", state="wrong", found=line) for line in error.problems], as_json)
        raise typer.Exit(CONFIG_MISTAKE) from None
    if key_is_copied:
        checks.confirm_copied(read.keys.master_file)
    found = asyncio.run(_all(read, offline=offline))
    if not as_json:
        found = _once(found)
    _show(found, as_json)
    wrong = sum(check.state == "wrong" for check in found)
    if wrong:
        complain(f"{wrong} of {len(found)} checks found something wrong.")
        raise typer.Exit(FAILED)


async def _all(read: Settings, *, offline: bool) -> list[Check]:
    from bot import times
    from bot.cli import checks

    platforms = "sandbox" if read.sandbox else "real accounts"
    found = [checks.Check(name="config", state="ok", found=f"{read.path}: valid ({platforms})")]
    now = times.real()
    for name, check in (
        ("secrets", lambda: checks.secrets(read)),
        ("keys", lambda: checks.keys(read)),
        ("disk", lambda: checks.disk(read)),
        ("database", lambda: checks.database(read)),
        ("backups", lambda: checks.backups(read, now)),
        ("model", lambda: checks.model(read)),
        ("privacy officer", lambda: checks.privacy(read)),
        ("calendars", lambda: checks.calendars(read, now)),
    ):
        found += await checks.tried(name, check)
    if not offline:
        for name in ("telegram", "slack"):
            found += await checks.tried(name, lambda name=name: _platform(read, name))  # type: ignore[misc]
    return found


def _once(found: list[Check]) -> list[Check]:
    """The same trouble once, under the names of all the checks that met it."""
    met: dict[object, Check] = {}
    for place, check in enumerate(found):
        trouble = place if check.state == "ok" else (check.state, check.found, check.fix)
        before = met.get(trouble)
        met[trouble] = check if before is None else replace(before, name=f"{before.name}, {check.name}")
    return list(met.values())


async def _platform(read: Settings, name: str) -> list[Check]:
    """What the platform's adapter finds; each adapter is built only where its tokens are there."""
    from bot import platforms, times
    from bot.cli import checks

    clock = times.Timekeeper()
    if name == "telegram":
        if not read.telegram.enabled or read.secrets.telegram_token is None:
            return []
        (part,) = platforms.build_channels(read, clock).values()
    else:
        if read.secrets.slack_bot_token is None:
            return []
        part = platforms.build_desk(read, clock)  # type: ignore[assignment]
    try:
        async with asyncio.timeout(PATIENCE_S):
            probes = await part.probe()
    except TimeoutError:
        fix = f"check the network, the proxy and {name}.base_url"
        return [checks.Check(name=name, state="wrong", found=f"no answer within {PATIENCE_S:.0f} s", fix=fix)]
    finally:
        await part.close()
    lines = [checks.of_probe(probe) for probe in probes]
    if read.sandbox and any(line.state == "wrong" for line in lines):
        hint = "is the sandbox running? `relaydesk demo` starts one"
        lines.append(checks.Check(name=name, state="note", found="this configuration names the sandbox", fix=hint))
    return lines


def _show(found: list[Check], as_json: bool) -> None:
    if as_json:
        show_json({"well": all(check.state != "wrong" for check in found), "checks": [asdict(c) for c in found]})
        return
    table("check", "", "found", rows=[[check.name, WORDS[check.state], check.found] for check in found])
    for check in found:
        if check.fix and check.state != "ok":
            say()
            say(f"{check.name}: {check.found}")
            advise(f"  → {check.fix}")
