"""Trained heads in numbered versions beside the ones that were prepared, and which of them answers.

    model/heads/            number 0: trained on the taxonomy alone, as `relaydesk model prepare` made it
    model/versions/0007/    heads.json, heads.npz, version.json (when, from what, how good, the hashes of both files)
    model/live.json         which number answers, which reads along, which answered before

A version is written whole or not at all and never changed. `live.json` is replaced in one step, so that whoever reads
it finds the old or the new; whatever dies in between leaves the old one live.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from classifiers import artifact, folders
from classifiers.encoder import sha256
from classifiers.errors import HeadMismatch, ModelDamaged, ModelError, ModelMissing

FORMAT = 1
FOLDER, POINTER, MANIFEST, LOCK = "versions", "live.json", "version.json", ".versions.lock"
PREPARED = 0
PRIVATE = 0o700  # heads that learned from customers know words that they used
_NUMBER = re.compile(r"\d{4,9}")
_EARLIER = 20  # steps that a roll-back can go

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Version:
    """One set of trained heads.

    `kind` is "prepared", "trained" (new heads) or "recalibrated" (the old heads, confidence set right). `labels` is how
    many labels it was made from, `given` how many there were, `newest_label` when the newest of them was recorded.
    `scores` are the gate's figures by set and language, `passed` whether it may go live, `notes` what the gate had to
    say.
    """

    number: int
    folder: Path
    heads: str
    kind: str
    made_at: datetime | None
    labels: int = 0
    given: int = 0
    newest_label: datetime | None = None
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    passed: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """Who answers (`live`), who only reads along (`shadow`), and who answered before, newest first."""

    live: int = PREPARED
    shadow: int | None = None
    earlier: tuple[int, ...] = ()


def pointer(model_dir: Path) -> Pointer:
    """What is live. Raises ModelDamaged where the file cannot be read; without one the prepared heads are."""
    path = model_dir / POINTER
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Pointer(
            live=_number(data["live"]),
            shadow=None if data["shadow"] is None else _number(data["shadow"]),
            earlier=tuple(_number(one) for one in data["earlier"]),
        )
    except FileNotFoundError:
        return Pointer()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(
            f"{path} cannot be read ({type(error).__name__}); choose a version with: relaydesk model promote NUMBER"
        ) from error


def stamp(model_dir: Path) -> tuple[int, int]:
    """Changes whenever the pointer does: cheap to ask for now and then."""
    try:
        found = (model_dir / POINTER).stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


def listed(model_dir: Path) -> list[Version]:
    """Every version there is, oldest first, the prepared heads before them. Damaged ones are left out."""
    found = []
    for number in [PREPARED, *_numbers(model_dir)]:
        try:
            found.append(read(model_dir, number))
        except ModelError:
            continue
    return found


def read(model_dir: Path, number: int) -> Version:
    """One version, its files checked against their hashes. Raises ModelMissing or ModelDamaged."""
    if number == PREPARED:
        folder = folders.paths(model_dir).heads
        return Version(number=PREPARED, folder=folder, heads=_index(folder), kind="prepared", made_at=None)
    folder = _folder(model_dir, number)
    if not (folder / MANIFEST).exists():
        raise ModelMissing(f"there is no version {number} in {model_dir}; relaydesk model list shows those there are")
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ModelDamaged(f"{folder / MANIFEST} is of another release; train anew with: relaydesk train")
        version = Version(
            number=number,
            folder=folder,
            heads=str(data["heads"]),
            kind=str(data["kind"]),
            made_at=_moment(data["made_at"]),
            labels=int(data["labels"]),
            given=int(data["given"]),
            newest_label=_moment(data["newest_label"]),
            scores={str(name): dict(values) for name, values in data["scores"].items()},
            passed=bool(data["passed"]),
            notes=tuple(str(note) for note in data["notes"]),
        )
        for name, wanted in data["files"].items():
            if sha256(folder / str(name)) != wanted:
                raise ModelDamaged(f"{folder / str(name)} is not the file that was trained; see: relaydesk model list")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelDamaged(f"version {number} in {model_dir} cannot be read ({type(error).__name__})") from error
    return version


def store(
    model_dir: Path,
    trained: artifact.Heads,
    *,
    kind: str,
    made_at: datetime,
    labels: int = 0,
    given: int = 0,
    newest_label: datetime | None = None,
    scores: Mapping[str, Mapping[str, float]] | None = None,
    passed: bool = True,
    notes: tuple[str, ...] = (),
    extra: Mapping[str, Any] | None = None,
) -> Version:
    """Write heads as the next version; nothing becomes live by it. `extra` are JSON files to lie beside them."""
    parent = model_dir / FOLDER
    parent.mkdir(parents=True, exist_ok=True)
    parent.chmod(PRIVATE)
    with folders.alone(model_dir / LOCK):
        number = max(_numbers(model_dir), default=0) + 1
        folders.sweep(parent, _folder(model_dir, number).name)
        with folders.whole(_folder(model_dir, number)) as folder:
            artifact.save(folder, trained)
            for name, value in (extra or {}).items():
                (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
            manifest = {
                "format": FORMAT,
                "heads": trained.version,
                "kind": kind,
                "made_at": made_at.isoformat(),
                "labels": labels,
                "given": given,
                "newest_label": newest_label and newest_label.isoformat(),
                "scores": {name: dict(values) for name, values in (scores or {}).items()},
                "passed": passed,
                "notes": list(notes),
                "files": {path.name: sha256(path) for path in sorted(folder.iterdir())},
            }
            (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
    return read(model_dir, number)


def promote(model_dir: Path, number: int) -> Version:
    """Make a version live: it answers from now on.

    Raises ModelMissing, ModelDamaged or HeadMismatch (trained for another taxonomy) and changes nothing then.
    """
    version = read(model_dir, number)
    if not _fits(model_dir, version):
        raise HeadMismatch(f"version {number} was trained for other intents than there are now; run: relaydesk train")
    with folders.alone(model_dir / LOCK):
        before = _pointer_or_none(model_dir)
        if before.live != number:
            earlier = (before.live, *(one for one in before.earlier if one not in (number, before.live)))[:_EARLIER]
            shadow = None if before.shadow == number else before.shadow
            _write(model_dir, Pointer(live=number, shadow=shadow, earlier=earlier))
    return version


def rollback(model_dir: Path) -> Version:
    """Make the version live that answered before. Raises ModelMissing where none did that is still whole."""
    with folders.alone(model_dir / LOCK):
        before = pointer(model_dir)
        for place, number in enumerate(before.earlier):
            try:
                version = read(model_dir, number)
            except ModelError:
                continue
            _write(model_dir, replace(before, live=number, earlier=before.earlier[place + 1 :]))
            return version
    raise ModelMissing("no version answered before this one; relaydesk model list shows those there are")


def shadow(model_dir: Path, number: int | None) -> None:
    """Let a version read along without answering; None ends it. Raises ModelMissing or ModelDamaged."""
    if number is not None:
        read(model_dir, number)
    with folders.alone(model_dir / LOCK):
        _write(model_dir, replace(_pointer_or_none(model_dir), shadow=number))


def prune(model_dir: Path, keep: int) -> list[int]:
    """Remove all but the newest `keep` versions; what is live, reads along or answered last stays. Returns the rest."""
    with folders.alone(model_dir / LOCK):
        now = _pointer_or_none(model_dir)
        needed = {now.live, now.shadow, *now.earlier[:1]}
        gone = [number for number in _numbers(model_dir)[:-keep] if number not in needed]
        for number in gone:
            shutil.rmtree(_folder(model_dir, number), ignore_errors=True)
    return gone


def forget(model_dir: Path) -> list[int]:
    """Remove every version but the one that answers: texts that others learned from are to be forgotten."""
    with folders.alone(model_dir / LOCK):
        live = _pointer_or_none(model_dir).live
        gone = [number for number in _numbers(model_dir) if number != live]
        for number in gone:
            shutil.rmtree(_folder(model_dir, number), ignore_errors=True)
        _write(model_dir, Pointer(live=live))
    return gone


def candidates(model_dir: Path) -> list[Version]:
    """What may answer, best first: the live version, those that answered before it, then the prepared heads.

    For a start: the first that loads is served. Versions that were trained for other intents than the prepared heads
    know are left out. A damaged pointer leads to the newest version that passed its gate.
    """
    try:
        now = pointer(model_dir)
        order = [now.live, *now.earlier]
    except ModelDamaged:
        order = [version.number for version in reversed(listed(model_dir)) if version.passed]
    found = []
    for number in dict.fromkeys([*order, PREPARED]):
        try:
            version = read(model_dir, number)
        except ModelError as error:
            if number != PREPARED:  # whoever needs those says so
                _log.warning("model.version_refused", number=number, reason=str(error))
            continue
        if _fits(model_dir, version):
            found.append(version)
        else:
            _log.warning("model.version_refused", number=number, reason="trained for another taxonomy")
    return found


def beside(version: Version, name: str) -> Any:  # noqa: ANN401 -- whatever JSON was stored there
    """A JSON file that was stored beside a version's heads; None where there is none."""
    try:
        return json.loads((version.folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _pointer_or_none(model_dir: Path) -> Pointer:
    """The pointer, or a fresh one where it is damaged: whoever writes it anew mends it."""
    try:
        return pointer(model_dir)
    except ModelDamaged:
        return Pointer()


def _write(model_dir: Path, value: Pointer) -> None:
    """Replace the pointer in one step that is on the disk when this returns."""
    handle, name = tempfile.mkstemp(dir=model_dir, prefix=f".{POINTER}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"live": value.live, "shadow": value.shadow, "earlier": list(value.earlier)}, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(model_dir / POINTER)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(model_dir, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _numbers(model_dir: Path) -> list[int]:
    """Numbers of the version folders, in order; a hidden, half-written one is none."""
    parent = model_dir / FOLDER
    names = [path.name for path in parent.iterdir()] if parent.is_dir() else []
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))


def _folder(model_dir: Path, number: int) -> Path:
    return model_dir / FOLDER / f"{number:04}"


def _index(folder: Path) -> str:
    """The version that prepared heads carry. Raises ModelMissing or ModelDamaged."""
    try:
        return str(json.loads((folder / artifact.INDEX).read_text(encoding="utf-8"))["version"])
    except FileNotFoundError:
        raise ModelMissing(f"no trained heads in {folder}; run: relaydesk model prepare") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(f"the heads in {folder} cannot be read; run: relaydesk model prepare") from error


def _fits(model_dir: Path, version: Version) -> bool:
    """Whether a version knows exactly the intents of the prepared heads; where those are gone there is no telling."""
    wanted = _labels(folders.paths(model_dir).heads)
    return wanted is None or _labels(version.folder) == wanted


def _labels(folder: Path) -> list[tuple[str, str]] | None:
    try:
        index = json.loads((folder / artifact.INDEX).read_text(encoding="utf-8"))
        return sorted((str(label["id"]), str(label["queue"])) for label in index["labels"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _number(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("not the number of a version")
    return value
