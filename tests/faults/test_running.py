"""A short slice of the odd inputs that a running desk gets over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import world as worlds
from tests.faults import running


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("telegram", "slack"), [("polling", "socket"), ("webhook", "http")])
async def test_after_each_odd_input_the_next_good_message_gets_through(
    tmp_path: Path, telegram: str, slack: str
) -> None:
    """By polling and webhook, websocket and HTTP: a customer's message stands in the thread, an answer arrives."""
    plan = running.Plan(seed=11, inputs=12, telegram=telegram, slack=slack)
    tally = await running.run(plan, tmp_path)
    assert tally.faults == []
    assert tally.good == tally.inputs.total() == plan.inputs
    assert {"telegram", "slack interactive"} <= set(tally.inputs)
    row = tally.row("slice", "abc")
    assert (row.messages, row.failures) == (plan.inputs, ())


async def test_a_desk_that_takes_nothing_in_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample that could not fail would prove nothing."""
    monkeypatch.setattr(running, "PASSES_WITHIN_S", 0.2)
    async with worlds.world(tmp_path, start=False) as world:
        phone = await world.customer("Ann")
        with pytest.raises(AssertionError, match="message 7 in the thread"):
            await running._message_passes(world, phone, 7)
