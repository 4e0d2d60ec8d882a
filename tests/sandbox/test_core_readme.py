"""The README is complete: what the sandbox offers and is not described there fails here."""

import re
import subprocess
import sys
from pathlib import Path

from sandbox import faults, server
from sandbox.telegram.routes import NAMES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "sandbox" / "README.md").read_text()
KIND = re.compile(r'"((?:customer|bot|update|webhook|poll|query)_[a-z]+)"')


async def test_every_control_route_is_described() -> None:
    """Each path below `/control/`, of both platforms, is named, in full or by its last word in a table."""
    app = server.build_app(server.Options())
    paths = {
        route.resource.canonical.partition("{")[0].rstrip("/")
        for route in app.router.routes()
        if route.resource is not None
    }
    control = {path for path in paths if path.startswith("/control/")}
    assert len(control) > 20
    assert {path for path in control if path not in README and f"`{path.rpartition('/')[2]}`" not in README} == set()
    assert {"/clock", "/events"} <= paths


def test_every_fault_is_described() -> None:
    """Each fault is named in the table."""
    names = {*faults.REQUEST_FAULTS, *faults.DELIVERY_FAULTS}
    assert {name for name in names if f"`{name}`" not in README} == set()


def test_every_kind_of_telegram_record_is_described() -> None:
    """Each kind that the Telegram side writes into the log is named."""
    source = "".join(path.read_text() for path in (ROOT / "sandbox" / "telegram").glob("*.py"))
    kinds = set(KIND.findall(source)) - {"bot_command", "poll_answer", "update_id", "update_ids"}
    assert len(kinds) > 15
    assert {kind for kind in kinds if f"`{kind}`" not in README} == set()


def test_every_method_of_telegram_is_described() -> None:
    """Each method that is played is in the list."""
    assert {name for name in NAMES.values() if name not in README} == set()


def test_every_option_of_the_command_line_is_described() -> None:
    """Each option of `--help` is in the table."""
    shown = subprocess.run(
        [sys.executable, "-m", "sandbox", "--help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    options = set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--help", "--print-ready"}
    assert {option for option in options if f"`{option}" not in README} == set()
