"""Tokens, scopes, channels, people, files, limits and faults of the local Slack."""

import asyncio
import base64
import json
import re
from pathlib import Path

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.clock import FastClock
from sandbox.slack import workspace
from sandbox.slack.api import METHODS
from sandbox.slack.side import SlackSide
from sandbox.state import Sandbox
from tests import patience
from tests.sandbox import slack_kit, telegram_kit
from tests.sandbox.slack_kit import LEADS, MAYA, RANDOM, SUPPORT, App, People, error_of

BOT = workspace.BOT_USER_ID


async def test_tokens_are_checked(slack: tuple[App, People]) -> None:
    """No token, a wrong one, a revoked one; a second one that was added works."""
    app, people = slack
    nobody = AsyncWebClient(base_url=f"{app.url}/slack/api/", session=app.session, retry_handlers=[])
    assert await error_of(nobody.auth_test()) == "not_authed"
    assert await error_of(app.web.auth_test(token="xoxb-wrong")) == "invalid_auth"
    await people.do("settings", bot_token="xoxb-second")
    assert (await app.web.auth_test(token="xoxb-second"))["user_id"] == BOT
    await people.do("settings", revoke=workspace.BOT_TOKEN)
    assert await error_of(app.web.auth_test()) == "token_revoked"
    await people.do("settings", restore=workspace.BOT_TOKEN)
    assert (await app.web.auth_test())["bot_id"] == workspace.BOT_ID


async def test_an_app_installed_anew_is_another_bot(slack: tuple[App, People]) -> None:
    """Other tokens, another bot: the messages of the old one stay and are nobody's to change; the app is told."""
    app, people = slack
    blocks = [slack_kit.actions(slack_kit.button("go"))]
    old = await app.web.chat_postMessage(channel=SUPPORT, text="from before", blocks=blocks)
    made = await people.do("reinstall")
    assert made["bot_user_id"] != BOT
    assert await error_of(app.web.auth_test()) == "token_revoked"
    new = AsyncWebClient(base_url=f"{app.url}/slack/api/", session=app.session, retry_handlers=[])
    new.token = made["bot_token"]
    asked = await new.auth_test()
    assert (asked["user_id"], asked["bot_id"]) == (made["bot_user_id"], made["bot_id"])
    await new.chat_postMessage(channel=SUPPORT, thread_ts=old["ts"], text="under it")
    assert await error_of(new.chat_update(channel=SUPPORT, ts=old["ts"], text="changed")) == "cant_update_message"
    assert await error_of(new.chat_delete(channel=SUPPORT, ts=old["ts"])) == "cant_delete_message"
    pressed = await people.refused("press", user=MAYA, channel=SUPPORT, ts=old["ts"], action_id="go")
    assert pressed == "app_not_installed"
    assert (await new.users_info(user=BOT))["user"]["deleted"] is True


def test_a_save_from_before_names_the_first_bot() -> None:
    """Taken up after the app was installed anew: the bot is the one of the save, not the one of now."""
    side = SlackSide(Sandbox(clock=FastClock()))
    saved = side.dump()
    del saved["bot"]
    side.bot_user_id = f"{BOT}2"
    side.load(json.loads(json.dumps(saved)))
    assert side.bot_user_id == BOT


async def test_a_missing_scope_is_named(slack: tuple[App, People]) -> None:
    """needed and provided are said, and the header lists what the token holds."""
    app, people = slack
    await people.do("settings", scopes=["chat:write", "channels:read"])
    with pytest.raises(SlackApiError) as caught:
        await app.web.users_info(user=MAYA)
    answer = caught.value.response
    assert (answer["error"], answer["needed"]) == ("missing_scope", "users:read")
    assert answer["provided"] == "chat:write,channels:read"
    assert answer.headers["x-oauth-scopes"] == "chat:write,channels:read"
    assert await error_of(app.web.conversations_info(channel=LEADS)) == "missing_scope"
    assert await error_of(app.web.conversations_history(channel=SUPPORT)) == "missing_scope"
    await app.web.conversations_info(channel=SUPPORT)
    await people.do("settings", scopes="all")
    await app.web.users_info(user=MAYA)


async def test_metadata_needs_its_scope(slack: tuple[App, People]) -> None:
    """include_all_metadata without metadata.message:read is refused."""
    app, people = slack
    await people.do("settings", scopes=["channels:history"])
    asked = app.web.conversations_history(channel=SUPPORT, include_all_metadata=True)
    assert await error_of(asked) == "missing_scope"


async def test_what_it_does_not_have_is_unknown(slack: tuple[App, People]) -> None:
    """Every other method is refused as Slack refuses a method that does not exist."""
    app, _people = slack
    for name in ("chat.scheduleMessage", "pins.add", "no.such.thing"):
        assert await error_of(app.web.api_call(name)) == "unknown_method"
    assert (await app.web.api_test(foo="bar"))["args"] == {"foo": "bar"}
    assert await error_of(app.web.api_test(error="my_error")) == "my_error"


async def test_methods_for_forms_do_not_see_json(slack: tuple[App, People]) -> None:
    """As with Slack, a JSON body to files.getUploadURLExternal or conversations.replies is not read."""
    app, _people = slack
    upload = app.web.api_call("files.getUploadURLExternal", json={"filename": "a", "length": 1})
    assert await error_of(upload) == "invalid_arguments"
    read = app.web.api_call("conversations.info", json={"channel": SUPPORT})
    assert await error_of(read) == "channel_not_found"


@pytest.mark.parametrize(("body", "error"), [(b"{", "invalid_json"), (b"[]", "json_not_object")])
async def test_broken_json_is_refused(slack: tuple[App, People], body: bytes, error: str) -> None:
    """A body that is no JSON object gets its error with status 200, as with Slack."""
    app, _people = slack
    headers = {"Authorization": f"Bearer {workspace.BOT_TOKEN}", "Content-Type": "application/json"}
    url = f"{app.url}/slack/api/chat.postMessage"
    async with app.session.post(url, data=body, headers=headers) as response:
        assert response.status == 200
        assert (await response.json())["error"] == error


async def test_channels_are_listed_in_pages(slack: tuple[App, People]) -> None:
    """Types and archives filter; the cursor goes through all of them once; private ones only with membership."""
    app, people = slack
    names, cursor = [], ""
    while True:
        page = await app.web.conversations_list(types="public_channel,private_channel", limit=4, cursor=cursor)
        names += [c["name"] for c in page["channels"]]
        cursor = page["response_metadata"]["next_cursor"]
        if not cursor:
            break
    assert names == ["support", "billing", "tech", "triage", "leads", "random"]
    members = await app.web.users_conversations(types="public_channel,private_channel")
    assert RANDOM not in [c["id"] for c in members["channels"]]
    await people.do("archive", channel=SUPPORT)
    left = await app.web.conversations_list(exclude_archived=True)
    assert [c["name"] for c in left["channels"]] == ["billing", "tech", "triage", "random"]
    assert await error_of(app.web.conversations_list(types="nonsense")) == "invalid_types"
    assert await error_of(app.web.conversations_list(cursor="%%%")) == "invalid_cursor"
    assert await error_of(app.web.conversations_list(limit=2000)) == "invalid_limit"


async def test_the_app_can_make_and_change_channels(slack: tuple[App, People]) -> None:
    """create, invite, rename, archive; taken names and double invitations are refused."""
    app, _people = slack
    made = (await app.web.conversations_create(name="escalations", is_private=True))["channel"]
    await app.web.conversations_invite(channel=made["id"], users=[MAYA])
    assert await error_of(app.web.conversations_invite(channel=made["id"], users=[MAYA])) == "already_in_channel"
    assert (await app.web.conversations_members(channel=made["id"]))["members"] == [BOT, MAYA]
    assert await error_of(app.web.conversations_create(name="escalations")) == "name_taken"
    assert await error_of(app.web.conversations_create(name="Not Allowed")) == "invalid_name_specials"
    await app.web.conversations_rename(channel=made["id"], name="urgent")
    await app.web.conversations_archive(channel=made["id"])
    assert await error_of(app.web.conversations_archive(channel=made["id"])) == "already_archived"
    info = (await app.web.conversations_info(channel=made["id"]))["channel"]
    assert (info["name"], info["is_archived"], info["is_private"]) == ("urgent", True, True)


async def test_a_direct_message_is_opened_once(slack: tuple[App, People]) -> None:
    """conversations.open twice is one channel; a post to a user id goes there."""
    app, people = slack
    first = (await app.web.conversations_open(users=[MAYA]))["channel"]["id"]
    again = await app.web.conversations_open(users=[MAYA])
    assert (again["channel"]["id"], again["already_open"]) == (first, True)
    sent = await app.web.chat_postMessage(channel=MAYA, text="psst")
    assert sent["channel"] == first
    assert await people.refused("post", user=slack_kit.LINA, channel=first, text="x") == "channel_not_found"


async def test_people_are_as_the_workspace_says(slack: tuple[App, People]) -> None:
    """Names, time zones, guests, strangers from elsewhere, groups, presence, do-not-disturb."""
    app, people = slack
    lina = (await app.web.users_info(user=slack_kit.LINA))["user"]
    assert (lina["real_name"], lina["tz"], lina["tz_offset"]) == ("李娜", "Asia/Shanghai", 28800)
    assert (await app.web.users_info(user=workspace.USER_GUEST))["user"]["is_restricted"]
    partner = (await app.web.users_info(user=workspace.USER_PARTNER))["user"]
    assert (partner["is_stranger"], partner["team_id"]) == (True, workspace.PARTNER_TEAM_ID)
    listed = [u["id"] for u in (await app.web.users_list())["members"]]
    assert MAYA in listed
    assert workspace.USER_PARTNER not in listed
    groups = (await app.web.usergroups_list(include_users=True))["usergroups"]
    assert {g["id"]: g["users"] for g in groups} == {
        workspace.GROUP_AGENTS: [MAYA, slack_kit.LINA],
        workspace.GROUP_LEADS: [slack_kit.JONAS],
    }
    members = await app.web.usergroups_users_list(usergroup=workspace.GROUP_LEADS)
    assert members["users"] == [slack_kit.JONAS]
    await people.do("user", id=MAYA, presence="away", dnd={"dnd_enabled": True})
    assert (await app.web.users_getPresence(user=MAYA))["presence"] == "away"
    assert (await app.web.dnd_info(user=MAYA))["dnd_enabled"] is True
    assert await error_of(app.web.users_info(user="U0NOBODY")) == "user_not_found"
    assert (await app.web.bots_info(bot=workspace.BOT_ID))["bot"]["user_id"] == BOT
    assert (await app.web.team_info())["team"]["id"] == workspace.TEAM_ID


async def test_a_message_from_another_company_says_so(slack: tuple[App, People]) -> None:
    """A Slack Connect stranger's message carries user_team."""
    app, people = slack
    await app.connect()
    await people.post(SUPPORT, "hello", user=workspace.USER_PARTNER)
    assert (await app.event("message"))["user_team"] == workspace.PARTNER_TEAM_ID


async def test_a_file_goes_up_in_three_steps_and_comes_down_with_the_token(slack: tuple[App, People]) -> None:
    """files_upload_v2 shares it in the thread; the download needs token and scope, else a sign-in page with 200."""
    app, people = slack
    await app.connect()
    root = (await app.web.chat_postMessage(channel=SUPPORT, text="root"))["ts"]
    done = await app.web.files_upload_v2(
        filename="发票.pdf", content=b"%PDF", channel=SUPPORT, thread_ts=root, initial_comment="the invoice"
    )
    event = await app.event("message", subtype="file_share")
    assert (event["thread_ts"], event["text"], event["files"][0]["name"]) == (root, "the invoice", "发票.pdf")
    file = (await app.web.files_info(file=done["file"]["id"]))["file"]
    url = file["url_private_download"]

    async def get(token: str) -> tuple[int, str, bytes]:
        async with app.session.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
            return response.status, response.content_type, await response.read()

    assert await get(workspace.BOT_TOKEN) == (200, "application/pdf", b"%PDF")
    assert (await get("xoxb-wrong"))[:2] == (200, "text/html")
    await people.do("settings", scopes=["chat:write"])
    assert (await get(workspace.BOT_TOKEN))[:2] == (200, "text/html")
    await people.do("settings", scopes="all")
    await app.web.files_delete(file=file["id"])
    assert await error_of(app.web.files_info(file=file["id"])) == "file_deleted"
    assert (await get(workspace.BOT_TOKEN))[0] == 404
    shared = (await app.web.conversations_replies(channel=SUPPORT, ts=root))["messages"][-1]
    assert shared["files"] == [{"id": file["id"], "mode": "tombstone"}], "its name is gone, too"


async def test_an_upload_is_refused_where_it_cannot_go(slack: tuple[App, People]) -> None:
    """No bytes, wrong length, wrong address, a channel without the bot."""
    app, _people = slack
    ticket = await app.web.files_getUploadURLExternal(filename="a.txt", length=3)
    files = [{"id": ticket["file_id"], "title": "a"}]
    early = app.web.files_completeUploadExternal(files=files, channel_id=SUPPORT)
    assert await error_of(early) == "file_not_found"
    async with app.session.post(ticket["upload_url"], data=b"toolong") as response:
        assert response.status == 400
    async with app.session.post(ticket["upload_url"] + "x", data=b"abc") as response:
        assert response.status == 404
    form = aiohttp.FormData()
    form.add_field("file", b"abc", filename="a.txt")
    async with app.session.post(ticket["upload_url"], data=form) as response:
        assert (response.status, await response.text()) == (200, "OK - 3")
    elsewhere = app.web.files_completeUploadExternal(files=files, channel_id=RANDOM)
    assert await error_of(elsewhere) == "not_in_channel"
    await app.web.files_completeUploadExternal(files=files, channel_id=SUPPORT)


async def test_a_file_of_a_person_can_be_fetched(slack: tuple[App, People]) -> None:
    """What somebody posts with the page arrives as file_share and is downloaded with the bot token."""
    app, people = slack
    await app.connect()
    content = base64.b64encode(b"\x89PNG").decode()
    files = [{"base64": content, "name": "screen shot.png", "mime": "image/png"}]
    await people.do("post", user=MAYA, channel=SUPPORT, text="see", files=files)
    [file] = (await app.event("message", subtype="file_share"))["files"]
    headers = {"Authorization": f"Bearer {workspace.BOT_TOKEN}"}
    async with app.session.get(file["url_private"], headers=headers) as response:
        assert (response.content_type, await response.read()) == ("image/png", b"\x89PNG")
    async with app.session.get(f"{app.url}/control/slack/file/{file['id']}") as response:
        assert await response.read() == b"\x89PNG"


async def test_limits_allow_one_post_a_second_and_channel(slack: tuple[App, People]) -> None:
    """With limits on the second post is told to wait a second, another channel is not, an edit is not."""
    app, people = slack
    await people.do("settings", limits=True)
    burst = (app.web.chat_postMessage(channel=SUPPORT, text="1") for _ in range(5))
    tried = await asyncio.gather(*burst, app.web.chat_postMessage(channel=LEADS, text="1"), return_exceptions=True)
    refused = [one.response for one in tried if isinstance(one, SlackApiError)]
    (ts, *_), leads = [one["ts"] for one in tried[:5] if not isinstance(one, BaseException)], tried[-1]
    assert not isinstance(leads, BaseException)
    assert refused
    assert {(one.status_code, one.headers["Retry-After"]) for one in refused} == {(429, "1")}
    await app.web.chat_update(channel=SUPPORT, ts=ts, text="1b")

    async def admitted() -> bool:
        try:
            await app.web.chat_postMessage(channel=SUPPORT, text="2")
        except SlackApiError:
            return False
        return True

    await patience.eventually(admitted, what="the second is over")
    for _ in range(20):
        await app.web.usergroups_list()
    assert await error_of(app.web.usergroups_list()) == "ratelimited"


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        ("drop_before", 0),
        ("drop_after", 1),
        ("500", 0),
        ("500_after", 1),
        ("html", 0),
        ("html_after", 1),
        ("truncated", 1),
        ("429", 0),
        ("429_no_header", 0),
        ("error", 0),
    ],
)
async def test_the_log_says_what_a_broken_answer_left_behind(
    slack: tuple[App, People], fault: str, stored: int
) -> None:
    """Whatever the caller sees, the log holds the post exactly once or not at all, and metadata finds it."""
    app, people = slack
    await people.fault("chat.postMessage", fault, error="fatal_error")
    metadata = {"event_type": "triage_msg", "event_payload": {"key": "k1"}}
    with pytest.raises((SlackApiError, aiohttp.ClientError)):
        await app.web.chat_postMessage(channel=SUPPORT, text="x", metadata=metadata)
    records = await people.log("post")
    assert len(records) == stored
    history = await app.web.conversations_history(channel=SUPPORT, include_all_metadata=True)
    assert [m["metadata"]["event_payload"]["key"] for m in history["messages"]] == ["k1"] * stored


async def test_a_caller_who_gives_up_is_served_all_the_same(slack: tuple[App, People]) -> None:
    """Giving up says nothing about what is stored: the delayed post appears after its caller has gone."""
    app, people = slack
    await people.fault("chat.postMessage", "delay", seconds=slack_kit.SOON_S)
    hasty = asyncio.create_task(app.web.chat_postMessage(channel=SUPPORT, text="late"))
    await patience.eventually(lambda: people.log("fault"), what="it has arrived")
    hasty.cancel()
    await asyncio.gather(hasty, return_exceptions=True)
    assert hasty.cancelled()
    assert await people.log("post") == []
    await people.no_faults()
    await patience.eventually(lambda: people.log("post"), what="it is stored all the same")
    assert [record["data"]["text"] for record in await people.log("post")] == ["late"]


async def test_a_client_that_retries_by_itself_posts_twice(slack: tuple[App, People]) -> None:
    """Why the product switches the SDK's retries off: the log shows two posts for one call."""
    app, people = slack
    await people.fault("chat.postMessage", "drop_after")
    retrying = AsyncWebClient(token=workspace.BOT_TOKEN, base_url=f"{app.url}/slack/api/", session=app.session)
    await retrying.chat_postMessage(channel=SUPPORT, text="x")
    assert len(await people.log("post")) == 2


async def test_people_get_the_exact_refusal(slack: tuple[App, People]) -> None:
    """Acting impossibly or asking wrongly is refused in Slack's word or with what is wrong in the request."""
    _app, people = slack
    stranger, guest = slack_kit.STRANGER, workspace.USER_GUEST
    assert await people.refused("post", user=guest, channel="#random", text="x") == "not_in_channel"
    assert await people.refused("post", user=stranger, channel=LEADS, text="x") == "channel_not_found"
    assert await people.refused("post", user=MAYA, channel=SUPPORT, text=" ") == "no_text"
    assert await people.refused("post", user=BOT, channel=SUPPORT, text="x") == "is_bot"
    assert await people.refused("post", channel=SUPPORT, text="x") == "user must be a text"
    lost = await people.refused("post", user=MAYA, channel=SUPPORT, text="x", thread_ts="1.0")
    assert lost == "thread_not_found"
    ts = await people.post(SUPPORT, "mine")
    theirs = {"user": slack_kit.LINA, "channel": SUPPORT, "ts": ts}
    assert await people.refused("edit", **theirs, text="x") == "cant_update_message"
    assert await people.refused("delete", **theirs) == "cant_delete_message"
    assert "unknown setting 'speed'" in await people.refused("settings", speed=3)
    assert await people.refused("settings", transport="pigeon") == "transport must be one of auto, socket, http"


async def test_the_page_hears_of_every_change(slack: tuple[App, People]) -> None:
    """Posts, edits and reactions appear in /events at once."""
    app, people = slack
    async with app.session.get(f"{app.url}/events") as stream:
        ts = (await app.web.chat_postMessage(channel=SUPPORT, text="card"))["ts"]
        await app.web.chat_update(channel=SUPPORT, ts=ts, text="new")
        await people.do("react", user=MAYA, channel=SUPPORT, ts=ts, emoji="eyes")
        seen: list[str] = []
        while len(seen) < 3:
            line = (await asyncio.wait_for(stream.content.readline(), slack_kit.SOON_S)).decode()
            seen += re.findall(r'"type": "(slack\.[a-z_]+)"', line)
    assert seen == ["slack.message", "slack.message_changed", "slack.reaction"]


def test_a_restart_remembers_the_workspace(tmp_path: Path) -> None:
    """With --state, messages, threads, metadata, files, settings and people survive; ts go on growing."""
    state = tmp_path / "state.json"

    async def before(url: str) -> tuple[str, str]:
        async with slack_kit.opened(url) as (app, people):
            sent = await app.web.chat_postMessage(
                channel=SUPPORT, text="card", metadata={"event_type": "t", "event_payload": {"key": "k"}}
            )
            files = [{"base64": base64.b64encode(b"hi").decode(), "name": "a.txt"}]
            reply = await people.do("post", user=MAYA, channel=SUPPORT, text="re", thread_ts=sent["ts"], files=files)
            await people.do("user", id=MAYA, real_name="Maya T.")
            await people.do("settings", subscriptions=["message.channels"])
            return str(sent["ts"]), str(reply["message"]["files"][0]["id"])

    async def after(url: str, ts: str, file_id: str) -> None:
        async with slack_kit.opened(url) as (app, people):
            thread = await app.web.conversations_replies(channel=SUPPORT, ts=ts, include_all_metadata=True)
            assert thread["messages"][0]["metadata"]["event_payload"] == {"key": "k"}
            assert thread["messages"][0]["reply_count"] == 1
            async with app.session.get(f"{url}/control/slack/file/{file_id}") as response:
                assert await response.read() == b"hi"
            assert (await app.web.users_info(user=MAYA))["user"]["real_name"] == "Maya T."
            assert (await people.see("settings"))["settings"]["subscriptions"] == ["message.channels"]
            assert (await app.web.chat_postMessage(channel=SUPPORT, text="x"))["ts"] > thread["messages"][1]["ts"]

    with telegram_kit.running("--state", str(state)) as desk:
        ts, file_id = asyncio.run(before(desk.url))
        desk.stop()
    with telegram_kit.running("--state", str(state)) as desk:
        asyncio.run(after(desk.url, ts, file_id))


async def test_bolt_runs_on_it(slack: tuple[App, People]) -> None:
    """slack_bolt's Socket Mode handler dispatches a message and a button from this Slack."""
    app, people = slack
    bolt = AsyncApp(client=app.web, request_verification_enabled=False)
    heard: asyncio.Queue[str] = asyncio.Queue()

    @bolt.event("message")
    async def message(event: slack_kit.Json) -> None:
        heard.put_nowait(event["text"])

    @bolt.action("assign")
    async def assign(ack: AsyncAck, body: slack_kit.Json) -> None:
        await ack()
        heard.put_nowait(body["user"]["id"])

    handler = AsyncSocketModeHandler(bolt, workspace.APP_TOKEN, web_client=app.web, ping_interval=1)
    await handler.connect_async()  # type: ignore[no-untyped-call]  # slack_bolt
    try:
        blocks = [slack_kit.actions(slack_kit.button("assign"))]
        ts = (await app.web.chat_postMessage(channel=SUPPORT, text="card", blocks=blocks))["ts"]
        await people.post(SUPPORT, "for bolt")
        assert await asyncio.wait_for(heard.get(), slack_kit.SOON_S) == "for bolt"
        await people.do("press", user=MAYA, channel=SUPPORT, ts=ts, action_id="assign")
        assert await asyncio.wait_for(heard.get(), slack_kit.SOON_S) == MAYA
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]  # slack_bolt
        await handler.client.aiohttp_client_session.close()


def test_the_readme_names_every_method() -> None:
    """A method that the local Slack has and the manual does not mention fails here."""
    manual = (Path(__file__).parents[2] / "sandbox" / "README.md").read_text(encoding="utf-8")
    missing = [name for name in METHODS if f"`{name}`" not in manual]
    assert not missing
