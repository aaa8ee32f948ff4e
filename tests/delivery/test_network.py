"""Faults of the network: each is told apart, waited out, and leaves no thread or descriptor."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from delivery import network
from delivery.network import certificate, over_tls
from scorespan.delivery.client import MartClient, Pieces
from scorespan.delivery.retry import Accepted, Retryable
from scorespan.settings import Settings
from scorespan.testing import Answer, ScriptedMart

TIMES = 100


@pytest.mark.parametrize(
    ("fault", "of_list", "timed_out"),
    [
        (network.refused, False, False),
        (network.blackhole, False, False),
        (network.no_such_name, False, False),
        (network.expired, False, False),
        (network.unknown_authority, False, False),
        (network.proxy_lets_nobody_through, False, False),
        (network.proxy_says_502, True, False),
        (network.dropped, True, False),
        (network.half_open, True, True),
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
        assert descriptors <= before[0] + (TIMES + 4 if fault is network.half_open else 4)
        assert ours <= before[1]  # those of other tests may end meanwhile


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
