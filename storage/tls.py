"""Encryption on the way to a PostgreSQL server: one that is not on this host is reached with TLS, its name verified.

Addresses use PostgreSQL's own words: `?sslmode=verify-full&sslrootcert=/etc/ssl/our-ca.pem`. Without a file the
system's authorities count. `sslmode=disable` to another host is for addresses that something else encrypts (a tunnel,
a mesh), and only the settings may say so.
"""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

MODE, AUTHORITIES = "sslmode", "sslrootcert"
VERIFIED, NONE = "verify-full", "disable"
WORDS: Final = (MODE, AUTHORITIES, "ssl")


def is_local(url: URL) -> bool:
    """Whether a server can only be on this host: a Unix socket, `localhost`, a loopback address."""
    given = url.query.get("host")
    hosts = [*((url.host,) if url.host else ()), *((given,) if isinstance(given, str) else given or ())]
    return all(_is_here(name) for host in hosts for name in host.split(","))


def _is_here(host: str) -> bool:
    if host.startswith("/") or host == "localhost":
        return True
    name = host.strip("[]") if host.count(":") != 1 else host.partition(":")[0]
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def problem(url: URL, *, elsewhere: bool) -> str | None:
    """What is wrong with how an address of a server is encrypted, with the fix; None where nothing is.

    `elsewhere` says that something on the way encrypts.
    """
    mode = url.query.get(MODE, url.query.get("ssl"))
    if is_local(url) or mode in (None, VERIFIED):
        return None
    if elsewhere and mode == NONE:
        return None
    return (
        f"asks for {MODE}={mode}, but a server on another host is reached with TLS and its name verified: leave it out "
        f"(and name its authorities with {AUTHORITIES}=FILE where they are your own), or set tls: elsewhere where a "
        "tunnel or a mesh encrypts"
    )


def without(address: str) -> str:
    """The same address, encrypted by something else on the way where it is not on this host; what is none stays."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        return address
    if is_local(url) or {MODE, "ssl"} & set(url.query):
        return address
    return url.update_query_dict({MODE: NONE}).render_as_string(hide_password=False)


def split(url: URL) -> tuple[URL, ssl.SSLContext | None]:
    """An address without its words about TLS, and how to verify the server; None: no TLS of ours.

    Whatever the address leaves open is decided for safety. Raises OSError when the file of authorities cannot be read.
    """
    plain = url.difference_update_query(WORDS)
    mode = url.query.get(MODE, url.query.get("ssl"))
    if mode == NONE or (mode is None and is_local(url)):
        return plain, None
    authorities = url.query.get(AUTHORITIES)
    return plain, ssl.create_default_context(cafile=str(authorities) if authorities else None)


def environment(url: URL) -> dict[str, str]:
    """The same for PostgreSQL's own programs, as variables."""
    _, context = split(url)
    if context is None:
        return {} if url.query.get(MODE) is None else {"PGSSLMODE": NONE}
    found = url.query.get(AUTHORITIES) or ssl.get_default_verify_paths().cafile
    return {"PGSSLMODE": VERIFIED} | ({"PGSSLROOTCERT": str(found)} if found else {})
