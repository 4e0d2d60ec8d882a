"""The app is taken out of the workspace and installed anew: another bot, other tokens, and nothing of the old one."""

from sandbox.slack import events, workspace
from sandbox.slack.model import Json, Token, User
from sandbox.slack.wishes import Wish


async def reinstall(wish: Wish) -> Json:
    """`{channels?}` → `{bot_user_id, bot_id, bot_token, app_token}`.

    The old bot is deactivated and in no channel any more, its tokens and websockets are no good, and its messages are
    another app's: the new bot changes none of them, and their buttons reach nobody. The new one is in `channels`, or in
    all those where the old one was. The id of the app, as everything else of the workspace, stays.
    """
    side = wish.side
    before = side.bot
    joins = [side.channel(one).id for one in wish.texts("channels")] if "channels" in wish.fields else None
    events.app_uninstalled(side)
    for token in side.tokens.values():
        token.revoked = True
    events.tokens_revoked(side)
    count = sum(user.is_bot for user in side.users.values()) + 1
    fresh = User(
        id=f"{workspace.BOT_USER_ID}{count}",
        name=workspace.BOT_NAME,
        real_name=before.real_name,
        team_id=workspace.TEAM_ID,
        is_bot=True,
        bot_id=f"{workspace.BOT_ID}{count}",
        app_id=workspace.APP_ID,
    )
    before.deleted = True
    side.users[fresh.id] = fresh
    side.bot_user_id = fresh.id
    for channel in side.channels.values():
        was_in = before.id in channel.members
        channel.members = [member for member in channel.members if member != before.id]
        if channel.kind == "im" or (was_in if joins is None else channel.id in joins):
            channel.members.append(fresh.id)
    bot_token, app_token = f"{workspace.BOT_TOKEN}-{count}", f"{workspace.APP_TOKEN}-{count}"
    side.tokens[bot_token] = Token(value=bot_token, kind="bot", scopes=workspace.DEFAULT_BOT_SCOPES)
    side.tokens[app_token] = Token(value=app_token, kind="app", scopes=workspace.APP_SCOPES)
    side.sockets.disconnect("link_disabled")
    side.desk.log.add("slack", "reinstalled", fresh.id, {"before": before.id})
    side.publish("settings")
    return {"bot_user_id": fresh.id, "bot_id": fresh.bot_id, "bot_token": bot_token, "app_token": app_token}
