"""A process that stores arrivals until it is killed, and says which ones it may acknowledge.

Run as `python -m tests.contracts.storage_writer <database url> <keys url>`; prints one number per stored batch.
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from tests.contracts import storage_kit

BATCH = 5


async def main(database_url: str, keys_url: str) -> None:
    async with storage_kit.process(database_url, keys_url) as one:
        for batch in itertools.count():
            arrivals = [storage_kit.arrival(f"{batch}.{step}", f"lane {(batch + step) % 7}") for step in range(BATCH)]
            await one.inbox.put(arrivals, storage_kit.NOW)
            await one.decide(storage_kit.story(address=str(batch)).opening("hello"))
            sys.stdout.write(f"{batch}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
