"""`relaydesk sla show`, `simulate` and `reapply`: explain, try, and only change where somebody says so."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import func, select

from bot import settings, terms, times
from bot.cli.stores import os_user
from bot.opening import Stores
from domain.changes import Changes
from domain.model import EntryKind
from domain.sla import EventKind
from storage import flush, tables
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import new_id, story

HOUR = timedelta(hours=1)


def _monday() -> datetime:
    """Ten in the morning (UTC) of the Monday before last: recent enough, and everything in it is over."""
    now = times.real()
    day = (now - timedelta(days=now.weekday() + 7)).date()
    return datetime(day.year, day.month, day.day, 10, tzinfo=UTC)


START = _monday()


async def _converse(stores: Stores, answered: timedelta | None, reference: str = "standard@1") -> None:
    made = story(address=new_id(), policy="standard", opened_at=START, unanswered_since=START, last_customer_at=START)
    said = replace(made.said("hello", data={"sla": EventKind.CUSTOMER_MESSAGE.value}), at=START)
    named = replace(
        made.said("", kind=EntryKind.CLOCK, data={"sla": EventKind.POLICY.value, "to": reference}), at=START
    )
    entries = [said, named]
    if answered is not None:
        reply = made.said("", kind=EntryKind.DELIVERED, data={"sla": EventKind.AGENT_REPLY.value})
        entries.append(replace(reply, at=START + answered))
    else:
        about = {"metric": "first_response", "instance": 1, "reason": "outage"}
        entries.append(replace(made.said("", kind=EntryKind.EXCUSED, data=about), at=START + 6 * HOUR))
    await _write(stores, replace(made.opening(), entries=tuple(entries), clocks=()))


async def _write(stores: Stores, changes: Changes) -> None:
    prepared = await stores.record.prepare([flush.Decision(id=new_id(), changes=changes)], times.real())
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))


async def _promised(stores: Stores) -> None:
    """Two more conversations: an answer with a promise that the next answer keeps, and a promise that nobody keeps."""
    for kept in (True, False):
        made = story(address=new_id(), policy="standard", opened_at=START, last_customer_at=START)
        said = replace(made.said("hello", data={"sla": EventKind.CUSTOMER_MESSAGE.value}), at=START)
        until = {"sla": EventKind.PROMISE.value, "to": (START + 3 * HOUR).isoformat()}
        entries = [said, replace(made.said("", kind=EntryKind.PROMISE, data=until), at=START + HOUR)]
        if kept:
            reply = made.said("", kind=EntryKind.DELIVERED, data={"sla": EventKind.AGENT_REPLY.value})
            entries.append(replace(reply, at=START + 2 * HOUR))
        await _write(stores, replace(made.opening(), entries=tuple(entries), clocks=()))


async def _counts(stores: Stores) -> dict[str, int]:
    async with stores.database.read() as conn:
        return {
            table.name: (await conn.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (tables.conversations, tables.timeline, tables.clocks, tables.outbox, tables.terms)
        }


def _sla(**targets: str) -> dict[str, Any]:
    return {
        "calendars": {"always": {"tz": "UTC", "hours": {"mon-sun": ["00:00-24:00"]}}},
        "policies": {"standard": {"calendar": "always", "targets": {"low": targets}}},
        "rules": [{"policy": "standard"}],
    }


@pytest.fixture
def recorded(place: Place) -> Place:
    """Three conversations of a Monday under a promise of four hours: answered after one hour, after five, never.

    That the last was not is excused.
    """
    place.change(clock=None)
    place.change(sla=None)
    place.change(sla=_sla(first_response="4h", resolution="48h"))
    place.make_key()

    async def work(stores: Stores) -> None:
        read = settings.load(place.path, environment={})
        await terms.remember(stores.database, read.sla, START)
        for answered in (HOUR, 5 * HOUR, None):
            await _converse(stores, answered)

    place.with_stores(work)
    return place


class TestShow:
    def test_every_clock_is_accounted_for(self, recorded: Place) -> None:
        """Terms, version, the message it counts from, the slices; and the read is audited."""
        done = recorded.run("sla", "show", "#1001")
        assert done.exit_code == 0, done.output
        assert "first response: met, ended" in done.output
        assert "4h of open time, policy standard version 1, calendar always (UTC)" in done.output
        assert "counted from the customer message of" in done.output
        assert "1h 00m" in done.output
        assert "agent work so far:" in done.output

    def test_as_json_it_has_the_same(self, recorded: Place) -> None:
        """A script gets states, times and slices."""
        found = json.loads(recorded.run("sla", "show", "1003", "--json").stdout)
        first = next(clock for clock in found["clocks"] if clock["metric"] == "first_response")
        assert (first["state"], first["policy"], first["version"]) == ("breached", "standard", 1)
        assert [one["kind"] for one in first["slices"]] == ["counted"]
        assert set(found["sums"]) == {"agent_work", "requester_wait"}

    def test_what_is_not_there(self, recorded: Place) -> None:
        """An unknown number and no number at all are told apart."""
        assert "no conversation #7" in recorded.run("sla", "show", "7").stderr
        assert recorded.run("sla", "show", "x").exit_code == 2


class TestSimulate:
    def tried(self, recorded: Place, **given: object) -> str:
        path = recorded.folder / "new.yaml"
        path.write_text(yaml.safe_dump({"sla": given}), encoding="utf-8")
        return str(path)

    def test_another_target_is_tried_on_what_was_recorded(self, recorded: Place) -> None:
        """Half an hour is missed by the quick answer too, six hours met by the slow one; nothing changes."""
        before = recorded.with_stores(_counts)
        strict = self.tried(recorded, policies=_sla(first_response="30m", resolution="48h")["policies"])
        found = json.loads(recorded.run("sla", "simulate", "--policy", strict, "--json").stdout)
        assert (found["conversations"], found["breaches_added"], found["breaches_removed"]) == (3, 1, 0)
        first = next(one for one in found["by_policy"] if one["metric"] == "first_response")
        assert (first["met_before"], first["missed_before"]) == (1, 2)
        assert (first["met_after"], first["missed_after"]) == (0, 3)
        assert found["missed_after_by_hour"][0][10] == found["missed_before_by_hour"][0][10] + 1, "Monday at ten"
        mild = self.tried(recorded, policies=_sla(first_response="6h", resolution="48h")["policies"])
        found = json.loads(recorded.run("sla", "simulate", "--policy", mild, "--json").stdout)
        assert (found["breaches_added"], found["breaches_removed"]) == (0, 1)
        assert found["changes"][0]["number"] == 1002
        assert recorded.with_stores(_counts) == before

    def test_another_calendar_is_tried_too(self, recorded: Place) -> None:
        """Closed until the afternoon, five hours on the clock are two of open time."""
        hours = {"always": {"tz": "UTC", "hours": {"mon-sun": ["13:00-18:00"]}}}
        done = recorded.run("sla", "simulate", "--policy", self.tried(recorded, calendars=hours))
        assert done.exit_code == 0, done.output
        assert "removed" in done.output
        assert "#1002" in done.output
        assert "Mon 10:00" in done.output

    def test_a_page_shows_it(self, recorded: Place, tmp_path: Path) -> None:
        """One HTML file with the picture in it and nothing from elsewhere; names are escaped."""
        page = tmp_path / "page.html"
        strict = self.tried(recorded, policies=_sla(first_response="30m", resolution="48h")["policies"])
        recorded.run("sla", "simulate", "--policy", strict, "--html", str(page))
        shown = page.read_text(encoding="utf-8")
        assert shown.count("<svg") == 3
        assert "Mon 10:00: 6" in shown
        assert "<script" not in shown
        assert "http" not in shown.replace("https://", "http://").partition("<body>")[2]

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"policies": {"standard": {"targets": {"low": {"first_response": "1d"}}}}}, "ambiguous"),
            ({"policies": {"standard": {"calendar": "ofice", "targets": {"low": {"first_response": "1h"}}}}}, "ofice"),
            ({"rules": [{"policy": "gold"}]}, "gold"),
            ({"calendars": {"always": {"tz": "UTC", "hours": {}}}}, "never open"),
        ],
    )
    def test_a_mistake_in_the_file_is_a_line(self, recorded: Place, given: dict[str, Any], words: str) -> None:
        """As in config.yaml: file, key, what is wrong; exit code 2."""
        done = recorded.run("sla", "simulate", "--policy", self.tried(recorded, **given))
        assert done.exit_code == 2, done.output
        assert "new.yaml" in done.stderr
        assert words in done.stderr

    def test_how_far_back(self, recorded: Place) -> None:
        """A time that cannot be read is refused; before it nothing counts."""
        file = self.tried(recorded, rules=[{"policy": "standard"}])
        assert recorded.run("sla", "simulate", "--policy", file, "--since", "soon").exit_code == 2
        found = json.loads(recorded.run("sla", "simulate", "--policy", file, "--since", "1h", "--json").stdout)
        assert (found["conversations"], found["met_before"]) == (0, None)


class TestReport:
    def test_breaches_and_excuses_stand_side_by_side(self, recorded: Place) -> None:
        """One of three was met; with the excused aside, one of two. The excused one is listed with its reason."""
        done = recorded.run("sla", "report", "--since", "30d")
        assert done.exit_code == 0, done.output
        first = next(line for line in done.stdout.splitlines() if "first response" in line)
        assert first.split() == ["standard", "first", "response", "1", "1", "1", "1", "33.3%", "50.0%"]
        excused = next(line for line in done.stdout.splitlines() if "#1003" in line and "first" in line)
        assert "outage" in excused
        late = next(line for line in done.stdout.splitlines() if "#1002" in line and "first" in line)
        assert "outage" not in late

    def test_as_json_it_has_the_same(self, recorded: Place) -> None:
        """Shares, lengths in seconds, every breach; laid out by queue."""
        found = json.loads(recorded.run("sla", "report", "--by", "queue", "--json").stdout)
        (line,) = [one for one in found["lines"] if one["metric"] == "first_response"]
        assert (line["met"], line["late"], line["missed"], line["excused"]) == (1, 1, 1, 1)
        assert (line["open_p50_s"], line["wall_p90_s"]) == (3600.0, 5 * 3600.0)
        first = {one["number"]: one["reason"] for one in found["breaches"] if one["metric"] == "first_response"}
        assert first == {1002: None, 1003: "outage"}
        assert (found["promises"], found["undeliverable"]) == ([], 0)

    def test_promises_stand_apart(self, recorded: Place) -> None:
        """One was kept, one was broken: no share of a policy changes."""
        recorded.with_stores(_promised)
        found = json.loads(recorded.run("sla", "report", "--json").stdout)
        (line,) = found["promises"]
        assert (line["group"], line["kept"], line["broken"], line["share_kept"]) == ("all", 1, 1, 0.5)
        (first,) = [one for one in found["lines"] if one["metric"] == "first_response"]
        assert first["share_met"] == 2 / 5, "two of five were answered in time, whatever was promised beside"
        assert "promised by themselves" in recorded.run("sla", "report").stdout

    def test_it_is_for_those_who_may_see(self, recorded: Place) -> None:
        """Where the command line has roles: not for others, and nothing of a queue that is hidden from whoever asks."""
        file = recorded.folder / "same.yaml"
        file.write_text("rules: [{policy: standard}]", encoding="utf-8")
        commands = (("report",), ("simulate", "--policy", str(file)), ("reapply",), ("reapply", "--yes"))
        codes = {}
        for role in ("auditor", "admin"):
            recorded.change(roles={"command_line": {os_user(): [role]}})
            codes[role] = [recorded.run("sla", *words).exit_code for words in commands]
        assert codes == {"auditor": [0, 0, 0, 1], "admin": [0, 0, 0, 0]}
        hidden = {"channel": "C0GENERAL", "seen_by": {"agents": ["os:somebody-else"]}}
        recorded.change(queues={"general": hidden})
        for words in commands[:2]:
            assert json.loads(recorded.run("sla", *words, "--json").stdout)["conversations"] == 0
        recorded.change(queues={"general": {**hidden, "seen_by": {"agents": [f"os:{os_user()}"]}}})
        for words in commands[:2]:
            assert json.loads(recorded.run("sla", *words, "--json").stdout)["conversations"] == 3
        recorded.change(roles={"command_line": {"somebody-else": ["lead"]}})
        assert [recorded.run("sla", *words).exit_code for words in commands] == [1, 1, 1, 1]

    def test_of_nothing_it_says_so(self, recorded: Place) -> None:
        """A span in which nothing came out is one line, and an odd span is refused."""
        assert "No deadline" in recorded.run("sla", "report", "--since", "1h").stdout
        assert recorded.run("sla", "report", "--since", "soon").exit_code == 2


class TestReapply:
    def edited(self, recorded: Place) -> None:
        """The operator promises two hours from now on, and restarts."""
        recorded.change(sla=_sla(first_response="2h", resolution="24h"))

    def restarted(self, recorded: Place) -> None:
        async def work(stores: Stores) -> None:
            await terms.remember(stores.database, settings.load(recorded.path, environment={}).sla, times.real())

        recorded.with_stores(work)

    def test_it_shows_first_and_does_it_when_told(self, recorded: Place) -> None:
        """The preview writes nothing; with --yes every running conversation names the new version, once."""
        assert "newest version" in recorded.run("sla", "reapply").output
        self.edited(recorded)
        assert "restart it" in recorded.run("sla", "reapply").stderr
        self.restarted(recorded)
        before = recorded.with_stores(_counts)
        shown = recorded.run("sla", "reapply").output
        assert "3 conversations" in shown
        assert "standard@1" in shown
        assert "standard@2" in shown
        assert "Nothing was changed" in shown
        assert recorded.with_stores(_counts) == before
        assert "Done: 3 conversations" in recorded.run("sla", "reapply", "--yes").output
        after = recorded.with_stores(_counts)
        assert after["timeline"] == before["timeline"] + 3
        assert after["outbox"] > before["outbox"], "the threads say so"
        assert "newest version" in recorded.run("sla", "reapply").output
        explained = recorded.run("sla", "show", "1001").output
        assert "policy standard version 2" in explained

    def test_what_was_met_or_missed_before_stays(self, recorded: Place) -> None:
        """The answer after five hours stays late under the terms it was late by, and under those that follow."""
        recorded.change(sla=_sla(first_response="6h", resolution="48h"))
        self.restarted(recorded)
        recorded.run("sla", "reapply", "--yes")
        found = json.loads(recorded.run("sla", "show", "1002", "--json").stdout)
        first = next(clock for clock in found["clocks"] if clock["metric"] == "first_response")
        assert first["state"] == "met_late"

    def test_a_look_shows_nothing_hidden_and_is_audited(self, recorded: Place) -> None:
        """Who only looks is told of no conversation in a queue that is hidden from them; the look is in the trail."""
        self.edited(recorded)
        self.restarted(recorded)
        recorded.change(
            roles={"command_line": {os_user(): ["auditor"]}},
            queues={"general": {"channel": "C0GENERAL", "seen_by": {"agents": ["os:somebody-else"]}}},
        )
        assert "due before" not in recorded.run("sla", "reapply").output
        recorded.change(queues={"general": {"channel": "C0GENERAL"}})
        assert "3 conversations" in recorded.run("sla", "reapply").output
        assert recorded.with_stores(_looks) == ["0 of all", "3 of all"]

    def test_an_unknown_policy_is_refused(self, recorded: Place) -> None:
        """With those that there are."""
        done = recorded.run("sla", "reapply", "--policy", "gold")
        assert done.exit_code == 2
        assert "standard" in done.output


async def _looks(stores: Stores) -> list[str]:
    """What the trail says of looks at what a newer policy would change."""
    found = (
        select(tables.audit.c.detail).where(tables.audit.c.action == "sla.reapply.look").order_by(tables.audit.c.seq)
    )
    async with stores.database.read() as conn:
        return list((await conn.execute(found)).scalars())
