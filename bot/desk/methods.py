"""Every Slack method and event the desk uses, with the scopes it costs: the manifest is checked against these tables.

`client.SlackApi` calls no method that is not listed here, `listeners.Listeners` reads no event that is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """How a method is called. `repeatable`: doing it twice is the same as once, or harms nobody.

    `json` methods take a JSON body, the others form fields. `app` methods use the app-level token.
    """

    scopes: tuple[str, ...] = ()
    repeatable: bool = True
    json: bool = False
    app: bool = False


HISTORY = ("channels:history", "groups:history", "im:history", "metadata.message:read")

METHODS: Mapping[str, Method] = {
    "apps.connections.open": Method(app=True),
    "auth.test": Method(),
    "chat.delete": Method(scopes=("chat:write",), json=True),
    "chat.getPermalink": Method(),
    "chat.postEphemeral": Method(scopes=("chat:write",), json=True),
    "chat.postMessage": Method(scopes=("chat:write",), json=True, repeatable=False),
    "chat.update": Method(scopes=("chat:write",), json=True),
    "conversations.history": Method(scopes=HISTORY),
    "conversations.info": Method(scopes=("channels:read", "groups:read")),
    "conversations.open": Method(scopes=("im:write",), json=True),
    "conversations.replies": Method(scopes=HISTORY),
    "dnd.info": Method(scopes=("dnd:read",)),
    "files.delete": Method(scopes=("files:write",), json=True),
    "files.completeUploadExternal": Method(scopes=("files:write",), json=True, repeatable=False),
    "files.getUploadURLExternal": Method(scopes=("files:write",)),
    "files.info": Method(scopes=("files:read",)),
    "reactions.add": Method(scopes=("reactions:write",), json=True),
    "reactions.remove": Method(scopes=("reactions:write",), json=True),
    "usergroups.users.list": Method(scopes=("usergroups:read",)),
    "users.getPresence": Method(scopes=("users:read",)),
    "users.info": Method(scopes=("users:read",)),
    "views.open": Method(json=True, repeatable=False),
    "views.publish": Method(json=True),
    "views.update": Method(json=True),
}

APP_SCOPES = ("connections:write",)
"""What the app-level token needs for Socket Mode."""

EVENTS: Mapping[str, tuple[str, ...]] = {
    "app_home_opened": (),
    "app_uninstalled": (),
    "channel_archive": ("channels:read",),
    "channel_left": ("channels:read",),
    "group_archive": ("groups:read",),
    "group_left": ("groups:read",),
    "member_left_channel": ("channels:read", "groups:read"),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "subteam_members_changed": ("usergroups:read",),
    "tokens_revoked": (),
    "user_change": ("users:read",),
}
"""Events the desk subscribes to, as the manifest names them, with their scopes."""

COMMAND = "/relaydesk"


def bot_scopes() -> frozenset[str]:
    """The bot scopes that all of this together needs."""
    used = {scope for method in METHODS.values() for scope in method.scopes}
    return frozenset(used | {scope for scopes in EVENTS.values() for scope in scopes} | {"commands"})
