"""Whom this process believes when a server shows its certificate: read once, since that takes 20 ms each time."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def known() -> ssl.SSLContext:
    """One context for all pools: the certificates of the world, or those that SSL_CERT_FILE or SSL_CERT_DIR names."""
    return httpx.create_ssl_context()
