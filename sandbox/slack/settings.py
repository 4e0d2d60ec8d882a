"""What `POST /control/slack/settings` can change, with Slack's own values as defaults."""

from dataclasses import dataclass
from typing import Any, Literal

from sandbox.slack import workspace

RETRY_DELAYS_S = (0.0, 60.0, 300.0)
"""An event that is not acknowledged comes again at once, after a minute, after five; then it is gone."""

Transport = Literal["auto", "socket", "http"]


@dataclass(slots=True, kw_only=True)
class Settings:
    """Times are real seconds. An empty URL means that this kind of delivery has no address."""

    ack_timeout_s: float = 3.0
    retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S
    trigger_lifetime_s: float = 3.0
    response_url_lifetime_s: float = 1800.0
    disconnect_grace_s: float = 10.0
    ticket_lifetime_s: float = 60.0
    transport: Transport = "auto"
    events_url: str = ""
    interactivity_url: str = ""
    options_url: str = ""
    commands_url: str = ""
    signing_secret: str = workspace.SIGNING_SECRET
    subscriptions: tuple[str, ...] | None = None
    shortcuts: tuple[tuple[str, str], ...] = ()
    """What the app's manifest offers on a message: callback id and name. The page shows them; anything can be sent."""

    def json(self) -> dict[str, Any]:
        """The settings as the control interface shows them."""
        return {
            "ack_timeout_s": self.ack_timeout_s,
            "retry_delays_s": list(self.retry_delays_s),
            "trigger_lifetime_s": self.trigger_lifetime_s,
            "response_url_lifetime_s": self.response_url_lifetime_s,
            "disconnect_grace_s": self.disconnect_grace_s,
            "ticket_lifetime_s": self.ticket_lifetime_s,
            "transport": self.transport,
            "events_url": self.events_url,
            "interactivity_url": self.interactivity_url,
            "options_url": self.options_url,
            "commands_url": self.commands_url,
            "signing_secret": self.signing_secret,
            "subscriptions": None if self.subscriptions is None else list(self.subscriptions),
            "shortcuts": dict(self.shortcuts),
        }

    def url_for(self, kind: str) -> str:
        """The request URL for `events_api`, `interactive`, `options` or `slash_commands`.

        An app with one address for everything gives `events_url` alone.
        """
        chosen = {
            "events_api": self.events_url,
            "interactive": self.interactivity_url,
            "options": self.options_url or self.interactivity_url,
            "slash_commands": self.commands_url,
        }[kind]
        return chosen or self.events_url
