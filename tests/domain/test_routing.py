"""Routing: the first rule that holds decides, and only people on duty are given work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import routing
from domain.model import Priority
from domain.routing import AgentState, Condition, Facts, Queue, Rule

QUEUES = {
    name: Queue(name=name, title=name.title(), slack_channel=f"#{name}", mention=f"<!subteam^{name}>")
    for name in ("general", "billing", "vip")
}
FACTS = Facts(
    intent="billing",
    labels=frozenset({"invoice"}),
    language="zh-Hant",
    channel="telegram",
    segments=frozenset({"gold"}),
    business_hours=False,
)
NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "holds"),
        [
            (Condition(), True),
            (Condition(intents=frozenset({"billing", "refund"})), True),
            (Condition(intents=frozenset({"refund"})), False),
            (Condition(labels=frozenset({"invoice", "late"})), True),
            (Condition(labels=frozenset({"late"})), False),
            (Condition(priorities=frozenset({Priority.NORMAL})), True),
            (Condition(priorities=frozenset({Priority.HIGH})), False),
            (Condition(languages=frozenset({"zh"})), True),
            (Condition(languages=frozenset({"zh-Hans", "en"})), False),
            (Condition(channels=frozenset({"telegram"})), True),
            (Condition(channels=frozenset({"web"})), False),
            (Condition(segments=frozenset({"gold"})), True),
            (Condition(segments=frozenset({"silver"})), False),
            (Condition(business_hours=False), True),
            (Condition(business_hours=True), False),
            (Condition(intents=frozenset({"billing"}), channels=frozenset({"web"})), False),
        ],
    )
    def test_all_that_is_given_must_hold(self, condition: Condition, holds: bool) -> None:
        """Of each set one member is enough, of the sets every one must hold, and what is left out asks for
        nothing.
        """
        assert condition.holds(FACTS) is holds

    def test_nothing_known_matches_nothing_asked_for(self) -> None:
        """An unknown intent or language never satisfies a rule that asks for one."""
        assert not Condition(intents=frozenset({"billing"})).holds(Facts())
        assert not Condition(languages=frozenset({"en"})).holds(Facts())


class TestRoute:
    def test_the_first_rule_that_holds_wins(self) -> None:
        """Order decides; the reason names the rule and what held."""
        rules = [
            Rule(name="refunds", when=Condition(intents=frozenset({"refund"})), queue="vip"),
            Rule(name="gold", when=Condition(segments=frozenset({"gold"}), business_hours=False), queue="vip"),
            Rule(name="bills", when=Condition(intents=frozenset({"billing"})), queue="billing"),
        ]
        found = routing.route(FACTS, rules, QUEUES, "general")
        assert (found.queue, found.rule) == ("vip", "gold")
        assert found.reason == "rule gold: segment gold, outside business hours"

    def test_the_default_takes_the_rest(self) -> None:
        """Nothing falls through: without a matching rule the default queue has it, with its own channel and
        mention.
        """
        found = routing.route(FACTS, [], QUEUES, "general")
        assert (found.queue, found.slack_channel, found.mention) == (
            "general",
            "#general",
            "<!subteam^general>",
        )
        assert (found.rule, found.reason) == (None, "no rule matched")

    def test_a_rule_overrides_its_queue(self) -> None:
        """What a rule says counts, what it leaves out comes from the queue or stays as it was."""
        rule = Rule(name="all", queue="billing", priority=Priority.LOW, slack_channel="#night", assign="round_robin")
        found = routing.route(FACTS, [rule], QUEUES, "general")
        assert (found.priority, found.slack_channel, found.assign) == (Priority.LOW, "#night", "round_robin")
        assert found.mention == "<!subteam^billing>"
        plain = routing.route(FACTS, [Rule(name="plain")], QUEUES, "general")
        assert (plain.queue, plain.priority, plain.assign) == ("general", Priority.NORMAL, "none")

    def test_policies_are_chosen_by_the_same_conditions(self) -> None:
        """The place of the first condition that holds, None when none does."""
        gold, anything = Condition(segments=frozenset({"gold"})), Condition()
        assert routing.first_match([gold, anything], FACTS) == 0
        assert routing.first_match([gold, anything], Facts()) == 1
        assert routing.first_match([gold], Facts()) is None

    def test_a_broken_table_is_described_line_by_line(self) -> None:
        """Missing queues, unreachable rules and doubled names are each named with the fix."""
        rules = [
            Rule(name="a", when=Condition(intents=frozenset({"x"})), queue="nowhere"),
            Rule(name="all", queue="vip"),
            Rule(name="a", queue="vip"),
        ]
        found = routing.problems(rules, QUEUES, "generic")
        assert len(found) == 4
        assert "'generic' is not configured: use one of billing, general, vip" in found[0]
        assert "two rules are named 'a'" in found[1]
        assert "rule 'a': queue 'nowhere' is not configured" in found[2]
        assert "never reached: move it above 'all'" in found[3]
        assert routing.problems(rules[1:2], QUEUES, "general") == []


def agent(name: str, *, on_duty: bool = True, speaks: str = "en", load: int = 0, ago: int | None = None) -> AgentState:
    last = None if ago is None else NOON - timedelta(minutes=ago)
    return AgentState(
        id=name, on_duty=on_duty, languages=frozenset(speaks.split()), open_count=load, last_assigned_at=last
    )


class TestAssignment:
    TEAM = (
        agent("U3", load=1, ago=5, speaks="zh"),
        agent("U1", load=2, speaks="en zh"),
        agent("U2", load=1, ago=9),
        agent("U4", load=0, on_duty=False, speaks="zh"),
    )

    def test_round_robin_goes_around(self) -> None:
        """Each in turn in the order of ids, whoever had the last one, even when that agent has left."""
        turns: list[str | None] = [None]
        for _ in range(4):
            turns.append(routing.pick_assignee("round_robin", self.TEAM, cursor=turns[-1]))
        assert turns[1:] == ["U1", "U2", "U3", "U1"]
        assert routing.pick_assignee("round_robin", self.TEAM, cursor="U25") == "U3"

    def test_least_loaded_takes_the_fewest_then_the_longest_waiting(self) -> None:
        """Equal loads go to whoever got one longest ago."""
        assert routing.pick_assignee("least_loaded", self.TEAM) == "U2"

    def test_by_language_picks_somebody_who_can_read_it(self) -> None:
        """Only speakers count; when nobody speaks it nobody is picked; an unknown language suits
        everybody.
        """
        assert routing.pick_assignee("by_language", self.TEAM, "zh-Hant") == "U3"
        assert routing.pick_assignee("by_language", self.TEAM, "fr") is None
        assert routing.pick_assignee("by_language", self.TEAM, None) == "U2"

    def test_none_means_nobody(self) -> None:
        """Without automatic assignment people pick for themselves."""
        assert routing.pick_assignee("none", self.TEAM) is None

    @given(
        st.sampled_from(routing.ASSIGN_METHODS),
        st.lists(
            st.builds(agent, st.sampled_from("ABCD"), on_duty=st.booleans(), load=st.integers(0, 3)),
            unique_by=lambda a: a.id,
        ),
        st.sampled_from([None, "en", "zh"]),
        st.sampled_from([None, "A", "C", "Z"]),
    )
    def test_nobody_off_duty_is_ever_picked(
        self, method: routing.Assign, team: list[AgentState], language: str | None, cursor: str | None
    ) -> None:
        """Whatever the method, only people on duty get work, and the order of the list does not matter."""
        picked = routing.pick_assignee(method, team, language, cursor)
        assert picked is None or picked in {a.id for a in team if a.on_duty}
        assert picked == routing.pick_assignee(method, team[::-1], language, cursor)
