"""Reply markup: inline keyboards stay with the message, reply keyboards only reach the customer's phone."""

from typing import Any

from sandbox.telegram.errors import bad_request
from sandbox.telegram.params import Params

Json = dict[str, Any]

MAX_CALLBACK_BYTES = 64
ACTIONS = frozenset(
    {
        "callback_data",
        "url",
        "login_url",
        "web_app",
        "switch_inline_query",
        "switch_inline_query_current_chat",
        "switch_inline_query_chosen_chat",
        "copy_text",
        "callback_game",
        "pay",
    }
)


def read(params: Params) -> tuple[Json | None, Json | None]:
    """The inline keyboard and the reply keyboard of a call; each None when there is none. ApiError as
    Telegram refuses.
    """
    markup = params.parsed("reply_markup", "can't parse reply keyboard markup JSON object")
    if not markup:
        return None, None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    if "inline_keyboard" not in markup:
        return None, markup
    rows = markup["inline_keyboard"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("can't parse inline keyboard: expected an Array of Arrays")
    checked = [[_button(button) for button in row] for row in rows if row]
    return ({"inline_keyboard": checked} if checked else None), None


def _button(button: object) -> Json:
    if not isinstance(button, dict):
        raise bad_request("can't parse inline keyboard button: expected an Object")
    if not isinstance(button.get("text"), str):
        raise bad_request("can't parse inline keyboard button: Can't find field \"text\"")
    if not button["text"]:
        raise bad_request("inline keyboard button text must be non-empty")
    if not any(action in button for action in ACTIONS):
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    data = button.get("callback_data")
    if data is not None and not 1 <= len(str(data).encode()) <= MAX_CALLBACK_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")
    return button
