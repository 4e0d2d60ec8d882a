"""What the product is made of is held to the lock and to what we allow; an advisory service out of reach is said."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests import supply
from tests.supply import Part, Policy

POLICY = Policy(
    allowed=frozenset({"MIT", "Apache-2.0"}),
    meant={"MIT License": "MIT"},
    looked_up={},
    exceptions={},
    accepted=(),
)
PART = Part(name="one", version="1.0", said=("MIT License",), needs=frozenset())
PINS = {"one": "1.0"}
TODAY = date(2026, 11, 22)
ACCEPTED = {"id": "CVE-2026-1", "component": "one", "reason": "we do not call it", "until": date(2027, 1, 1)}


def report(*flaws: dict[str, object]) -> dict[str, object]:
    return {"dependencies": [{"name": "One", "version": "1.0", "vulns": list(flaws)}]}


FLAW: dict[str, object] = {"id": "PYSEC-2026-9", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"]}


def test_this_install_is_as_its_lock_and_its_policy_want_it() -> None:
    """Every component of the default install is locked, at that version, under a licence that is allowed."""
    policy = Policy.read(supply.POLICY.read_text(encoding="utf-8"))
    parts = supply.installed()
    assert list(supply.wrong(parts, supply.locked(supply.LOCK.read_text(encoding="utf-8")), policy)) == []
    listed = json.loads(supply.bill(parts, policy))
    assert listed["bomFormat"] == "CycloneDX"
    names = {one["name"] for one in listed["components"]}
    assert {"aiohttp", "cryptography", "greenlet", "python-telegram-bot", "slack-sdk"} <= names
    assert not names & {"pytest", "pip-audit", "transformers"}, "what only builders need is not in it"
    assert all(one["purl"].endswith(f"@{one['version']}") and one["licenses"] for one in listed["components"])
    refs = {one["ref"]: one.get("dependsOn", []) for one in listed["dependencies"]}
    assert any(ref.startswith("aiohttp@") for ref in refs[listed["metadata"]["component"]["bom-ref"]])


@pytest.mark.parametrize(
    ("part", "policy", "said"),
    [
        (PART, POLICY, ""),
        (replace(PART, name="two"), POLICY, "not in constraints.txt"),
        (replace(PART, version="2.0"), POLICY, "locked at 1.0"),
        (replace(PART, said=("GPL-3.0-only",)), POLICY, "does not allow"),
        (replace(PART, said=("MIT AND GPL-3.0-only",)), POLICY, "does not allow"),
        (replace(PART, said=("MIT OR GPL-3.0-only",)), POLICY, ""),
        (replace(PART, said=("do what you like",)), POLICY, "look it up"),
        (replace(PART, said=()), POLICY, "look it up"),
        (replace(PART, said=()), replace(POLICY, looked_up={"one": "MIT"}), ""),
        (
            replace(PART, said=("GPL-3.0-only",)),
            replace(POLICY, exceptions={"one": {"licence": "GPL-3.0-only", "reason": "apart"}}),
            "",
        ),
        (
            replace(PART, said=("GPL-3.0-only",)),
            replace(POLICY, exceptions={"one": {"licence": "LGPL-3.0-only", "reason": "apart"}}),
            "the exception for it",
        ),
        (PART, replace(POLICY, looked_up={"gone": "MIT"}), "take it out"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(part: Part, policy: Policy, said: str) -> None:
    """An unlocked or other version, a licence unknown, not allowed or changed, an entry nobody needs: a line each."""
    lines = list(supply.wrong([part], PINS, policy))
    assert [said in line for line in lines] == ([True] if said else [])


def test_a_known_vulnerability_is_a_problem_until_it_is_accepted_for_a_while() -> None:
    """By its id or an alias; with a reason, for that component, until a day; what is mended must be taken out."""
    accepted = replace(POLICY, accepted=(ACCEPTED,))
    assert list(supply.vulnerable(report(), POLICY, TODAY)) == []
    [line] = supply.vulnerable(report(FLAW), POLICY, TODAY)
    assert line == "one 1.0 has PYSEC-2026-9, mended in 1.1"
    assert list(supply.vulnerable(report(FLAW), accepted, TODAY)) == []
    [late] = supply.vulnerable(report(FLAW), accepted, date(2027, 1, 1))
    assert "a day that is over" in late
    [unused] = supply.vulnerable(report(), accepted, TODAY)
    assert "take it out" in unused
    assert list(supply.vulnerable(report(FLAW), replace(POLICY, accepted=({**ACCEPTED, "reason": " "},)), TODAY))
    assert list(supply.vulnerable(report(FLAW), replace(POLICY, accepted=({**ACCEPTED, "component": "b"},)), TODAY))


def test_an_advisory_service_out_of_reach_is_said_and_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing answers: no report, and the reason in a word; a lock that cannot be read is something else."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)  # where it names the service, nothing would go by way of the proxy
    lock = tmp_path / "lock.txt"
    lock.write_text("idna==3.20\n", encoding="utf-8")
    found, why = supply.audit(lock, tmp_path / "audit.json")
    assert found is None
    assert why in ("ConnectionError", "ProxyError", "Could not connect")
    with pytest.raises(RuntimeError, match="pip-audit failed"):
        supply.audit(tmp_path / "absent.txt", tmp_path / "audit.json")
