"""Modals and home tabs: checked, opened, replaced, stacked, closed."""

from typing import TYPE_CHECKING

from sandbox.slack import blocks as block_kit
from sandbox.slack import workspace
from sandbox.slack.errors import SlackError, invalid_arguments
from sandbox.slack.model import Json, View

if TYPE_CHECKING:
    from sandbox.slack.side import SlackSide

MAX_STACK = 3
MAX_VIEW_BYTES = 250_000
MAX_TITLE = 24
MAX_PRIVATE_METADATA = 3_000
MAX_CALLBACK_ID = 255
EARLIER_KEPT = 3


def checked(given: object, *, surface: str) -> Json:
    """The view that was given, complete and without mistakes; SlackError `invalid_arguments` with the reasons."""
    if not isinstance(given, dict):
        raise invalid_arguments("must be a valid view [json-pointer:/view]")
    errors = _errors(given, surface)
    if errors:
        raise invalid_arguments(*errors)
    view: Json = {
        "type": surface,
        "blocks": given["blocks"],
        "private_metadata": given.get("private_metadata", ""),
        "callback_id": given.get("callback_id", ""),
        "external_id": given.get("external_id", ""),
    }
    if surface == "modal":
        view |= {
            "title": {"emoji": True, **given["title"]},
            "submit": given.get("submit"),
            "close": given.get("close"),
            "clear_on_close": bool(given.get("clear_on_close", False)),
            "notify_on_close": bool(given.get("notify_on_close", False)),
            "submit_disabled": bool(given.get("submit_disabled", False)),
        }
    return view


def show(side: "SlackSide", user: str, body: Json, *, below: View | None = None) -> View:
    """A new view in front of the user, on top of `below` if given."""
    _refuse_known_external_id(side, body, None)
    view_id = side.new_id("V")
    view = View(
        id=view_id,
        user=user,
        body={
            "id": view_id,
            "team_id": workspace.TEAM_ID,
            **body,
            "hash": _hash(side),
            "root_view_id": below.body["root_view_id"] if below is not None else view_id,
            "previous_view_id": below.id if below is not None else None,
            "app_id": workspace.APP_ID,
            "app_installed_team_id": workspace.TEAM_ID,
            "bot_id": side.bot.bot_id,
        },
    )
    view.state = initial_state(body["blocks"])
    side.views[view_id] = view
    _seen(side, view)
    return view


def replace(side: "SlackSide", view: View, body: Json, given_hash: str | None) -> None:
    """New content for an open view; what people entered stays where block and action ids stay."""
    if given_hash and given_hash != view.body["hash"]:
        raise SlackError("hash_conflict")
    if body["type"] != view.body["type"]:
        raise invalid_arguments("view type cannot be changed [json-pointer:/view/type]")
    _refuse_known_external_id(side, body, view)
    view.earlier = (dict(view.body), *view.earlier)[:EARLIER_KEPT]
    view.body |= {**body, "hash": _hash(side)}  # under the same id: only the hash says that it is another
    entered = view.state
    view.state = initial_state(body["blocks"])
    for block, element in block_kit.elements(body["blocks"]):
        old = entered.get(block["block_id"], {}).get(element["action_id"])
        if old is not None and old["type"] == element["type"]:
            view.state.setdefault(block["block_id"], {})[element["action_id"]] = old
    _seen(side, view)


def _seen(side: "SlackSide", view: View) -> None:
    """Somebody has this before their eyes now; what a home shows is noted where it is published."""
    if view.body["type"] == "modal":
        shown = {name: view.body[name] for name in ("title", "submit", "close", "blocks")}
        side.desk.log.add("slack", "modal", view.id, {"user": view.user, **shown})
    side.publish("view", user=view.user, view=view.json())


def close(side: "SlackSide", view: View, *, whole_stack: bool) -> list[View]:
    """Take the view away, with everything above and below it if `whole_stack`; what was closed."""
    root = view.body["root_view_id"]
    gone = [v for v in side.views.values() if v.body["root_view_id"] == root] if whole_stack else [view]
    for closed in gone:
        closed.is_open = False
        side.views.pop(closed.id, None)
        side.publish("view_closed", user=closed.user, view_id=closed.id)
    return gone


def find(side: "SlackSide", view_id: object, external_id: object = None) -> View:
    """An open view by its id or the app's own id, or SlackError `not_found`."""
    if view_id:
        view = side.views.get(str(view_id))
    else:
        view = next((v for v in side.views.values() if external_id and v.body["external_id"] == external_id), None)
    if view is None:
        raise SlackError("not_found")
    return view


def home_of(side: "SlackSide", user: str) -> View | None:
    """The home tab published for this user."""
    return next((v for v in side.views.values() if v.user == user and v.body["type"] == "home"), None)


def stack_height(side: "SlackSide", root_view_id: str) -> int:
    """How many modals stand on each other."""
    return sum(1 for v in side.views.values() if v.body["root_view_id"] == root_view_id)


def initial_state(blocks: list[Json]) -> dict[str, Json]:
    """state.values as it is before anybody has entered anything."""
    state: dict[str, Json] = {}
    for block, element in block_kit.elements(blocks):
        value = initial_value(element)
        if value is not None:
            state.setdefault(block["block_id"], {})[element["action_id"]] = value
    return state


VALUE_NAMES = {
    "plain_text_input": "value",
    "email_text_input": "value",
    "url_text_input": "value",
    "number_input": "value",
    "rich_text_input": "rich_text_value",
    "file_input": "files",
    "checkboxes": "selected_options",
    "radio_buttons": "selected_option",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
    "static_select": "selected_option",
    "external_select": "selected_option",
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "multi_static_select": "selected_options",
    "multi_external_select": "selected_options",
    "multi_users_select": "selected_users",
    "multi_conversations_select": "selected_conversations",
    "multi_channels_select": "selected_channels",
}
"""Under which name an element's value stands in state.values; buttons and overflow menus have no state."""


def initial_value(element: Json) -> Json | None:
    """The element's entry in state.values, None for elements without state."""
    name = VALUE_NAMES.get(element["type"])
    if name is None:
        return None
    initial = "initial_" + name.removeprefix("selected_")
    return {"type": element["type"], name: element.get(initial, [] if name.endswith("s") else None)}


def _errors(given: Json, surface: str) -> list[str]:
    errors = []
    if given.get("type") != surface:
        errors.append(f"must be of type {surface} [json-pointer:/view/type]")
    if surface == "modal":
        errors += _title_errors(given, "title", required=True)
        errors += _title_errors(given, "submit", required=False)
        errors += _title_errors(given, "close", required=False)
    for name, most in (
        ("private_metadata", MAX_PRIVATE_METADATA),
        ("callback_id", MAX_CALLBACK_ID),
        ("external_id", MAX_CALLBACK_ID),
    ):
        value = given.get(name, "")
        if not isinstance(value, str) or len(value) > most:
            errors.append(f"must be less than {most + 1} characters [json-pointer:/view/{name}]")
    if "blocks" not in given:
        errors.append("missing required field: blocks [json-pointer:/view]")
        return errors
    block_errors = block_kit.check(given["blocks"], surface)
    errors += [error.replace("[json-pointer:", "[json-pointer:/view") for error in block_errors]
    if (
        surface == "modal"
        and not block_errors
        and not given.get("submit")
        and any(block.get("type") == "input" for block in given["blocks"])
    ):
        errors.append("a submit button is required when the view has input blocks [json-pointer:/view/submit]")
    return errors


def _title_errors(given: Json, name: str, *, required: bool) -> list[str]:
    text = given.get(name)
    if text is None:
        return [f"missing required field: {name} [json-pointer:/view]"] if required else []
    if not isinstance(text, dict) or text.get("type") != "plain_text" or not text.get("text"):
        return [f"must be a valid text object of type plain_text [json-pointer:/view/{name}]"]
    if len(str(text["text"])) > MAX_TITLE:
        return [f"must be less than {MAX_TITLE + 1} characters [json-pointer:/view/{name}/text]"]
    return []


def _refuse_known_external_id(side: "SlackSide", body: Json, itself: View | None) -> None:
    external_id = body["external_id"]
    if external_id and any(v is not itself and v.body["external_id"] == external_id for v in side.views.values()):
        raise SlackError("duplicate_external_id")


def _hash(side: "SlackSide") -> str:
    return f"{side.now_s()}.{side.new_id('')[:8]}"
