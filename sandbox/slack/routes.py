"""Where the Slack side is mounted."""

from typing import Any

from aiohttp import web

from sandbox.state import Sandbox


class EmptySlack:
    """A Slack without anything in it."""

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to end."""

    def reset(self) -> None:
        """Nothing to forget."""

    def dump(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load(self, saved: dict[str, Any]) -> None:
        """Nothing to take up."""

    def view(self) -> dict[str, Any]:
        """Nothing to show."""
        return {}


def add_routes(_app: web.Application, desk: Sandbox) -> None:
    """Attach the Slack side and mount its routes below `/slack/` and `/control/slack/`."""
    desk.attach("slack", EmptySlack())
