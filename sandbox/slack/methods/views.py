"""views.*"""

import json
from typing import Any

from sandbox.slack import modals, workspace
from sandbox.slack.errors import SlackError, invalid_arguments
from sandbox.slack.methods.call import Call, Method
from sandbox.slack.model import Json


def open_(call: Call) -> Json:
    """views.open"""
    body = _view(call, "modal")
    trigger = call.side.use_trigger(_trigger(call))
    return {"view": modals.show(call.side, trigger.user, body).json()}


def push(call: Call) -> Json:
    """views.push"""
    body = _view(call, "modal")
    trigger = call.side.use_trigger(_trigger(call))
    below = modals.find(call.side, trigger.view_id)
    if modals.stack_height(call.side, below.body["root_view_id"]) >= modals.MAX_STACK:
        raise SlackError("push_limit_reached")
    return {"view": modals.show(call.side, trigger.user, body, below=below).json()}


def update(call: Call) -> Json:
    """views.update"""
    view_id, external_id = call.text("view_id"), call.text("external_id")
    if view_id is None and external_id is None:
        raise invalid_arguments("view_id or external_id is required")
    body = _view(call, "modal")
    view = modals.find(call.side, view_id, external_id)
    modals.replace(call.side, view, body, call.text("hash"))
    return {"view": view.json()}


def publish(call: Call) -> Json:
    """views.publish"""
    user = call.side.user(call.required("user_id"))
    if user.team_id != workspace.TEAM_ID or user.is_bot:
        raise SlackError("not_enabled")
    body = _view(call, "home")
    view = modals.home_of(call.side, user.id)
    if view is None:
        view = modals.show(call.side, user.id, body)
    else:
        modals.replace(call.side, view, body, call.text("hash"))
    call.side.desk.log.add("slack", "home", user.id, {"blocks": body["blocks"]})
    return {"view": view.json()}


def _trigger(call: Call) -> str:
    return call.required("trigger_id")


def _view(call: Call, surface: str) -> Json:
    given: Any = call.json("view", "invalid_arguments")
    if len(json.dumps(given, ensure_ascii=False).encode("utf-8", "replace")) > modals.MAX_VIEW_BYTES:
        raise SlackError("view_too_large")
    return modals.checked(given, surface=surface)


METHODS = {
    "views.open": Method(handler=open_, tier=4),
    "views.push": Method(handler=push, tier=4),
    "views.update": Method(handler=update, tier=4),
    "views.publish": Method(handler=publish, tier=4),
}
