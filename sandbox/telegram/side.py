"""The Telegram side of the sandbox."""

from typing import Any

from sandbox.state import Sandbox


class TelegramSide:
    """Bots, chats, customers and updates."""

    def __init__(self, desk: Sandbox, *, token: str) -> None:
        self.desk = desk
        self.token = token

    async def start(self) -> None:
        """Begin background work."""

    async def stop(self) -> None:
        """End background work."""

    def reset(self) -> None:
        """Back to an empty platform."""

    def dump(self) -> dict[str, Any]:
        """Everything worth keeping."""
        return {}

    def load(self, saved: dict[str, Any]) -> None:
        """Take up what `dump` gave."""

    def view(self) -> dict[str, Any]:
        """A short summary."""
        return {}
