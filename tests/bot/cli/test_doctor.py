"""`relaydesk doctor`: every check with cause and fix, against a running sandbox."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import holidays
import pytest

from bot import settings, times
from bot.cli import checks
from bot.cli.terminal import FAILED
from bot.opening import Stores
from bot.settings_sla import CalendarSettings
from domain.ports import Arrival
from storage import inbox as inbox_store
from storage import migrate
from tests.bot.cli.conftest import ROOT, Place

TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"  # of the right form, of no account


def _checks(place: Place, *words: str, code: int) -> dict[str, dict[str, Any]]:
    result = place.run("doctor", "--json", *words)
    assert result.exit_code == code, result.stdout + result.stderr
    body = json.loads(result.stdout)
    assert body["well"] is (code == 0)
    return {check["name"]: check for check in body["checks"]}


async def _look(stores: Stores) -> str | None:
    return await migrate.found(stores.database)


async def _set_aside(stores: Stores) -> None:
    await stores.inbox.put([Arrival(source="telegram", event_key="1", lane_key="a", payload="{}")], times.real())
    await stores.database.write(lambda conn: inbox_store.fail(conn, 1, 8, "malformed", dead=True))


needs_model = pytest.mark.skipif(
    not (ROOT / ".cache/model/heads").is_dir(), reason="the model is not prepared: run `make model`"
)


@needs_model
def test_a_well_house_is_all_ok(connected: Place) -> None:
    """Config, secrets, keys, disk, database, model, calendars, Telegram and Slack; exit code 0."""
    connected.with_stores(_look)
    found = _checks(connected, code=0)
    undecided = ("key copy", "backups", "privacy officer")  # what only the company can say
    assert {check["state"] for name, check in found.items() if name not in undecided} == {"ok"}
    wanted = {"config", "secrets", "master key", "key store", "disk", "database", "dead letters", "model"}
    wanted |= {"calendar office", "telegram.token", "telegram.webhook", "slack token", "slack scopes"}
    assert wanted <= set(found)


def test_nobody_forgets_to_copy_the_key_away(connected: Place) -> None:
    """A note until a person says so; a new key asks again."""
    assert _checks(connected, "--offline", code=_model_code())["key copy"]["state"] == "note"
    assert "key copy" not in _checks(connected, "--offline", "--key-is-copied", code=_model_code())
    assert "key copy" not in _checks(connected, "--offline", code=_model_code())
    ring = connected.folder / "keys" / "master.key"
    ring.unlink()
    connected.make_key()
    assert _checks(connected, "--offline", code=_model_code())["key copy"]["state"] == "note"


def _model_code() -> int:
    return 0 if (ROOT / ".cache/model/heads").is_dir() else FAILED


def test_a_broken_configuration_is_shown_as_such(place: Place) -> None:
    """Exit code 2 and the same lines as `config check`."""
    place.change(default_queue="supporrt")
    found = _checks(place, code=2)
    assert 'did you mean "support"?' in found["config"]["found"]


def test_a_missing_key_is_told_with_the_command_that_makes_it(place: Place) -> None:
    """Secrets and keys are red, and everything else is still looked at."""
    found = _checks(place, "--offline", code=FAILED)
    assert "relaydesk init" in found["secrets"]["fix"]
    assert found["keys"]["state"] == "wrong"
    assert found["disk"]["state"] == "ok"
    assert found["database"]["state"] == "note"


def test_a_dot_env_that_others_may_read_is_wrong(place: Place) -> None:
    """With the command that mends it."""
    place.make_key()
    (place.folder / ".env").write_text("")
    (place.folder / ".env").chmod(0o644)
    assert _checks(place, "--offline", code=FAILED)["secrets"]["fix"] == f"run: chmod 600 {place.folder}/.env"


def test_a_master_key_of_another_house_is_found(place: Place) -> None:
    """The key store opens with its own key alone; whoever needs it is named beside the one line that says so."""
    place.make_key()
    place.with_stores(_look)
    (place.folder / "keys" / "master.key").unlink()
    place.make_key()
    assert _checks(place, "--offline", code=FAILED)["keys"]["state"] == "wrong"
    told = place.run("doctor", "--offline").output
    assert "keys, database" in told
    assert told.count("put your copy of the master key") == 1


def test_dead_letters_are_counted_and_the_list_is_named(place: Place) -> None:
    """Nothing set aside stays unseen."""
    place.make_key()
    place.with_stores(_set_aside)
    found = _checks(place, "--offline", code=FAILED)["dead letters"]
    assert (found["found"], found["fix"]) == ("1 set aside", "see them with: relaydesk dead list")


def test_a_database_of_another_release_is_told(place: Place) -> None:
    """Both versions and the command; the database is left as it is."""
    place.make_key()
    place.with_stores(_look)
    with sqlite3.connect(place.folder / "data" / "relaydesk.db") as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
        conn.execute("UPDATE meta SET value = '9999' WHERE name = 'schema.oldest'")
    conn.close()
    found = _checks(place, "--offline", code=FAILED)["database"]
    assert found["found"].startswith("schema 9999, this release wants")
    assert place.run("db", "version").exit_code == 1
    assert "newer release" in place.run("db", "upgrade").stderr


def test_a_calendar_that_stays_closed_is_told(place: Place) -> None:
    """No deadline would run, and nobody would notice."""
    place.make_key()
    sla = json.loads(place.run("config", "show", "--json").stdout)["config"]["sla"]
    days: dict[str, list[str]] = {str(date.today() + timedelta(days=n)): [] for n in range(-1, 30)}  # noqa: DTZ011 -- any zone will do
    sla["calendars"]["office"]["exceptions"] = days
    place.change(sla=sla)
    found = _checks(place, "--offline", code=FAILED)["calendar office"]
    assert found["state"] == "wrong"
    assert "sla.calendars.office" in found["fix"]


async def test_what_a_country_has_not_announced_is_told(place: Place) -> None:
    """From November on, until the list has next year's make-up days or the company names them; then only once."""
    read = settings.load(place.path, environment={})
    hours = {"mon-fri": ["09:00-18:00"]}
    chinese = {"tz": "Asia/Shanghai", "hours": hours, "holidays": {"country": "CN"}}
    known = max(day.year for day in holidays.country_holidays("CN", years=range(2025, 2040)).weekend_workdays)

    async def told(*work: date) -> list[str]:
        given = CalendarSettings.model_validate(chinese | {"holidays": {"country": "CN", "work": work}})
        asked = read.model_copy(update={"sla": read.sla.model_copy(update={"calendars": {"china": given}})})
        found = await checks.calendars(asked, now)
        return [one.found for one in found if one.state == "note"]

    now = datetime(known, 10, 1, tzinfo=UTC)
    assert await told() == []
    now = datetime(known, 11, 22, tzinfo=UTC)
    (line,) = await told()
    assert f"make-up days of {known + 1}" in line
    assert await told(date(known + 1, 2, 6)) == []


async def test_somebody_must_be_able_to_decide_requests(place: Place) -> None:
    """Without a privacy officer, or a channel, a customer's request waits for nobody."""
    read = settings.load(place.path, environment={})
    (none,) = await checks.privacy(read)
    assert (none.state, "roles.privacy_officer" in none.fix) == ("note", True)
    place.change(roles={"privacy_officer": ["U0JONAS"]})
    (decided,) = await checks.privacy(settings.load(place.path, environment={}))
    assert decided.state == "ok"


def test_a_missing_model_names_the_command(place: Place) -> None:
    """Cause and fix."""
    place.make_key()
    place.change(classifier={"model_dir": str(place.folder / "none")})
    found = _checks(place, "--offline", code=FAILED)["model"]
    assert found["fix"] == "run: relaydesk model prepare"


def test_tokens_that_are_not_taken_are_told_by_platform(connected: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with where the right one is found, and never repeated."""
    monkeypatch.setenv("RELAYDESK_TELEGRAM_TOKEN", TOKEN)
    monkeypatch.setenv("RELAYDESK_SLACK_BOT_TOKEN", "xoxb-of-no-account")
    result = connected.run("doctor", "--json")
    found = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert found["telegram.token"]["state"] == "wrong"
    assert found["slack token"]["state"] == "wrong"
    assert TOKEN not in result.stdout + result.stderr
    assert "xoxb-of-no-account" not in result.stdout + result.stderr


def test_a_sandbox_that_is_not_running_is_told_as_such(place: Place) -> None:
    """The commonest state of a fresh clone has its own hint."""
    place.make_key()
    place.change(
        telegram={"base_url": "http://127.0.0.1:9/telegram"}, slack={"base_url": "http://127.0.0.1:9/slack/api/"}
    )
    result = place.run("doctor")
    assert result.exit_code == FAILED
    assert f"is the sandbox running? `relaydesk demo -c {place.path}` starts one" in result.stdout


def test_the_table_shows_each_fix_below(place: Place) -> None:
    """State in words, then cause and fix; the colour is nowhere needed."""
    result = place.run("doctor", "--offline")
    assert "WRONG" in result.stdout
    assert f"→ run `relaydesk init -c {place.path}`" in result.stdout
    assert "checks found something wrong." in result.stderr


async def test_a_check_that_breaks_is_a_line_of_its_own() -> None:
    """One broken check does not hide the others, and its text is not shown."""

    async def broken() -> list[checks.Check]:
        raise ZeroDivisionError(TOKEN)

    (line,) = await checks.tried("disk", broken)
    assert (line.name, line.state, line.found) == ("disk", "wrong", "ZeroDivisionError")


@pytest.fixture
def on_postgres(place: Place, postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> Place:
    """Record and key store in two PostgreSQL databases, named by variables."""
    monkeypatch.setenv("RELAYDESK_DATABASE_URL", postgres_database())
    monkeypatch.setenv("RELAYDESK_KEYSTORE_URL", postgres_database())
    place.make_key()
    return place


@pytest.mark.postgres
def test_the_same_commands_serve_postgresql(on_postgres: Place) -> None:
    """Upgrade, version, doctor and dead letters over a server instead of a file."""
    assert "this release wants" in on_postgres.run("db", "version").stdout
    assert _checks(on_postgres, "--offline", code=FAILED)["database"]["fix"].endswith("relaydesk db upgrade")
    assert on_postgres.run("db", "upgrade").exit_code == 0
    assert on_postgres.run("db", "version").exit_code == 0
    found = _checks(on_postgres, "--offline", code=_model_code())
    assert {found[name]["state"] for name in ("database", "key store", "dead letters")} == {"ok"}
    assert on_postgres.run("dead", "list").stdout == "Nothing was set aside.\n"


def test_a_server_that_does_not_answer_is_a_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cause and question, no address and no password."""
    place.make_key()
    monkeypatch.setenv("RELAYDESK_DATABASE_URL", "postgresql://desk:hunter2@127.0.0.1:9/x")
    monkeypatch.setenv("RELAYDESK_KEYSTORE_URL", "postgresql://desk:hunter2@127.0.0.1:9/k")
    for words in (["doctor", "--offline"], ["dead", "list"], ["show", "1"], ["db", "upgrade"], ["run"]):
        result = place.run(*words)
        assert result.exit_code == FAILED
        assert "hunter2" not in result.stdout + result.stderr
        assert "cannot be" in result.stdout + result.stderr, words
