"""Once: whatever happens to answers on their way, the real mart has each record once."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from delivery.bench import Bench, span
from examples.live import DATA_MART_ID, SUBSCRIPTION_ID, LiveMart, live_mart

LOST = 1000


@dataclass
class Target:
    """Where a bench delivers to: a proxy before the mart."""

    url: str
    settings: dict[str, Any]
    DATA_MART_ID: str = DATA_MART_ID


@contextmanager
def proxy(mart: LiveMart, fate: Callable[[], str]) -> Iterator[Target]:
    """A proxy that passes on what is posted, and does with the answer what fate says.

    `pass`, `lose` (the connection is reset when the mart has stored), `twice` (the mart gets two
    copies), `slow` (the answer comes after the sender has given up).
    """
    host, port = mart.running.url.removeprefix("http://").split(":")
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            self.behind = http.client.HTTPConnection(host, int(port), timeout=60)

        def finish(self) -> None:
            self.behind.close()
            super().finish()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fated = fate() if self.path.endswith("/scoring_payloads") else "pass"
            for _ in range(2 if fated == "twice" else 1):
                self.behind.request("POST", self.path, body, dict(self.headers))
                answer = self.behind.getresponse()
                content = answer.read()
            if fated == "lose":
                linger = struct.pack("ii", 1, 0)  # a reset, and not the end of the stream
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if fated == "lose" or (fated == "slow" and not ended.wait(1)):
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"date", "server"}:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    known = {name: mart.settings[name] for name in ("data_mart_id", "api_key", "subscription_id")}
    try:
        yield Target(url, {**known, "data_mart_url": url, "data_mart_kind": "scorespan"})
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def mart(tmp_path: Path) -> Iterator[LiveMart]:
    """A real mart."""
    with live_mart(tmp_path) as running:
        yield running


def scored(number: int, **changed: Any):
    """A span of the mart's subscription, a moment old."""
    return span(number, subscription_id=SUBSCRIPTION_ID, **changed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_lost_slow_and_doubled_answers_store_each_record_once(
    mart: LiveMart, tmp_path: Path, seed: int
):
    """A thousand answers are lost after the commit, others come late or the mart gets copies."""
    chance = random.Random(seed)
    fates = {"lose": 0, "twice": 0, "slow": 0, "pass": 0}

    def fate() -> str:
        chosen = "pass"
        if fates["lose"] < LOST:
            weights = [76, 10, 0 if fates["slow"] >= 5 else 1, 13]
            (chosen,) = chance.choices(list(fates), weights)
        fates[chosen] += 1
        return chosen

    with proxy(mart, fate) as target:
        bench = Bench(tmp_path / "root", target, timeout_seconds=0.5)
        bench.worker.start()
        put = 0
        while fates["lose"] < LOST:
            bench.put(*(scored(number) for number in range(put + 1, put + 101)))
            put += 100
            assert bench.worker.flush(60), fates
        bench.close()
    assert sorted(mart.ids()) == sorted(f"s{number}" for number in range(1, put + 1))
    assert mart.row_count() == put
    assert mart.conflicts() == []
    assert set(bench.outcomes().values()) == {"stored"}
    assert fates["twice"] > 20
    assert bench.letters() == {}


def test_another_body_under_the_same_key_is_kept_as_a_conflict(mart: LiveMart, tmp_path: Path):
    """The first one wins; the other is listed, and counts as delivered."""
    fates = iter(["lose", "pass", "twice", "pass", "pass", "pass"])
    with proxy(mart, lambda: next(fates, "pass")) as target:
        bench = Bench(tmp_path / "root", target)
        bench.deliver(scored(1))
        edited = b'{"fields": ["p"], "values": [[99]]}'
        bench.put(scored(1, response=edited, sequence=2), scored(3))
        assert bench.worker.flush(60)
        bench.close()
    assert sorted(mart.ids()) == ["s1", "s3"]
    (conflict,) = mart.conflicts()
    assert conflict["scoring_id"] == "s1"
    (first,) = (record for record in mart.records() if record.scoring_id == "s1")
    assert first.response_text == span(1).response
    assert bench.letters() == {}
