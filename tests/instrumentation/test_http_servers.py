"""Real servers: what they really do with the hooks between them and the service."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from running import clean_environment, started, wait_until
from scorespan.testing import ScriptedMart

PROGRAMS = Path(__file__).parent / "programs"
GUNICORN = ["-m", "gunicorn", "-b", "127.0.0.1:{port}", "--no-control-socket", "wsgi_service:app"]
UVICORN = ["-m", "uvicorn", "--port", "{port}", "asgi_service:app"]
SERVERS = {
    "sync": [*GUNICORN, "-k", "sync"],
    "gthread": [*GUNICORN, "-k", "gthread", "--threads", "20"],
    "gevent": [*GUNICORN, "-k", "gevent"],
    "uvicorn": [*UVICORN],
    "uvicorn-h11": [*UVICORN, "--http", "h11", "--loop", "asyncio"],
}
RECORD = {"fields": ["a"], "values": [[1]]}


class Service:
    """A server with capture on, and its mart."""

    def __init__(self, port: int, mart: ScriptedMart) -> None:
        self.port = port
        self.mart = mart

    def post(self, path: str, body: object = RECORD, **headers: str) -> tuple[int, bytes]:
        """Status and body of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = body if isinstance(body, bytes) or hasattr(body, "__next__") else json.dumps(body)
        try:
            named = {"Content-Type": "application/json", **headers}
            connection.request("POST", path, sent, named)  # an iterator goes out chunked
            answer = connection.getresponse()
            try:
                return answer.status, answer.read()
            except http.client.IncompleteRead as cut:
                return answer.status, cut.partial
        finally:
            connection.close()

    def records(self, count: int) -> list[dict]:
        """So many records, once the mart has them."""
        wait_until(lambda: len(self.mart.stored) >= count, f"{count} records")
        assert len(self.mart.stored) == count
        return list(self.mart.stored.values())


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@pytest.fixture
def serve(scripted_mart: ScriptedMart, tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    """Start a server by its name."""
    running = []

    def start(name: str) -> Service:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        command = [part.format(port=port) for part in SERVERS[name]]
        settings = {**scripted_mart.settings, "spool_dir": tmp_path / "spool"}
        environment = clean_environment() | {
            f"SCORESPAN_{name.upper()}": str(value) for name, value in settings.items()
        }
        environment["PYTHONPATH"] = str(PROGRAMS)
        process = started([sys.executable, *command], environment, cwd=tmp_path)
        running.append((process, process.__enter__()))
        wait_until(lambda: answers(port), f"{name} listens")
        return Service(port, scripted_mart)

    yield start
    for process, handle in running:
        handle.send_signal(signal.SIGTERM)
        handle.wait(60)
        process.__exit__(None, None, None)


@pytest.mark.parametrize("name", SERVERS)
def test_scorings_that_run_at_once_do_not_mix(serve, name):
    """Under every kind of concurrency each record's answer belongs to its request."""
    service = serve(name)
    paths = ["/score", "/v1/models/threads:predict"] if "uvicorn" in name else ["/score"]
    asked = [(paths[index % len(paths)], [[index]]) for index in range(50)]

    def ask(path, values):
        return service.post(path, {"fields": ["a"], "values": values})

    with ThreadPoolExecutor(25) as pool:
        answered = list(pool.map(lambda pair: ask(*pair), asked))
    for (_, values), (status, body) in zip(asked, answered, strict=True):
        assert (status, json.loads(body)["values"]) == (200, values)
    records = service.records(len(asked))
    for record in records:
        assert record["request"]["values"] == record["response"]["values"]
    assert sorted(record["request"]["values"][0][0] for record in records) == list(range(50))
    assert sorted(record["scorespan"]["sequence"] for record in records) == list(range(1, 51))


@pytest.mark.parametrize("name", ["sync", "uvicorn"])
def test_what_may_happen_to_a_body(serve, name):
    """Chunked, unread, failing in its middle: the client sees the service, the record all."""
    service = serve(name)
    chunked = iter([b'{"fields": ["a"],', b' "values": [[7]]}'])
    status, body = service.post("/score", chunked)
    assert (status, json.loads(body)["values"]) == (200, [[7]])
    assert service.post("/predict", b"x" * 5000)[0] == 200
    assert service.post("/invocations", b"half")[1] == b"half"
    whole, unread, failed = service.records(3)
    assert whole["request"] == {"fields": ["a"], "values": [[7]]}
    assert any("0 of 5000 bytes" in note for note in unread["scorespan"]["notes"])
    assert unread["scorespan"]["bodies"]["request"]["size"] == 5000
    assert failed["response"] is None
    error = failed["scorespan"]["error"]
    assert (error["type"], error["response"]) == ("ValueError", "half")


def test_a_client_that_leaves_a_stream_ends_the_scoring(serve):
    """What it got until then is the answer."""
    service = serve("uvicorn")
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("POST", "/predictions/events", b"say")
    answer = connection.getresponse()
    assert answer.read(len(b"data: first\n\n")) == b"data: first\n\n"
    answer.close()
    connection.close()
    (record,) = service.records(1)
    assert record["scorespan"]["model"] == "events"
    assert record["scorespan"]["response_chunks"] == 1
    assert any(
        "the client was gone after 13 bytes" in note for note in record["scorespan"]["notes"]
    )


@pytest.mark.parametrize("name", ["gthread", "uvicorn", "uvicorn-h11"])
def test_requests_on_one_connection_are_records_of_their_own(serve, name):
    """Sent before the first was answered, they are answered in turn."""
    service = serve(name)
    bodies = [json.dumps({"fields": ["a"], "values": [[index]]}).encode() for index in range(5)]
    asked = b"".join(
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n%s\r\n%s"
        % (len(body), b"Connection: close\r\n" if body is bodies[-1] else b"", body)
        for body in bodies
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(asked)
        answered = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answered.count(b"HTTP/1.1 200 OK") == len(bodies)
    records = service.records(len(bodies))
    assert [record["request"]["values"] for record in records] == [[[index]] for index in range(5)]
    for record in records:
        assert record["request"]["values"] == record["response"]["values"]
