"""Faults of the network: each is told apart, waited out, and leaves no thread or descriptor."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scorespan.delivery.client import MartClient, Pieces
from scorespan.delivery.retry import Accepted, Retryable
from scorespan.settings import Settings
from scorespan.testing import NEVER, Answer, ScriptedMart

TIMES = 100


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


@pytest.mark.parametrize(
    ("fault", "of_list", "timed_out"),
    [
        (refused, False, False),
        (blackhole, False, False),
        (no_such_name, False, False),
        (expired, False, False),
        (unknown_authority, False, False),
        (proxy_lets_nobody_through, False, False),
        (proxy_says_502, True, False),
        (dropped, True, False),
        (half_open, True, True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_fault_of_the_network_is_retryable_and_leaks_nothing(
    tmp_path: Path, fault: Callable[..., dict[str, Any]], of_list: bool, timed_out: bool
):
    """A hundred times the same outcome, which says whether the records may have arrived."""
    with ExitStack() as stack:
        settings = {"data_mart_id": "x", "token": "t", "timeout_seconds": 5}
        settings |= fault(stack, tmp_path)
        client = MartClient(Settings.load(settings, {}))
        client._patience.timed_out = lambda: None  # a hundred times as long as the first time
        stack.callback(client.close)
        outcomes = {client.post_records(b"[]", count=1)}
        before = opened()
        outcomes |= {client.post_records(b"[]", count=1) for _ in range(TIMES)}
        (outcome,) = outcomes
        assert isinstance(outcome, Retryable)
        assert (outcome.of_list, outcome.timed_out) == (of_list, timed_out)
        descriptors, ours = opened()
        # Servers of the test may be a request behind, ours never.
        assert descriptors <= before[0] + (TIMES + 4 if fault is half_open else 4)
        assert ours == before[1]


def opened() -> tuple[int, set[str]]:
    """How many descriptors are open, and the threads that are not a test server's."""
    gc.collect()
    names = {one.name for one in threading.enumerate() if "process_request" not in one.name}
    return len(list(Path("/proc/self/fd").iterdir())), names


def test_a_certificate_of_our_own_authority_is_believed(tmp_path: Path):
    """What fails above fails for its date or its signer, and nothing else."""
    authority, key = certificate(None, None, days=10)
    (tmp_path / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    with over_tls(tmp_path, *certificate(authority, key, days=10)) as url:
        settings = {"data_mart_url": url, "ca_file": tmp_path / "ca.pem"}
        settings |= {"data_mart_id": "x", "token": "t"}
        client = MartClient(Settings.load(settings, {}))
        assert client.post_records(b"[]", count=1) == Accepted()
        client.close()


def test_a_connection_notices_that_the_other_end_has_gone(scripted_mart: ScriptedMart):
    """However long an answer may take, the kernel asks every few seconds who is there."""
    client = MartClient(Settings.load(scripted_mart.settings, {}))
    assert client.post_records(b"[]", count=1) == Accepted()
    manager = client._session.get_adapter(scripted_mart.url).poolmanager
    (pool,) = (manager.pools[key] for key in manager.pools.keys())  # noqa: SIM118 - no iteration
    connection = pool._get_conn()
    assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    silent = connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    assert silent <= 30
    connection.close()
    client.close()


def test_a_body_in_pieces_is_the_same_again_after_a_refused_token(scripted_mart: ScriptedMart):
    """It has a length, it is not one piece of memory, and it can be sent twice."""
    scripted_mart.answers.extend([Answer(401), Answer()])
    record = b'[{"scoring_id": "s1", "request": "' + b"x" * 3_000_000 + b'"}]'
    pieces = Pieces([record[:10], memoryview(record)[10:], b""])
    client = MartClient(Settings.load(scripted_mart.settings, {}))
    client.post_records(pieces, count=1)
    client.forget_token()
    assert client.post_records(pieces, count=1) == Accepted()
    client.close()
    assert scripted_mart.posts == [record, record]
    assert len(pieces) == len(record)


def test_an_answer_without_end_is_cut(scripted_mart: ScriptedMart):
    """What a mart says is read as far as it counts."""
    scripted_mart.answers.append(Answer(200, b" " * 50_000_000))
    client = MartClient(Settings.load(scripted_mart.settings, {}))
    outcome = client.post_records(b"[]", count=1)
    assert "HTTP 200" in outcome.reason
    assert client.post_records(b"[]", count=1) == Accepted()
    client.close()


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
