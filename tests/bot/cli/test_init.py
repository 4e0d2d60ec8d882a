"""`relaydesk init`: asks, tests as it is typed, writes secrets for the owner alone, spoils nothing when run again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import settings
from bot.cli import accounts, files, init
from bot.settings_values import is_loopback
from storage.rings import MasterRing
from tests.bot.cli.conftest import ROOT, Place

GOOD = "8400000001:AAsandboxsandboxsandboxsandboxsandb"
WRONG = "123456789:AAabcdefghijklmnopqrstuvwxyz0123456"  # of the right form, of no account


@pytest.fixture
def fresh(place: Place, sandbox_url: str) -> Place:
    """The shipped configuration at a running sandbox, before its first start."""
    text = place.path.read_text(encoding="utf-8").replace("http://127.0.0.1:8400", sandbox_url)
    place.path.write_text(text, encoding="utf-8")
    return place


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _typed(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


ANSWERS = (
    GOOD,
    "xoxb-sandbox",
    "xapp-sandbox",
    "#support",
    "billing",
    "tech",
    "triage",
    "#leads",
    "agents",
    "@leads",
    "y",
)


def test_staying_in_the_sandbox_makes_the_key_and_nothing_else(place: Place) -> None:
    """No account, no .env, the configuration untouched."""
    before = place.path.read_bytes()
    result = place.run("init", typed=_typed("n", "y"))
    assert result.exit_code == 0, result.stderr
    assert place.path.read_bytes() == before
    assert not (place.folder / ".env").exists()
    key = place.folder / "keys" / "master.key"
    assert _mode(key) == 0o600
    assert len(MasterRing.read(key).keys) == 1
    assert "relaydesk demo" in result.stdout


def test_the_whole_conversation_ends_with_a_bot_that_may_start(fresh: Place) -> None:
    """Tokens tested, names resolved to ids, .env written, invite lines printed, `doctor`'s note settled."""
    result = fresh.run("init", "--real", "--keep-addresses", typed=_typed(*ANSWERS))
    assert result.exit_code == 0, result.stdout + result.stderr
    assert "Hello, @local_support_bot." in result.stdout
    assert "Hello, Sandbox." in result.stdout
    assert "Socket Mode can connect." in result.stdout
    assert "C0SUPPORT:  /invite @" in result.stdout
    assert "slack-manifest.yaml" in result.stdout
    env = fresh.folder / ".env"
    assert _mode(env) == 0o600
    assert f"RELAYDESK_TELEGRAM_TOKEN={GOOD}" in env.read_text()
    assert settings.load(fresh.path, environment={}).blockers() == []
    for secret in (GOOD, "xoxb-sandbox", "xapp-sandbox"):
        assert secret not in result.stdout + result.stderr


def test_a_wrong_token_is_refused_as_it_is_typed_and_asked_again(fresh: Place) -> None:
    """First nonsense, then the right form of no account, then the right one."""
    answers = _typed("nonsense", WRONG, GOOD, "xapp-in-the-wrong-place", "xoxb-wrong", *ANSWERS[1:])
    result = fresh.run("init", "--real", "--keep-addresses", typed=answers)
    assert result.exit_code == 0, result.stderr
    assert "looks like 123456789:AA...; @BotFather gives it" in result.stderr
    assert "Telegram does not know this token" in result.stderr
    assert "begins with xoxb-" in result.stderr
    assert "Slack says invalid_auth" in result.stderr
    assert WRONG not in result.stdout + result.stderr


def test_a_channel_that_the_bot_cannot_see_is_asked_again(fresh: Place) -> None:
    """With the nearest name."""
    answers = [*ANSWERS[:3], "#supporrt", *ANSWERS[3:]]
    result = fresh.run("init", "--real", "--keep-addresses", typed=_typed(*answers))
    assert result.exit_code == 0, result.stderr
    assert 'There is no channel #supporrt that the bot can see; did you mean "support"?' in result.stderr


def test_running_it_again_keeps_what_is_good(fresh: Place) -> None:
    """Enter keeps each secret; other lines of .env, the key and the configuration stay as they were."""
    fresh.run("init", "--real", "--keep-addresses", typed=_typed(*ANSWERS))
    env, key = fresh.folder / ".env", fresh.folder / "keys" / "master.key"
    env.write_text("# mine\nRELAYDESK_LOG__LEVEL=debug\n" + env.read_text())
    before = env.read_text(), key.read_bytes(), fresh.path.read_text()
    result = fresh.run("init", "--real", "--keep-addresses", typed=_typed("", "", "", *ANSWERS[3:]))
    assert result.exit_code == 0, result.stderr
    assert (env.read_text(), key.read_bytes(), fresh.path.read_text()) == before
    assert "it was left as it is" in result.stdout


def test_without_a_person_secrets_come_from_the_environment(fresh: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """For scripts: tested all the same, ids from options, nothing asked."""
    monkeypatch.setenv("RELAYDESK_TELEGRAM_TOKEN", GOOD)
    monkeypatch.setenv("RELAYDESK_SLACK_BOT_TOKEN", "xoxb-sandbox")
    monkeypatch.setenv("RELAYDESK_SLACK_APP_TOKEN", "xapp-sandbox")
    words = [
        "init",
        "--real",
        "--keep-addresses",
        "--no-input",
        "--channel",
        "support=C0123456789",
        "--leads",
        "S012345",
    ]
    result = fresh.run(*words)
    assert result.exit_code == 0, result.stderr
    read = settings.load(fresh.path, environment={})
    assert read.queues["support"].channel == "C0123456789"
    assert read.roles.lead == ("S012345",)
    assert read.desk.lead_mention == "S012345"
    assert "# Teams' piles" in fresh.path.read_text()  # comments stay
    assert "put your own ids in place of C0BILLING, C0TECH, C0TRIAGE." in result.stdout


def test_without_a_person_what_is_missing_is_listed_and_nothing_is_written(fresh: Place) -> None:
    """One line per secret, exit code 1."""
    before = fresh.path.read_bytes()
    result = fresh.run("init", "--real", "--no-input", "--offline")
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == [
        "RELAYDESK_TELEGRAM_TOKEN",
        "RELAYDESK_SLACK_BOT_TOKEN",
        "RELAYDESK_SLACK_APP_TOKEN",
    ]
    assert fresh.path.read_bytes() == before
    assert not (fresh.folder / ".env").exists()
    assert not (fresh.folder / "keys").exists()


@pytest.mark.parametrize(
    "words", [["--channel", "supporrt=C0123456789"], ["--channel", "support=#x"], ["--leads", "@leads"]]
)
def test_a_wrong_option_is_refused(fresh: Place, words: list[str]) -> None:
    """Before anything is written."""
    result = fresh.run("init", "--real", "--no-input", "--offline", *words)
    assert result.exit_code == 2
    assert not (fresh.folder / ".env").exists()


def test_real_accounts_lose_the_sandbox_and_nothing_else(place: Place) -> None:
    """The three addresses become comments; the file stays valid and every other line as it was."""
    before = (ROOT / "config.yaml").read_text(encoding="utf-8")
    after = files.without_sandbox(before)
    place.path.write_text(after, encoding="utf-8")
    read = settings.load(place.path, environment={})
    assert not read.sandbox
    assert not is_loopback(read.telegram.base_url)
    assert read.clock.source is None
    changed = [line for line, new in zip(before.splitlines(), after.splitlines(), strict=True) if line != new]
    assert [line.split(":")[0].strip() for line in changed] == ["base_url", "base_url", "source"]
    assert files.without_sandbox(after) == after


@given(
    st.dictionaries(
        st.sampled_from(["A", "B_C", "RELAYDESK_X"]), st.text(st.characters(min_codepoint=33, max_codepoint=126))
    )
)
def test_what_is_written_into_dot_env_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    """Whatever a secret is made of: quotes, dollars, hashes, backslashes."""
    folder = tmp_path_factory.mktemp("env")
    files.update_env(folder / ".env", {"A": "earlier", **values})
    files.update_env(folder / ".env", values)
    assert settings.dotenv_of(folder) == {"A": "earlier", **values}


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole or not at all, and no half file beside it."""
    file = tmp_path / ".env"
    files.update_env(file, {"A": "1"})

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.update_env(file, {"A": "2"})
    assert settings.dotenv_of(tmp_path) == {"A": "1"}
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://127.0.0.1:9", "cannot be reached"), ("http://[bad", "cannot be reached")],
)
def test_a_platform_that_cannot_be_reached_is_told_without_the_token(url: str, words: str) -> None:
    """Cause and fix; the URL holds the token and is not repeated."""
    with pytest.raises(accounts.NotAccepted, match=words) as caught:
        accounts.telegram_bot(url, WRONG)
    assert WRONG not in str(caught.value)


def test_init_knows_the_sandboxes_channels_and_groups() -> None:
    """What it asks to replace is what the shipped configuration names."""
    read = settings.load(ROOT / "config.yaml", environment={})
    assert {queue.channel for queue in read.queues.values()} | {read.slack.ops_channel} == init.SANDBOX_CHANNELS
    assert {*read.roles.agent, *read.roles.lead} == set(init.SANDBOX_GROUPS)
    assert init.MANIFEST.is_file()
