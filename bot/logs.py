"""What the process says about itself: one event a line, fixed keys, no secret, no personal text.

Use it so: `log = logs.get(__name__)`, then `log.info("delivery.sent", delivery=..., conversation=...)`. The first word
is the fixed event key; what varies goes into named values; `logs.bound(lane=...)` adds values to every line inside it.
Libraries' own lines come through the same handler, and whatever a line carries (message, arguments, values, traceback)
is redacted at the very end, where nothing can slip by.
"""

from __future__ import annotations

import logging
import re
import sys
from contextlib import AbstractContextManager
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
REDACTED: Final = "[redacted]"

SECRETS: Final = re.compile(
    r"(?P<telegram>\d{5,16}:[\w-]{30,})"
    r"|(?P<slack>xox[a-z]-[\w-]+|xapp-[\w-]+|xoxe\.[\w.-]+)"
    r"|(?P<bearer>(?<=[Bb]earer )\S+|(?<=[Bb]asic )[A-Za-z0-9+/=]{8,})"
    r"|(?P<password>(?<=://)[^/\s:@]*:[^/\s@]+(?=@))"
    r"|(?P<hook>(?<=hooks\.slack\.com/)\S+|(?<=[?&]ticket=)[^&\s\"']+)",
    re.ASCII,
)
"""Telegram tokens (also percent-encoded inside URLs, below), Slack tokens, credentials in headers and URLs."""
_BOT_PATH: Final = re.compile(r"/bot(?!\[redacted\])[^/\s\"']*(?::|%3A)[^/\s\"']+", re.IGNORECASE)

LOUD: Final = (
    "aiohttp", "aiosqlite", "alembic", "apscheduler", "asyncio", "httpcore", "httpx", "slack_bolt", "slack_sdk",
    "sqlalchemy", "telegram", "uvicorn",
)  # fmt: skip
"""Libraries whose chatter below a warning names URLs, bodies or statements."""


def redact(text: str) -> str:
    """The text with everything that looks like a secret taken out. Redacting twice changes nothing more."""
    return _BOT_PATH.sub(f"/bot{REDACTED}", SECRETS.sub(REDACTED, text))


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line: message, arguments, values and traceback alike, from whichever library."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one redacted line (console: with its traceback)."""
        return redact(super().format(record))


def configure(level: Level = "info", *, json: bool | None = None, stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; a second call replaces the first.

    `json` None means console on a terminal and JSON otherwise. Lines go to standard error.
    """
    out = stream or sys.stderr
    as_json = not out.isatty() if json is None else json
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        _one_line,
    ]
    last: list[structlog.typing.Processor] = (
        [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=_plain),
        ]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        RedactingFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, RedactingFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for name in LOUD:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for a module: `logs.get(__name__)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bound(**values: str | float | None) -> AbstractContextManager[None]:
    """Every line inside the `with` carries these values (ids and states, never text of a person)."""
    return structlog.contextvars.bound_contextvars(**values)


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A line stays one line: control characters in the event become visible escapes."""
    return {name: _escape(value) if isinstance(value, str) else value for name, value in event.items()}


_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\u0085\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _escape(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _plain(value: object) -> str:
    """What JSON cannot carry is named by its text, or by its type where even that fails."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 -- a log line must never be the reason for a failure
        return f"<{type(value).__name__}>"
