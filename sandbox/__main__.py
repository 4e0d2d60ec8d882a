"""`python -m sandbox`: start the local Telegram and the local Slack."""

import argparse
import os
import sys
from pathlib import Path

from sandbox import pages, server
from sandbox.slack.workspace import SIGNING_SECRET
from sandbox.store import StateFileError
from sandbox.telegram.routes import DEFAULT_TOKEN


def main(arguments: list[str] | None = None) -> int:
    """Run until interrupted. Exit code 2: the port is taken or the state file is unreadable."""
    options = _options(arguments)
    try:
        server.run(options)
    except (OSError, StateFileError) as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    return 0


def _options(arguments: list[str] | None) -> server.Options:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A local Telegram and a local Slack on one port."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8400, help="port; 0 takes a free one (default: 8400)")
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="keep chats, messages and threads in FILE over restarts"
    )
    parser.add_argument("--speed", type=_speed, default=1.0, help="product seconds per real second (default: 1)")
    parser.add_argument("--seed-story", action="store_true", help="let a few customers write in by themselves")
    parser.add_argument("--telegram-token", default=DEFAULT_TOKEN, metavar="T", help="the bot token to accept")
    parser.add_argument(
        "--slack-events-url", default="", metavar="URL", help="send Slack's events there while no websocket is open"
    )
    parser.add_argument(
        "--slack-signing-secret", default=SIGNING_SECRET, metavar="S", help="the secret that signs those requests"
    )
    parser.add_argument(
        "--product-url",
        type=pages.checked,
        default=pages.DEFAULT_PRODUCT_URL,
        metavar="URL",
        help="the product's web server, for the figures on the page",
    )
    parser.add_argument("--limits", choices=("on", "off"), default="off", help="enforce the platforms' rate limits")
    parser.add_argument(
        "--print-ready", action="store_true", help="print the ready line on standard output (the default)"
    )
    parser.add_argument(
        "--until-input-ends", action="store_true", help="stop when standard input ends: whoever started it is gone"
    )
    parser.add_argument("--ready-fd", type=int, metavar="N", help="write the ready line to file descriptor N instead")
    given = parser.parse_args(arguments)
    return server.Options(
        host=given.host,
        port=given.port,
        state=given.state,
        speed=given.speed,
        seed_story=given.seed_story,
        telegram_token=given.telegram_token,
        slack_events_url=given.slack_events_url,
        slack_signing_secret=given.slack_signing_secret,
        limits=given.limits == "on",
        product_url=given.product_url,
        until_input_ends=given.until_input_ends,
        ready=server.print_ready if given.ready_fd is None else _ready_on(given.ready_fd),
    )


def _ready_on(descriptor: int) -> "server.Ready":
    def ready(url: str) -> None:
        os.write(descriptor, server.ready_line(url))
        os.close(descriptor)

    return ready


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 <= speed <= 1_000_000:
        raise ValueError(text)
    return speed


if __name__ == "__main__":
    sys.exit(main())
