"""What a Slack workspace consists of. A message's `body` is the JSON that Slack would return for it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox import filedata

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class User:
    """A person or a bot. `team_id` differs from the workspace's for Slack Connect strangers."""

    id: str
    name: str
    real_name: str
    team_id: str
    display_name: str = ""  # without one people read the real name
    tz: str = "Europe/London"
    tz_label: str = "Greenwich Mean Time"
    tz_offset_s: int = 0
    locale: str = "en-GB"
    email: str = ""
    title: str = ""
    is_bot: bool = False
    bot_id: str = ""
    app_id: str = ""
    is_admin: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    deleted: bool = False
    presence: Literal["active", "away"] = "active"
    dnd: Json = field(default_factory=dict)
    updated_s: int = 0

    def json(self) -> Json:
        """The user object of users.info, users.list and user_change."""
        profile: Json = {
            "title": self.title,
            "phone": "",
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.display_name,
            "display_name_normalized": self.display_name,
            "status_text": "",
            "status_emoji": "",
            "team": self.team_id,
        }
        if self.email:
            profile["email"] = self.email
        if self.is_bot:
            profile |= {"api_app_id": self.app_id, "bot_id": self.bot_id}
        body: Json = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": self.deleted,
            "real_name": self.real_name,
            "tz": self.tz,
            "tz_label": self.tz_label,
            "tz_offset": self.tz_offset_s,
            "profile": profile,
            "is_admin": self.is_admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": self.is_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "is_email_confirmed": bool(self.email),
            "updated": self.updated_s,
        }
        if self.is_stranger:
            body["is_stranger"] = True
        return body


@dataclass(slots=True, kw_only=True)
class Usergroup:
    """A user group such as @agents."""

    id: str
    handle: str
    name: str
    users: list[str]
    description: str = ""
    updated_s: int = 0

    def json(self, team_id: str, *, include_users: bool, include_count: bool) -> Json:
        """The user group object of usergroups.list."""
        body: Json = {
            "id": self.id,
            "team_id": team_id,
            "is_usergroup": True,
            "is_external": False,
            "name": self.name,
            "description": self.description,
            "handle": self.handle,
            "date_create": self.updated_s,
            "date_update": self.updated_s,
            "date_delete": 0,
            "auto_type": None,
            "prefs": {"channels": [], "groups": []},
        }
        if include_users:
            body["users"] = list(self.users)
        if include_count:
            body["user_count"] = len(self.users)
        return body


@dataclass(slots=True, kw_only=True)
class Message:
    """One stored message.

    `metadata` is kept apart from `body` because Slack returns it only on request; `state` holds what people
    chose in the message's menus (block id → action id → value). `earlier` are the blocks that it had before, the
    newest first and a few at most: somebody may still be looking at them.
    """

    body: Json
    metadata: Json | None = None
    state: dict[str, Json] = field(default_factory=dict)
    earlier: tuple[list[Json], ...] = ()
    replies: list[str] = field(default_factory=list)

    @property
    def ts(self) -> str:
        """The message's id inside its channel."""
        return str(self.body["ts"])

    @property
    def thread_ts(self) -> str | None:
        """The root's ts, also for a root that has replies; None outside threads."""
        return self.body.get("thread_ts")

    @property
    def is_reply(self) -> bool:
        """Whether the message lives inside a thread."""
        thread_ts = self.body.get("thread_ts")
        return thread_ts is not None and thread_ts != self.body["ts"]

    def json(self, *, with_metadata: bool) -> Json:
        """The message as history and replies return it; not a copy unless metadata is added."""
        if with_metadata and self.metadata is not None:
            return {**self.body, "metadata": self.metadata}
        return self.body


@dataclass(slots=True, kw_only=True)
class Ephemeral:
    """A message that one person sees until it is replaced or dismissed."""

    user: str
    body: Json
    state: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Channel:
    """A channel, private channel or direct message. `top` holds the ts of what its main view shows, ascending."""

    id: str
    name: str
    kind: Literal["channel", "group", "im"]
    creator: str
    created_s: int
    members: list[str]
    is_archived: bool = False
    is_ext_shared: bool = False
    topic: str = ""
    purpose: str = ""
    im_user: str = ""
    messages: dict[str, Message] = field(default_factory=dict)
    top: list[str] = field(default_factory=list)
    ephemerals: list[Ephemeral] = field(default_factory=list)
    last_us: int = 0

    def next_ts(self, now_us: int) -> str:
        """A ts that no other message of this channel has: the clock's microseconds, at least one more than the last."""
        self.last_us = max(now_us, self.last_us + 1)
        seconds, micros = divmod(self.last_us, 1_000_000)
        return f"{seconds:010d}.{micros:06d}"

    def json(self, viewer: str) -> Json:
        """The conversation object of conversations.info and conversations.list."""
        if self.kind == "im":
            return {
                "id": self.id,
                "created": self.created_s,
                "is_im": True,
                "is_archived": self.is_archived,
                "is_org_shared": False,
                "user": self.im_user,
                "is_user_deleted": False,
                "priority": 0,
            }
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": self.kind == "channel",
            "is_group": self.kind == "group",
            "is_im": False,
            "is_mpim": False,
            "is_private": self.kind == "group",
            "created": self.created_s,
            "creator": self.creator,
            "is_archived": self.is_archived,
            "is_general": False,
            "is_shared": self.is_ext_shared,
            "is_ext_shared": self.is_ext_shared,
            "is_org_shared": False,
            "is_member": viewer in self.members,
            "topic": {"value": self.topic, "creator": "", "last_set": 0},
            "purpose": {"value": self.purpose, "creator": "", "last_set": 0},
            "previous_names": [],
            "num_members": len(self.members),
        }


@dataclass(slots=True, kw_only=True)
class File:
    """An uploaded file. `secret` guards its upload URL; `stored` is None until the bytes have come.

    `says` is what Slack says of it in place of the truth.
    """

    id: str
    name: str
    title: str
    mimetype: str
    size: int
    user: str
    created_s: int
    secret: str
    stored: bytes | None = None
    completed: bool = False
    deleted: bool = False
    channels: list[str] = field(default_factory=list)
    says: Json = field(default_factory=dict)

    def json(self, origin: str, team_id: str) -> Json:
        """The file object of files.info and of a file_share message."""
        private = f"{origin}/slack/files-pri/{team_id}-{self.id}/{self.name_in_url()}"
        truth = {
            "id": self.id,
            "created": self.created_s,
            "timestamp": self.created_s,
            "name": self.name,
            "title": self.title,
            "mimetype": self.mimetype,
            "filetype": self.name.rpartition(".")[2].lower() if "." in self.name else "binary",
            "pretty_type": self.mimetype,
            "user": self.user,
            "user_team": team_id,
            "editable": False,
            "size": self.size,
            "mode": "hosted",
            "is_external": False,
            "external_type": "",
            "is_public": True,
            "public_url_shared": False,
            "display_as_bot": False,
            "username": "",
            "url_private": private,
            "url_private_download": f"{origin}/slack/files-pri/{team_id}-{self.id}/download/{self.name_in_url()}",
            "permalink": f"{origin}/slack/files/{self.user}/{self.id}/{self.name_in_url()}",
            "is_starred": False,
            "has_rich_preview": False,
            "file_access": "visible",
            "channels": list(self.channels),
            "groups": [],
            "ims": [],
            "comments_count": 0,
        }
        return filedata.as_said(truth, self.says)

    def name_in_url(self) -> str:
        """The name as it stands in the file's URLs: ASCII letters, digits, dot, dash; the rest is an underscore."""
        return "".join(c if c.isascii() and (c.isalnum() or c in ".-") else "_" for c in self.name) or "file"


@dataclass(slots=True, kw_only=True)
class View:
    """An open modal or a published home tab, as one user sees it.

    `earlier` are the bodies that it had before, each with its hash, the newest first and a few at most: somebody may
    press what a new one has just replaced.
    """

    id: str
    user: str
    body: Json
    state: dict[str, Json] = field(default_factory=dict)
    earlier: tuple[Json, ...] = ()
    is_open: bool = True

    def json(self) -> Json:
        """The view object of views.* and of view payloads."""
        return {**self.body, "state": {"values": self.state}}


@dataclass(slots=True, kw_only=True)
class Token:
    """A bot (`xoxb-`) or app-level (`xapp-`) token. `scopes` None means every scope in the default set."""

    value: str
    kind: Literal["bot", "app"]
    scopes: tuple[str, ...]
    revoked: bool = False
