"""A disk that fails on command: SQLite's own file layer, with us between it and its reads, writes and syncs.

What SQLite makes of the kernel's answers is fixed in its unix layer: ENOSPC is SQLITE_FULL, and EIO, EDQUOT (a quota),
EFBIG (a size limit) and EROFS (read-only) are SQLITE_IOERR_WRITE alike. This layer answers with those codes: each can
be had without being root, in the middle of a transaction as well, and is over when a test says so.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "failing"
OK, FULL, IOERR_READ, IOERR_WRITE, IOERR_FSYNC = 0, 13, 266, 778, 1034
FAULTS: dict[str, dict[str, int]] = {
    "full": {"write": FULL},
    "error_write": {"write": IOERR_WRITE},
    "error_sync": {"sync": IOERR_FSYNC},
    "error_read": {"read": IOERR_READ},
}

_File = ctypes.POINTER(ctypes.c_void_p)  # sqlite3_file: its first member points to its methods
# The name stays a pointer: SQLite keeps it as long as the file is open, and a copy of ours would be gone by then.
_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, _File, ctypes.c_int, ctypes.c_void_p)
_MOVE = ctypes.CFUNCTYPE(ctypes.c_int, _File, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _File, ctypes.c_int)


class _Vfs(ctypes.Structure):
    """sqlite3_vfs, version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("rest", ctypes.c_void_p * 14),
    )


class _Methods(ctypes.Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("close", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("write", ctypes.c_void_p),
        ("truncate", ctypes.c_void_p),
        ("sync", ctypes.c_void_p),
        ("rest", ctypes.c_void_p * 13),
    )


@dataclass(kw_only=True)
class Disk:
    """What it does to files under `folder`. `share`: how many of the calls concerned fail."""

    folder: Path
    fault: str | None = None
    share: float = 1.0
    failed: Counter[str] = field(default_factory=Counter)
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def answer(self, call: str) -> int:
        """SQLite's code for this call now; OK where it goes through."""
        fault = self.fault
        code = OK if fault is None else FAULTS[fault].get(call, OK)
        if code == OK or self.rng.random() >= self.share:
            return OK
        self.failed[str(fault)] += 1
        return code

    @contextmanager
    def failing(self, fault: str, share: float = 1.0) -> Iterator[None]:
        """Fail in this way while the block runs."""
        self.fault, self.share = fault, share
        try:
            yield
        finally:
            self.fault = None


class _Layer:
    """The file layer, made once a process: SQLite may call it as long as a file is open."""

    def __init__(self) -> None:
        self.lib = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
        self.lib.sqlite3_vfs_find.restype = ctypes.c_void_p
        self.lib.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        self.lib.sqlite3_vfs_register.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self.lib.sqlite3_vfs_unregister.argtypes = [ctypes.c_void_p]
        self.usual = self.lib.sqlite3_vfs_find(None)
        usual = _Vfs.from_address(self.usual)
        self._open = _OPEN(usual.open)
        self._opened = _OPEN(self._open_file)
        self.vfs = _Vfs.from_buffer_copy(usual)
        self.vfs.name = NAME.encode()
        self.vfs.open = ctypes.cast(self._opened, ctypes.c_void_p).value
        self.disk: Disk | None = None
        self._methods: dict[int, _Methods] = {}
        self._kept: list[Any] = []
        self._lock = threading.Lock()

    def _open_file(self, _vfs: int, name: int | None, file: Any, flags: int, out: int) -> int:
        code = int(self._open(self.usual, name, file, flags, out))
        disk = self.disk
        if (
            code == OK
            and disk is not None
            and name
            and os.fsdecode(ctypes.string_at(name)).startswith(f"{disk.folder}{os.sep}")
        ):
            with self._lock:
                file[0] = ctypes.addressof(self._methods_for(file[0], disk))
        return code

    def _methods_for(self, place: int, disk: Disk) -> _Methods:
        """The file's own methods with three of them going by way of the disk."""
        known = self._methods.get(place)
        if known is not None:
            return known
        usual = _Methods.from_address(place)
        made = _Methods.from_buffer_copy(usual)
        read, write, sync = _MOVE(usual.read), _MOVE(usual.write), _SYNC(usual.sync)

        def reading(file: Any, data: int, size: int, at: int) -> int:
            return disk.answer("read") or int(read(file, data, size, at))

        def writing(file: Any, data: int, size: int, at: int) -> int:
            return disk.answer("write") or int(write(file, data, size, at))

        def syncing(file: Any, flags: int) -> int:
            return disk.answer("sync") or int(sync(file, flags))

        ours = _MOVE(reading), _MOVE(writing), _SYNC(syncing)
        made.read, made.write, made.sync = (ctypes.cast(one, ctypes.c_void_p).value for one in ours)
        self._kept += [*ours, made]
        self._methods[place] = made
        return made

    def stand_in(self, disk: Disk) -> None:
        """Open files by way of this disk from now on."""
        self.disk = disk
        self._methods = {}  # what is open keeps those of its own disk
        assert self.lib.sqlite3_vfs_register(ctypes.addressof(self.vfs), 1) == OK

    def step_aside(self) -> None:
        """Open files as ever from now on."""
        self.disk = None
        assert self.lib.sqlite3_vfs_unregister(ctypes.addressof(self.vfs)) == OK
        assert self.lib.sqlite3_vfs_register(self.usual, 1) == OK


_layers: list[_Layer] = []


def out_of_reach() -> str:
    """Why no disk can be made to fail here; empty where one can.

    The interpreter may have an SQLite of its own inside it; then the shared library's file layers are not its.
    """
    try:
        if not _layers:
            _layers.append(_Layer())
    except (OSError, AttributeError) as error:
        return f"there is no SQLite as a shared library ({error})"
    layer = _layers[0]
    if layer.disk is not None:
        return ""
    assert layer.lib.sqlite3_vfs_register(ctypes.addressof(layer.vfs), 0) == OK
    try:
        return refusal(NAME)
    finally:
        assert layer.lib.sqlite3_vfs_unregister(ctypes.addressof(layer.vfs)) == OK


def refusal(name: str) -> str:
    """What the interpreter's SQLite says against the file layer of this name; empty where it has it."""
    try:
        with closing(sqlite3.connect(f"file:probe?vfs={name}&mode=memory", uri=True)):
            return ""
    except sqlite3.OperationalError as error:
        return f"the interpreter's SQLite is not the shared library ({error})"


@contextmanager
def under(folder: Path) -> Iterator[Disk]:
    """Whatever SQLite opens in this folder inside the block is on a disk that can be made to fail.

    Raises RuntimeError where none can.
    """
    why_not = out_of_reach()
    if why_not:
        raise RuntimeError(why_not)
    disk = Disk(folder=folder.resolve())
    _layers[0].stand_in(disk)
    try:
        yield disk
    finally:
        disk.fault = None
        _layers[0].step_aside()
