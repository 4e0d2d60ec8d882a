"""The bytes of a file that a control request describes, and what the platform is to say of it instead of the truth."""

import base64
import binascii
import random
from typing import Any

from sandbox.control import ControlError

Json = dict[str, Any]

LARGEST = 1_000_000_000
"""Bytes of one file, whatever it is for."""
SAYABLE = frozenset({"size", "file_size"})


def made(given: Json, field: str) -> bytes:
    """The bytes: `field` in base64, `times` so often, then filled up to `size` bytes with those that grow from `seed`.

    The same seed grows the same bytes, `random.Random(seed).randbytes(...)`, so that nobody has to send them here.
    Raises ControlError.
    """
    try:
        head = base64.b64decode(given.get(field, ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ControlError(f"{field} must be base64") from None
    times, seed = given.get("times", 1), given.get("seed", 0)
    size = given.get("size", len(head) * times if isinstance(times, int) else 0)
    for name, value in (("times", times), ("size", size), ("seed", seed)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ControlError(f"{name} must be a whole number")
    if max(size, len(head) * times) > LARGEST:
        raise ControlError(f"a file has at most {LARGEST} bytes")
    if size < len(head) * times:
        raise ControlError(f"size is less than the {len(head) * times} bytes given")
    content: bytes = head * times
    return content + random.Random(seed).randbytes(max(0, size - len(content)))


def says(given: Json) -> Json:
    """What the platform says of the file, `{"file_size": 10}`: in place of the truth, nothing where it is null."""
    found = given.get("says", {})
    if not isinstance(found, dict) or set(found) - SAYABLE:
        raise ControlError(f"says is an object of {' and '.join(sorted(SAYABLE))}")
    return found


def as_said(truth: Json, instead: Json) -> Json:
    """A file object as the platform shows it: what is to be said of it in the place of what is so."""
    return {name: value for name, value in (truth | instead).items() if name not in instead or value is not None}
