"""The command line as a whole: help, configuration mistakes, errors, speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import click
import pytest
import yaml
from rich.cells import cell_len
from typer.main import get_command
from typer.testing import CliRunner

from bot.cli import main, terminal
from bot.settings import load
from domain.errors import ConfigError, RefusedToStart
from tests.bot.cli.conftest import ROOT, Place
from tests.bot.test_settings_mistakes import MISTAKES, Change

SECRET = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"
COMMANDS = tuple(sorted(cast("click.Group", get_command(main.app)).commands))


def test_help_fits_a_screen() -> None:
    """A line for every command in forty lines of eighty columns, and none is cut short."""
    text = CliRunner().invoke(main.app, ["--help"]).stdout
    lines = text.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert "..." not in text.partition("Commands:")[2]
    assert all(f"  {command} " in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(command: str) -> None:
    """One screen too, and it says what the command does; those of a group have a line each, and none is cut short."""
    result = CliRunner().invoke(main.app, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) <= 40
    listed = result.stdout.partition("Commands:\n")[2]
    assert "..." not in listed
    group = getattr(cast("click.Group", get_command(main.app)).commands[command], "commands", {})
    assert [line.split()[0] for line in listed.splitlines()] == list(group)


def test_help_loads_nothing_heavy() -> None:
    """What costs a second is imported by the command that needs it."""
    heavy = "sqlalchemy", "telegram", "slack_sdk", "slack_bolt", "numpy", "pydantic", "onnxruntime", "httpx", "alembic"
    code = f"import sys; from bot.cli import main; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(("change", "line"), [m[1:] for m in MISTAKES[::6]], ids=[m[0] for m in MISTAKES[::6]])
def test_a_configuration_mistake_is_exit_code_2_and_its_line(place: Place, change: Change, line: str) -> None:
    """`config check` says file, key and fix on standard error, and nothing else."""
    data = yaml.safe_load(place.path.read_text(encoding="utf-8"))
    change(data)
    place.path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    result = place.run("config", "check")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{place.path}: {line}")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("command", [["run"], ["show", "1"], ["dead", "list"], ["db", "upgrade"], ["model", "prepare"]])
def test_no_command_starts_over_a_broken_configuration(place: Place, command: list[str]) -> None:
    """Whatever was asked for: one line per mistake, exit code 2."""
    place.change(default_queue="supporrt")
    result = place.run(*command)
    assert result.exit_code == 2
    assert result.stderr == f'{place.path}: default_queue: unknown queue "supporrt"; did you mean "support"?\n'


@pytest.mark.parametrize("command", [["show"], ["explain"], ["sla", "show"], ["sla", "excuse", "--reason", "x"]])
def test_a_number_that_no_conversation_can_have_is_a_line(place: Place, command: list[str]) -> None:
    """More digits than are stored, or digits of another script, are refused before anything is opened."""
    for given in ("999999999999", "9999999999", "١٠٤٢", "#"):
        result = place.run(*command, given)
        assert (result.exit_code, "conversation's number" in result.output) == (2, True)
    assert terminal.numbered("#999999999") == 999_999_999


def test_a_real_process_ends_with_exit_code_2_and_without_a_traceback(tmp_path: Path) -> None:
    """The installed script, in a folder without a configuration."""
    script = Path(sys.executable).with_name("relaydesk")
    done = subprocess.run([script, "config", "check"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("config.yaml: there is no such file; name another with --config")
    assert "Traceback" not in done.stderr


def test_run_is_refused_without_its_master_key(place: Place) -> None:
    """`run` never makes keys: the line names the file and the command that does."""
    result = place.run("run")
    assert result.exit_code == 2
    assert "keys.master_file: there is no" in result.stderr
    assert "relaydesk init" in result.stderr


def test_check_says_what_a_start_would_still_need(place: Place) -> None:
    """The shipped file is valid as it is; that a key is missing is said beside it."""
    result = place.run("config", "check")
    assert result.exit_code == 0
    assert result.stdout == f"{place.path}: valid (4 queues, 5 rules, 2 policies, 2 calendars; the sandbox)\n"
    assert "keys.master_file" in result.stderr


def test_check_knows_the_classifiers_intents(place: Place) -> None:
    """A rule for an intent that nobody can find is a mistake before the first start."""
    place.change(routing=[{"when": {"intent": "refnd"}, "queue": "billing"}, {"queue": "support"}])
    result = place.run("config", "check")
    assert result.exit_code == 2
    assert 'routing[0].when.intent: unknown intent "refnd"' in result.stderr


def test_show_prints_what_is_in_force_and_no_secret(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Valid YAML of the same meaning, defaults included; secrets are set or not set."""
    monkeypatch.setenv("RELAYDESK_TELEGRAM_TOKEN", SECRET)
    monkeypatch.setenv("RELAYDESK_DATABASE_URL", "postgresql://desk:hunter2@db/relaydesk")
    monkeypatch.setenv("RELAYDESK_KEYSTORE_URL", "postgresql://desk:hunter2@db/keys")
    text = place.run("config", "show").stdout
    assert SECRET not in text
    assert "hunter2" not in text
    assert "postgresql+asyncpg://[redacted]@db/relaydesk" in text
    assert "RELAYDESK_TELEGRAM_TOKEN: set\n" in text
    assert "RELAYDESK_MASTER_KEY: not set" in text
    shown = yaml.safe_load(text)
    assert shown["web"]["port"] == 8480
    machine = json.loads(place.run("config", "show", "--json").stdout)
    assert machine["config"] == shown


def test_what_show_prints_can_be_used(place: Place, tmp_path: Path) -> None:
    """The printed configuration is one."""
    other = tmp_path / "other.yaml"
    other.write_text(place.run("config", "show").stdout, encoding="utf-8")
    assert load(other, environment={}).queues == load(place.path, environment={}).queues


def test_schema_is_json() -> None:
    """For an editor."""
    schema = json.loads(CliRunner().invoke(main.app, ["config", "schema"]).stdout)
    assert schema["title"] == "config.yaml"


def test_the_next_command_is_told_as_it_is_to_be_typed(place: Place) -> None:
    """With the configuration that this one was given, in hints and in errors; without one nothing is added."""
    place.make_key()
    assert f"`relaydesk run -c {place.path}`" in place.run("dead", "list").output

    @terminal.guarded
    def command(path: Path) -> str:
        assert path
        return terminal.typed("relaydesk db upgrade --finish, relaydesk keys new, relaydesk nothing")

    given = command(path=Path("a b.yaml"))
    assert given == "relaydesk db upgrade -c 'a b.yaml' --finish, relaydesk keys new, relaydesk nothing"
    assert (
        command(path=terminal.DEFAULT_CONFIG) == "relaydesk db upgrade --finish, relaydesk keys new, relaydesk nothing"
    )


def test_a_version_is_told() -> None:
    """For a report."""
    assert CliRunner().invoke(main.app, ["--version"]).stdout.startswith("relaydesk 0.")


@pytest.mark.parametrize("command", [["show", "1001"], ["customer", "find", "x"], ["dead", "list"], ["db", "version"]])
def test_commands_over_a_record_say_where_there_is_none(place: Place, command: list[str]) -> None:
    """Cause and way out, exit code 1; nothing is made by looking."""
    place.make_key()
    result = place.run(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"relaydesk: there is no record yet at {place.folder}/data/relaydesk.db")
    assert not (place.folder / "data").exists()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("a: b", "c: d"), 2, "a: b\nc: d\n"),
        (RefusedToStart("wrong key; put it back"), 1, "relaydesk: wrong key; put it back\n"),
        (TimeoutError(), 1, "relaydesk: TimeoutError\n"),
        (
            FileNotFoundError(2, "No such file", "/nowhere/page.html"),
            1,
            "relaydesk: /nowhere/page.html cannot be used (No such file): look at the path, its rights and its disk\n",
        ),
        (
            OSError(28, "No space left on device"),
            1,
            "relaydesk: a file cannot be used (No space left on device): look at the path, its rights and its disk\n",
        ),
    ],
)
def test_expected_errors_are_lines(capsys: pytest.CaptureFixture[str], error: Exception, code: int, line: str) -> None:
    """Each kind has its exit code; none has a traceback."""
    import typer

    @terminal.guarded
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        command()
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == line


def test_a_defect_shows_a_redacted_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody expected can be reported without giving a token away."""

    def fail() -> None:
        raise RuntimeError(f"https://api.telegram.org/bot{SECRET}/getMe")

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main.main()
    text = capsys.readouterr().err
    assert ended.value.code == 1
    assert "RuntimeError" in text
    assert SECRET not in text
    assert "defect of ours" in text


def test_tables_align_with_chinese_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A wide character counts as two columns, numbers stand to the right."""
    terminal.table("名称", "n", rows=[["王小明", "1"], ["Maria", "22"]], right=(1,))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert len({cell_len(line.rstrip()) for line in lines}) == 1


def test_text_of_people_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes, bidi overrides and markup are shown as nothing or as they are."""
    terminal.say("\x1b]0;owned\x07\x1b[2Jhello \u202ebold\u202c [red]x[/red]")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[red]x[/red]" in out


@pytest.mark.parametrize(
    ("variable", "path", "hint"),
    [
        ("", "config.yaml", "relaydesk keys list"),
        ("", "other.yaml", "relaydesk keys list -c other.yaml"),
        ("other.yaml", "other.yaml", "relaydesk keys list"),
        ("other.yaml", "config.yaml", "relaydesk keys list -c config.yaml"),
    ],
)
def test_a_hint_names_the_configuration_that_it_would_not_have_without(
    variable: str, path: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed as printed, the next command is about the same record: also where the environment names another."""
    monkeypatch.setenv("RELAYDESK_CONFIG", variable)

    @terminal.guarded
    def command(path: Path) -> str:
        assert path
        return terminal.typed("relaydesk keys list")

    assert command(path=Path(path)) == hint
