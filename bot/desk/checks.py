"""What `doctor` asks Slack: tokens, scopes against the manifest, membership of each channel, who may answer."""

from __future__ import annotations

from bot.desk.client import SlackApi
from bot.desk.config import SlackConfig
from bot.desk.directory import Directory
from bot.desk.methods import APP_SCOPES, bot_scopes
from bot.desk.payloads import Own, mapping, string
from domain.errors import AccessRevoked, DeliveryError, RetryLater
from domain.ports import Probe

REINSTALL = (
    "open the app at api.slack.com/apps, paste slack-manifest.yaml under App Manifest, save, then reinstall the app"
)


async def identify(api: SlackApi, config: SlackConfig) -> Own:
    """Who the bot token makes us. Raises AccessRevoked when it is not good, RetryLater when Slack is unreachable."""
    answer = mapping(dict(await api.call("auth.test")))
    own = Own(
        team_id=string(answer, "team_id"),
        bot_user_id=string(answer, "user_id"),
        bot_id=string(answer, "bot_id"),
        reactions=config.reactions,
    )
    if config.team_id and own.team_id != config.team_id:
        raise AccessRevoked("wrong_team", f"the token belongs to {own.team_id}, slack.team_id says {config.team_id}")
    return own


async def probe(api: SlackApi, config: SlackConfig, directory: Directory) -> list[Probe]:
    """All checks of the desk; the first failing token stops the rest, which could only fail for the same reason."""
    try:
        own = await identify(api, config)
    except DeliveryError as error:
        return [Probe(name="slack token", ok=False, found=str(error), fix=_token_fix(error))]
    checks = [Probe(name="slack token", ok=True, found=f"workspace {own.team_id}, bot {own.bot_user_id}")]
    checks.append(_scopes(api))
    if config.mode == "socket":
        checks.append(await _app_token(api))
    else:
        checks.append(_signing(config))
    places = dict.fromkeys([*config.channels, *([config.ops_channel] if config.ops_channel else [])])
    for channel in places:
        checks.append(await _channel(api, channel))  # noqa: PERF401 - one after the other, Slack counts calls
    checks.append(await _people(directory, config))
    return checks


def _scopes(api: SlackApi) -> Probe:
    if not api.scopes:
        return Probe(name="slack scopes", ok=True, found="not told by Slack")
    missing = sorted(bot_scopes() - api.scopes)
    found = f"missing: {', '.join(missing)}" if missing else "all that the manifest asks for"
    return Probe(name="slack scopes", ok=not missing, found=found, fix=REINSTALL if missing else "")


async def _app_token(api: SlackApi) -> Probe:
    try:
        answer = await api.call("apps.connections.open")
    except DeliveryError as error:
        fix = f"Basic Information > App-Level Tokens: make one with {APP_SCOPES[0]} for RELAYDESK_SLACK_APP_TOKEN"
        return Probe(name="slack app token", ok=False, found=str(error), fix=fix)
    is_good = bool(string(mapping(dict(answer)), "url"))
    return Probe(name="slack app token", ok=is_good, found="Socket Mode can connect" if is_good else "odd answer")


def _signing(config: SlackConfig) -> Probe:
    is_set = bool(config.signing_secret.strip())
    fix = "" if is_set else "copy the signing secret from Basic Information into RELAYDESK_SLACK_SIGNING_SECRET"
    return Probe(name="slack signing secret", ok=is_set, found="set" if is_set else "not set", fix=fix)


async def _channel(api: SlackApi, channel: str) -> Probe:
    try:
        return await channel_probe(api, channel)
    except DeliveryError as error:
        return Probe(name=f"slack channel {channel}", ok=False, found=str(error), fix="run `relaydesk doctor` again")


async def channel_probe(api: SlackApi, channel: str) -> Probe:
    """Whether a channel exists and the bot may post there. Raises RetryLater while Slack cannot say."""
    name = f"slack channel {channel}"
    try:
        info = mapping((await api.call("conversations.info", channel=channel)).get("channel"))
    except RetryLater:
        raise
    except DeliveryError as error:
        fix = f"check the id {channel} in config.yaml; in a private channel type /invite @relaydesk"
        return Probe(name=name, ok=False, found=str(error), fix=fix)
    title = f"#{string(info, 'name') or channel}"
    if info.get("is_archived") is True:
        return Probe(name=name, ok=False, found=f"{title} is archived", fix="unarchive it or name another channel")
    if info.get("is_member") is not True:
        return Probe(
            name=name, ok=False, found=f"the bot is not in {title}", fix=f"type in {title}: /invite @relaydesk"
        )
    return Probe(name=name, ok=True, found=f"the bot is in {title}")


async def _people(directory: Directory, config: SlackConfig) -> Probe:
    people = {m for members in config.roles.values() for m in members if not m.startswith("S")}
    try:
        sizes = await directory.group_sizes()
    except DeliveryError as error:
        return Probe(
            name="slack roles", ok=False, found=str(error), fix="check the user group ids under roles: in config.yaml"
        )
    empty = sorted(group for group, size in sizes.items() if size == 0)
    total = len(people) + sum(sizes.values())
    if empty or not total:
        found = f"empty user groups: {', '.join(empty)}" if empty else "nobody may answer customers"
        fix = "add people to the user group in Slack, or list user ids under roles: in config.yaml"
        return Probe(name="slack roles", ok=False, found=found, fix=fix)
    return Probe(name="slack roles", ok=True, found=f"{total} places in {len(config.roles)} roles")


def _token_fix(error: DeliveryError) -> str:
    if isinstance(error, AccessRevoked):
        return (
            "copy the Bot User OAuth Token (xoxb-...) from OAuth & Permissions into RELAYDESK_SLACK_BOT_TOKEN; "
            + REINSTALL
        )
    return "check slack.base_url and the network: the address must answer from this machine"
