"""reactions.*"""

import re

from sandbox.slack import messages
from sandbox.slack.errors import SlackError
from sandbox.slack.methods.call import Call, Method
from sandbox.slack.model import Channel, Json, Message

EMOJI_NAME = re.compile(r"[\w'+-]{1,100}(::skin-tone-[2-6])?")


def add(call: Call) -> Json:
    """reactions.add"""
    channel, message = _target(call)
    messages.react(call.side, channel, message, call.bot, _emoji(call))
    return {}


def remove(call: Call) -> Json:
    """reactions.remove"""
    channel, message = _target(call)
    messages.unreact(call.side, channel, message, call.bot, _emoji(call))
    return {}


def get(call: Call) -> Json:
    """reactions.get"""
    channel, message = _message(call)
    return {"type": "message", "channel": channel.id, "message": message.body}


def _message(call: Call) -> tuple[Channel, Message]:
    if call.text("channel") is None or call.text("timestamp") is None:
        raise SlackError("no_item_specified")
    channel = call.channel()
    return channel, messages.find(channel, call.text("timestamp"))


def _target(call: Call) -> tuple[Channel, Message]:
    channel, message = _message(call)
    if channel.is_archived:
        raise SlackError("is_archived")
    if call.side.bot.id not in channel.members:
        raise SlackError("not_in_channel")
    return channel, message


def _emoji(call: Call) -> str:
    name = call.required("name", "invalid_name").strip(":")
    if not EMOJI_NAME.fullmatch(name):
        raise SlackError("invalid_name")
    return name


METHODS = {
    "reactions.add": Method(handler=add, scopes=("reactions:write",)),
    "reactions.remove": Method(handler=remove, scopes=("reactions:write",), tier=2),
    "reactions.get": Method(handler=get, scopes=("reactions:read",), form_only=True),
}
