"""`relaydesk run` and `relaydesk demo` as real processes: ready, of use to the other commands, and stopped cleanly."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from bot.cli import main
from tests import patience
from tests.bot.cli.conftest import ROOT, Place

SCRIPT = Path(sys.executable).with_name("relaydesk")
READY_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0

pytestmark = pytest.mark.skipif(
    not (ROOT / ".cache/model/heads").is_dir(), reason="the model is not prepared: run `make model`"
)


@contextmanager
def _started(*words: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RELAYDESK_", "DISPLAY"))}
    process = subprocess.Popen(
        [SCRIPT, *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _stopped(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    with patience.Own(process.pid) as took:
        process.send_signal(number)
        _, errors = process.communicate(timeout=patience.LONG_S)
    assert took.seconds < STOP_WITHIN_S
    return process.returncode, errors


def _children(process: subprocess.Popen[str]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        said = json.loads(line)
        if said["event"] == "web.listening":
            return str(said["address"])
    raise AssertionError("it ended before it listened")


def test_run_gets_ready_and_stops_at_a_signal(connected: Place) -> None:
    """/readyz turns 200 with every check green, JSON lines on standard error, exit code 0 within five seconds."""
    connected.change(web={"port": 0})
    with _started("run", "-c", str(connected.path), folder=connected.folder) as process:
        address = _address(process)
        limit = time.monotonic() + patience.LONG_S
        while (answer := httpx.get(f"{address}/readyz")).status_code != 200:
            assert time.monotonic() < limit, answer.text
            time.sleep(0.1)
        code, errors = _stopped(process, signal.SIGTERM)
    assert code == 0, errors
    worries = [said["event"] for said in map(json.loads, errors.splitlines()) if said["level"] != "info"]
    assert worries == ["backup.none_configured"]


def _ready_demo(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Relaydesk runs. Open "):
            return line.split()[3]
    raise AssertionError(process.stderr.read() if process.stderr else "")


def _number_of(name: str, config: Path) -> int:
    """The conversation of whoever is called so: which of the demo's customers writes first is not said."""
    limit = time.monotonic() + patience.LONG_S
    while True:
        for number in range(1001, 1006):
            if name in _relaydesk("show", f"#{number}", "--reveal", config=config).stdout:
                return number
        assert time.monotonic() < limit, "nobody is called so"
        time.sleep(0.2)


def _relaydesk(*words: str, config: Path) -> Result:
    """In this process: what is started here is the demo, not five more interpreters."""
    return CliRunner().invoke(main.app, [*words, "-c", str(config)])


def test_the_demo_shows_a_living_desk_and_can_be_looked_into(tmp_path: Path) -> None:
    """Started without an account; a first customer becomes a conversation that `show` and `customer find` know.

    Ctrl-C stops bot and sandbox within five seconds; the second start is ready in under ten and knows what was.
    """
    words = ("demo", "--no-browser", "--port", "0", "--data", str(tmp_path / "demo"))
    config = tmp_path / "demo" / "config.yaml"
    with _started(*words, folder=tmp_path) as process:
        url = _ready_demo(process)
        number = _number_of("Maria Keller", config)
        limit = time.monotonic() + patience.LONG_S
        while "assessment" not in (shown := _relaydesk("show", str(number), config=config)).stdout:
            assert time.monotonic() < limit, shown.stdout + shown.stderr
            time.sleep(0.2)
        assert "Maria" not in shown.stdout
        found = json.loads(_relaydesk("customer", "find", "Maria", "Keller", "--json", config=config).stdout)
        assert found[0]["name"] == "M••• K•••"
        second = _relaydesk("demo", "--no-browser", "--data", str(tmp_path / "demo"), config=ROOT / "config.yaml")
        assert second.exit_code == 1
        assert "a demo runs over" in second.stderr
        code, errors = _stopped(process, signal.SIGINT)
        assert code == 0, errors
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    with _started(*words, folder=tmp_path) as process:
        with patience.Own(process.pid) as took:
            _ready_demo(process)
        assert took.seconds < READY_WITHIN_S
        assert "#1001" in _relaydesk("show", "1001", config=config).stdout
        _stopped(process, signal.SIGTERM)


def test_a_demo_that_is_killed_takes_its_sandbox_along(tmp_path: Path) -> None:
    """A terminal was closed, or memory ran out: the folder is free again, and nothing runs on that nobody can find."""
    data = tmp_path / "demo"
    with _started("demo", "--no-browser", "--port", "0", "--data", str(data), folder=tmp_path) as process:
        _ready_demo(process)
        process.kill()
        process.communicate(timeout=patience.LONG_S)  # its lines end when the last of its processes does
    with (data / "demo.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_demo_never_talks_to_real_accounts(place: Place) -> None:
    """A configuration that names one is refused before anything is started."""
    place.change(telegram={"base_url": "https://api.telegram.org"}, clock=None)
    result = place.run("demo", "--no-browser", "--data", str(place.folder / "demo"))
    assert result.exit_code == 2
    assert "the demo talks to the sandbox only" in result.stderr


def test_a_sandbox_that_dies_ends_the_demo(tmp_path: Path) -> None:
    """Nobody is left looking at a page that no longer answers."""
    words = ("demo", "--no-browser", "--port", "0", "--data", str(tmp_path / "demo"))
    with _started(*words, folder=tmp_path) as process:
        _ready_demo(process)
        (sandbox,) = _children(process)
        os.kill(sandbox, signal.SIGKILL)
        _, errors = process.communicate(timeout=patience.LONG_S)
    assert process.returncode == 1
    assert "the sandbox ended by itself" in errors
