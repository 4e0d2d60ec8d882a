"""What the local Slack holds: the part of its side that is saved, and that what carries deliveries looks at."""

from sandbox.slack import workspace
from sandbox.slack.model import Channel, File, Token, User, Usergroup, View
from sandbox.slack.settings import Settings
from sandbox.state import Sandbox


class Held:
    """People, channels, files, views and tokens by id, under the settings of now."""

    def __init__(self, desk: Sandbox, settings: Settings) -> None:
        self.desk = desk
        self.settings = settings
        self.users: dict[str, User] = {}
        self.groups: dict[str, Usergroup] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.tokens: dict[str, Token] = {}
        self.bot_user_id = workspace.BOT_USER_ID
        self.app_homes_seen: set[str] = set()

    def publish(self, kind: str, **fields: object) -> None:
        """Tell the page that something changed."""
        self.desk.publish({"type": f"slack.{kind}", **fields})
