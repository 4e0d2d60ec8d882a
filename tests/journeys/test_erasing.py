"""A customer is erased while the bot runs: the command is killed in the middle, and what it began is finished."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.erasure import Step
from tests import nursery
from tests.faults.lives import write_config
from tests.journeys.conftest import BOTH, Setting, cells, in_cell
from tests.world import MAYA, World, eventually, said

PASSPORT = base64.b64encode(b"%PDF-1.4 a passport").decode()
STORIES = {
    "en": ("Anna", "my passport number is C01X00T47", "Thank you Anna, I have it."),
    "zh": ("李静", "我的护照号是 E12345678", "李静您好，已收到。"),
}


@pytest.fixture(params=cells(BOTH))
async def here(impatient: None, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world on either engine that waits a second, not half a minute, for what another process had in hand."""
    setting: Setting = request.param
    async for made in in_cell(request, tmp_path, setting):
        yield made


async def relaydesk(world: World, *words: str, crash_at: str = "") -> tuple[int, str, str]:
    """The command line as a process of its own: exit code, standard output, standard error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAYDESK_")}
    if crash_at:
        environment["RELAYDESK_CRASH_AT"] = crash_at
    command = (*words, "--config", str(write_config(world)))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with await asyncio.to_thread(nursery.relaydesk, *command, env=environment, **pipes) as process:
        out, errors = await asyncio.to_thread(process.communicate)
        return process.wait(), out, errors


async def everything_in_slack(world: World) -> str:
    """All that anybody can still read in any channel, as one text."""
    found = []
    for channel in (await world.look("slack/channels"))["channels"]:
        page = await world.look(f"slack/channel/{channel['id']}")
        for message in page["messages"]:
            thread = (await world.look(f"slack/thread/{channel['id']}/{message['ts']}"))["message"]
            found += [said(message), *(said(reply) for reply in thread.get("replies", []))]
    return "\n".join(found)


async def test_an_erasure_is_finished_though_it_was_killed(here: World) -> None:
    """Killed after the key is gone; the running bot takes our posts away, and the receipt lists what agents wrote.

    In English on SQLite, in Chinese on PostgreSQL.
    """
    language = "zh" if "database" in here.overrides else "en"
    name, secret, answer = STORIES[language]
    phone = await here.customer(name, language)
    await phone.says(secret)
    await phone.says(document=PASSPORT, filename=f"{name}.pdf", mime="application/pdf", caption=secret)
    card = await here.card()
    await eventually(lambda: _posts(card.posts, 3), what="message, document and its file in the thread")
    await card.says(MAYA, answer)
    await eventually(phone.answers, what="the answer on the phone")
    assert secret in await everything_in_slack(here)

    code, _, _ = await relaydesk(
        here, "privacy", "erase", str(phone.chat_id), "--reason", "asked to", "--yes", crash_at="in_erase:2"
    )
    assert code == -signal.SIGKILL

    async def done() -> bool:
        (receipt,) = await here.house.stores.erasures.receipts()
        return receipt.step is Step.DONE

    await eventually(done, what="the receipt")
    left = await everything_in_slack(here)
    assert secret not in left
    assert answer in left, "what an agent wrote is Slack's and the agent's to delete"
    code, out, _ = await relaydesk(here, "privacy", "receipts", "--json")
    (receipt,) = json.loads(out)
    assert (code, receipt["refused"], receipt["waiting"]) == (0, [], 0)
    assert receipt["counts"]["files"] == 1
    assert [post["why"] for post in receipt["theirs"]] == ["written by an agent"]
    code, out, _ = await relaydesk(here, "privacy", "receipts", receipt["id"])
    assert code == 0
    assert "proof" in out
    code, _, errors = await relaydesk(here, "customer", "find", str(phone.chat_id))
    assert (code, "nobody is called exactly so" in errors) == (1, True)

    await phone.says("me again" if language == "en" else "又是我")
    again = await eventually(lambda: _card_with(here, "#1002"), what="a new conversation")
    assert "me again" in await again.text() or "又是我" in await again.text()


async def _posts(look: object, count: int) -> bool:
    return len(await look()) >= count  # type: ignore[operator]


async def _card_with(world: World, word: str) -> object:
    for card in await world.cards():
        if word in await card.text():
            return card
    return None
