"""`relaydesk demo`: the whole path on this machine, against the local sandbox. No account, throw-away keys."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import FAILED, complain, guarded, say
from domain.errors import ConfigError, RefusedToStart

if TYPE_CHECKING:
    from bot.settings import Settings

SHIPPED = Path(__file__).parents[2] / "config.yaml"
PORT = 8400
READY_WITHIN_S = 20.0
STOP_WITHIN_S = 2.0
_HEADER = "# Written by `relaydesk demo` at every start: what it runs with, for the other commands.\n"


@guarded
def demo(
    config: Annotated[
        Path, typer.Option("--config", "-c", metavar="FILE", help="A configuration that names the sandbox.")
    ] = SHIPPED,
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the demo keeps its things.")] = Path("data/demo"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget earlier demos first.")] = False,
    browser: Annotated[bool, typer.Option(help="Open the page when there is a browser.")] = True,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the sandbox; another one if it is taken.")] = PORT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the bot's log.")] = False,
) -> None:
    """Run the bot in the local sandbox. Ctrl-C stops both."""
    from bot import logs

    logs.configure("info" if verbose else "error")
    data = data.resolve()
    with _alone(data) as lock:
        if fresh:
            _forget(data)
        _prepare_model(config)
        raise typer.Exit(asyncio.run(_demo(config, data, port=port, browser=browser, lock=lock)))


async def _demo(config: Path, data: Path, *, port: int, browser: bool, lock: int) -> int:
    async with _sandbox(data, port, lock) as (sandbox, url):
        settings = _settings(config, data, url)
        from bot import life  # while the sandbox starts up

        telling: set[asyncio.Task[None]] = set()

        def ready(address: str) -> None:
            telling.add(asyncio.create_task(_show_figures(url, address), name="figures"))
            say(f"Relaydesk runs. Open {url} : customers' phones on the left, Slack on the right.")
            say(f"Look inside with: {_program()} doctor -c {data}/config.yaml (or show 1001, or dead list).")
            say("Ctrl-C stops it; --fresh starts anew.")
            if browser:
                _open(url)

        bot = asyncio.create_task(life.run(settings, ready=ready), name="bot")
        gone = asyncio.create_task(sandbox.wait(), name="sandbox")
        try:
            await asyncio.wait({bot, gone}, return_when=asyncio.FIRST_COMPLETED)
            if bot.done():
                return bot.result()
            complain(f"relaydesk: the sandbox ended by itself (exit code {gone.result()}); see its lines above")
            return FAILED
        finally:
            bot.cancel()
            gone.cancel()
            await asyncio.gather(bot, gone, *telling, return_exceptions=True)


def _program() -> str:
    """How this program is called here: `make demo` does not put it on the path."""
    return "relaydesk" if shutil.which("relaydesk") else sys.argv[0]


async def _show_figures(url: str, address: str) -> None:
    """Tell the sandbox where the bot's figures are, for the strip on top of its page, and what a message offers."""
    import httpx

    from bot.desk import forms

    with contextlib.suppress(httpx.HTTPError):  # the page then says that the bot does not run, and all else works
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.post(f"{url}/control/product", json={"url": address})
            shortcuts = {f"{forms.PREFIX}{name}": label for name, label in forms.SHORTCUTS.items()}
            await client.post(f"{url}/control/slack/settings", json={"shortcuts": shortcuts})


def _settings(config: Path, data: Path, url: str) -> Settings:
    """The shipped configuration at the sandbox's address; no account, no variable and no `.env` has a say in it."""
    import yaml

    from bot import settings
    from bot.whole_files import write_whole
    from storage import rings

    key = data / "keys" / "master.key"
    if not key.exists():
        rings.create_master_file(key)
    overrides: dict[str, Any] = {
        "data_dir": str(data / "record"),
        "database": {"url": None},
        "keystore": {"url": None},
        "keys": {"master_file": str(key)},
        "web": {"host": "127.0.0.1", "port": 0},
        "clock": {"source": f"{url}/clock"},
        "learning": {"keep_text": True, "train_after": 10},  # made-up people, and one sees it learn
    }
    read = settings.load(config, environment={}, dotenv=False)
    if not read.sandbox:
        raise ConfigError(f"{config}: names real accounts, and the demo talks to the sandbox only; leave --config out")
    overrides["telegram"] = {"base_url": f"{url}/telegram"}
    overrides["slack"] = {"base_url": f"{url}/slack/api/"}
    merged = settings.load(config, environment={}, overrides=overrides, dotenv=False)
    own = data / "config.yaml"
    write_whole(own, _HEADER + yaml.safe_dump(merged.model_dump(mode="json"), allow_unicode=True), 0o600)
    return settings.load(own, environment={}, dotenv=False)


def _prepare_model(config: Path) -> None:
    from bot import settings
    from classifiers import encoder, folders

    places = folders.paths(settings.load(config, environment={}, dotenv=False).classifier.model_dir)
    there = encoder.kept(places.encoder)
    if not places.heads.is_dir() or (there is not None and there[0] != encoder.FORMAT):
        from bot.cli import model

        model.prepare(config, None)


@contextlib.asynccontextmanager
async def _sandbox(data: Path, port: int, lock: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The sandbox as a child in a session of its own, so that Ctrl-C reaches the bot first; stopped at the end."""
    command = [sys.executable, "-m", "sandbox", "--until-input-ends"]
    command += ["--state", str(data / "sandbox.json"), "--seed-story"]
    process, line = await _start([*command, "--port", str(port if _is_free(port) else 0)], lock)
    try:
        if not line:
            raise RefusedToStart("the sandbox did not start; its reason stands above")
        yield process, str(json.loads(line)["url"])
    finally:
        await _stop(process)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _start(command: list[str], lock: int) -> tuple[asyncio.subprocess.Process, bytes]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,  # nothing is written: it ends with us, however we end
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        pass_fds=(lock,),
        cwd=SHIPPED.parent,
    )
    try:
        reading = process.stdout.readline() if process.stdout else asyncio.sleep(0, b"")
        return process, await asyncio.wait_for(reading, READY_WITHIN_S)
    except BaseException:
        await _stop(process)
        raise


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[int]:
    """One demo a folder. The sandbox inherits the lock, so that one left behind by a kill is noticed, too."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(data / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedToStart(
                f"a demo runs over {data} already: stop it, or give this one another folder with --data"
            ) from None
        yield handle
    finally:
        os.close(handle)


def _forget(data: Path) -> None:
    """Remove what demos made in the folder, and nothing else that lies there."""
    for name in ("record", "keys"):
        shutil.rmtree(data / name, ignore_errors=True)
    for name in ("sandbox.json", "config.yaml"):
        (data / name).unlink(missing_ok=True)


def _open(url: str) -> None:
    """Open the page where there is a screen; a text browser would take over the terminal."""
    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        import threading
        import webbrowser

        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
