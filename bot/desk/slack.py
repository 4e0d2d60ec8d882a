"""Slack as the desk: what `domain.ports.Desk` promises, put together from the parts of this folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog
from starlette.routing import Route

from bot.desk import absence, checks, files, forms, words
from bot.desk.client import SlackApi
from bot.desk.config import SLACK_URL, SlackConfig
from bot.desk.directory import Directory
from bot.desk.gaps import Gaps
from bot.desk.ingress import HttpIngress, Intake
from bot.desk.listeners import Listeners
from bot.desk.modals import Modals
from bot.desk.payloads import Own
from bot.desk.posting import Poster
from bot.desk.posts import Posts
from bot.desk.sockets import Sockets
from bot.replying import Replying
from bot.searching import Searching
from domain.errors import DeliveryError, RetryLater
from domain.events import Event, Ignored
from domain.model import Attachment
from domain.ports import Accept, DeskDelivery, File, Probe, Receipt, ThreadCursor
from domain.roles import Role

__all__ = ["SLACK_URL", "SlackConfig", "SlackDesk"]

log = structlog.get_logger(__name__)

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
HEARTBEAT_S = 30.0
"""Over HTTP Slack calls us, so that we have to ask now and then whether it still knows us."""
DOUBTED_APART_S = 10.0
"""Much less than a doubt lasts, and much more than it costs to tell every process of it."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SlackDesk:
    """One Slack workspace. `now` is product time, for commands, which carry none.

    `reconnected` is set whenever a connection has come up anew, and `connected` called: whoever fills gaps, in whatever
    process, hears of it before anything that came over that connection. `doubted` is called at each sign that Slack may
    have sent something into nothing, before what came after that is stored.
    """

    def __init__(
        self,
        config: SlackConfig,
        *,
        now: Callable[[], datetime] = _utc_now,
        rebuild_after: float = 60.0,
        ping_every: float = 5.0,
        connected: Callable[[], None] | None = None,
        doubted: Callable[[], None] | None = None,
    ) -> None:
        self.config = config
        self.reconnected = asyncio.Event()
        self._tell = connected
        self._tell_doubt = doubted
        self._doubted_at = float("-inf")
        self._now = now
        self._api = SlackApi(base_url=config.base_url, bot_token=config.bot_token, app_token=config.app_token)
        self._directory = Directory(self._api, config.roles)
        self._listeners = Listeners(self._directory, Own(team_id=config.team_id or "", reactions=config.reactions))
        self._showing: set[asyncio.Task[None]] = set()
        self._intake = Intake(now, self._directory.hear, self._show, self._connected, self._doubt)
        self._intake.own = self._listeners.own
        self._posts = Posts(self._api, config.ops_channel, now)
        self._poster = Poster(self._api, self._directory, self._posts, now, config.language)
        self._modals = Modals(self._api, self._directory, self._poster.addresses.of, config.language)
        self._intake.windows = self._modals.hear
        self._gaps = Gaps(self._api, lambda: self._listeners.own, now)
        self._sockets = Sockets(
            self._api,
            config.app_token,
            self._intake.take,
            count=config.connections,
            rebuild_after=rebuild_after,
            ping_every=ping_every,
            connected=self._connected,
            doubted=self._doubt,
        )
        self._identity = asyncio.Lock()

    def reply_with(self, replying: Replying) -> None:
        """Let agents answer in windows, with the canned replies of `replying`."""
        self._modals.replying = replying

    def search_with(self, searching: Searching) -> None:
        """Let colleagues search by a command."""
        self._modals.searching = searching

    @property
    def intake_counts(self) -> dict[str, int]:
        """What came in since the start and what became of it: stored, ignored_..., refused_..., failed."""
        return dict(self._intake.counts)

    def routes(self) -> list[Route]:
        """What Slack calls in HTTP mode; empty over Socket Mode. Answers 503 until `run` has begun."""
        if self.config.mode != "http":
            return []
        return HttpIngress(self._intake, self.config.signing_secret).routes()

    async def run(self, accept: Accept) -> None:
        """Take events in until cancelled. Raises AccessRevoked at once when a token is not good."""
        self._intake.open(accept)
        ticket = await self._prepare()
        if self.config.mode == "socket":
            await self._sockets.run(ticket)
        else:
            self._connected()
            await self._heartbeat()

    def listening(self) -> None:
        """The web server takes what Slack posts from now on: what it was refused before comes again late."""
        if self.config.mode == "http":
            self._connected()

    def _connected(self) -> None:
        self.reconnected.set()
        if self._tell is not None:
            self._tell()

    def _doubt(self) -> None:
        """Something that Slack has sent may not have reached us."""
        if time.monotonic() - self._doubted_at < DOUBTED_APART_S:
            return
        self._doubted_at = time.monotonic()
        if self._tell_doubt is not None:
            self._tell_doubt()

    async def parse(self, payload: str) -> Event | Ignored:
        """Read a stored payload. Raises MalformedEvent, or NotYet where Slack must first say who somebody is."""
        await self._know_ourselves()
        return await self._listeners.parse(payload)

    async def deliver(self, delivery: DeskDelivery) -> Receipt:
        """Show one delivery. Raises a DeliveryError."""
        return await self._poster.deliver(delivery)

    async def find(self, delivery: DeskDelivery, since: datetime) -> Receipt | None:
        """Look a delivery up by its id. Raises RetryLater or AccessRevoked when Slack cannot be asked."""
        return await self._posts.find(delivery, since)

    async def missed(self, threads: Sequence[ThreadCursor], accept: Accept) -> int:
        """Store what was written in these threads while we were not listening; returns how many were new."""
        await self._identify()
        return await self._gaps.fill(threads, accept)

    async def roles_of(self, agent_id: str) -> frozenset[str]:
        """The roles of a user; empty means none. Raises NotYet while Slack cannot say."""
        return await self._directory.roles_of(agent_id)

    async def language_of(self, agent_id: str) -> str | None:
        """The language of somebody's Slack; None while Slack cannot say."""
        return await self._directory.language_of(agent_id)

    async def name_of(self, agent_id: str) -> str | None:
        """The name somebody shows in Slack; None while Slack cannot say."""
        return await self._directory.name_of(agent_id)

    async def team(self) -> dict[str, tuple[str, ...]]:
        """Everybody who may answer customers, with the languages they read. Raises NotYet while Slack cannot say."""
        return await self._directory.agents()

    async def leads(self) -> list[str]:
        """Everybody who leads. Raises NotYet while Slack cannot say."""
        return await self._directory.holders(Role.LEAD)

    async def absence(self, user: str) -> str | None:
        """Why somebody cannot be asked to act now (`gone`, `dnd`, `away`); None when they can.

        Raises NotYet or a DeliveryError while Slack cannot say.
        """
        ask = self.config.ask_presence
        return await absence.reason(self._api, self._directory, user, self._now(), ask_presence=ask)

    async def check_channel(self, channel: str) -> Probe:
        """Whether posts can go to a channel. Raises RetryLater while Slack cannot say."""
        return await checks.channel_probe(self._api, channel)

    @property
    def team_changed(self) -> asyncio.Event:
        """Set when a user group has changed; whoever waits for it clears it."""
        return self._directory.changed

    async def open_file(self, attachment: Attachment) -> File:
        """An agent's file, to be streamed on. Raises a DeliveryError."""
        return await files.opened(self._api, attachment)

    async def probe(self) -> list[Probe]:
        """What `doctor` wants to know."""
        return await checks.probe(self._api, self.config, self._directory)

    def last_success_age(self) -> float:
        """Seconds since Slack last showed life: over a connection in Socket Mode, in an answer over HTTP."""
        return self._sockets.last_life_age() if self.config.mode == "socket" else self._api.last_success_age()

    async def close(self) -> None:
        """Release sockets. Idempotent."""
        await self._modals.close()
        for task in self._showing:
            task.cancel()
        await self._api.close()

    def _show(self, asked: forms.Asked) -> None:
        """Open a form beside the acknowledgement, which must not wait for it: both have three seconds."""
        task = asyncio.create_task(self._opened(asked), name="desk-form")
        self._showing.add(task)
        task.add_done_callback(self._showing.discard)

    async def _opened(self, asked: forms.Asked) -> None:
        try:
            with words.reading(await self._directory.language_soon(asked.user), self.config.language):
                form = forms.view(asked)
            await self._api.call("views.open", trigger_id=asked.trigger, view=form)
        except DeliveryError as error:  # nothing is lost: whoever sees no form clicks again
            log.warning("desk.form_not_opened", code=error.code)

    async def _prepare(self) -> str | None:
        """Wait until Slack knows us; in Socket Mode return the address of a first connection."""
        wait = FIRST_WAIT_S
        while True:
            try:
                await self._identify()
                if self.config.mode == "http":
                    return None
                answer = await self._api.call("apps.connections.open")
                return str(answer.get("url") or "") or None
            except RetryLater as error:
                log.warning("desk.unreachable", code=error.code, retry_in_s=wait)
                await asyncio.sleep(max(wait, error.after.total_seconds() if error.after else 0.0))
                wait = min(wait * 2, LONGEST_WAIT_S)

    async def _identify(self) -> None:
        """Learn from Slack who we are, once. Raises a DeliveryError."""
        async with self._identity:
            if not self._listeners.own.bot_user_id:
                self._know(await checks.identify(self._api, self.config))

    async def _know_ourselves(self) -> None:
        """Try to learn who we are; a payload can be read without, only less sharply."""
        if self._listeners.own.bot_user_id:
            return
        try:
            await self._identify()
        except DeliveryError as error:
            log.warning("desk.identity_unknown", code=error.code)

    def _know(self, own: Own) -> None:
        self._listeners.own = own
        self._intake.own = own

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                await self._api.call("auth.test")
            except DeliveryError as error:
                log.warning("desk.unreachable", code=error.code, retry_in_s=HEARTBEAT_S)
