"""The embedded PostgreSQL is imported in silence, and locks nothing that other users of the machine lock, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import embedded

LOOK = "from tests import embedded; import os; print(embedded.postgres().PostgresServer.lock_path, "
LOOK += "os.environ.get('XDG_RUNTIME_DIR'), flush=True)"


@pytest.mark.postgres
def test_without_a_runtime_folder_it_warns_of_nothing_and_locks_a_file_of_ones_own(tmp_path: Path) -> None:
    """Warnings are errors here; the lock is where nobody else may enter, and the environment is as before."""
    environment = {name: value for name, value in os.environ.items() if name != embedded.NAME}
    for _ in range(2):  # made at the first time, found at the second
        told = subprocess.run(
            [sys.executable, "-W", "error", "-c", LOOK],
            env={**environment, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        own = tmp_path / f"relaydesk-tests-{os.getuid()}"
        assert told.stdout.split() == [str(own / embedded.LOCKS / ".lockfile"), "None"]
        assert told.stderr == ""
        assert own.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_somebody_else_laid_out_is_refused(tmp_path: Path) -> None:
    """A link under the expected name may lead anywhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"relaydesk-tests-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="somebody else's"):
        embedded._stand_in(tmp_path)
