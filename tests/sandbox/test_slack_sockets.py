"""Socket Mode, seen by the real SocketModeClient: tickets, envelopes, acknowledgements, the end of a connection."""

import aiohttp
import pytest
from slack_sdk.socket_mode.request import SocketModeRequest

from sandbox.slack import workspace
from tests import patience
from tests.sandbox import slack_kit
from tests.sandbox.slack_kit import LEADS, MAYA, SUPPORT, App, People, error_of

SHORT_S = 0.1
DEAF = {"ack_timeout_s": SHORT_S, "retry_delays_s": [0, SHORT_S, 2 * SHORT_S]}
"""For an app that does not acknowledge."""
OFTEN = {"ack_timeout_s": SHORT_S, "retry_delays_s": [0.0] * 1000}
"""For an app that acknowledges some time, however slow the machine is."""


async def test_a_ticket_opens_one_websocket(slack: tuple[App, People]) -> None:
    """The second use of a ticket is refused, and so is a made-up one."""
    app, people = slack
    url = (await app.web.apps_connections_open(app_token=workspace.APP_TOKEN))["url"]
    async with app.session.ws_connect(url) as ws:
        hello = await ws.receive_json()
        assert hello["type"] == "hello"
        assert hello["connection_info"]["app_id"] == workspace.APP_ID
        for used in (url, url.replace("ticket=", "ticket=0")):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await app.session.ws_connect(used)
            assert caught.value.status == 403
    assert [r["key"] for r in await people.log("ticket_refused")] == ["unknown_or_used"] * 2


async def test_a_ticket_needs_the_app_token(slack: tuple[App, People]) -> None:
    """A bot token opens no connection, an app token posts no message."""
    app, _people = slack
    wrong = app.web.apps_connections_open(app_token=workspace.BOT_TOKEN)
    assert await error_of(wrong) == "not_allowed_token_type"
    post = app.web.chat_postMessage(channel=SUPPORT, text="x", token=workspace.APP_TOKEN)
    assert await error_of(post) == "not_allowed_token_type"


async def test_an_event_comes_in_the_real_wrapper(slack: tuple[App, People]) -> None:
    """Everything that Bolt and the product read stands where Slack puts it."""
    app, people = slack
    await app.connect()
    ts = await people.post(SUPPORT, "hello")
    request = await app.request("events_api")
    payload = request.payload
    assert request.retry_attempt == 0
    assert request.accepts_response_payload is False
    assert payload["type"] == "event_callback"
    assert payload["team_id"] == workspace.TEAM_ID
    assert payload["api_app_id"] == workspace.APP_ID
    assert payload["event_id"].startswith("Ev")
    assert payload["authorizations"][0]["user_id"] == workspace.BOT_USER_ID
    event = payload["event"]
    assert event["type"] == "message"
    assert event["user"] == MAYA
    assert event["channel"] == SUPPORT
    assert event["channel_type"] == "channel"
    assert event["ts"] == event["event_ts"] == ts
    assert "subtype" not in event
    assert "bot_id" not in event


async def test_an_event_without_acknowledgement_comes_again_and_then_no_more(
    slack: tuple[App, People],
) -> None:
    """Three more times with the same event_id, counted; then it is gone, and the log says so."""
    app, people = slack
    await people.do("settings", **DEAF)
    app.acknowledge = lambda _request: False
    await app.connect()
    await people.post(SUPPORT, "lost")
    seen = [await app.request("events_api") for _ in range(4)]
    assert [request.retry_attempt for request in seen] == [0, 1, 2, 3]
    assert [request.retry_reason for request in seen] == ["", "timeout", "timeout", "timeout"]
    assert len({request.payload["event_id"] for request in seen}) == 1
    assert len({request.envelope_id for request in seen}) == 4
    event_id = seen[0].payload["event_id"]
    await patience.eventually(lambda: people.log("gave_up", event_id), what="it is given up")
    await people.post(SUPPORT, "lost too")  # takes as long again, and nothing of the first comes between
    ids = {(await app.request("events_api")).payload["event_id"] for _ in range(4)}
    assert len(ids - {event_id}) == len(ids) == 1
    await app.silence()
    assert (await people.log("gave_up", event_id))[0]["data"]["attempts"] == 4
    assert (await people.log("delivery", event_id))[0]["requests"] == 4


async def test_an_acknowledgement_ends_the_redelivery(slack: tuple[App, People]) -> None:
    """Acknowledged at a later attempt, it does not come once more."""
    app, people = slack
    await people.do("settings", **OFTEN)
    app.acknowledge = lambda request: bool(request.retry_attempt)
    await app.connect()
    await people.post(SUPPORT, "late")
    came = [await app.request("events_api") for _ in range(2)]
    assert came[0].payload == came[1].payload
    event_id = came[0].payload["event_id"]
    await patience.eventually(lambda: people.log("ack", event_id), what="it is acknowledged")
    await people.post(SUPPORT, "later")  # comes again when another attempt at the first would have come
    while came[-1].payload["event_id"] == event_id or not came[-1].retry_attempt:
        came.append(await app.request("events_api"))
    [ack] = await people.log("ack", event_id)
    attempts = [request.retry_attempt for request in came if request.payload["event_id"] == event_id]
    assert attempts == list(range(ack["data"]["attempt"] + 1))


async def test_an_event_on_a_cut_connection_comes_again_on_the_next(slack: tuple[App, People]) -> None:
    """What was not acknowledged when the connection broke is delivered after the client has come back."""
    app, people = slack
    await people.do("settings", retry_delays_s=[0.0, *[0.2] * 1000])
    app.acknowledge = lambda request: bool(request.retry_attempt)
    await app.connect()
    await people.fault("events_api", "cut")
    await people.post(SUPPORT, "cut")
    first = await app.request("events_api")
    again = await app.request("events_api")
    assert again.payload["event_id"] == first.payload["event_id"]
    assert (again.retry_attempt or 0) > 0


async def test_a_half_open_connection_swallows_and_says_nothing(slack: tuple[App, People]) -> None:
    """It is still there for both sides; what went into it comes again on another one."""
    app, people = slack
    await app.connect()
    await people.fault("events_api", "half_open")
    await people.post(SUPPORT, "swallowed")
    assert [one["half_open"] for one in (await people.see("connections"))["connections"]] == [True]
    await app.connect()
    assert app.came.empty()
    await people.do("settings", **OFTEN)
    texts = {"heard", "heard too"}
    for text in texts:  # in turn: one of them goes where nothing comes through
        await people.post(SUPPORT, text)
    while texts:
        text = (await app.request("events_api")).payload["event"]["text"]
        assert text != "swallowed", "nobody has given that up yet"
        texts.discard(text)
    await people.do("disconnect", reason="cut")  # who closes what is open by half waits long for an answer


async def test_several_connections_share_the_events(slack: tuple[App, People]) -> None:
    """Each event goes to one connection, in turn."""
    app, people = slack
    for _ in range(2):
        await app.connect()
    for n in range(6):
        await people.post(SUPPORT, str(n))
    seen = [(await app.request("events_api")).payload["event"]["text"] for _ in range(6)]
    assert sorted(seen) == [str(n) for n in range(6)]
    shown = (await people.see("connections"))["connections"]
    assert [connection["sent"] for connection in shown] == [3, 3]
    await app.silence()


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "link_disabled"])
async def test_a_disconnect_frame_makes_the_client_reconnect(slack: tuple[App, People], reason: str) -> None:
    """After the frame the client opens a new connection with a new ticket and goes on receiving."""
    app, people = slack
    await people.do("settings", disconnect_grace_s=0.5)
    socket = await app.connect()
    before = socket.wss_uri
    await people.do("disconnect", reason=reason)

    async def another() -> bool:
        return any(not c["leaving"] for c in (await people.see("connections"))["connections"])

    await patience.eventually(another, what="a new connection")
    assert socket.wss_uri != before
    await people.post(SUPPORT, "after")
    assert (await app.event("message"))["text"] == "after"


async def test_a_refused_ticket_is_used_up(slack: tuple[App, People]) -> None:
    """A websocket refused with 503 costs its ticket: the same address is refused for good, a new one works."""
    app, people = slack
    await people.fault("ticket", "refuse_ticket")
    url = (await app.web.apps_connections_open(app_token=workspace.APP_TOKEN))["url"]
    statuses = []
    for _ in range(2):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await app.session.ws_connect(url)
        statuses.append(caught.value.status)
    assert statuses == [503, 403]
    await app.connect()


async def test_pings_are_answered_with_their_words(slack: tuple[App, People]) -> None:
    """The SDK watches the age of its last ping: the pong must carry what the ping said."""
    app, _people = slack
    url = (await app.web.apps_connections_open(app_token=workspace.APP_TOKEN))["url"]
    async with app.session.ws_connect(url, autoping=False) as ws:
        await ws.receive_json()
        await ws.ping(b"sdk-ping-pong:1.5")
        pong = await ws.receive(timeout=slack_kit.SOON_S)
        assert pong.type is aiohttp.WSMsgType.PONG
        assert bytes(pong.data) == b"sdk-ping-pong:1.5"


async def test_a_frame_that_is_no_acknowledgement_harms_nothing(slack: tuple[App, People]) -> None:
    """Bad JSON, other JSON and unknown envelopes are noted; the connection lives on."""
    app, people = slack
    url = (await app.web.apps_connections_open(app_token=workspace.APP_TOKEN))["url"]
    async with app.session.ws_connect(url) as ws:
        await ws.receive_json()
        for frame in ("{", "[]", "{}", '{"envelope_id": 1}', '{"envelope_id": "unknown"}'):
            await ws.send_str(frame)
        await people.post(SUPPORT, "still here")
        envelope = await ws.receive_json(timeout=slack_kit.SOON_S)
        assert envelope["payload"]["event"]["text"] == "still here"
        await ws.send_json({"envelope_id": envelope["envelope_id"]})
        await ws.send_str("x")

        async def all_noted() -> bool:
            return len(await people.log("bad_frame")) == 5

        await patience.eventually(all_noted, what="each of them is noted")
    assert len(await people.log("late_ack")) == 1


async def test_deliveries_can_be_doubled_swapped_lost_and_unheard(slack: tuple[App, People]) -> None:
    """The faults duplicate, reorder, lose and no_ack act on deliveries and on nothing else."""
    app, people = slack
    await app.connect()

    async def texts(count: int) -> list[str]:
        return [(await app.request("events_api")).payload["event"]["text"] for _ in range(count)]

    await people.fault("events_api", "duplicate")
    await people.post(SUPPORT, "twice")
    assert await texts(2) == ["twice", "twice"]
    await people.fault("events_api", "reorder", count=2, seconds=slack_kit.SOON_S)
    for text in ("a", "b"):
        await people.post(SUPPORT, text)
    assert await texts(2) == ["b", "a"]
    await people.fault("events_api", "lose")
    await people.post(SUPPORT, "lost")
    await app.silence()
    await people.do("settings", **OFTEN)
    await people.fault("events_api", "no_ack")
    await people.post(SUPPORT, "unheard")
    assert await texts(2) == ["unheard", "unheard"]
    history = (await app.web.conversations_history(channel=SUPPORT))["messages"]
    assert [m["text"] for m in history] == ["unheard", "lost", "b", "a", "twice"]


async def test_without_a_connection_events_wait_only_for_their_retries(slack: tuple[App, People]) -> None:
    """An app that comes within the retries still gets the event, with its attempt counted."""
    app, people = slack
    await people.do("settings", retry_delays_s=[0.0, *[0.2] * 1000])
    await people.post(SUPPORT, "early")
    await app.connect()
    request = await app.request("events_api")
    assert request.payload["event"]["text"] == "early"
    assert (request.retry_attempt or 0) >= 1


async def test_every_kind_of_event_reaches_the_app(slack: tuple[App, People]) -> None:
    """Messages in all their forms, mentions, reactions, members, channels, profiles, groups, the home, tokens."""
    app, people = slack
    await app.connect()
    bot = workspace.BOT_USER_ID
    root = (await app.web.chat_postMessage(channel=SUPPORT, text="card", metadata=_KEY))["ts"]
    own = await app.event("message")
    assert (own["bot_id"], own["app_id"]) == (
        workspace.BOT_ID,
        workspace.APP_ID,
    )
    assert own["metadata"] == _KEY
    ts = await people.post(SUPPORT, f"<@{bot}> a < b & https://x.example/?a=1", thread_ts=root)
    message = await app.event("message")
    assert message["thread_ts"] == root
    assert message["text"] == f"<@{bot}> a &lt; b &amp; <https://x.example/?a=1>"
    assert (await app.event("app_mention"))["ts"] == ts
    await people.do("edit", user=MAYA, channel=SUPPORT, ts=ts, text="changed")
    changed = await app.event("message", subtype="message_changed")
    assert changed["message"]["text"] == "changed"
    assert changed["message"]["edited"]["user"] == MAYA
    assert changed["previous_message"]["text"].startswith("<@")
    assert changed["message"]["thread_ts"] == root
    assert changed["hidden"] is True
    await people.do("react", user=MAYA, channel=SUPPORT, ts=root, emoji=":eyes:")
    added = await app.event("reaction_added")
    assert (added["reaction"], added["item"]["ts"], added["item_user"]) == ("eyes", root, bot)
    await people.do("unreact", user=MAYA, channel=SUPPORT, ts=root, emoji="eyes")
    assert (await app.event("reaction_removed"))["user"] == MAYA
    await people.do("delete", user=MAYA, channel=SUPPORT, ts=ts)
    deleted = await app.event("message", subtype="message_deleted")
    assert deleted["deleted_ts"] == deleted["previous_message"]["ts"] == ts
    await people.do("post", user=MAYA, channel=SUPPORT, text="b", thread_ts=root, broadcast=True)
    assert (await app.event("message", subtype="thread_broadcast"))["thread_ts"] == root
    file = {"base64": "aGk=", "name": "a.txt"}
    await people.do("post", user=MAYA, channel=SUPPORT, text="", files=[file])
    assert (await app.event("message", subtype="file_share"))["files"][0]["name"] == "a.txt"
    await people.do("kick", channel=SUPPORT, user=MAYA)
    assert (await app.event("member_left_channel"))["user"] == MAYA
    await people.do("invite", channel=SUPPORT, users=[MAYA])
    assert (await app.event("member_joined_channel"))["user"] == MAYA
    await people.do("rename", channel=SUPPORT, name="help")
    assert (await app.event("channel_rename"))["channel"]["name"] == "help"
    await people.do("archive", channel=SUPPORT)
    assert (await app.event("channel_archive"))["channel"] == SUPPORT
    await people.do("unarchive", channel=SUPPORT)
    assert (await app.event("channel_unarchive"))["channel"] == SUPPORT
    await people.do("archive", channel=LEADS)
    assert (await app.event("group_archive"))["channel"] == LEADS
    await people.do("user", id=MAYA, real_name="Maya T.")
    assert (await app.event("user_change"))["user"]["real_name"] == "Maya T."
    await people.do("usergroup", id=workspace.GROUP_AGENTS, users=[MAYA])
    gone = await app.event("subteam_members_changed")
    assert gone["removed_users"] == [slack_kit.LINA]
    await people.do("home", user=MAYA)
    assert (await app.event("app_home_opened"))["tab"] == "home"
    await people.do("settings", revoke=workspace.BOT_TOKEN)
    assert (await app.event("tokens_revoked"))["tokens"]["bot"] == [bot]


async def test_only_what_is_subscribed_and_allowed_is_sent(slack: tuple[App, People]) -> None:
    """A missing subscription, a missing scope or a channel without the bot: no event."""
    app, people = slack
    await app.connect()
    await people.do("settings", subscriptions=["message.channels"])
    await people.post(LEADS, "private")
    await people.post(slack_kit.RANDOM, "elsewhere")
    ts = await people.post(SUPPORT, "public")
    await people.do("react", user=MAYA, channel=SUPPORT, ts=ts, emoji="eyes")
    assert (await app.event("message"))["text"] == "public"
    await people.do("settings", subscriptions=None, scopes=["chat:write"])
    await people.post(SUPPORT, "unseen")
    await app.silence()


async def test_the_bots_own_removal_is_told(slack: tuple[App, People]) -> None:
    """A bot that is kicked hears of it and nothing more from that channel."""
    app, people = slack
    await app.connect()
    await people.do("kick", channel=SUPPORT, user=workspace.BOT_USER_ID)
    assert (await app.event("member_left_channel"))["user"] == workspace.BOT_USER_ID
    assert (await app.event("channel_left"))["channel"] == SUPPORT
    await people.post(SUPPORT, "behind its back")
    await app.silence()


async def test_any_frame_can_be_put_on_a_websocket(slack: tuple[App, People]) -> None:
    """Unchanged, and without anybody who waits for it; refused while nobody listens."""
    app, people = slack
    assert await people.refused("raw", frame="odd") == "no websocket is open"
    await app.connect()
    payload = '{"type":"event_callback","event":{"type":"message","text":"odd"}}'
    frame = f'{{"type":"events_api","envelope_id":"e","payload":{payload}}}'
    await people.do("raw", frame=frame)
    assert (await app.event("message"))["text"] == "odd"
    [told] = await people.log("frame_injected")
    assert told["data"] == {"chars": len(frame)}


async def test_a_listener_that_fails_acknowledges_nothing(slack: tuple[App, People]) -> None:
    """An app that dies on an event gets it again: nothing is acknowledged by the SDK itself."""
    app, people = slack
    await people.do("settings", **OFTEN)
    socket = await app.connect()
    seen: list[int] = []

    async def dies_once(_client: object, request: SocketModeRequest) -> None:
        seen.append(request.retry_attempt or 0)
        if len(seen) == 1:
            raise RuntimeError("the store is down")

    socket.logger.disabled = True
    socket.socket_mode_request_listeners.insert(0, dies_once)
    app.acknowledge = lambda request: len(seen) > 1
    await people.post(SUPPORT, "again")
    for _ in range(2):
        await app.request("events_api")
    assert seen[:2] == [0, 1]
    socket.logger.disabled = False


_KEY = {"event_type": "triage_msg", "event_payload": {"key": "out-1"}}
