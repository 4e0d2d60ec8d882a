"""What an answer carries that may not be meant for this customer: asked about before it leaves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from domain import privacy

_LINK = re.compile(
    r"(?:https?://|(?<![\w@.-])(?=[\w-]+\.(?:slack\.com|local|internal|intranet|corp|lan)\b))[^\s<>()]+", re.IGNORECASE
)
_INTERNAL = ("slack.com", "localhost", "local", "internal", "intranet", "corp", "lan", "home.arpa")
_SEPARATORS = re.compile(r"[^0-9a-z@]")
FINDINGS = frozenset({"secret", "internal_link", "mention", "email", "phone"})
"""What may be found in an answer, as stable words."""
_SHORTEST_NUMBER = 5  # of digits: nothing shorter is taken for a phone number
_NUMBER_END = 8  # digits by which two ways to write a number are the same


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """How answers are looked at. `internal` are hosts that only colleagues reach; `ours` the company's own e-mail
    domains, addresses and phone numbers, which anybody may have.
    """

    enabled: bool = True
    internal: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()


def findings(body: str, guard: Guard, *, mentions: bool, said: Iterable[str] = ()) -> tuple[str, ...]:
    """Why an answer should be asked about, as stable words: secret, internal_link, mention, email, phone.

    `said` are texts of this customer: what they wrote themselves may stand in an answer.
    """
    if not guard.enabled:
        return ()
    found = ["mention"] if mentions else []
    if any(_is_internal(match[0], guard.internal) for match in _LINK.finditer(body)):
        found.append("internal_link")
    theirs = [_plain(one) for one in (*said, *guard.ours)]
    for one in privacy.findings(body):
        value = _plain(body[one.begin : one.end])
        if one.kind == "secret":
            found.append("secret")
        elif one.kind in ("email", "phone") and not any(_is_known(one.kind, value, known) for known in theirs):
            found.append(one.kind)
    return tuple(dict.fromkeys(found))


def may_name(body: str) -> bool:
    """Whether a text may hold a phone number or an e-mail address at all: a look at its characters alone."""
    return "@" in body or sum(map(str.isdigit, body)) >= _SHORTEST_NUMBER


def _is_internal(link: str, hosts: Iterable[str]) -> bool:
    try:
        host = (urlsplit(link if "://" in link else f"//{link}").hostname or "").rstrip(".")
    except ValueError:
        return True  # nobody can tell where it leads
    if any(host == one or host.endswith(f".{one}") for one in (*_INTERNAL, *hosts)) or "." not in host:
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


def _plain(value: str) -> str:
    return _SEPARATORS.sub("", value.casefold())


def _is_known(kind: str, value: str, known: str) -> bool:
    """An address by its whole or its domain, a number by its last digits."""
    if kind == "email":
        return value in known or (known != "" and "@" not in known and value.partition("@")[2] == known)
    digits = re.sub(r"\D", "", value)
    return digits[-_NUMBER_END:] in re.sub(r"\D", "", known)
