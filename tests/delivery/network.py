"""Faults of the network: each gives settings that lead a sender into it while a stack is open."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scorespan.testing import NEVER, Answer, ScriptedMart

Key = ec.EllipticCurvePrivateKey


def certificate(
    authority: x509.Certificate | None, signer: Key | None, *, days: int
) -> tuple[x509.Certificate, Key]:
    """A certificate for loopback until so many days from now; an authority's own without one."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test" if authority else "CA")])
    alternative = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.subject if authority else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=20))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
    )
    return built.sign(signer or key, hashes.SHA256()), key


@contextmanager
def over_tls(folder: Path, found: x509.Certificate, key: Key) -> Iterator[str]:
    """A scripted mart behind this certificate; its address."""
    pem = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem.write_bytes(private + found.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with ScriptedMart() as mart:
        server = mart._server
        server.handle_error = lambda *_: None  # a handshake that was broken off
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        yield f"https://localhost:{server.server_port}"


def refused(_: ExitStack, folder: Path) -> dict[str, Any]:
    """Nobody listens."""
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return {"data_mart_url": f"http://127.0.0.1:{once.getsockname()[1]}"}


def blackhole(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """What is sent there vanishes: the queue of those who wait to be let in is full."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(3):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return {
        "data_mart_url": f"http://127.0.0.1:{listener.getsockname()[1]}",
        "timeout_seconds": 0.05,
    }


def no_such_name(_: ExitStack, folder: Path) -> dict[str, Any]:
    """The name of the mart is not known."""
    return {"data_mart_url": "http://mart.invalid", "allow_http": True}


def half_open(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """The mart takes the request, and that is the last that is heard of it."""
    mart = stack.enter_context(ScriptedMart())
    mart.always = Answer(delay=NEVER)
    return {"data_mart_url": mart.url, "timeout_seconds": 0.02}


def dropped(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """The connection is closed instead of an answer."""
    mart = stack.enter_context(ScriptedMart())
    mart.always = Answer(drop="after")
    return {"data_mart_url": mart.url}


def expired(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """The certificate was good until yesterday."""
    authority, key = certificate(None, None, days=10)
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    url = stack.enter_context(over_tls(folder, *certificate(authority, key, days=-1)))
    return {"data_mart_url": url, "ca_file": folder / "ca.pem"}


def unknown_authority(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """The certificate is good, says somebody nobody knows."""
    authority, key = certificate(None, None, days=10)
    url = stack.enter_context(over_tls(folder, *certificate(authority, key, days=10)))
    return {"data_mart_url": url}


def proxy_says_502(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """The proxy on the way reaches nobody, and says so."""
    proxy = stack.enter_context(ScriptedMart())
    proxy.always = Answer(502, b"<html>bad gateway</html>")
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    for name in ("HTTP_PROXY", "http_proxy"):
        patch.setenv(name, proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        patch.delenv(name, raising=False)
    return {"data_mart_url": "http://mart.invalid", "allow_http": True}


def proxy_lets_nobody_through(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """The proxy refuses a tunnel to the mart."""
    proxy = stack.enter_context(ScriptedMart())
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    for name in ("HTTPS_PROXY", "https_proxy"):
        patch.setenv(name, proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        patch.delenv(name, raising=False)
    return {"data_mart_url": "https://mart.invalid"}
