"""How the local Slack says no."""

from typing import Any


class SlackError(Exception):
    """A refusal in Slack's words: `{"ok": false, "error": code, **extra}`."""

    def __init__(self, code: str, **extra: object) -> None:
        super().__init__(code)
        self.code = code
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON that the caller gets."""
        return {"ok": False, "error": self.code, **self.extra}


def invalid_arguments(*messages: str) -> SlackError:
    """`invalid_arguments` with its reasons, one `[ERROR] …` line each."""
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {m}" for m in messages]})
