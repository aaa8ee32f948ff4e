"""The exit table: however a server is ended, every record whose answer was sent arrives, once."""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector.backend import Backend
from running import clean_environment, wait_until
from scorespan import attributes
from scorespan.intake import Intake
from scorespan.settings import Settings
from scorespan.testing import Answer, ScriptedMart
from servers.serving import Server, free_port, installed, serving
from servers.toolkit import toolkit_serving

PROGRAMS = Path(__file__).parent / "programs"
CONNECTIONS = 3
QUEUED = 30
"""Answers that were sent before the signal, none of whose records could be delivered."""
PAUSE = 0.005
ENDING = 3
LIVENESS = 60

GUNICORN = ["gunicorn", "--bind", "127.0.0.1:{port}", "--log-level", "warning"]
UVICORN = ["uvicorn", "--port", "{port}", "--log-level", "warning"]
COMMANDS = {
    "gunicorn sync": [*GUNICORN, "--workers", "2", "exits_flask:app"],
    "gunicorn gthread": [*GUNICORN, "--threads", "4", "exits_flask:app"],
    "gunicorn gevent": [*GUNICORN, "--worker-class", "gevent", "exits_flask:app"],
    "gunicorn preload": [*GUNICORN, "--workers", "2", "--preload", "exits_flask:app"],
    # To an interrupt this worker does nothing, and is killed when its time is over.
    "gunicorn uvicorn": [
        *GUNICORN, "--worker-class", "uvicorn.workers.UvicornWorker", "--graceful-timeout", "5",
        "exits_fastapi:app",
    ],
    "uvicorn": [*UVICORN, "exits_fastapi:app"],
    "uvicorn workers": [*UVICORN, "--workers", "2", "exits_fastapi:app"],
    "hypercorn": ["hypercorn", "--bind", "127.0.0.1:{port}", "exits_fastapi:app"],
    "waitress": ["waitress-serve", "--listen", "127.0.0.1:{port}", "exits_flask:app"],
    "flask run": ["flask", "--app", "exits_flask", "run", "--port", "{port}"],
}  # fmt: skip
SERVERS = [*COMMANDS, "azmlinfsrv", "multi-model-server"]
ENDS = [
    pytest.param(server, sent, id=f"{server}-{sent.name}")
    for server in SERVERS
    for sent in (signal.SIGTERM, signal.SIGINT)
    # Its first process passes only one of them on.
    if (server, sent) != ("multi-model-server", signal.SIGINT)
]

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


class StalledMart(ScriptedMart):
    """A data mart that answers nobody until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.going = threading.Event()

    def answer(self, method: str, path: str, body: bytes = b"", bearer: str = "") -> Answer:
        """The answer, once it goes on; it does at its end."""
        while not (self.going.wait(0.05) or self.closing.is_set()):
            pass
        return super().answer(method, path, body, bearer)

    def numbers(self) -> Counter[int]:
        """The number in each of the records that arrived."""
        with self.arrived:
            return Counter(record["request"]["values"][0][0] for record in self.stored.values())

    def wait_for(self, numbers: set[int]) -> None:
        """Wait until these have arrived."""

        def missing() -> set[int]:
            return numbers - set(self.numbers())

        with self.arrived:
            self.arrived.wait_for(lambda: not missing(), LIVENESS)
        assert missing() == set()


@dataclass(frozen=True)
class Stalled:
    """Where the servers' records go: a mart that can stall, through a spool."""

    mart: StalledMart
    spool: Path

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments for `Settings.load`."""
        return {**self.mart.settings, "spool_dir": self.spool, "shutdown_seconds": "30"}

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a server that delivers here."""
        ours = {f"SCORESPAN_{name.upper()}": str(value) for name, value in self.settings.items()}
        return {**clean_environment(), **ours, **more}


@pytest.fixture
def stalled(tmp_path) -> Iterator[Stalled]:
    """A mart that is stalled."""
    with StalledMart() as mart:
        yield Stalled(mart, tmp_path / "spool")


class Client:
    """Posts one number after the other over several connections, until the server ends or it."""

    def __init__(self, port: int, path: str) -> None:
        self.answered: set[int] = set()
        """Numbers of which the whole answer has come."""
        self._numbers = itertools.count()
        self._sent: set[int] = set()
        self._path, self._port = path, port
        self._ended = threading.Event()

    @contextmanager
    def posting(self) -> Iterator[None]:
        """It posts while the block runs."""
        threads = [threading.Thread(target=self._post) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _post(self) -> None:
        while not self._ended.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                while not self._ended.wait(PAUSE):
                    self._post_one(connection)
            except ConnectionRefusedError:  # it listens no more; another one might soon
                return
            except (OSError, http.client.HTTPException):
                self._ended.wait(PAUSE)
            finally:
                connection.close()

    def _post_one(self, connection: http.client.HTTPConnection) -> None:
        number = next(self._numbers)
        self._sent.add(number)
        body = json.dumps({"fields": ["number"], "values": [[number]]})
        connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        # Interrupted behind the headers, gunicorn sends a page of its own as the body.
        if answer.status == 200 and said.startswith(b"{"):
            assert json.loads(said)["values"] == [[number]]
            self.answered.add(number)


@contextmanager
def server_of(name: str, where: Any, folder: Path, **environment: str) -> Iterator[Server]:
    """One of the table's servers, its scorings captured."""
    if name == "multi-model-server":
        script = {"code/inference.py": PROGRAMS / "exits_sagemaker.py"}
        with toolkit_serving(script, where, folder, **environment) as server:
            yield server
        return
    port = free_port()
    if name == "azmlinfsrv":
        script = PROGRAMS / "exits_azureml.py"
        made, command = installed("azureml"), ["azmlinfsrv", "--entry_script", str(script)]
        command += ["--port", "{port}"]
    else:
        made, command = installed("small"), COMMANDS[name]
    placed = [part.format(port=port) for part in command]
    # A shell that started the tests in the background has them ignore an interrupt, and theirs.
    placed = ["env", "--default-signal=INT", str(made.script(placed[0])), *placed[1:]]
    environment |= {"PYTHONPATH": str(PROGRAMS)}
    with serving(placed, where, folder, port=port, **environment) as server:
        yield server


def client_of(name: str, server: Server) -> Client:
    """A client of one of the table's servers."""
    return Client(server.port, "/invocations" if name == "multi-model-server" else "/score")


@pytest.mark.parametrize(("name", "sent"), ENDS)
def test_every_record_whose_answer_was_sent_arrives_once(name, sent, stalled, tmp_path):
    """What waits at the signal arrives before the end; what is answered then, by the next start."""
    with server_of(name, stalled, tmp_path) as server:
        client = client_of(name, server)
        with client.posting():
            wait_until(lambda: len(client.answered) >= QUEUED, "answers while the mart is stalled")
            queued = set(client.answered)
            assert not stalled.mart.stored
            server.process.send_signal(sent)
            stalled.mart.going.set()
            may_end(server)
        server.process.wait(LIVENESS)
        stalled.mart.wait_for(queued)
    arrive_by_the_next_start(stalled, client.answered)


@pytest.mark.parametrize("name", SERVERS)
def test_records_outlive_the_server_that_could_not_deliver_them(name, stalled, tmp_path):
    """Under a mart that stays away the server ends in time, and the next start delivers."""
    with server_of(name, stalled, tmp_path, SCORESPAN_SHUTDOWN_SECONDS="0.2") as server:
        client = client_of(name, server)
        with client.posting():
            wait_until(lambda: len(client.answered) >= QUEUED, "answers while the mart is stalled")
            server.process.send_signal(signal.SIGTERM)
            may_end(server)
        server.process.wait(LIVENESS)
    assert not stalled.mart.stored
    stalled.mart.going.set()
    arrive_by_the_next_start(stalled, client.answered)


def may_end(server: Server) -> None:
    """Give it a while to end.

    A client that goes on may keep it: uvicorn waits for the connection that it has accepted last,
    as long as there are requests on it.
    """
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(ENDING)


def arrive_by_the_next_start(stalled: Stalled, answered: set[int]) -> None:
    """A process of the same spool starts, and then all that was answered is there, once."""
    intake = Intake(Settings.load(stalled.settings))
    intake.open()
    try:
        stalled.mart.wait_for(answered)
    finally:
        intake.close()
    assert set(stalled.mart.numbers().values()) == {1}


@pytest.mark.parametrize("name", ["gunicorn sync", "uvicorn", "flask run"])
def test_spans_that_wait_in_memory_leave_before_the_end(name, stalled, tmp_path):
    """Towards a Collector nothing is on disk: the queue is sent when the server is ended."""
    backend = Backend()
    to_collector = {
        "SCORESPAN_EXPORT": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": backend.url,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
    }
    with backend.up(), server_of(name, stalled, tmp_path, **to_collector) as server:
        client = client_of(name, server)
        with client.posting():
            wait_until(lambda: len(client.answered) >= QUEUED, "answers")
            assert not backend.spans
            server.process.send_signal(signal.SIGTERM)
            may_end(server)
        server.process.wait(LIVENESS)
        numbers = [
            json.loads(attribute.value.string_value)["values"][0][0]
            for span in backend.spans
            for attribute in span.attributes
            if attribute.key == attributes.REQUEST
        ]
    assert client.answered <= set(numbers)
    assert len(numbers) == len(set(numbers))
