"""Where the Slack side is mounted: `/slack/` for the app, `/control/slack/` for people and tests."""

from aiohttp import web

from sandbox.slack import admin, control
from sandbox.slack.api import Api
from sandbox.slack.settings import Settings
from sandbox.slack.side import SlackSide
from sandbox.slack.transfer import Transfer
from sandbox.state import Sandbox


def add_routes(app: web.Application, desk: Sandbox, *, settings: Settings | None = None) -> None:
    """Attach the Slack side and mount its routes. `settings` are those of the start and of every reset."""
    side = SlackSide(desk, settings=settings)
    desk.attach("slack", side)
    api = Api(side)
    transfer = Transfer(side, api)
    app.router.add_route("*", "/slack/api/{method}", api.serve)
    app.router.add_get("/slack/link", side.sockets.serve)
    app.router.add_post("/slack/upload/{file}/{secret}", transfer.upload)
    app.router.add_get("/slack/files-pri/{file}/{name}", transfer.download)
    app.router.add_get("/slack/files-pri/{file}/download/{name}", transfer.download)
    app.router.add_get("/slack/archives/{channel}/{message}", transfer.permalink)
    app.router.add_post("/slack/response/{key}", transfer.respond)
    control.add_routes(app, side)
    admin.add_routes(app, side)
