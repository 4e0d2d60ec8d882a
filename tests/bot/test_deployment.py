"""The files that others run us from: the systemd unit, the container file, the compose file."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from bot import settings

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "relaydesk.service"
ANALYZE = shutil.which("systemd-analyze")


def _variables(text: str) -> dict[str, str]:
    found = re.findall(r"(RELAYDESK_[A-Z_]+)[=:]\s*([^\s\\]+)", text)
    return {name: value.strip('"') for name, value in found}


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed here")
def test_systemd_takes_the_unit_and_finds_it_well_confined(tmp_path: Path) -> None:
    """`verify` has nothing to say, and the exposure level is "OK" (under 2.5 of 10)."""
    text = UNIT.read_text(encoding="utf-8")
    here = tmp_path / "relaydesk.service"
    here.write_text(text.replace("/opt/relaydesk/.venv/bin/relaydesk", shutil.which("true") or "/bin/true"))
    verified = subprocess.run([str(ANALYZE), "verify", here], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--threshold=25", here],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-200:]


def test_the_unit_restarts_on_silence_and_not_on_a_mistake() -> None:
    """Exit code 70 comes back, exit code 2 waits for a person."""
    text = UNIT.read_text(encoding="utf-8")
    assert "Restart=on-failure" in text
    assert "RestartPreventExitStatus=2\n" in text


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml", "deploy/relaydesk.service"])
def test_every_variable_that_they_set_is_one_we_read(file: str, tmp_path: Path) -> None:
    """A misspelt variable would be a setting without effect: `load` names it."""
    variables = _variables((ROOT / file).read_text(encoding="utf-8"))
    assert variables
    secret = tmp_path / "secret"
    given = {}
    for name, value in variables.items():
        if name.endswith("_FILE"):
            secret_text = {
                "TELEGRAM": f"123456789:{'A' * 35}",
                "BOT": "xoxb-1",
                "APP": "xapp-1",
                "MASTER": f"k:{'A' * 43}",
            }
            text = next((text for word, text in secret_text.items() if word in name), "postgresql://db/x")
            secret = tmp_path / name
            secret.write_text(text)
            given[name] = str(secret)
        else:
            given[name] = value
    given |= {name: f"postgresql://db/{name}" for name in given if name.endswith("_URL")}
    read = settings.load(ROOT / "config.yaml", environment=given, dotenv=False)
    if "RELAYDESK_DATA_DIR" in variables:
        assert read.data_dir == Path("/var/lib/relaydesk")


def test_the_image_holds_every_room_and_no_data() -> None:
    """What pyproject.toml packs is copied and let through; everything else is kept out of the build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    docker = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for room in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert f"COPY {room} ./{room}\n" in docker
        assert f"!{room}" in allowed
    assert "*" in allowed
    assert not {"!.env", "!data", "!keys", "!."} & set(allowed)


def test_the_compose_file_is_confined_and_its_secrets_are_files() -> None:
    """Read-only, without capabilities, listening on this machine alone; each secret is declared and mounted."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["relaydesk"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    files = {value for name, value in service["environment"].items() if name.endswith("_FILE")}
    assert files == {f"/run/secrets/{name}" for name in service["secrets"]}
    assert set(service["secrets"]) == set(compose["secrets"])
