"""A receiver as a process, and what is sent to it and counted."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.hop import free_port
from running import started, wait_until

COMMAND = (sys.executable, "-m", "scorespan.cli", "receive")
ANY_PORTS = ("--http-port", "0", "--grpc-port", "0")
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def body_of(*ids: str) -> bytes:
    """An OTLP request with a scoring for each id."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for scoring_id in ids:
        span = spans.add(name="scoring", trace_id=os.urandom(16), span_id=os.urandom(8))
        span.start_time_unix_nano = 1_767_225_600_000_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + 7_000_000
        for name, value in (
            ("scoring.id", scoring_id),
            ("scoring.request", '{"fields":["age"],"values":[[41]]}'),
            ("scoring.response", '{"fields":["prediction"],"values":[["Risk"]]}'),
        ):
            span.attributes.add(key=name).value.string_value = value
    return request.SerializeToString()


def children_of(process_id: int) -> list[int]:
    """The processes that a process has started and not taken away yet."""
    with suppress(OSError):
        return [
            *map(int, Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split())
        ]
    return []


def is_alive(process_id: int) -> bool:
    """Whether a process runs; a dead one that nobody has taken away does not."""
    try:
        said = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return said.rpartition(")")[2].split()[0] != "Z"


def certain_ports() -> tuple[str, ...]:
    """Arguments for a receiver that comes back at the same ports."""
    return "--http-port", str(free_port()), "--grpc-port", str(free_port())


class ReceiverProcess:
    """A receiver that listens.

    Attributes:
        process: the one that was started, the parent where there are workers.
        url: the HTTP door.
        grpc: address of the gRPC door; None without one.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        line = process.stdout.readline()
        assert line, process.communicate()
        self.said: dict[str, Any] = json.loads(line)
        self.url: str = self.said["http"]
        self.grpc: str | None = self.said["grpc"]

    @property
    def workers(self) -> list[int]:
        """The ids of its workers."""
        return [child for child in children_of(self.process.pid) if is_alive(child)]

    def post(self, *ids: str, session: requests.Session | None = None) -> requests.Response:
        """Send a scoring for each id."""
        return (session or requests).post(
            f"{self.url}/v1/traces", body_of(*ids), headers=PROTOBUF, timeout=60
        )

    def connect(self) -> socket.socket:
        """A connection to the HTTP door."""
        host, _, port = self.url.rpartition("/")[2].rpartition(":")
        return socket.create_connection((host, int(port)), timeout=60)

    def end(self, number: int = signal.SIGTERM) -> str:
        """Tell it to stop, which it must with 0 and in time; returns what it said on stderr."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> str:
        """What it said on stderr until its end, which must come by itself, and be a good one."""
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        assert "Traceback" not in said
        return said


@contextmanager
def receiver_process(
    environment: Mapping[str, str], *arguments: str | Path, command: Any = COMMAND
) -> Iterator[ReceiverProcess]:
    """A receiver while the block runs, at any free ports unless told; killed at the end."""
    ports = () if "--http-port" in arguments else ANY_PORTS
    with started(
        [*command, *ports, "--json", *arguments],
        environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        workers: list[int] = []
        try:
            running = ReceiverProcess(process)
            yield running
        finally:
            workers = children_of(process.pid)
            process.kill()
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            process.communicate()


class Senders:
    """Threads that send without a pause, each on a connection that it keeps.

    Attributes:
        accepted: the ids that were answered with 200.
        answers: every other answer.
    """

    def __init__(self, receiver: ReceiverProcess, count: int = 3) -> None:
        self._receiver = receiver
        self._stop = threading.Event()
        self.accepted: list[str] = []
        self.answers: list[requests.Response] = []
        self._threads = [
            threading.Thread(target=self._send, args=(f"s{number}",)) for number in range(count)
        ]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        """Return when so many were accepted."""
        wait_until(lambda: len(self.accepted) >= count, f"{count} accepted")

    def _send(self, name: str) -> None:
        number = 0
        with requests.Session() as session:
            while not self._stop.is_set():
                ids = [f"{name}-{number + at}" for at in range(5)]
                number += 5
                try:
                    answer = self._receiver.post(*ids, session=session)
                except requests.RequestException:
                    # Gone, or parting; unless it comes back, there is nobody to send to.
                    self._stop.wait(0.01)
                    continue
                if answer.status_code == 200:
                    self.accepted += ids
                else:
                    self.answers.append(answer)
