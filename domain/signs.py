"""Emoji that mean something on a message at the desk, by the names that Slack gives them."""

from __future__ import annotations

from typing import Final

WAITING: Final = "hourglass_flowing_sand"
SENT: Final = "white_check_mark"
FAILED: Final = "x"
UNCLEAR: Final = "question"
KEPT: Final = "lock"
"""On a line that was kept inside; on an answer of theirs somebody keeps it inside with it."""
UNDONE: Final = "leftwards_arrow_with_hook"
"""On an answer that was called back; with it somebody calls theirs back."""
LOOKING: Final = "eyes"
"""With it somebody says that they are looking."""
OURS: Final = frozenset({WAITING, SENT, FAILED, UNCLEAR, KEPT, UNDONE, LOOKING})
"""All of them: no company may give them to its customers."""
STEPS: Final = frozenset({LOOKING, UNDONE, KEPT})
"""Those with which people do something."""
