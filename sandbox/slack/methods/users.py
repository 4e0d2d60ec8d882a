"""users.*, usergroups.*, dnd.*, bots.*, team.*, auth.*, api.*"""

from sandbox.slack import workspace
from sandbox.slack.errors import SlackError
from sandbox.slack.methods.call import Call, Method, page
from sandbox.slack.model import Json, User


def info(call: Call) -> Json:
    """users.info"""
    user = call.side.user(call.required("user", "user_not_found"))
    return {"user": _show(call, user)}


def list_(call: Call) -> Json:
    """users.list"""
    users = [user for user in call.side.users.values() if user.team_id == workspace.TEAM_ID]
    items, metadata = page(call, users, default=1000)
    return {
        "members": [_show(call, user) for user in items],
        "cache_ts": call.side.now_s(),
        "response_metadata": metadata,
    }


def get_presence(call: Call) -> Json:
    """users.getPresence"""
    user = call.side.user(call.text("user") or call.side.bot.id)
    return {"presence": user.presence}


def dnd_info(call: Call) -> Json:
    """dnd.info"""
    user = call.side.user(call.text("user") or call.side.bot.id)
    return {
        "dnd_enabled": False,
        "next_dnd_start_ts": 1,
        "next_dnd_end_ts": 1,
        "snooze_enabled": False,
        **user.dnd,
    }


def groups_list(call: Call) -> Json:
    """usergroups.list"""
    users, count = call.flag("include_users"), call.flag("include_count")
    return {
        "usergroups": [
            group.json(workspace.TEAM_ID, include_users=users, include_count=count)
            for group in call.side.groups.values()
        ]
    }


def group_users(call: Call) -> Json:
    """usergroups.users.list"""
    group = call.side.groups.get(call.required("usergroup", "no_such_subteam"))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def bots_info(call: Call) -> Json:
    """bots.info"""
    asked = call.text("bot")
    if asked not in (None, call.side.bot.bot_id):
        raise SlackError("bot_not_found")
    return {
        "bot": {
            "id": call.side.bot.bot_id,
            "deleted": False,
            "name": workspace.BOT_NAME,
            "updated": 0,
            "app_id": workspace.APP_ID,
            "user_id": call.side.bot.id,
            "icons": {},
        }
    }


def team_info(call: Call) -> Json:
    """team.info"""
    if call.text("team") not in (None, workspace.TEAM_ID):
        raise SlackError("team_not_found")
    return {
        "team": {
            "id": workspace.TEAM_ID,
            "name": workspace.TEAM_NAME,
            "domain": workspace.TEAM_DOMAIN,
            "url": f"{call.side.desk.url}/",
            "email_domain": "",
            "icon": {},
        }
    }


def auth_test(call: Call) -> Json:
    """auth.test"""
    if call.token.kind == "app":
        return {"app_name": workspace.BOT_NAME, "app_id": workspace.APP_ID}
    return {
        "url": f"{call.side.desk.url}/",
        "team": workspace.TEAM_NAME,
        "user": workspace.BOT_NAME,
        "team_id": workspace.TEAM_ID,
        "user_id": call.side.bot.id,
        "bot_id": call.side.bot.bot_id,
        "is_enterprise_install": False,
    }


def connections_open(call: Call) -> Json:
    """apps.connections.open"""
    return {"url": call.side.sockets.ticket()}


def _show(call: Call, user: User) -> Json:
    body = user.json()
    if not call.has("users:read.email"):
        body["profile"].pop("email", None)
    if call.flag("include_locale"):
        body["locale"] = user.locale
    return body


METHODS = {
    "users.info": Method(handler=info, scopes=("users:read",), tier=4, form_only=True),
    "users.list": Method(handler=list_, scopes=("users:read",), tier=2, form_only=True),
    "users.getPresence": Method(handler=get_presence, scopes=("users:read",), form_only=True),
    "dnd.info": Method(handler=dnd_info, scopes=("dnd:read",), form_only=True),
    "usergroups.list": Method(handler=groups_list, scopes=("usergroups:read",), tier=2, form_only=True),
    "usergroups.users.list": Method(handler=group_users, scopes=("usergroups:read",), tier=2, form_only=True),
    "bots.info": Method(handler=bots_info, scopes=("users:read",), form_only=True),
    "team.info": Method(handler=team_info, scopes=("team:read",), form_only=True),
    "auth.test": Method(handler=auth_test, tier=0, token="any"),
    "apps.connections.open": Method(handler=connections_open, scopes=("connections:write",), tier=0, token="app"),
}
