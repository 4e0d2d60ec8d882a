"""No word of the record travels in the clear: who is asked how, and what happens where the other side does not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy.engine import make_url

from bot import settings
from domain.errors import ConfigError
from storage import engines, tls

SHIPPED = Path(__file__).parents[2] / "config.yaml"
AWAY = "postgresql://relaydesk@db.example/relaydesk"
LOCAL = [
    "postgresql:///relaydesk",
    "postgresql:///relaydesk?host=/var/run/postgresql",
    "postgresql://localhost/relaydesk",
    "postgresql://127.0.0.1:5433/relaydesk",
    "postgresql://[::1]/relaydesk",
]


@pytest.mark.parametrize("address", LOCAL)
def test_on_this_host_no_tls_is_needed(address: str) -> None:
    """A socket and a loopback address leave this machine never."""
    url = make_url(address)
    assert tls.is_local(url)
    assert tls.split(url) == (url, None)
    assert tls.problem(url.update_query_dict({"sslmode": "disable"}), elsewhere=False) is None


@pytest.mark.parametrize(
    "address",
    [AWAY, "postgresql://10.0.0.7/x", "postgresql:///x?host=db.example", "postgresql:///x?host=/run,db.example:5432"],
)
def test_another_host_is_verified_without_being_asked_to(address: str) -> None:
    """Certificate and name, whatever the address leaves open."""
    url = make_url(address)
    plain, context = tls.split(url)
    assert not tls.is_local(url)
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert plain == url
    assert tls.environment(url)["PGSSLMODE"] == "verify-full"


@pytest.mark.parametrize("mode", ["require", "prefer", "allow", "disable", "verify-ca"])
def test_weaker_words_are_refused_at_the_start(mode: str) -> None:
    """The line says what is wrong and how to say that something else encrypts."""
    for word in ("sslmode", "ssl"):
        overrides = {"database": {"url": f"{AWAY}?{word}={mode}"}, "keystore": {"url": f"{AWAY}_keys"}}
        with pytest.raises(ConfigError, match=f"database.url: asks for sslmode={mode}.*tls: elsewhere"):
            settings.load(SHIPPED, environment={}, overrides=overrides)


def test_something_else_may_encrypt_when_the_settings_say_so() -> None:
    """A tunnel or a mesh: then we speak plainly to it; on this host nothing changes."""
    overrides = {"database": {"url": AWAY, "tls": "elsewhere"}, "keystore": {"url": "postgresql:///keys"}}
    found = settings.load(SHIPPED, environment={}, overrides=overrides)
    assert tls.split(make_url(found.database_url))[1] is None
    assert tls.environment(make_url(found.database_url)) == {"PGSSLMODE": "disable"}
    assert found.keystore_url == "postgresql+asyncpg:///keys"
    assert settings.load(SHIPPED, environment={}, overrides={"web": {"host": "0.0.0.0", "behind_tls": True}}).web.host


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def server(answer: bytes, certificate: Path | None = None) -> AsyncIterator[int]:
    """Something that answers the request for TLS as a PostgreSQL server does; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert len(await reader.readexactly(8)) == 8  # SSLRequest: not a word about whom or what
            writer.write(answer)
            await writer.drain()
            if certificate is not None:
                await writer.start_tls(context)
            heard.append(await reader.read(1000))
        except (ssl.SSLError, ConnectionError):
            heard.append(b"")
        finally:
            writer.close()

    heard: list[bytes] = []
    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
    assert b"".join(heard) == b"", "nothing was said to a server that is not known"


def self_signed(folder: Path) -> Path:
    """A certificate for localhost that nobody vouches for, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(built.public_bytes(encoding) + private)
    return file


async def test_a_server_without_tls_is_told_nothing() -> None:
    """It answers "no": there is no second try in the clear."""
    async with server(b"N") as port:
        with pytest.raises(ConnectionError, match="SSL"):
            await engines.connect(make_url(f"postgresql://u:secret@127.0.0.1:{port}/x?sslmode=verify-full"))


async def test_a_server_that_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    """Its certificate is its own: refused, though the line would be encrypted."""
    async with server(b"S", self_signed(tmp_path)) as port:
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            await engines.connect(make_url(f"postgresql://u:secret@localhost:{port}/x?sslmode=verify-full"))


async def test_the_name_counts_too(tmp_path: Path) -> None:
    """A certificate that we trust, for another name, opens nothing."""
    file = self_signed(tmp_path)
    async with server(b"S", file) as port:
        address = f"postgresql://u:secret@127.0.0.1:{port}/x?sslmode=verify-full&sslrootcert={file}"
        with pytest.raises(ssl.SSLError, match=r"(?i)ip address mismatch|hostname mismatch"):
            await engines.connect(make_url(address))
