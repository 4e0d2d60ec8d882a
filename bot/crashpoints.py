"""Named places where the process can be killed on purpose, to prove that nothing is lost there.

`RELAYDESK_CRASH_AT=after_insert:3` kills the process with SIGKILL the third time it reaches that point. Without the
variable each point costs one dictionary look-up.
"""

from __future__ import annotations

import os
import signal

POINTS = (
    "after_receive",  # an adapter has a batch in memory
    "after_insert",  # the batch is committed, the platform not told
    "after_claim",  # a lane is leased
    "before_commit",  # decided, nothing written
    "after_commit",  # decisions and outbox rows are written
    "after_sending",  # `sending` is committed, the call not made
    "after_call",  # the platform took it, no receipt written
    "in_sweep",  # alerts are decided, nothing written
)
FILES = (
    "in_keep",  # some pieces of a file are stored, nothing names them
    "in_upload",  # a part of a file is handed to its platform
)
COMMANDS = (
    "in_erase",  # a step of an erasure is committed, the next not begun
    "in_merge",  # a link is written, its lines are not, nothing is committed
    "in_upgrade",  # the schema is changed in part, nothing is committed
    "in_rotate",  # some keys are under the new master key, others are not
    "in_move",  # some rows are in the new database, the files are still in use
    "in_backup",  # a backup is written in part
    "in_restore",  # some stores are put back, others are not
    "in_import",  # a part of a file is taken over, or of one of its contacts
)

_armed: dict[str, int] = {}


def arm(setting: str | None) -> None:
    """Arm one point from `name:count` (count 1 when left out). Raises ValueError for an unknown name."""
    _armed.clear()
    if not setting:
        return
    name, _, count = setting.partition(":")
    known = POINTS + FILES + COMMANDS
    if name not in known:
        msg = f"RELAYDESK_CRASH_AT names no crash point: {name} (there are {', '.join(known)})"
        raise ValueError(msg)
    _armed[name] = int(count or 1)


def reach(name: str) -> None:
    """Die here if this point is armed and its count has come."""
    if name not in _armed:
        return
    _armed[name] -= 1
    if _armed[name] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
