"""Where the Telegram side is mounted."""

from aiohttp import web

from sandbox.state import Sandbox
from sandbox.telegram.side import TelegramSide

DEFAULT_TOKEN = "8400000001:AAsandboxsandboxsandboxsandboxsandb"


def add_routes(_app: web.Application, desk: Sandbox, *, token: str) -> None:
    """Attach the Telegram side and mount its routes."""
    desk.attach("telegram", TelegramSide(desk, token=token))
