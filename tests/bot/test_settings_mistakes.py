"""Every mistake an operator can make in config.yaml, and the one line each gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot import settings
from domain.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config.yaml"
REAL = {"telegram": {"mode": "polling"}, "slack": {"mode": "socket"}}
SECRET = "looks like a secret, and this file gets shared; remove it here and put it into"
PG = "postgresql://relaydesk@db.example/relaydesk"

Change = Callable[[dict[str, Any]], object]


def _put(*path: str | int, value: object) -> Change:
    def change(data: dict[str, Any]) -> None:
        node: Any = data
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return change


def _drop(*path: str | int) -> Change:
    def change(data: dict[str, Any]) -> None:
        node: Any = data
        for step in path[:-1]:
            node = node[step]
        del node[path[-1]]

    return change


MISTAKES: list[tuple[str, Change, str]] = [
    (
        "unknown queue in a rule",
        _put("routing", 0, "queue", value="biling"),
        'routing[0].queue: unknown queue "biling"; did you mean "billing"?',
    ),
    (
        "unknown key",
        _put("telegram", "mod", value="polling"),
        'telegram.mod: unknown key; did you mean "mode"?',
    ),
    (
        "a key of a release before",
        _put("queues", "support", "languages", value=["en"]),
        (
            "queues.support.languages: is gone, and nothing ever read it: take it out. Messages of a language go to a "
            "queue by a rule (routing: - when: {language: zh}, queue: ...), and to people who read it by assign: "
            "by_language"
        ),
    ),
    ("unknown section", _put("queue", value={}), 'queue: unknown key; did you mean "queues"?'),
    (
        "unknown condition",
        _put("routing", 0, "when", value={"intnt": "x"}),
        'routing[0].when.intnt: unknown key; did you mean "intent"?',
    ),
    (
        "a web server that others reach",
        _put("web", "host", value="10.0.0.7"),
        (
            "web.host: lets others reach the web server, which speaks plain http: keep 127.0.0.1 behind a proxy on "
            "this machine, or set web.behind_tls: true where a proxy in front ends TLS and nobody else reaches web.port"
        ),
    ),
    ("wrong type", _put("web", "port", value="many"), "web.port: must be a whole number, not text"),
    ("port out of range", _put("web", "port", value=70000), "web.port: must be at most 65535"),
    (
        "a list for a section",
        _put("telegram", value=[1]),
        "telegram: must be a section with keys of its own, not a list",
    ),
    (
        "wrong choice",
        _put("telegram", "mode", value="weebhook"),
        'telegram.mode: "weebhook" is not a choice here; did you mean "webhook"?',
    ),
    (
        "bare duration",
        _put("desk", "reopen_window", value=72),
        "desk.reopen_window: is not a duration; write a number with its unit",
    ),
    (
        "poll timeout too long",
        _put("telegram", "poll_timeout", value="5m"),
        "telegram.poll_timeout: is out of range; Telegram allows 1s to 50s",
    ),
    (
        "a file limit of nothing",
        _put("telegram", "upload_mb", value=1e-9),
        "telegram.upload_mb: must be at least 0.001",
    ),
    (
        "empty calendar",
        _put("sla", "calendars", "office", "hours", value={}),
        "sla.calendars.office: is never open: give at least one weekday hours",
    ),
    (
        "hours no clock shows",
        _put("sla", "calendars", "office", "hours", value={"mon": ["9-17"]}),
        "sla.calendars.office: '9-17' is not a pair of hours: write '09:00-17:30'",
    ),
    (
        "unknown time zone",
        _put("sla", "calendars", "office", "tz", value="Europe/Berln"),
        "sla.calendars.office: unknown time zone 'Europe/Berln'",
    ),
    (
        "ambiguous day",
        _put("sla", "policies", "standard", "targets", "normal", "resolution", value="3d"),
        "sla.policies.standard.targets.normal.resolution: '3d' is ambiguous",
    ),
    (
        "unreachable target",
        _put("sla", "policies", "standard", "targets", "normal", "resolution", value="999bd"),
        "sla.policies.standard: resolution for normal",
    ),
    (
        "a policy that promises nothing",
        _put("sla", "policies", "standard", "targets", value={}),
        "sla.policies.standard: promises nothing: give at least one target",
    ),
    (
        "unknown calendar",
        _put("sla", "policies", "standard", "calendar", value="ofice"),
        'sla.policies.standard.calendar: unknown calendar "ofice"; did you mean "office"?',
    ),
    (
        "a policy without any calendar",
        _drop("sla", "policies", "standard", "calendar"),
        "sla.policies.standard.calendar: has no calendar, and not every queue has one; name one here",
    ),
    (
        "unknown calendar of a queue",
        _put("queues", "support", "calendar", value="ofice"),
        'queues.support.calendar: unknown calendar "ofice"; did you mean "office"?',
    ),
    (
        "unknown default calendar",
        _put("sla", "calendar", value="allways"),
        'sla.calendar: unknown calendar "allways"; did you mean "always"?',
    ),
    (
        "a link to no field",
        _put("telegram", "links", value={"emial": {"prefix": "e-"}}),
        'telegram.links.emial: unknown profile field "emial"; did you mean "email"?',
    ),
    (
        "a pattern that is none",
        _put("telegram", "links", value={"source": {"prefix": "s-", "pattern": "["}}),
        "telegram.links.source.pattern: is not a regular expression",
    ),
    (
        "an emoji that Telegram refuses",
        _put("desk", "reactions", value={"rocket": "🚀"}),
        'desk.reactions: "🚀" is not one of the emoji',
    ),
    (
        "an emoji that says something already",
        _put("desk", "reactions", value={":x:": "👎"}),
        'desk.reactions: ":x:" already says something',
    ),
    (
        "unknown queue in a policy rule",
        _put("sla", "rules", 0, "when", value={"queue": ["billing", "suport"]}),
        'sla.rules[0].when.queue[1]: unknown queue "suport"; did you mean "support"?',
    ),
    (
        "a return after a day",
        _put("sla", "policies", "standard", "return_after", value="1d"),
        "sla.policies.standard.return_after: '1d' is ambiguous",
    ),
    (
        "a pause while open",
        _put("sla", "policies", "standard", "pause", value={"periodic_update": ["open"]}),
        "sla.policies.standard: a clock cannot pause while a conversation is new or open",
    ),
    (
        "unknown policy",
        _put("sla", "rules", 0, "policy", value="urgnt"),
        'sla.rules[0].policy: unknown policy "urgnt"; did you mean "urgent"?',
    ),
    (
        "no last policy",
        _drop("sla", "rules", 1),
        "sla.rules: has no last resort; end the list with an entry that has no when: - policy: standard",
    ),
    (
        "rule without queue",
        _drop("routing", 0, "queue"),
        "routing[0].queue: is missing; every rule says where its messages go",
    ),
    (
        "missing last resort",
        _drop("routing", -1),
        "routing: has no last resort; end the list with an entry that has no when: - queue: support",
    ),
    ("empty routing", _put("routing", value=[]), "routing: has no last resort"),
    (
        "unreachable rules",
        _drop("routing", 0, "when"),
        "routing[0]: always holds, so that what follows is never reached",
    ),
    ("missing default queue", _drop("default_queue"), "default_queue: is missing; add default_queue: ..."),
    (
        "unknown triage queue",
        _put("triage_queue", value="triag"),
        'triage_queue: unknown queue "triag"; did you mean "triage"?',
    ),
    (
        "two rules of one name",
        _put("routing", 1, "name", value="billing"),
        'routing[1].name: "billing" is the name of an earlier rule too',
    ),
    (
        "unknown channel in a condition",
        _put("routing", 0, "when", value={"channel": ["telegran"]}),
        'routing[0].when.channel[0]: unknown channel "telegran"; did you mean "telegram"?',
    ),
    (
        "unknown priority in a condition",
        _put("sla", "rules", 0, "when", value={"priority": "urgnet"}),
        'sla.rules[0].when.priority: "urgnet" is not a priority; use one of low, normal, high, urgent',
    ),
    (
        "a channel's name for its id",
        _put("queues", "support", "channel", value="#support"),
        "queues.support.channel: is not a Slack channel id (C...)",
    ),
    (
        "a handle for a member id",
        _put("roles", "agent", value=["@maya"]),
        "roles.agent[0]: is not a Slack user id (U...) or user group id (S...)",
    ),
    (
        "an address without scheme",
        _put("slack", "base_url", value="slack.com/api"),
        "slack.base_url: is not an address",
    ),
    (
        "plain http to another machine",
        _put("telegram", "base_url", value="http://api.example"),
        "telegram.base_url: is plain http to another machine; use https",
    ),
    (
        "a clock far away",
        _put("clock", "source", value="https://clock.example/now"),
        "clock.source: must be on this machine",
    ),
    (
        "the fast clock with a real workspace",
        _put("slack", value={**REAL["slack"], "ops_channel": "C0LEADS"}),
        "clock.source: is set while telegram.base_url or slack.base_url is not on this machine",
    ),
    (
        "nobody who hears of a deadline",
        lambda data: (data.pop("alerts"), data["slack"].pop("ops_channel")),
        "alerts.fallback: is missing; name the Slack channel",
    ),
    (
        "an alert that goes nowhere",
        _put("alerts", value={"fallback": "C0LEADS", "levels": [{"after": "15m", "to": "everybody"}]}),
        "alerts.levels[0].to: is no place for an alert",
    ),
    (
        "a level before the one above it",
        _put(
            "alerts",
            value={"fallback": "C0LEADS", "levels": [{"after": "1h", "to": "queue"}, {"after": "15m", "to": "leads"}]},
        ),
        "alerts.levels[1].after: is before the level above (1h)",
    ),
    (
        "a service without an address",
        _put("alerts", value={"fallback": "C0LEADS", "levels": [{"after": "1h", "to": "webhook"}]}),
        "alerts.webhook: is missing",
    ),
    (
        "hours of a calendar that is none",
        _put("alerts", value={"fallback": "C0LEADS", "hours": {"U0MAYA": "offise"}}),
        'alerts.hours.U0MAYA: unknown calendar "offise"; did you mean "office"?',
    ),
    (
        "deaf before a quiet poll has ended",
        _put("telegram", "deaf_after", value="8s"),
        "telegram.deaf_after: must be longer than telegram.poll_timeout",
    ),
    (
        "webhook mode without address",
        _put("telegram", "mode", value="webhook"),
        "telegram.webhook_url: is missing",
    ),
    (
        "a token in the file",
        _put("telegram", "token", value="x"),
        f"telegram.token: {SECRET} RELAYDESK_TELEGRAM_TOKEN",
    ),
    (
        "a Slack token under any name",
        _put("slack", "bot", value="xoxb-1-2-abc"),
        "slack.bot: looks like a secret",
    ),
    (
        "the master key in the file",
        _put("keys", "master_key", value="abcdef"),
        f"keys.master_key: {SECRET} RELAYDESK_MASTER_KEY",
    ),
    (
        "a database password in the file",
        _put("database", value={"url": "postgresql://u:pw@db/x"}),
        f"database.url: {SECRET} RELAYDESK_DATABASE_URL",
    ),
    (
        "PostgreSQL without a key store",
        _put("database", value={"url": PG}),
        "keystore.url: is missing; with PostgreSQL name a second database for the keys in RELAYDESK_KEY",
    ),
    (
        "one database for record and keys",
        lambda data: data.update(database={"url": PG}, keystore={"url": PG}),
        "keystore.url: is the database itself",
    ),
    (
        "an engine that is not supported",
        _put("database", value={"url": "mysql://db/x"}),
        "database.url: must begin with postgresql+asyncpg:// or sqlite:///",
    ),
    (
        "a name that a chat would make a link of",
        _put("desk", "names", value={"U0MAYA": "maya.example.com"}),
        "desk.names.U0MAYA: cannot stand above an answer",
    ),
    (
        "a name for a group",
        _put("desk", "names", value={"S0AGENTS": "The team"}),
        "desk.names: S0AGENTS is a user group; give the id of a person",
    ),
    (
        "answers that are late at once",
        _put("desk", "ask_late", value="1s"),
        "desk.ask_late: is out of range; 1m to 24h, or null",
    ),
    (
        "the key among the data",
        _put("keys", "master_file", value="data/master.key"),
        "keys.master_file: lies inside data_dir",
    ),
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Change], Path]:
    """Writes the shipped config.yaml with one change."""

    def _write(change: Change) -> Path:
        data = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
        change(data)
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        return path

    return _write


@pytest.mark.parametrize(("change", "line"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_each_mistake_gets_one_line_with_file_key_and_fix(
    write: Callable[[Change], Path], change: Change, line: str
) -> None:
    """A mistake is told once, by the file's name, the key and what to do."""
    path = write(change)
    with pytest.raises(ConfigError) as caught:
        settings.load(path, environment={})
    problems = caught.value.problems
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"{path}: {line}"), problems[0]
    assert "\n" not in problems[0]


def test_several_mistakes_are_told_at_once(write: Callable[[Change], Path]) -> None:
    """A wrong type does not hide a wrong reference: nobody mends a file one start at a time."""

    def change(data: dict[str, Any]) -> None:
        data["web"]["port"] = "many"
        data["routing"][0]["queue"] = "biling"
        data["telegrm"] = {}

    with pytest.raises(ConfigError) as caught:
        settings.load(write(change), environment={})
    assert [line.split(": ")[1] for line in caught.value.problems] == [
        "routing[0].queue",
        "telegrm",
        "web.port",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "data_dir: a\ndata_dir: b\n",
            'line 2, column 1: the key "data_dir" stands here twice; keep one of them',
        ),
        ("web: {port: [\n", "line 2, column 1: "),
        ("- a\n- b\n", "must be a list of `key: value` lines"),
        ("\t a: b", "line 1, column 1: is a tab; indent with spaces"),
        ("a:\n\tb: c\n", "line 2, column 1: is a tab; indent with spaces"),
        ("a: @b\n", "line 1, column 4: begins with a character that YAML keeps for itself; put the value in quotes"),
        ("a: b: c\n", "line 1, column 5: a second colon; "),
        ("a: b\nc\nd: e\n", "line 3, column 1: a line before this one has no colon"),
        ("a:\n  - b\n c: d\n", "line 3, column 2: is indented otherwise"),
        ("a: 'b\n", "line 2, column 1: quotes or brackets that do not end"),
        ("a: \x01", "cannot be read as YAML"),
        (
            "a: !!python/object/apply:os.system ['true']\n",
            "line 1, column 4: could not determine a constructor",
        ),
        ("? [a]\n: b\n", "line 1, column 3: a key must be a word"),
    ],
)
def test_a_file_that_is_not_yaml_is_refused_with_the_place(tmp_path: Path, text: str, line: str) -> None:
    """Broken YAML, repeated keys and tags that run code are one line, never a traceback."""
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        settings.load(path, environment={})
    assert str(caught.value).startswith(f"{path}: {line}")


def test_a_missing_or_unreadable_file_names_the_way_out(tmp_path: Path) -> None:
    """No file, a folder, and bytes that are not text each say what to do."""
    with pytest.raises(ConfigError, match="there is no such file; name another with --config"):
        settings.load(tmp_path / "none.yaml", environment={})
    with pytest.raises(ConfigError, match="cannot be read"):
        settings.load(tmp_path, environment={})
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        settings.load(tmp_path / "latin.yaml", environment={})


def test_no_line_ever_shows_what_may_be_secret(write: Callable[[Change], Path]) -> None:
    """A token in a wrong place is named by its key, never repeated."""
    token = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"  # of the right form, of no account

    def change(data: dict[str, Any]) -> None:
        data["telegram"]["mode"] = token
        data["telegram"]["api_key"] = token
        data["default_queue"] = token

    with pytest.raises(ConfigError) as caught:
        settings.load(write(change), environment={"RELAYDESK_SLACK_BOT_TOKEN": "not-a-token-at-all"})
    assert token not in str(caught.value)
    assert "not-a-token-at-all" not in str(caught.value)
