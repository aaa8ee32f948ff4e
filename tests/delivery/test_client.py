"""The data mart client: what neither the environment of the machine nor an answer may do to it."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization

from delivery.network import certificate
from running import wait_until
from scorespan.delivery.client import MartClient
from scorespan.delivery.retry import Accepted, Blocked, Outcome, Retryable
from scorespan.errors import DeliveryError
from scorespan.settings import Settings
from scorespan.testing import Answer, ScriptedMart

LIVENESS = 60.0
_SAID = b"HTTP/1.1 503 x\r\n"
_CHUNKED = _SAID + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "status line": (b"HTTP/", b"1"),
    "headers": (_SAID + b"X: ", b"a"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (_SAID + b"Content-Length: 99999\r\n\r\n", b"a"),
    "chunks": (_CHUNKED, b"1\r\na\r\n"),
    "chunk size": (_CHUNKED, b"0"),
    "trailer": (_CHUNKED + b"0\r\n", b"A: b\r\n"),
    "until the end": (_SAID + b"Connection: close\r\n\r\n", b"a"),
}
"""What an answer begins with, and what then comes again and again."""


class Trickle(NamedTuple):
    """A server whose answers do not end: where it is, and the connections that it has seen end."""

    url: str
    ended: list[float]


@contextmanager
def trickling(
    start: bytes, piece: bytes, *, pause: float = 0.05, tls: ssl.SSLContext | None = None
) -> Iterator[Trickle]:
    """Takes a request, answers with the start and then with the piece until nobody listens."""
    stop = threading.Event()
    ended: list[float] = []

    def answer(plain: socket.socket) -> None:
        with suppress(OSError), plain:
            plain.settimeout(LIVENESS)
            with tls.wrap_socket(plain, server_side=True) if tls else plain as connection:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += connection.recv(65536)
                connection.sendall(start)
                while not stop.wait(pause):
                    connection.sendall(piece)
        ended.append(time.monotonic())

    def accept() -> None:
        with suppress(OSError):
            while True:
                one = threading.Thread(target=answer, args=(listener.accept()[0],))
                answering.append(one)
                one.start()

    answering: list[threading.Thread] = []
    listener = socket.create_server(("127.0.0.1", 0))
    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield Trickle(f"http{'s' * bool(tls)}://localhost:{listener.getsockname()[1]}", ended)
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for one in answering:
            one.join()


def client_of(url: str, **settings: Any) -> MartClient:
    """A client that waits for an answer for half a second."""
    given = {"data_mart_url": url, "data_mart_id": "x", "token": "t", "timeout_seconds": 0.5}
    return MartClient(Settings.load({**given, **settings}, {}))


def ends(
    server: Trickle, ask: Callable[[MartClient], Any], **settings: Any
) -> Outcome | str | DeliveryError:
    """What comes of a request; the connection must end before the client is closed."""
    client = client_of(server.url, **settings)
    outcome = ask(client)
    wait_until(lambda: bool(server.ended), "the connection has ended", seconds=LIVENESS)
    client.close()
    return outcome


def post(client: MartClient) -> Outcome:
    """Post an empty list."""
    return client.post_records(b"[]", count=1)


def read(client: MartClient) -> str:
    """Why nothing could be read."""
    with pytest.raises(DeliveryError) as raised:
        client.get("/subscriptions")
    return str(raised.value)


@pytest.fixture
def over_tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's side of TLS, believed by who has `ca.pem`."""
    authority, signer = certificate(None, None, days=10)
    found, key = certificate(authority, signer, days=10)
    (tmp_path / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = tmp_path / "server.pem"
    pem.write_bytes(private + found.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@pytest.mark.parametrize("where", ENDLESS)
def test_an_answer_that_never_ends_is_none(where: str):
    """Whatever comes bit by bit: the deadline is for the whole answer, and the connection ends."""
    with trickling(*ENDLESS[where]) as server:
        outcome = ends(server, post)
    assert isinstance(outcome, Retryable)
    assert (outcome.of_list, outcome.timed_out) == (True, True)


def test_an_answer_that_never_ends_is_none_over_tls(tmp_path: Path, over_tls: ssl.SSLContext):
    """Encrypted bytes are bytes."""
    with trickling(*ENDLESS["chunks"], tls=over_tls) as server:
        outcome = ends(server, post, ca_file=tmp_path / "ca.pem", timeout_seconds=2)
    assert isinstance(outcome, Retryable)
    assert outcome.timed_out


@pytest.mark.parametrize("where", ["headers", "body"])
def test_no_other_answer_takes_longer(where: str):
    """The kind of the mart, a token and what is read have the same deadline."""
    with trickling(*ENDLESS[where]) as server:
        kind = ends(server, MartClient.kind)
    assert isinstance(kind, Retryable)
    assert kind.timed_out
    with trickling(*ENDLESS[where]) as server:
        assert isinstance(ends(server, post, token=None, api_key="k"), Retryable)
    with trickling(*ENDLESS[where]) as server:
        assert "no answer" in ends(server, read)


def test_a_tunnel_is_not_waited_for_longer(monkeypatch: pytest.MonkeyPatch):
    """What a proxy says before there is a connection has a deadline too."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with trickling(b"HTTP/1.1 200 OK\r\nX: ", b"a") as server:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, server.url)
        client = client_of("https://mart.invalid")
        assert isinstance(post(client), Retryable)
        client.close()


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 x\r\nContent-Length: 9999999999\r\n\r\n",
        b"HTTP/1.1 302 x\r\nLocation: /\r\nContent-Length: 9999999999\r\n\r\n",
        _CHUNKED,
    ],
    ids=["long", "redirect", "chunk size"],
)
def test_no_answer_is_read_whole(start: bytes):
    """A few MiB are all that an answer of any size costs, whatever was asked."""
    tracemalloc.start()
    try:
        for ask, settings in (
            (post, {}),
            (MartClient.kind, {}),
            (post, {"token": None, "api_key": "k"}),
        ):
            with trickling(start, b"1" * 1_000_000, pause=0.0) as server:
                outcome = ends(server, ask, timeout_seconds=30, **settings)
                assert isinstance(outcome, (Blocked, Retryable))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 20_000_000


@pytest.mark.parametrize("ask", [post, MartClient.kind])
def test_a_compressed_answer_is_read_up_to_the_same_bound(
    scripted_mart: ScriptedMart, ask: Callable[[MartClient], Any]
):
    """300 MB in 300 kB stay 1 MiB."""
    packed = gzip.compress(b" " * 300_000_000)
    scripted_mart.always = Answer(200, packed, (("Content-Encoding", "gzip"),))
    client = client_of(scripted_mart.url, timeout_seconds=30)
    tracemalloc.start()
    try:
        assert isinstance(ask(client), Blocked)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        client.close()
    assert most < 20_000_000


def test_a_compressed_answer_is_understood(scripted_mart: ScriptedMart):
    """The data mart, or a gateway before it, may compress; damage is no answer."""
    packed = gzip.compress(b"{}")
    header = (("Content-Encoding", "gzip"),)
    scripted_mart.answers.extend([Answer(202, packed, header), Answer(202, b"{}", header)])
    client = client_of(scripted_mart.url, timeout_seconds=30)
    assert post(client) == Accepted()
    assert isinstance(post(client), Retryable)
    client.close()


def test_a_connection_is_used_again(scripted_mart: ScriptedMart):
    """Answers that were read to their end, of any kind, leave the connection as it was."""
    scripted_mart.answers.extend([Answer(202, b"{}"), Answer(204), Answer(503, b"later")])
    client = MartClient(Settings.load({**scripted_mart.settings, "timeout_seconds": 30}, {}))
    outcomes = [post(client) for _ in range(4)]
    manager = client._session.get_adapter(scripted_mart.url).poolmanager
    (pool,) = (manager.pools[key] for key in manager.pools.keys())  # noqa: SIM118 - no iteration
    assert pool.num_connections == 1
    connection = pool._get_conn()
    assert connection.sock.gettimeout() == 30
    connection.close()
    client.close()
    assert [type(one) for one in outcomes] == [Accepted, Accepted, Retryable, Accepted]


GREEN = """
import gevent.monkey
gevent.monkey.patch_all()
import sys
from scorespan.delivery.client import MartClient
from scorespan.settings import Settings
from scorespan.threads import native
settings = {"data_mart_url": sys.argv[1], "data_mart_id": "x", "token": "t", "timeout_seconds": 2}
if sys.argv[2:]:
    settings["ca_file"] = sys.argv[2]
client = MartClient(Settings.load(settings, {}))
def ask():
    print(client.post_records(b"[]", count=1).timed_out)
one = native.Thread(target=ask)
one.start()
one.join()
"""


@pytest.mark.parametrize("secure", [False, True])
def test_under_gevent_an_answer_that_never_ends_is_none(
    tmp_path: Path, over_tls: ssl.SSLContext, secure: bool
):
    """Its sockets wait by themselves; the deadline holds all the same."""
    with trickling(*ENDLESS["headers"], tls=over_tls if secure else None) as server:
        command = [sys.executable, "-c", GREEN, server.url, *[tmp_path / "ca.pem"] * secure]
        said = subprocess.check_output(command, timeout=LIVENESS, text=True)
    assert said == "True\n"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedMart]:
    """A server that the environment names as the proxy for everything."""
    with ScriptedMart() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, server.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield server


def test_what_is_for_this_machine_does_not_pass_a_proxy(
    scripted_mart: ScriptedMart, proxy: ScriptedMart
):
    """Plain http is allowed because it stays here: neither key nor body goes to the proxy."""
    client = MartClient(Settings.load(scripted_mart.settings, {}))
    assert client.post_records(b"[]", count=1) == Accepted()
    client.close()
    assert scripted_mart.posts == [b"[]"]
    assert (proxy.tokens_given, proxy.posts) == (0, [])


def test_a_token_service_on_this_machine_is_not_asked_through_a_proxy(
    scripted_mart: ScriptedMart, proxy: ScriptedMart
):
    """Wherever the mart is, the API key for a local token service stays here."""
    settings = {
        **scripted_mart.settings,
        "data_mart_url": "https://mart.invalid",
        "token_url": f"{scripted_mart.url}/v1/preauth/validateAuth",
        "timeout_seconds": 5,
    }
    client = MartClient(Settings.load(settings, {}))
    assert isinstance(client.post_records(b"[]", count=1), Retryable)
    client.close()
    assert (scripted_mart.tokens_given, proxy.tokens_given) == (1, 0)


def test_the_certificates_of_the_settings_win_over_the_environment(
    scripted_mart: ScriptedMart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`SCORESPAN_CA_FILE` is what every request is verified with, whatever else is set."""
    ours, others = tmp_path / "ours.pem", tmp_path / "others.pem"
    ours.touch()
    others.touch()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(others))
    client = MartClient(Settings.load({**scripted_mart.settings, "ca_file": ours}, {}))
    session = client._session
    merged = session.merge_environment_settings("https://mart", {}, None, client._verify, None)
    client.close()
    assert merged["verify"] == str(ours)
