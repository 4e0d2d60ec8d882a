"""Settings that are right: what they hold, where they come from, what the rules make of them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot import settings, settings_file, settings_rulebook, settings_secrets, settings_values
from classifiers.base import Label
from domain import routing
from domain.errors import ConfigError
from domain.model import Priority

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config.yaml"
TOKEN = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"  # of the right form, of no account


def _taxonomy() -> list[Label]:
    data = yaml.safe_load((ROOT / "classifiers/starter/taxonomy.yaml").read_text(encoding="utf-8"))
    return [
        Label(
            id=intent["id"],
            names=intent["name"],
            descriptions=intent["description"],
            queue=intent["queue"],
            priority=Priority(intent["priority"]),
        )
        for intent in data["intents"]
    ]


def _write(folder: Path, **changes: object) -> Path:
    data = settings_file.read(SHIPPED)
    for section, value in changes.items():
        own = data.get(section)
        data[section] = {**own, **value} if isinstance(own, dict) and isinstance(value, Mapping) else value
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def _real(folder: Path, telegram: Mapping[str, object] = {}, slack: Mapping[str, object] = {}) -> Path:
    return _write(
        folder,
        telegram={"base_url": "https://api.telegram.org", **telegram},
        slack={"base_url": "https://slack.com/api/", **slack},
        clock={"source": None},
    )


def test_the_shipped_file_is_valid_and_runs_the_sandbox() -> None:
    """Nothing has to be edited before the first start, and no account exists anywhere."""
    read = settings.load(SHIPPED, environment={})
    assert read.sandbox
    assert read.secrets.telegram_token is not None
    assert read.data_dir == ROOT / "data"
    assert read.database_url == f"sqlite:///{ROOT}/data/relaydesk.db"
    assert read.keystore_url == f"sqlite:///{ROOT}/data/keys.db"
    assert not read.keys.master_file.is_relative_to(read.data_dir)


def _constants(path: str) -> dict[str, Any]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_the_shipped_file_names_what_the_sandbox_has() -> None:
    """Channels, groups and tokens are those the sandbox starts with; read from its source, never imported."""
    workspace = _constants("sandbox/slack/workspace.py")
    read = settings.load(SHIPPED, environment={})
    channels = {name: queue.channel for name, queue in read.queues.items()}
    assert channels == {name: workspace[f"CHANNEL_{name.upper()}"] for name in channels}
    assert read.slack.ops_channel == workspace["CHANNEL_LEADS"]
    assert read.roles.agent == (workspace["GROUP_AGENTS"],)
    assert read.roles.lead == (workspace["GROUP_LEADS"],)
    assert settings_secrets.SANDBOX["slack_bot_token"] == workspace["BOT_TOKEN"]
    assert settings_secrets.SANDBOX["slack_app_token"] == workspace["APP_TOKEN"]
    assert settings_secrets.SANDBOX["slack_signing_secret"] == workspace["SIGNING_SECRET"]
    telegram = _constants("sandbox/telegram/routes.py")
    assert settings_secrets.SANDBOX["telegram_token"] == telegram["DEFAULT_TOKEN"]


def test_the_shipped_rules_know_every_intent_of_the_starter_taxonomy() -> None:
    """Each rule names intents that exist, and each queue of the taxonomy is there."""
    rules = settings_rulebook.build(settings.load(SHIPPED, environment={}), _taxonomy())
    assert {intent.queue for intent in rules.intents.values()} <= set(rules.queues)
    assert all(intent.queue == label.queue for intent, label in zip(rules.intents.values(), _taxonomy(), strict=True))
    for intent in rules.intents.values():
        facts = routing.Facts(intent=intent.id, priority=intent.priority)
        chosen = routing.route(facts, rules.rules, rules.queues, rules.default_queue)
        assert chosen.queue == intent.queue, intent.id


def test_the_rulebook_says_what_the_file_says() -> None:
    """Queues, mentions as Slack writes them, policies and calendars arrive in the domain's words."""
    rules = settings_rulebook.build(settings.load(SHIPPED, environment={}), _taxonomy())
    assert rules.queues["tech"].slack_channel == "C0TECH"
    assert rules.queues["tech"].mention == "S0AGENTS"
    assert rules.lead_mention == "S0LEADS"
    assert rules.rules[-1].when.is_empty
    assert rules.policy_rules[-1].when.is_empty
    assert rules.policy_rules[0].when.priorities == {Priority.URGENT}
    assert rules.calendar_of(rules.policies["standard"]).name == "office"
    assert rules.reopen_window == timedelta(hours=72)
    assert rules.channel_limits == {"telegram": 4096}


def test_a_rule_for_an_intent_nobody_knows_is_a_mistake(tmp_path: Path) -> None:
    """The classifier's labels are checked as soon as they are known."""
    path = _write(tmp_path, routing=[{"when": {"intent": "bug_reprot"}, "queue": "tech"}, {"queue": "support"}])
    with pytest.raises(ConfigError) as caught:
        settings_rulebook.build(settings.load(path, environment={}), _taxonomy())
    assert caught.value.problems == (
        f'{path}: routing[0].when.intent: unknown intent "bug_reprot"; did you mean "bug_report"?',
    )


def test_an_intent_of_a_queue_that_the_company_lacks_goes_to_the_default_queue(tmp_path: Path) -> None:
    """A small company with one queue does not have to rewrite the taxonomy."""
    queues = {"support": {"channel": "C0SUPPORT"}}
    path = tmp_path / "config.yaml"
    data = {
        **settings_file.read(SHIPPED),
        "queues": queues,
        "routing": [{"queue": "support"}],
        "triage_queue": "support",
    }
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    rules = settings_rulebook.build(settings.load(path, environment={}), _taxonomy())
    assert {intent.queue for intent in rules.intents.values()} == {"support"}
    assert rules.queues["support"].title == "Support"


def test_a_public_holiday_can_be_worked_and_an_own_one_added(tmp_path: Path) -> None:
    """`remove` opens a public holiday with the weekday's usual hours; `add` closes a day; exceptions win."""
    data = settings_file.read(SHIPPED)
    office = data["sla"]["calendars"]["office"]
    office["holidays"] = {"country": "DE", "add": ["2026-06-10"], "remove": ["2026-05-25"]}
    office["exceptions"] = {"2026-06-11": ["10:00-11:00"]}
    path = _write(tmp_path, sla=data["sla"])
    rules = settings_rulebook.build(settings.load(path, environment={}), [*_taxonomy()])
    calendar = rules.calendars["office"]

    def open_at(day: date, hour: int) -> bool:
        return calendar.is_open(datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC))

    assert open_at(date(2026, 5, 25), 8)  # Pentecost Monday, removed
    assert not open_at(date(2026, 5, 14), 8)  # Ascension Day stays
    assert not open_at(date(2026, 6, 10), 8)  # added
    assert open_at(date(2026, 6, 11), 8)
    assert not open_at(date(2026, 6, 11), 12)


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process was started from changes nothing."""
    path = _write(tmp_path, data_dir="store")
    monkeypatch.chdir("/")
    assert settings.load(path, environment={}).data_dir == tmp_path / "store"


def test_a_section_whose_lines_are_all_comments_has_its_defaults(tmp_path: Path) -> None:
    """Commenting the last line of a section out is not a mistake."""
    path = _write(tmp_path, clock=None, log=None)
    assert settings.load(path, environment={}).clock.source is None


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A container sets single values without editing a file, and `overrides` (the demo) win over both."""
    path = _write(tmp_path)
    environment = {
        "RELAYDESK_WEB__PORT": "9000",
        "RELAYDESK_DATA_DIR": "/srv/desk",
        "RELAYDESK_LOG__LEVEL": "debug",
    }
    read = settings.load(path, environment=environment, overrides={"log": {"level": "error"}})
    assert (read.web.port, read.data_dir, read.log.level) == (9000, Path("/srv/desk"), "error")


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"RELAYDESK_WEB__PORT": "many"}, "environment: web.port: must be a whole number, not text"),
        ({"RELAYDESK_WEB__PROT": "1"}, 'environment: web.prot: unknown key; did you mean "port"?'),
        ({"RELAYDESK_WEB": "{"}, 'environment: error parsing value for field "web"'),
        (
            {"RELAYDESK_TELEGRAM_TOKN": TOKEN},
            "environment: RELAYDESK_TELEGRAM_TOKN: nothing is called so; did you mean RELAYDESK_TELEGRAM_TO",
        ),
        (
            {"RELAYDESK_TELEGRAM_TOKEN": TOKEN, "RELAYDESK_TELEGRAM_TOKEN_FILE": "x"},
            "environment: RELAYDESK_TELEGRAM_TOKEN: is given twice",
        ),
        (
            {"RELAYDESK_TELEGRAM_TOKEN": "nonsense"},
            "environment: RELAYDESK_TELEGRAM_TOKEN: has the wrong form",
        ),
        (
            {"RELAYDESK_SLACK_APP_TOKEN": "xoxb-1"},
            "environment: RELAYDESK_SLACK_APP_TOKEN: has the wrong form; it begins with xapp-",
        ),
        (
            {"RELAYDESK_SLACK_BOT_TOKEN_FILE": "none"},
            "environment: RELAYDESK_SLACK_BOT_TOKEN_FILE: there is no file",
        ),
        ({"RELAYDESK_SLACK_BOT_TOKEN_FILE": "."}, "environment: RELAYDESK_SLACK_BOT_TOKEN_FILE: "),
        ({"RELAYDESK_SLACK_BOT_TOKEN_FILE": "empty"}, "environment: RELAYDESK_SLACK_BOT_TOKEN_FILE: "),
        ({"RELAYDESK_SLACK_BOT_TOKEN_FILE": "bytes"}, "environment: RELAYDESK_SLACK_BOT_TOKEN_FILE: "),
        ({"RELAYDESK_SLACK_BOT_TOKEN_FILE": "large"}, "environment: RELAYDESK_SLACK_BOT_TOKEN_FILE: "),
    ],
)
def test_a_mistake_in_the_environment_is_one_line_that_says_so(
    tmp_path: Path, environment: dict[str, str], line: str
) -> None:
    """Nobody searches config.yaml for what a variable got wrong, and no secret is repeated."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "large").write_bytes(b"a" * 70_000)
    with pytest.raises(ConfigError) as caught:
        settings.load(_write(tmp_path), environment=environment)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(line)
    assert TOKEN not in str(caught.value)


def test_a_secret_file_nobody_may_read_is_named_with_its_fix(tmp_path: Path, unreadable: Path) -> None:
    """An unreadable secret file is told before anything starts."""
    with pytest.raises(ConfigError) as caught:
        settings.load(_write(tmp_path), environment={"RELAYDESK_TELEGRAM_TOKEN_FILE": str(unreadable)})
    assert caught.value.problems[0].startswith(
        f"environment: RELAYDESK_TELEGRAM_TOKEN_FILE: {unreadable} cannot be read"
    )


@pytest.fixture
def unreadable() -> Path:
    """A file that opens for nobody, root included."""
    return Path("/proc/self/mem")


def test_secrets_come_from_dot_env_files_and_the_environment(tmp_path: Path) -> None:
    """The process's environment wins over `.env`; a file's last newline is not part of the secret."""
    path = _real(tmp_path)
    (tmp_path / ".env").write_text(f"RELAYDESK_TELEGRAM_TOKEN={TOKEN}\nRELAYDESK_SLACK_BOT_TOKEN='xoxb-low'\n")
    (tmp_path / "app").write_text("xapp-1-A-2-b\n")
    environment = {"RELAYDESK_SLACK_BOT_TOKEN": "xoxb-high", "RELAYDESK_SLACK_APP_TOKEN_FILE": "app"}
    secrets = settings.load(path, environment=environment).secrets
    assert secrets.telegram_token == SecretStr(TOKEN)
    assert secrets.slack_bot_token == SecretStr("xoxb-high")
    assert secrets.slack_app_token == SecretStr("xapp-1-A-2-b")


def test_no_text_form_of_the_settings_shows_a_secret(tmp_path: Path) -> None:
    """repr, dump and JSON can be logged."""
    environment = {
        "RELAYDESK_TELEGRAM_TOKEN": TOKEN,
        "RELAYDESK_DATABASE_URL": "postgresql://u:hunter2@db/x",
        "RELAYDESK_KEYSTORE_URL": "postgresql://u:hunter2@db/k",
    }
    read = settings.load(_real(tmp_path), environment=environment)
    assert read.database_url == "postgresql+asyncpg://u:hunter2@db/x"
    for text in (repr(read), str(read), repr(read.secrets), read.model_dump_json(), repr(read.model_dump())):
        assert TOKEN not in text
        assert "hunter2" not in text


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, {"TELEGRAM_TOKEN", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}),
        (
            {
                "telegram": {"mode": "webhook", "webhook_url": "https://d.example/t"},
                "slack": {"mode": "http"},
            },
            {"TELEGRAM_TOKEN", "TELEGRAM_WEBHOOK_SECRET", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET"},
        ),
        ({"telegram": {"enabled": False}}, {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}),
    ],
)
def test_with_real_accounts_a_start_is_refused_without_its_secrets(
    tmp_path: Path, changes: dict[str, dict[str, object]], wanted: set[str]
) -> None:
    """Its fixed tokens never go to a real platform; each missing one is a line with its fix."""
    read = settings.load(_real(tmp_path, **changes), environment={})
    lines = read.blockers()
    named = {line.split(": ")[1].removeprefix("RELAYDESK_") for line in lines if line.startswith("environment")}
    assert named == wanted
    assert any("keys.master_file: there is no" in line for line in lines)
    assert all("relaydesk init" in line for line in lines)


def test_one_local_platform_alone_is_not_the_sandbox(tmp_path: Path) -> None:
    """A local Bot API server beside a real workspace gets no fixed tokens."""
    path = _write(tmp_path, slack={"base_url": "https://slack.com/api"}, clock={"source": None})
    read = settings.load(path, environment={})
    assert not read.sandbox
    assert read.secrets.telegram_token is None
    assert read.slack.base_url == "https://slack.com/api/"


def test_the_schema_describes_every_key_of_the_shipped_file() -> None:
    """An editor that has the schema knows every key, and the schema is plain JSON."""
    schema = json.loads(json.dumps(settings.json_schema()))
    assert set(settings_file.read(SHIPPED)) <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert schema["properties"]["data_dir"]["description"]


def test_yaml_words_that_trap_people_stay_text(tmp_path: Path) -> None:
    """`no` is Norwegian, 9:30 is a time and a date is a date's text, as YAML 1.2 says."""
    path = tmp_path / "x.yaml"
    path.write_text("a: no\nb: 9:30\nc: 2026-12-24\nd: true\ne: 1_000\nf: 1.5\ng: ~\nh: 010\n", encoding="utf-8")
    words = {"a": "no", "b": "9:30", "c": "2026-12-24", "e": "1_000"}
    assert settings_file.read(path) == {**words, "d": True, "f": 1.5, "g": None, "h": 10}


@given(st.integers(min_value=0, max_value=87_839), st.integers(min_value=0, max_value=3_599_999))
def test_a_duration_is_read_back_as_it_was_written(hours: int, rest_ms: int) -> None:
    """What `config show` prints is what `config check` takes."""
    span = timedelta(hours=hours, milliseconds=rest_ms)
    assert settings_values.parse_span(settings_values.show_span(span)) == span


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    """The settings in force, dumped as YAML, are a valid config.yaml of the same meaning."""
    read = settings.load(SHIPPED, environment={})
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(read.model_dump(mode="json")), encoding="utf-8")
    assert settings.load(path, environment={}).model_dump() == read.model_dump()
