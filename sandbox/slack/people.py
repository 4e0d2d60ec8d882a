"""What happens to channels and people: joining, leaving, archiving, renaming, profiles, user groups."""

from typing import TYPE_CHECKING

from sandbox.slack import events, workspace
from sandbox.slack.model import Channel, User

if TYPE_CHECKING:
    from sandbox.slack.side import SlackSide


def join(side: "SlackSide", channel: Channel, user: User, *, inviter: str | None = None) -> None:
    """The user becomes a member."""
    channel.members.append(user.id)
    _log(side, channel, "joined", user)
    events.member(side, "member_joined_channel", channel, user, inviter)


def leave(side: "SlackSide", channel: Channel, user: User, *, kicked_by: str | None = None) -> None:
    """The user is no member any more."""
    channel.members.remove(user.id)
    _log(side, channel, "left", user)
    events.member(side, "member_left_channel", channel, user, kicked_by)


def archive(side: "SlackSide", channel: Channel, user: User, *, archived: bool) -> None:
    """Close the channel for writing, or open it again."""
    channel.is_archived = archived
    _log(side, channel, "archived" if archived else "unarchived", user)
    events.channel_changed(side, "archive" if archived else "unarchive", channel, user.id)


def rename(side: "SlackSide", channel: Channel, name: str, user: User) -> None:
    """Give the channel another name; its id stays."""
    channel.name = name
    _log(side, channel, "renamed", user)
    events.channel_changed(side, "rename", channel, user.id)


def change_group(side: "SlackSide", group_id: str, users: list[str]) -> None:
    """Set the members of a user group."""
    group = side.groups[group_id]
    added = [user for user in users if user not in group.users]
    removed = [user for user in group.users if user not in users]
    before_s, group.updated_s = group.updated_s, side.now_s()
    group.users = list(users)
    if added or removed:
        events.group_members_changed(side, group_id, added, removed, before_s)
    side.publish("usergroup", usergroup=group.json(workspace.TEAM_ID, include_users=True, include_count=True))


def changed(side: "SlackSide", user: User) -> None:
    """Tell everyone that a profile or an account has changed."""
    user.updated_s = side.now_s()
    events.user_change(side, user)
    side.publish("user", user=user.json())


def _log(side: "SlackSide", channel: Channel, what: str, user: User) -> None:
    side.desk.log.add("slack", "channel", channel.id, {"name": channel.name, "what": what, "user": user.id})
    side.publish("channel", channel=channel.json(side.bot.id))
