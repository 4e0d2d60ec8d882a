"""Socket Mode: stored before acknowledged, through duplicates, failures, refused tickets and cut connections."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
import structlog

from bot.desk.slack import SlackDesk
from domain.changes import DeliveryKind
from domain.errors import AccessRevoked
from domain.events import AgentAction, AgentEdit, AgentMessage, DeskCommand
from handlers import acts
from tests import patience
from tests.bot.desk.kit import MAYA, SUPPORT, Slack, Store, card_view, config, delivery, until


async def root_of(desk: SlackDesk) -> str:
    """A card to write under."""
    return (await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view()))).platform_id


async def acknowledged(slack: Slack) -> None:
    """Wait until Slack waits for nothing."""

    async def look() -> bool:
        return not (await slack.get("slack/connections"))["waiting"]

    await patience.eventually(look, what="everything is acknowledged")


async def test_an_answer_in_a_thread_is_stored_once_and_acknowledged(
    listening: SlackDesk, slack: Slack, store: Store
) -> None:
    """What an agent writes is in the inbox with its thread before Slack is told; our own card is not."""
    root = await root_of(listening)
    ts = await slack.write(MAYA, "We have refunded you & sorry <3", root)
    await until(lambda: bool(store.all))
    await acknowledged(slack)
    (arrival,) = store.all
    assert (arrival.source, arrival.thread) == ("slack", (SUPPORT, root))
    event = await listening.parse(arrival.payload)
    assert event == AgentMessage(
        agent_id=MAYA,
        at=datetime.fromtimestamp(float(ts), UTC),
        channel=SUPPORT,
        thread_ts=root,
        ts=ts,
        text="We have refunded you & sorry <3",
    )


async def test_what_is_not_in_a_thread_is_not_stored(listening: SlackDesk, slack: Slack, store: Store) -> None:
    """Colleagues' talk in the channel itself is none of our business."""
    await slack.write(MAYA, "lunch?")
    root = await root_of(listening)
    await slack.write(MAYA, "the answer", root)
    await until(lambda: bool(store.all))
    await acknowledged(slack)
    assert len(store.all) == 1


async def test_a_store_that_fails_leaves_the_event_with_slack(listening: SlackDesk, slack: Slack, store: Store) -> None:
    """Without a commit there is no acknowledgement, so Slack brings it again and nothing is lost."""
    await slack.post("slack/settings", ack_timeout_s=0.3, retry_delays_s=[0.0, *[0.3] * 100])
    root = await root_of(listening)
    store.failures = 2
    await slack.write(MAYA, "please keep this", root)
    await until(lambda: bool(store.all))
    assert store.offered >= 3
    await acknowledged(slack)


async def test_an_event_delivered_twice_is_stored_once(listening: SlackDesk, slack: Slack, store: Store) -> None:
    """A duplicate and a lost acknowledgement have the key of what is already there."""
    await slack.post("slack/settings", ack_timeout_s=0.3, retry_delays_s=[0.0, *[0.3] * 100])
    root = await root_of(listening)
    await acknowledged(slack)  # our own card's event must not be the one whose acknowledgement is lost
    await slack.fault("events_api", "no_ack")
    await slack.write(MAYA, "once", root)
    await until(lambda: store.offered >= 2)
    await acknowledged(slack)
    assert len(store.all) == 1


async def test_an_edit_and_a_deletion_are_events_of_their_own(listening: SlackDesk, slack: Slack, store: Store) -> None:
    """A changed text and a deleted message name the message they concern."""
    root = await root_of(listening)
    ts = await slack.write(MAYA, "30 euros", root)
    await slack.post("slack/edit", user=MAYA, channel=SUPPORT, ts=ts, text="50 euros")
    await slack.post("slack/delete", user=MAYA, channel=SUPPORT, ts=ts)
    await until(lambda: len(store.all) == 3)
    parsed = [await listening.parse(arrival.payload) for arrival in store.all]
    edits = [event for event in parsed if isinstance(event, AgentEdit)]
    assert [(edit.ts, edit.text) for edit in sorted(edits, key=lambda edit: edit.at)] == [(ts, "50 euros"), (ts, None)]
    assert {arrival.thread for arrival in store.all} == {(SUPPORT, root)}


async def test_a_button_brings_what_the_card_showed(listening: SlackDesk, slack: Slack, store: Store) -> None:
    """A press carries conversation, version and choice; the thread puts it into the conversation's lane."""
    root = await root_of(listening)
    await slack.post("slack/press", user=MAYA, channel=SUPPORT, ts=root, action_id="assign_me")
    await until(lambda: bool(store.all))
    (arrival,) = store.all
    assert arrival.thread == (SUPPORT, root)
    event = await listening.parse(arrival.payload)
    assert isinstance(event, AgentAction)
    assert (event.action, event.conversation_id, event.version, event.value) == (
        "assign_me",
        card_view().conversation.id,
        3,
        acts.FREE,
    )
    assert (event.agent_id, event.thread_ts, event.is_stranger) == (MAYA, root, False)


@pytest.mark.parametrize(
    ("action_id", "label", "action", "value"),
    [
        ("change", "Urgent", "priority", "urgent"),
        ("change", "Complaint 5%", "relabel", "complaint"),
        ("change", "Outage", "relabel", "outage"),
        ("change", "Billing", "move", "billing"),
        ("more", "Resolve", "resolve", None),
        ("more", "Spam", "status", "spam"),
    ],
)
async def test_a_menu_brings_the_step_that_was_chosen(
    listening: SlackDesk, slack: Slack, store: Store, action_id: str, label: str, action: str, value: str | None
) -> None:
    """Whatever menu it stood in, the choice becomes the one action it is."""
    root = await root_of(listening)
    (card,) = await slack.messages()
    (menu,) = [one for one in card["blocks"][-1]["elements"] if one["action_id"] == action_id]
    options = menu.get("options") or [option for group in menu["option_groups"] for option in group["options"]]
    (chosen,) = [option["value"] for option in options if option["text"]["text"] == label]
    await slack.post("slack/press", user=MAYA, channel=SUPPORT, ts=root, action_id=action_id, selected_option=chosen)
    await until(lambda: bool(store.all))
    event = await listening.parse(store.all[0].payload)
    assert isinstance(event, AgentAction)
    assert (event.action, event.value) == (action, value)


async def test_a_slash_command_has_the_time_it_was_received(listening: SlackDesk, slack: Slack, store: Store) -> None:
    """A command carries no time of its own, so that of its arrival is stored with it."""
    before = datetime.now(UTC)
    await slack.post("slack/command", user=MAYA, channel=SUPPORT, command="/relaydesk", text=" duty off ")
    await until(lambda: bool(store.all))
    (arrival,) = store.all
    event = await listening.parse(arrival.payload)
    assert isinstance(event, DeskCommand)
    assert (event.agent_id, event.channel, event.text) == (MAYA, SUPPORT, "duty off")
    assert before <= event.at <= datetime.now(UTC)
    assert arrival.lane_key == f"user:{MAYA}"


@pytest.mark.parametrize("fault", ["disconnect", "cut"])
async def test_a_lost_connection_comes_back_by_itself(
    listening: SlackDesk, slack: Slack, store: Store, fault: str
) -> None:
    """After a disconnect frame or a cut the connection is up again, says so, and events flow."""
    root = await root_of(listening)
    listening.reconnected.clear()
    await slack.post("slack/settings", ack_timeout_s=0.5, retry_delays_s=[0.0, *[0.5] * 100])
    await slack.fault("*", fault)
    await slack.write(MAYA, "are you there?", root)
    await until(listening.reconnected.is_set)
    await slack.write(MAYA, "and now?", root)
    await until(lambda: len(store.all) == 2)


async def test_refused_tickets_do_not_make_it_deaf(slack: Slack, store: Store) -> None:
    """A ticket that was refused is never tried again: with the next one the connection stands."""
    desk = SlackDesk(config(slack.url, connections=1), rebuild_after=8.0, ping_every=0.5)
    await slack.fault("*", "refuse_ticket", count=2)
    running = asyncio.create_task(desk.run(store.accept))
    await until(desk.reconnected.is_set)
    root = await root_of(desk)
    await slack.write(MAYA, "hello", root)
    await until(lambda: bool(store.all))
    assert desk.last_success_age() < patience.LONG_S
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await desk.close()


async def test_a_client_that_does_not_connect_is_made_anew(slack: Slack, store: Store) -> None:
    """However long it takes: a client without a connection is thrown away, and a fresh one gets through."""
    await slack.fault("*", "refuse_ticket", count=None)
    desk = SlackDesk(config(slack.url), rebuild_after=0.5, ping_every=0.2)
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(desk.run(store.accept))
        await until(lambda: sum(line["event"] == "desk.socket_rebuilt" for line in logs) > 2)
    assert not desk.reconnected.is_set()
    assert desk.last_success_age() == float("inf")
    await slack.remove_faults()
    await until(desk.reconnected.is_set)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await desk.close()


async def test_an_end_leaves_nothing_running(slack: Slack, store: Store) -> None:
    """Stopping takes well under a second, closes both connections and leaves no task behind."""
    desk = SlackDesk(config(slack.url))
    before = asyncio.all_tasks()
    running = asyncio.create_task(desk.run(store.accept))
    await until(desk.reconnected.is_set)
    with patience.Own() as took:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await desk.close()
    assert took.seconds < 1
    await patience.eventually(lambda: asyncio.all_tasks() == before, what="no task is left")


@pytest.mark.parametrize("wrong", ["bot_token", "app_token"])
async def test_a_wrong_token_is_said_at_once(slack: Slack, store: Store, wrong: str) -> None:
    """A token that is not good ends the start with the reason instead of a process that looks healthy."""
    token = {"bot_token": "xoxb-wrong", "app_token": "xapp-wrong"}[wrong]
    desk = SlackDesk(config(slack.url, **{wrong: token}))
    with pytest.raises(AccessRevoked, match="invalid_auth"):
        await desk.run(store.accept)
    await desk.close()


async def test_a_workspace_that_is_not_ours_is_refused(slack: Slack, store: Store) -> None:
    """A token of another workspace than the configured one is a mistake, not a desk."""
    desk = SlackDesk(config(slack.url, team_id="T0OTHER"))
    with pytest.raises(AccessRevoked, match="wrong_team"):
        await desk.run(store.accept)
    await desk.close()


async def test_a_slack_that_comes_up_late_is_waited_for(slack: Slack, store: Store) -> None:
    """An outage at start is no reason to give up: the desk listens as soon as Slack answers."""
    await slack.fault("auth.test", "500", count=1)
    desk = SlackDesk(config(slack.url))
    running = asyncio.create_task(desk.run(store.accept))
    await until(desk.reconnected.is_set)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await desk.close()
