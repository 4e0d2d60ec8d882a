"""What people may choose or enter in an element, and what Slack's own client refuses before the app hears of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sandbox.slack import blocks as block_kit
from sandbox.slack.errors import SlackError
from sandbox.slack.modals import VALUE_NAMES
from sandbox.slack.model import Json, View

if TYPE_CHECKING:
    from sandbox.slack.side import SlackSide

REQUIRED = "This is a required field"


def chosen(side: "SlackSide", element: Json, given: Json) -> Json:
    """The element's value as it stands in an action or in state.values.

    `given` names it by Slack's field (`selected_option`, `selected_date`, …) or simply `value`; an option by its
    value or as a whole. SlackError `invalid_choice` for what the element does not offer.
    """
    kind = element["type"]
    if kind == "button":
        return {name: element[name] for name in ("text", "value", "style", "url") if name in element}
    name = "selected_option" if kind == "overflow" else VALUE_NAMES.get(kind)
    if name is None:
        raise SlackError("action_not_found")
    raw = given.get(name, given.get("value"))
    if name == "selected_option":
        return {name: None if raw is None else _option(element, raw)}
    if name == "selected_options":
        return {name: [_option(element, one) for one in _list(raw)]}
    if name in ("selected_user", "selected_users"):
        return _known(side.users, name, raw)
    if name in ("selected_channel", "selected_channels", "selected_conversation", "selected_conversations"):
        return _known(side.channels, name, raw)
    if kind == "plain_text_input":
        return {name: _entered(element, raw)}
    return {name: raw}


def missing(view: View) -> dict[str, str]:
    """Required input blocks that are still empty, as block id → words."""
    errors: dict[str, str] = {}
    for block, element in block_kit.elements(view.body["blocks"]):
        if block["type"] != "input" or block.get("optional"):
            continue
        entry = view.state.get(block["block_id"], {}).get(element["action_id"], {})
        if entry.get(VALUE_NAMES[element["type"]]) in (None, "", []):
            errors[block["block_id"]] = REQUIRED
    return errors


def _list(raw: object) -> list[object]:
    if raw is None:
        return []
    return raw if isinstance(raw, list) else [raw]


def _option(element: Json, raw: object) -> Json:
    wanted = raw.get("value") if isinstance(raw, dict) else raw
    if element["type"].endswith("external_select"):
        if isinstance(raw, dict) and "text" in raw:
            return raw
        raise SlackError("invalid_choice")
    offered = list(element.get("options") or ())
    for group in element.get("option_groups") or ():
        offered += group["options"]
    for option in offered:
        if option["value"] == wanted:
            return dict(option)
    raise SlackError("invalid_choice")


def _known(known: Mapping[str, object], name: str, raw: object) -> Json:
    if name.endswith("s"):
        ids = _list(raw)
        if any(one not in known for one in ids):
            raise SlackError("invalid_choice")
        return {name: ids}
    if raw is not None and raw not in known:
        raise SlackError("invalid_choice")
    return {name: raw}


def _entered(element: Json, raw: object) -> str | None:
    text = None if raw in (None, "") else str(raw)
    most = element.get("max_length", 3_000)
    if text is not None and not element.get("min_length", 0) <= len(text) <= most:
        raise SlackError("invalid_length")
    return text
