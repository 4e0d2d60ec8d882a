"""What Relaydesk weighs: the libraries of the default install, and a start of the classifier.

    python -m benchmarks.footprint [--model FOLDER] [--exact]

`install` counts what an installer downloads for the default install, weights apart. Without `--exact` it compresses the
installed files again as a wheel does, which needs no network and is off by a percent or two; with it, pip downloads the
wheels into a temporary folder and their sizes are added up. `cold_start` starts fresh processes and takes the median.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.kit import MODEL, ROOT, Json

STARTS = 5
SKIPPED = (".pyc", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json")  # written by installers
START = """
import json, sys, time
started = time.perf_counter()
from pathlib import Path
from classifiers import load
from domain.assessment import Text

classifier = load.load_default(Path(sys.argv[1]), threads=2)
(answer,) = classifier.assess([Text(key="1", text=sys.argv[2])])
seconds = time.perf_counter() - started
assert answer.version == classifier.version
# Not getrusage: what it tells of a child begins with what its parent held.
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
heavy = sorted({"torch", "transformers", "sklearn", "scipy", "onnx"} & set(sys.modules))
print(json.dumps({
    "seconds": seconds,
    "rss_mb": int(peak) / 1024,
    "heavy": heavy,
}))
"""
"""A process that imports, loads and answers once, and says how long that took and what it holds."""


def install(*, exact: bool = False) -> Json:
    """`libraries_mb`: downloads of the default install; `installed_mb`: on disk, byte code apart; `largest`: the five
    largest downloads; `method`: "downloaded" or "compressed again".
    """
    names = sorted(closure())
    wheels = downloaded() if exact else {name: packed(name) for name in names}
    return {
        "libraries_mb": round(sum(wheels.values()) / 1e6, 1),
        "installed_mb": round(sum(map(on_disk, names)) / 1e6, 1),
        "libraries": len(names),
        "largest": {name: round(size / 1e6, 1) for name, size in sorted(wheels.items(), key=lambda one: -one[1])[:5]},
        "method": "downloaded" if exact else "compressed again",
    }


def cold_start(model: Path = MODEL, *, starts: int = STARTS) -> Json:
    """`cold_start_s`: from the first import to the first answer, in a fresh process, files warm; `rss_mb`: its resident
    memory then, at the peak; `heavy`: training libraries that were imported, which should be none.
    """
    said = []
    for number in range(starts + 1):
        command = [sys.executable, "-c", START, str(model), f"Where is my order {number}?"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=120)
        said.append(json.loads(done.stdout))
    warm = said[1:]  # the first start reads the files
    return {
        "cold_start_s": round(statistics.median(one["seconds"] for one in warm), 2),
        "rss_mb": round(max(one["rss_mb"] for one in warm), 1),
        "heavy": sorted({name for one in warm for name in one["heavy"]}),
    }


def closure() -> set[str]:
    """The names of every library of the default install, as this environment resolves them."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    waiting = [Requirement(line) for line in declared]
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        name = wanted.name.lower().replace("_", "-").replace(".", "-")
        if (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        found.add(name)
        for line in metadata.requires(name) or ():
            needed = Requirement(line)
            extras = ("", *wanted.extras)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return found


def packed(name: str) -> int:
    """Bytes of a library compressed as in a wheel."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, inner in _files(name):
            archive.write(path, inner)
    return wheel.tell()


def on_disk(name: str) -> int:
    """Bytes of a library as it is installed, byte code apart."""
    return sum(path.stat().st_size for path, _ in _files(name))


def _files(name: str) -> Iterator[tuple[Path, str]]:
    for file in metadata.files(name) or ():
        path = Path(str(file.locate()))
        if path.is_file() and not file.name.endswith(SKIPPED) and ".." not in file.parts:
            yield path, str(file)


def downloaded() -> dict[str, int]:
    """Bytes of every wheel that pip downloads for the default install, by name. Needs the package index."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", folder]
        command += ["--only-binary", ":all:", "--constraint", str(ROOT / "constraints.txt"), *declared]
        subprocess.run(command, check=True, timeout=1800)
        return {path.name.partition("-")[0]: path.stat().st_size for path in Path(folder).iterdir()}


def main() -> None:
    """Print both as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL, help="the prepared model folder")
    parser.add_argument("--exact", action="store_true", help="download the libraries and count")
    chosen = parser.parse_args()
    print(json.dumps({"install": install(exact=chosen.exact), "speed": cold_start(chosen.model)}, indent=1))


if __name__ == "__main__":
    main()
