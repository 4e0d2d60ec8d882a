"""Who is who at the desk: roles by user id or user group, names, and who does not belong here. Cached, never stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from bot.desk.client import SlackApi
from bot.desk.payloads import mapping, string
from domain.errors import DeliveryError, NeverPossible, NotYet
from domain.roles import Role

log = structlog.get_logger(__name__)

GROUP_FRESH_S = 300.0
GROUP_USABLE_S = 3600.0
"""How long an old list of members may still serve while Slack cannot be asked."""
PROFILE_FRESH_S = 24 * 3600.0
MAX_PROFILES = 20_000
ASK_AGAIN = timedelta(seconds=5)
SOON_S = 1.0
"""Of the three seconds in which a window opens, what its language may cost."""
NAMES_S = 5.0
"""How long a post waits for the names of whom it speaks of."""
SILENT_S = 60.0
"""How long nobody asks again for a name that Slack did not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """What the desk wants to know about a Slack user. A guest or a bot never answers customers."""

    name: str
    team_id: str
    is_outsider: bool
    language: str | None = None


class Directory:
    """Roles and profiles. `clock` gives monotonic seconds; `changed` is set when a user group has changed."""

    def __init__(
        self, api: SlackApi, roles: Mapping[Role, tuple[str, ...]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._roles = roles
        self._clock = clock
        self._groups: dict[str, tuple[float, frozenset[str]]] = {}
        self._profiles: dict[str, tuple[float, Profile]] = {}
        self._silent: dict[
            str, float
        ] = {}  # of whom Slack did not say who they are, since when; at most our colleagues
        self.changed = asyncio.Event()
        self._group_lock = asyncio.Lock()
        self._profile_lock = asyncio.Lock()

    async def roles_of(self, user: str) -> frozenset[str]:
        """The roles of a user; empty means none, and a guest, a bot or an outsider has none, wherever listed.

        Raises NotYet while a user group has never been readable.
        """
        held: set[str] = set()
        for role, members in self._roles.items():
            for member in members:
                if member == user or (member.startswith("S") and user in await self._members(member)):
                    held.add(role.value)
                    break
        if held and (await self.profile(user)).is_outsider:
            return frozenset()
        return frozenset(held)

    async def agents(self) -> dict[str, tuple[str, ...]]:
        """Everybody who has the agent role and belongs here, with the language of their Slack.

        Raises NotYet while Slack cannot say.
        """
        found: dict[str, tuple[str, ...]] = {}
        for user in await self.holders(Role.AGENT):
            known = await self.profile(user)
            if not known.is_outsider:
                found[user] = (known.language,) if known.language else ()
        return found

    async def holders(self, role: Role) -> list[str]:
        """The users who are listed for a role, by themselves or by a group. Raises NotYet while Slack cannot say."""
        listed: set[str] = set()
        for member in self._roles.get(role, ()):
            listed |= await self._members(member) if member.startswith("S") else {member}
        return sorted(listed)

    async def profile(self, user: str) -> Profile:
        """A user's profile. Raises NotYet while an unknown user cannot be asked about."""
        known = self._profiles.get(user)
        if known and self._clock() - known[0] < PROFILE_FRESH_S:
            return known[1]
        async with self._profile_lock:
            known = self._profiles.get(user)
            if known and self._clock() - known[0] < PROFILE_FRESH_S:
                return known[1]
            try:
                answer = await self._api.call("users.info", user=user, include_locale=True)
            except NeverPossible:
                return self._keep(user, Profile(name="", team_id="", is_outsider=True))
            except DeliveryError as error:
                if known:
                    return known[1]
                log.warning("desk.author_unknown", code=error.code)
                raise NotYet(f"the desk cannot say who wrote ({error.code})", ASK_AGAIN) from error
            return self.learn(mapping(answer.get("user")) | {"id": user})

    async def is_stranger(self, user: str, home: str, own: str) -> bool:
        """Whether somebody does not belong here: `home` is their workspace, where it is known, `own` is ours.

        Raises NotYet while an unknown user cannot be asked about.
        """
        if own and home and home != own:
            return True
        known = await self.profile(user)
        return known.is_outsider or bool(own and known.team_id and known.team_id != own)

    async def language_of(self, user: str) -> str | None:
        """The language of somebody's Slack ("zh"); None while nobody can say."""
        try:
            return (await self.profile(user)).language
        except NotYet:
            return None

    async def name_of(self, user: str) -> str | None:
        """The name somebody shows; None while nobody can say."""
        try:
            return (await self.profile(user)).name or None
        except NotYet:
            return None

    async def language_soon(self, user: str) -> str | None:
        """The same for a window, which has three seconds in all: None too where Slack does not say it at once."""
        try:
            return await asyncio.wait_for(self.language_of(user), SOON_S)
        except TimeoutError:
            return None

    async def meet(self, users: Iterable[str]) -> None:
        """Learn the names of people we have not heard of, as far as Slack says them soon.

        What is posted is said of them without a name rather than late; who could not be asked about is left alone for
        a while, since every post would ask again.
        """
        strangers = [user for user in users if user not in self._profiles and not self._is_silent(user)]
        try:
            async with asyncio.timeout(NAMES_S):
                while strangers:
                    if await self.name_of(strangers[0]) is None and strangers[0] not in self._profiles:
                        break
                    strangers.pop(0)
        except TimeoutError:
            log.warning("desk.names_late", count=len(strangers))
        self._silent |= dict.fromkeys(strangers, self._clock())

    def _is_silent(self, user: str) -> bool:
        """Whether Slack did not say who this is a moment ago."""
        since = self._silent.get(user)
        if since is not None and self._clock() - since >= SILENT_S:
            del self._silent[user]
        return user in self._silent

    def name(self, user: str) -> str | None:
        """A user's name if it is known without asking."""
        known = self._profiles.get(user)
        return (known[1].name or None) if known else None

    def learn(self, user: Mapping[str, Any]) -> Profile:
        """Take in a user object (users.info, user_change)."""
        profile_ = mapping(user.get("profile"))
        name = string(profile_, "display_name") or string(profile_, "real_name") or string(user, "real_name")
        known = self._profiles.get(string(user, "id"))
        language = string(user, "locale").partition("-")[0].lower() or (known[1].language if known else None)
        flags = ("is_bot", "is_restricted", "is_ultra_restricted", "is_stranger", "deleted", "is_workflow_bot")
        return self._keep(
            string(user, "id"),
            Profile(
                name=name or string(user, "name"),
                team_id=string(user, "team_id"),
                language=language,
                is_outsider=any(user.get(flag) is True for flag in flags),
            ),
        )

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in an event about colleagues: a group is asked for again before the next decision, a name replaced."""
        if event.get("type") == "subteam_members_changed":
            self._groups.pop(string(event, "subteam_id"), None)
            self.changed.set()
        elif string(mapping(event.get("user")), "id") in self._profiles:
            self.learn(mapping(event.get("user")))

    async def group_sizes(self) -> dict[str, int]:
        """How many people each configured user group has now, asked afresh. Raises a DeliveryError."""
        groups = sorted({m for members in self._roles.values() for m in members if m.startswith("S")})
        return {group: len(await self._ask_members(group)) for group in groups}

    async def _members(self, group: str) -> frozenset[str]:
        known = self._groups.get(group)
        if known and self._clock() - known[0] < GROUP_FRESH_S:
            return known[1]
        async with self._group_lock:
            known = self._groups.get(group)
            if known and self._clock() - known[0] < GROUP_FRESH_S:
                return known[1]
            try:
                return await self._ask_members(group)
            except NeverPossible as error:
                log.warning("desk.group_unknown", group=group, code=error.code)
                self._groups[group] = (self._clock(), frozenset())
                return frozenset()
            except DeliveryError as error:
                if known and self._clock() - known[0] < GROUP_USABLE_S:
                    log.warning("desk.group_stale", group=group, code=error.code)
                    return known[1]
                log.warning("desk.group_unknown", group=group, code=error.code)
                raise NotYet(f"the desk cannot say who may do this ({error.code})", ASK_AGAIN) from error

    async def _ask_members(self, group: str) -> frozenset[str]:
        answer = await self._api.call("usergroups.users.list", usergroup=group)
        users = answer.get("users")
        members = frozenset(str(user) for user in users) if isinstance(users, list) else frozenset()
        self._groups[group] = (self._clock(), members)
        return members

    def _keep(self, user: str, profile: Profile) -> Profile:
        if len(self._profiles) >= MAX_PROFILES:
            self._profiles.pop(next(iter(self._profiles)))
        self._profiles[user] = (self._clock(), profile)
        return profile
