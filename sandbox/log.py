"""The judge's log: what each platform really stored and really delivered, in order, and how often."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from sandbox.clock import FastClock

Platform = Literal["telegram", "slack"]
Record = dict[str, Any]


class Log:
    """An ordered list of records `{seq, at, at_real, platform, kind, key, requests, data}`.

    `key` names the thing (`<chat>:<message>`, a Slack channel and ts, an envelope). `requests` counts the
    requests that caused this very record: 1, unless a later request was answered with the same effect and
    called `again`.
    """

    def __init__(self, clock: FastClock) -> None:
        self._clock = clock
        self._records: list[Record] = []
        self._by_key: dict[tuple[str, str, str], Record] = {}
        self._touched: list[Record] = []
        self._restarted = False
        self._added = asyncio.Event()
        self.requests: Counter[tuple[str, str]] = Counter()
        """How often each (platform, method) was called, whatever became of the call."""
        self.keep_touched = False
        """Set by the store: remember which records still have to reach the disk."""

    def add(self, platform: Platform, kind: str, key: str, data: dict[str, Any]) -> Record:
        """Append a record. `data` is kept as it is: do not change it afterwards."""
        record: Record = {
            "seq": len(self._records) + 1,
            "at": self._clock.now(),
            "at_real": self._clock.real(),
            "platform": platform,
            "kind": kind,
            "key": key,
            "requests": 1,
            "data": data,
        }
        self._records.append(record)
        self._by_key[platform, kind, key] = record
        if self.keep_touched:
            self._touched.append(record)
        self._added.set()
        return record

    def again(self, platform: Platform, kind: str, key: str) -> None:
        """Count one more request that led to the newest record of this kind and key, if there is one."""
        record = self._by_key.get((platform, kind, key))
        if record is not None:
            record["requests"] += 1
            if self.keep_touched:
                self._touched.append(record)

    def request(self, platform: Platform, method: str) -> None:
        """Count a call of a method."""
        self.requests[platform, method] += 1

    def select(
        self,
        *,
        after: int = 0,
        platform: str | None = None,
        kind: str | None = None,
        key: str | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Records with a seq above `after`, oldest first, that match every given filter."""
        found: list[Record] = []
        for record in self._records[max(0, after) :]:
            if platform is not None and record["platform"] != platform:
                continue
            if kind is not None and record["kind"] != kind:
                continue
            if key is not None and record["key"] != key:
                continue
            found.append(record)
            if limit is not None and len(found) >= limit:
                break
        return found

    async def grow(self, timeout_s: float) -> bool:
        """Wait for the next record; False if none came in time."""
        self._added.clear()
        try:
            await asyncio.wait_for(self._added.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def wake(self) -> None:
        """End every `grow` now, as if something had been added."""
        self._added.set()

    @property
    def last_seq(self) -> int:
        """The seq of the newest record, 0 when empty."""
        return len(self._records)

    def counts(self) -> dict[str, Any]:
        """`{"records": {platform: {kind: n}}, "requests": {platform: {method: n}}}`."""
        records: dict[str, Counter[str]] = {"telegram": Counter(), "slack": Counter()}
        for record in self._records:
            records[record["platform"]][record["kind"]] += 1
        requests: dict[str, dict[str, int]] = {"telegram": {}, "slack": {}}
        for (platform, method), count in sorted(self.requests.items()):
            requests[platform][method] = count
        return {"records": {name: dict(kinds) for name, kinds in records.items()}, "requests": requests}

    def clear(self) -> None:
        """Forget everything; the next record is number 1 again."""
        self._records.clear()
        self._by_key.clear()
        self._touched.clear()
        self.requests.clear()
        self._restarted = True

    def take_restarted(self) -> bool:
        """Whether `clear` was called since the last call: what is on the disk is then to be replaced."""
        restarted, self._restarted = self._restarted, False
        return restarted

    def take_touched(self) -> bytes:
        """The records added or changed since the last call, as JSON lines."""
        touched, self._touched = self._touched, []
        return b"".join(json.dumps(record).encode() + b"\n" for record in touched)

    def load(self, path: Path) -> None:
        """Read JSON lines written from `take_touched`; a later line replaces an earlier one with its seq.

        A last line cut short by a crash is ignored.
        """
        if not path.exists():
            return
        for line in path.read_bytes().split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            index = record["seq"] - 1
            if index < len(self._records):
                self._records[index] = record
            else:
                record["seq"] = len(self._records) + 1
                self._records.append(record)
            self._by_key[record["platform"], record["kind"], record["key"]] = record
