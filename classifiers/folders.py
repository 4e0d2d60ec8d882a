"""Folders of a model: where its parts lie; there whole or not at all, and made by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER_MODE = 0o755  # a model is no secret, and who prepares it need not be who serves it


@dataclass(frozen=True, kw_only=True)
class ModelPaths:
    """A prepared model: two folders that `classifiers.load` reads."""

    encoder: Path
    heads: Path


def paths(model_dir: Path) -> ModelPaths:
    """Where a model folder keeps its parts."""
    return ModelPaths(encoder=model_dir / "encoder", heads=model_dir / "heads")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process holds `lock`, and hold it. The lock ends with the process, whatever ends it."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def only_one(lock: Path) -> Iterator[bool]:
    """Hold `lock` unless another process does; says which."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `target` when the block ends well and vanishes when it does not.

    To be used under `alone`: between two renames `target` is missing for a moment.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        yield fresh
        for path in [*fresh.iterdir(), fresh]:
            _to_disk(path)
        fresh.chmod(FOLDER_MODE)
        aside = fresh.with_name(fresh.name + "-old")
        if target.exists():
            target.rename(aside)
        fresh.rename(target)
        _to_disk(target.parent)
        shutil.rmtree(aside, ignore_errors=True)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def sweep(parent: Path, *prefixes: str) -> None:
    """Remove what a killed process left behind: hidden folders named after what was being made. Under `alone` only."""
    for path in parent.iterdir():
        if path.is_dir() and path.name.startswith(tuple(f".{prefix}-" for prefix in prefixes)):
            shutil.rmtree(path, ignore_errors=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
