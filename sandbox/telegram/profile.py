"""What the bot says about itself and asks about chats."""

from typing import Any

from sandbox.telegram.errors import bad_request
from sandbox.telegram.model import Json
from sandbox.telegram.params import Params
from sandbox.telegram.side import TelegramSide

MAX_DESCRIPTION = 512
MAX_SHORT_DESCRIPTION = 120


def get_me(side: TelegramSide, _params: Params) -> Json:
    """The method getMe."""
    return {
        **side.bot,
        "can_join_groups": True,
        "can_read_all_group_messages": True,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


def get_chat(side: TelegramSide, params: Params) -> Json:
    """The method getChat."""
    try:
        chat = side.chat(int(params.text("chat_id")))
    except ValueError:
        raise bad_request("chat not found") from None
    full: Json = {**chat.info, "accent_color_id": 0, "max_reaction_count": 11}
    full["accepted_gift_types"] = {
        "unlimited_gifts": False,
        "limited_gifts": False,
        "unique_gifts": False,
        "premium_subscription": False,
        "gifts_from_channels": False,
    }
    if chat.is_private:
        full["active_usernames"] = [chat.info["username"]] if "username" in chat.info else []
    return full


def get_file(side: TelegramSide, params: Params) -> Json:
    """The method getFile."""
    file_id = params.text("file_id")
    if not file_id:
        raise bad_request("file_id not specified")
    return side.files.link(file_id, now=side.desk.clock.real())


def set_commands(side: TelegramSide, params: Params) -> bool:
    """The method setMyCommands."""
    commands = params.parsed("commands", "can't parse commands JSON object")
    if not isinstance(commands, list):
        raise bad_request("commands must be specified")
    for command in commands:
        name = command.get("command", "") if isinstance(command, dict) else ""
        name = name.removeprefix("/")
        if not 1 <= len(name) <= 32 or not all(char.islower() or char.isdigit() or char == "_" for char in name):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(command.get("description", "")) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    return _remember(side, _commands_key(params), commands)


def get_commands(side: TelegramSide, params: Params) -> list[Json]:
    """The method getMyCommands."""
    commands: list[Json] = side.settings.get(_commands_key(params), [])
    return commands


def delete_commands(side: TelegramSide, params: Params) -> bool:
    """The method deleteMyCommands."""
    side.settings.pop(_commands_key(params), None)
    side.desk.dirty = True
    return True


def set_description(side: TelegramSide, params: Params) -> bool:
    """The method setMyDescription."""
    text = params.text("description")
    if len(text) > MAX_DESCRIPTION:
        raise bad_request("description is too long")
    return _remember(side, f"description:{params.text('language_code')}", text)


def set_short_description(side: TelegramSide, params: Params) -> bool:
    """The method setMyShortDescription."""
    text = params.text("short_description")
    if len(text) > MAX_SHORT_DESCRIPTION:
        raise bad_request("short description is too long")
    return _remember(side, f"short_description:{params.text('language_code')}", text)


def get_description(side: TelegramSide, params: Params) -> Json:
    """The method getMyDescription."""
    return {"description": _localised(side, "description", params)}


def get_short_description(side: TelegramSide, params: Params) -> Json:
    """The method getMyShortDescription."""
    return {"short_description": _localised(side, "short_description", params)}


def leave(_side: TelegramSide, _params: Params) -> bool:
    """The methods close and logOut: this server has nothing to move away from."""
    return True


def _localised(side: TelegramSide, name: str, params: Params) -> str:
    wanted = side.settings.get(f"{name}:{params.text('language_code')}")
    text: str = wanted or side.settings.get(f"{name}:", "")
    return text


def _commands_key(params: Params) -> str:
    scope: Any = params.parsed("scope", "can't parse BotCommandScope JSON object") or {"type": "default"}
    kind = scope.get("type", "default") if isinstance(scope, dict) else "default"
    chat_id = scope.get("chat_id", "") if isinstance(scope, dict) else ""
    return f"commands:{kind}:{chat_id}:{params.text('language_code')}"


def _remember(side: TelegramSide, key: str, value: object) -> bool:
    side.settings[key] = value
    side.desk.log.add("telegram", "bot_setting", key, {"value": value})
    side.desk.dirty = True
    return True
