"""The product as a process of its own, for benchmarks: prints a JSON line when it is ready, stops at SIGTERM."""

from __future__ import annotations

import asyncio
import json
import sys
import time

STARTED = time.perf_counter()


def main() -> int:
    """Run the bot with the settings given as JSON in the first argument."""
    from benchmarks.kit import ROOT
    from bot import life, logs, settings

    found = settings.load(ROOT / "config.yaml", environment={}, overrides=json.loads(sys.argv[1]))
    logs.configure("warning", json=True)

    def ready(url: str) -> None:
        print(json.dumps({"url": url, "ready_s": round(time.perf_counter() - STARTED, 3)}), flush=True)

    return asyncio.run(life.run(found, ready=ready))


if __name__ == "__main__":
    sys.exit(main())
