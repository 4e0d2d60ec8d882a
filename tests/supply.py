"""What the product is made of: a bill of materials of the default install, held to the lock and to what we allow.

`python -m tests.supply` writes build/sbom.json (CycloneDX) from the lock and the installed components, and asks an
advisory service for known vulnerabilities of everything locked. It ends with 1 and a line for each problem: a component
that is not locked or not at the locked version, a licence that is not allowed, a vulnerability that nobody accepted.
Where the advisory service does not answer it says so, and that is no failure: a check must work without a network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from license_expression import ExpressionError, LicenseSymbol, Licensing, get_spdx_licensing
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parent.parent
LOCK, POLICY, BUILD = ROOT / "constraints.txt", ROOT / "deploy" / "components.toml", ROOT / "build"
PRODUCT: Final = "relaydesk"
_ANSWER_S: Final = 5
_AUDIT_S: Final = 60
_SILENT: Final = (
    "ConnectionError",
    "Timeout",
    "HTTPError",
    "ServiceError",
    "SSLError",
    "ProxyError",
    "Could not connect",
)
_CLASSIFIER: Final = "License :: OSI Approved :: "
_LONGEST_NAME: Final = 60
"""A licence field that is longer quotes the licence instead of naming it."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One installed component; `needs` are the canonical names of those that it cannot do without."""

    name: str
    version: str
    said: tuple[str, ...]  # its licence in its own words: an expression or field, else its classifiers
    needs: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is allowed: see deploy/components.toml."""

    allowed: frozenset[str]
    meant: Mapping[str, str]
    looked_up: Mapping[str, str]
    exceptions: Mapping[str, Mapping[str, str]]
    accepted: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, text: str) -> Policy:
        """From the file's text."""
        found = tomllib.loads(text)
        own = found["licences"]
        return cls(
            allowed=frozenset(own["allowed"]),
            meant=own["meant"],
            looked_up=own["looked_up"],
            exceptions=own["exceptions"],
            accepted=found.get("accepted", ()),
        )


def installed(product: str = PRODUCT) -> list[Part]:
    """The product and everything that its default install needs on this machine, by name."""
    needs: dict[str, set[str]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting: list[tuple[str, frozenset[str]]] = [(product, frozenset())]
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        own = needs.setdefault(name, set())
        for line in metadata.distribution(name).requires or ():
            wish = Requirement(line)
            if wish.marker is None or any(wish.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                own.add(canonicalize_name(wish.name))
                waiting.append((canonicalize_name(wish.name), frozenset(wish.extras)))
    return [_part(name, frozenset(own)) for name, own in sorted(needs.items())]


def _part(name: str, needs: frozenset[str]) -> Part:
    about = metadata.metadata(name).json
    field = str(about.get("license_expression") or about.get("license") or "").strip()
    classifiers = [one for one in about.get("classifier", ()) if one.startswith(_CLASSIFIER)]
    named = [field] if 0 < len(field) <= _LONGEST_NAME else [one.removeprefix(_CLASSIFIER) for one in classifiers]
    return Part(name=name, version=metadata.version(name), said=tuple(named), needs=needs)


def locked(text: str) -> dict[str, str]:
    """The version that a lock gives to each name on this machine."""
    wishes = [Requirement(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    here = [wish for wish in wishes if wish.marker is None or wish.marker.evaluate()]
    return {canonicalize_name(wish.name): str(wish.specifier).removeprefix("==") for wish in here}


def licence(part: Part, policy: Policy) -> str:
    """A component's licence as an SPDX expression; empty where it says none that we understand."""
    if part.name in policy.looked_up:
        return policy.looked_up[part.name]
    words = " AND ".join(dict.fromkeys(policy.meant.get(one, one) for one in part.said))
    try:
        spdx().parse(words, validate=True, strict=True)
    except ExpressionError:
        return ""
    return words


def is_allowed(expression: str, allowed: Iterable[str]) -> bool:
    """Whether all that an expression asks for is allowed; of alternatives one will do."""
    known = frozenset(allowed)

    def holds(node: Any) -> bool:
        if isinstance(node, LicenseSymbol):
            return str(node.key) in known
        every = any if node.operator.strip() == "OR" else all
        return every(holds(one) for one in node.args)

    return holds(spdx().parse(expression, validate=True))


@lru_cache(maxsize=1)
def spdx() -> Licensing:
    """The licences that SPDX knows."""
    return get_spdx_licensing()


def wrong(parts: Iterable[Part], pins: Mapping[str, str], policy: Policy) -> Iterator[str]:
    """What of the install is not as the lock and the policy want it, one line each."""
    names = set()
    for part in parts:
        names.add(part.name)
        if part.name == PRODUCT:
            continue
        if part.name not in pins:
            yield f"{part.name} {part.version} is not in {LOCK.name}: lock it"
        elif pins[part.name] != part.version:
            yield f"{part.name} is installed at {part.version} and locked at {pins[part.name]}: run `make setup` anew"
        found, exception = licence(part, policy), policy.exceptions.get(part.name)
        if not found:
            yield f"{part.name} says of its licence {list(part.said)}: look it up, and write it into {POLICY.name}"
        elif exception is not None:
            if exception["licence"] != found or not exception["reason"].strip():
                yield f"{part.name} is under {found}, and the exception for it is for {exception['licence']}"
        elif not is_allowed(found, policy.allowed):
            yield f"{part.name} is under {found}, which {POLICY.name} does not allow"
    for name in sorted({*policy.exceptions, *policy.looked_up} - names):
        yield f"{name} is in {POLICY.name} and not in the install: take it out"


def bill(parts: Sequence[Part], policy: Policy) -> str:
    """The bill of materials as CycloneDX JSON."""
    made = {
        part.name: Component(
            name=part.name,
            version=part.version,
            type=ComponentType.APPLICATION if part.name == PRODUCT else ComponentType.LIBRARY,
            bom_ref=f"{part.name}@{part.version}",
            purl=PackageURL("pypi", name=part.name, version=part.version),
            licenses=[LicenseExpression(said)] if (said := licence(part, policy)) else [],
        )
        for part in parts
    }
    bom = Bom(components=[one for name, one in made.items() if name != PRODUCT])
    bom.metadata.component = made[PRODUCT]
    for part in parts:
        bom.register_dependency(made[part.name], [made[name] for name in sorted(part.needs)])
    return JsonV1Dot6(bom).output_as_string(indent=2)


def vulnerable(report: Mapping[str, Any], policy: Policy, today: date) -> Iterator[str]:
    """What an audit found that nobody accepted, or not for so long, one line each."""
    used = []
    for found in report["dependencies"]:
        for flaw in found.get("vulns", ()):
            ids = {flaw["id"], *flaw.get("aliases", ())}
            fixed = ", ".join(flaw.get("fix_versions", ())) or "no version yet"
            name = canonicalize_name(found["name"])
            known = [one for one in policy.accepted if one["component"] == name and one["id"] in ids]
            used += known
            if not any(one["until"] > today and one["reason"].strip() for one in known):
                late = " (it was accepted until a day that is over)" if known else ""
                yield f"{name} {found['version']} has {flaw['id']}, mended in {fixed}{late}"
    for one in policy.accepted:
        if one not in used:
            yield f"{one['component']} {one['id']} is accepted in {POLICY.name} and not found any more: take it out"


def audit(lock: Path, into: Path) -> tuple[Mapping[str, Any] | None, str]:
    """Ask for known vulnerabilities: the report, or None and why there is none. Raises RuntimeError: it went wrong."""
    into.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--no-deps", "--disable-pip",
        "--requirement", str(lock), "--format", "json", "--output", str(into),
        "--progress-spinner", "off", "--timeout", str(_ANSWER_S),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_AUDIT_S, check=False)
    except subprocess.TimeoutExpired:
        return None, f"no answer within {_AUDIT_S} s"
    if into.is_file():
        return json.loads(into.read_text(encoding="utf-8")), ""
    reason = next((word for word in _SILENT if word in done.stderr), None)
    if reason is None:
        raise RuntimeError(f"pip-audit failed: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1][:200]}")
    return None, reason


def main() -> int:
    """Write the bill, say what is wrong; 1 when anything is."""
    policy, text = Policy.read(POLICY.read_text(encoding="utf-8")), LOCK.read_text(encoding="utf-8")
    parts = installed()
    BUILD.mkdir(exist_ok=True)
    (BUILD / "sbom.json").write_text(bill(parts, policy) + "\n", encoding="utf-8")
    problems = list(wrong(parts, locked(text), policy))
    report, silent = audit(LOCK, BUILD / "audit.json")
    if report is not None:
        problems += vulnerable(report, policy, date.today())  # noqa: DTZ011 -- a day on a calendar, wherever one is
    say = sys.stdout.write
    say(f"{len(parts) - 1} components are listed in build/sbom.json\n")
    if report is None:
        say(f"Known vulnerabilities were NOT looked up: the advisory service is out of reach ({silent})\n")
    elif not problems:
        say(f"No known vulnerability in {len(report['dependencies'])} locked components that was not accepted\n")
    for line in problems:
        say(f"{line}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
