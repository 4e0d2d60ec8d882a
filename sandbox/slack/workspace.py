"""The workspace that every sandbox starts with, and its ids.

The ids never change: the shipped configuration, the tests and the page name them.
"""

from sandbox.slack.model import Channel, User, Usergroup

TEAM_ID = "T0SANDBOX"
TEAM_NAME = "Sandbox"
TEAM_DOMAIN = "sandbox"
PARTNER_TEAM_ID = "T0PARTNER"

APP_ID = "A0SANDBOX"
BOT_ID = "B0SANDBOX"
BOT_USER_ID = "U0SANDBOT"
BOT_NAME = "relaydesk"

BOT_TOKEN = "xoxb-sandbox"
APP_TOKEN = "xapp-sandbox"
SIGNING_SECRET = "sandbox-signing-secret"
VERIFICATION_TOKEN = "sandbox-verification-token"

CHANNEL_SUPPORT = "C0SUPPORT"
CHANNEL_BILLING = "C0BILLING"
CHANNEL_TECH = "C0TECH"
CHANNEL_TRIAGE = "C0TRIAGE"
CHANNEL_LEADS = "C0LEADS"
CHANNEL_RANDOM = "C0RANDOM"

USER_MAYA = "U0MAYA"
USER_LINA = "U0LINA"
USER_JONAS = "U0JONAS"
USER_STRANGER = "U0STRANGER"
USER_GUEST = "U0GUEST"
USER_PARTNER = "U0PARTNER"

GROUP_AGENTS = "S0AGENTS"
GROUP_LEADS = "S0LEADS"

APP_SCOPES: tuple[str, ...] = ("connections:write",)
#: What the bot token holds until /control/slack/settings says otherwise. Left out on purpose: `chat:write.public`
#: (so that a channel without the bot refuses, as in a real installation) and `chat:write.customize`.
DEFAULT_BOT_SCOPES: tuple[str, ...] = (
    "app_mentions:read",
    "channels:history",
    "channels:join",
    "channels:manage",
    "channels:read",
    "chat:write",
    "commands",
    "dnd:read",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "groups:write",
    "im:history",
    "im:read",
    "im:write",
    "metadata.message:read",
    "reactions:read",
    "reactions:write",
    "team:read",
    "usergroups:read",
    "users:read",
    "users:read.email",
)


def people() -> list[User]:
    """The bot, two agents, a lead, a stranger without a group, a guest and somebody from another company."""
    return [
        User(
            id=BOT_USER_ID,
            name=BOT_NAME,
            real_name="Relaydesk",
            team_id=TEAM_ID,
            is_bot=True,
            bot_id=BOT_ID,
            app_id=APP_ID,
        ),
        User(
            id=USER_MAYA,
            name="maya",
            real_name="Maya Torres",
            display_name="Maya",
            team_id=TEAM_ID,
            email="maya@sandbox.example",
            title="Support agent",
        ),
        User(
            id=USER_LINA,
            name="lina",
            real_name="李娜",
            display_name="李娜",
            team_id=TEAM_ID,
            tz="Asia/Shanghai",
            tz_label="China Standard Time",
            tz_offset_s=8 * 3600,
            locale="zh-CN",
            email="lina@sandbox.example",
            title="Support agent",
        ),
        User(
            id=USER_JONAS,
            name="jonas",
            real_name="Jonas Weber",
            display_name="Jonas",
            team_id=TEAM_ID,
            tz="Europe/Berlin",
            tz_label="Central European Time",
            tz_offset_s=3600,
            locale="de-DE",
            email="jonas@sandbox.example",
            title="Team lead",
            is_admin=True,
        ),
        User(
            id=USER_STRANGER,
            name="sam",
            real_name="Sam Okafor",
            display_name="Sam",
            team_id=TEAM_ID,
            email="sam@sandbox.example",
            title="Sales",
        ),
        User(
            id=USER_GUEST,
            name="gwen",
            real_name="Gwen Park",
            display_name="Gwen",
            team_id=TEAM_ID,
            email="gwen@guest.example",
            title="Contractor",
            is_restricted=True,
        ),
        User(
            id=USER_PARTNER,
            name="pat",
            real_name="Pat Quinn",
            display_name="Pat",
            team_id=PARTNER_TEAM_ID,
            email="",
            title="Partner company",
            is_stranger=True,
        ),
    ]


def groups() -> list[Usergroup]:
    """@agents and @leads."""
    return [
        Usergroup(
            id=GROUP_AGENTS,
            handle="agents",
            name="Agents",
            description="Answer customers",
            users=[USER_MAYA, USER_LINA],
        ),
        Usergroup(id=GROUP_LEADS, handle="leads", name="Leads", description="Take escalations", users=[USER_JONAS]),
    ]


def channels(created_s: int) -> list[Channel]:
    """Public #support, #billing, #tech, #triage and #random, private #leads; the bot is in all but #random."""
    staff = [USER_MAYA, USER_LINA, USER_JONAS]
    everyone = [*staff, USER_STRANGER]
    purposes = {
        CHANNEL_SUPPORT: ("support", "Questions of customers", [*everyone, USER_GUEST, USER_PARTNER]),
        CHANNEL_BILLING: ("billing", "Invoices, payments, refunds", everyone),
        CHANNEL_TECH: ("tech", "Bugs and outages", everyone),
        CHANNEL_TRIAGE: ("triage", "What nobody could sort yet", everyone),
        CHANNEL_LEADS: ("leads", "Escalations", [USER_JONAS, USER_MAYA]),
        CHANNEL_RANDOM: ("random", "Everything else", everyone),
    }
    return [
        Channel(
            id=channel_id,
            name=name,
            kind="group" if channel_id == CHANNEL_LEADS else "channel",
            creator=USER_JONAS,
            created_s=created_s,
            members=[*members, *([] if channel_id == CHANNEL_RANDOM else [BOT_USER_ID])],
            is_ext_shared=channel_id == CHANNEL_SUPPORT,
            purpose=purpose,
        )
        for channel_id, (name, purpose, members) in purposes.items()
    ]
