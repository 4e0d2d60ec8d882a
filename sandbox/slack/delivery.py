"""One thing that is brought to the app, what comes back, and who is told how it went."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Kind = Literal["events_api", "interactive", "slash_commands"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came with the acknowledgement: JSON, plain text in `{"text": …}`, or an empty dict."""

    payload: dict[str, Any]


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """One thing for the app. `body` is its JSON, built once; `fields` is the form of a slash command.

    `answer` receives the app's answer, or None if there was none in time.
    """

    id: str
    kind: Kind
    label: str
    body: str
    url_kind: str = "events_api"
    fields: dict[str, str] = field(default_factory=dict)
    answer: asyncio.Future[Answer | None] | None = None
    attempt: int = 0
    retry_reason: str = ""
    done: bool = False


class Judge(Protocol):
    """Who is told how an attempt went."""

    def acknowledged(self, delivery: Delivery, payload: dict[str, Any]) -> None:
        """The app has it."""
        ...

    def failed(self, delivery: Delivery, attempt: int, reason: str) -> None:
        """Attempt number `attempt` was not acknowledged."""
        ...
