"""The receiver beside the official Collector: OTLP/HTTP in, on the disk, answered.

Both get the same requests of 512 spans of the German credit record from the same client, in turns,
and sync before they answer. Counted is the processor time of their processes, all threads. The
Collector sends on to a server that answers at once, in another process, because without an exporter
it has no queue: with the compression that is its default, and with none. The receiver's delivery is
no part of this: its data mart cannot be reached, so that its worker only waits.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.benchmarks.measure import REQUEST, RESPONSE, Comparison, compare
from tests.benchmarks.null_server import null_server
from tests.collector.build import program

WHAT = "CPU of the receiver"
WORKERS = (1, 2)
_COMPRESSIONS = ("gzip", "none")
GOAL = 100_000
"""Spans a second for each core that the receiver is to take."""
_SPANS = 512
_REQUESTS = 150
_TURNS = 5
_SENDERS = 4
_HALF_LOAD_SECONDS = 5.0
_HALF_LOAD_SENDERS = 16
_NOWHERE = "http://127.0.0.1:9"
_NOTHING_SAID = 2
"""Bytes of an answer that is nothing but yes."""
_TICK = os.sysconf("SC_CLK_TCK")
_DEADLINE_SECONDS = 60.0
_HEADERS = {"Content-Type": "application/x-protobuf"}
_COLLECTOR = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}
exporters:
  otlp_http:
    endpoint: {null_server}
    compression: {compression}
    retry_on_failure: {{max_elapsed_time: 0s}}
    sending_queue: {{storage: file_storage, block_on_overflow: true, queue_size: 100000}}
extensions:
  file_storage: {{directory: {queue}, create_directory: true, fsync: true}}
service:
  extensions: [file_storage]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}}}}
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
"""


class Rate(NamedTuple):
    """What some worker processes take: spans a second, for each core and by the clock.

    And how long an answer takes at half of that load, in seconds.
    """

    workers: int
    per_core: float
    per_second: float
    p50: float
    p99: float


def run() -> list[Comparison]:
    """The comparisons; without a Collector there are none."""
    collector = program()
    if not collector.is_file():
        print("no Collector, so no comparison with it; `make collector` builds it")  # noqa: T201 - as its caller does
        return []
    return [_beside(collector, compression) for compression in _COMPRESSIONS]


def _beside(collector: Path, compression: str) -> Comparison:
    with _receiver(1) as ours, _collector(collector, compression) as theirs:
        cpu, their_cpu, ratio = compare(ours.cpu_per_span, theirs.cpu_per_span, turns=_TURNS)
    what = "receiver's CPU per span, on disk and answered"
    against = f"the Collector with a synced disk queue, {compression} out"
    return Comparison(what, cpu, against, their_cpu, ratio, must=1.0, goal=0.5)


def rates() -> Iterator[Rate]:
    """What so many worker processes of the receiver take."""
    for workers in WORKERS:
        with _receiver(workers) as side:
            turns = [side.turn() for _ in range(_TURNS + 1)][1:]
            per_second = statistics.median(turn.per_second for turn in turns)
            times = side.times_at(per_second / 2)
        cpu = statistics.median(turn.cpu for turn in turns)
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        yield Rate(workers, 1e6 / cpu, per_second, p50, p99)


class Turn(NamedTuple):
    """One turn: microseconds of CPU for one span, and spans a second by the clock."""

    cpu: float
    per_second: float


class _Side:
    """Something that takes OTLP/HTTP.

    Args:
        port: where.
        process: it, or the parent of all its processes.
        settled: waits until it has done all that it does with the requests so far.
    """

    def __init__(
        self, port: int, process: subprocess.Popen[str], settled: Callable[[int], None]
    ) -> None:
        self._process = process
        self._settled = settled
        self._body = _body()
        self._sent = 0
        self._idle = [
            http.client.HTTPConnection("127.0.0.1", port) for _ in range(_HALF_LOAD_SENDERS)
        ]

    def cpu_per_span(self) -> float:
        """Microseconds of CPU for one span, of all that is done with it."""
        return self.turn().cpu

    def turn(self) -> Turn:
        """Send requests one behind the other on some connections."""
        before, began = self._cpu(), time.perf_counter()
        with ThreadPoolExecutor(_SENDERS) as senders:
            for _ in senders.map(self._post, range(_REQUESTS)):
                pass
        elapsed = time.perf_counter() - began
        self._sent += _REQUESTS
        self._settled(self._sent)
        spans = _REQUESTS * _SPANS
        return Turn((self._cpu() - before) / spans * 1e6, spans / elapsed)

    def times_at(self, per_second: float) -> list[float]:
        """How long answers took while so many spans came a second, in order.

        A request is sent when it is time, whether others were answered or not, and its time runs
        from then.
        """
        pause = _SPANS / per_second
        began = time.perf_counter()

        def send(number: int) -> float:
            due = began + number * pause
            time.sleep(max(0.0, due - time.perf_counter()))
            self._post(number)
            return time.perf_counter() - due

        with ThreadPoolExecutor(_HALF_LOAD_SENDERS) as senders:
            return sorted(senders.map(send, range(int(_HALF_LOAD_SECONDS / pause))))

    def _post(self, _: int) -> None:
        connection = self._idle.pop()
        connection.request("POST", "/v1/traces", self._body, _HEADERS)
        answer = connection.getresponse()
        said = answer.read()
        self._idle.append(connection)
        # A partial success has more to say than its length.
        if answer.status != 200 or len(said) > _NOTHING_SAID:
            sys.exit(f"a request was answered {answer.status} {said!r}: nothing was measured")

    def _cpu(self) -> float:
        """Seconds of CPU of its processes until now."""
        own = self._process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        ticks = 0
        for process in (own, *children):
            ended = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(ended[11]) + int(ended[12])  # in user mode and in the kernel
        return ticks / _TICK


@contextmanager
def _receiver(workers: int) -> Iterator[_Side]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "scorespan.cli", "receive", "--json", "--no-grpc"),
            *("--http-port", "0", "--workers", str(workers)),
        ]
        environment = {
            **os.environ,
            "SCORESPAN_DATA_MART_URL": _NOWHERE,
            "SCORESPAN_DATA_MART_ID": "benchmark",
            "SCORESPAN_DATA_MART_KIND": "scorespan",
            "SCORESPAN_TOKEN": "benchmark",
            "SCORESPAN_SUBSCRIPTION_ID": "benchmark",
            "SCORESPAN_SHUTDOWN_SECONDS": "0",
            "SCORESPAN_SPOOL_DIR": folder,
            "SCORESPAN_SPOOL_MAX_BYTES": str(2**40),
        }
        with _running(command, environment) as process:
            line = process.stdout.readline() if process.stdout else ""
            address = json.loads(line)["http"]
            yield _Side(int(address.rpartition(":")[2]), process, lambda _: None)


@contextmanager
def _collector(collector: Path, compression: str) -> Iterator[_Side]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        onward = stack.enter_context(null_server())
        port = _free_port()
        config = folder / "collector.yaml"
        settings = _COLLECTOR.format(
            port=port, null_server=onward, queue=folder / "queue", compression=compression
        )
        config.write_text(settings)
        process = stack.enter_context(
            _running([str(collector), f"--config={config}"], dict(os.environ))
        )
        _wait_until(lambda: _listens(port))
        yield _Side(port, process, lambda sent: _wait_until(lambda: _posts(onward) >= sent))


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _body() -> bytes:
    """A request as OpenTelemetry's own exporter sends it, with all that our spans carry."""
    finished = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(finished))
    tracer = provider.get_tracer("scorespan")
    for number in range(1, _SPANS + 1):
        span = tracer.start_span("scoring")
        span.set_attributes(
            {
                "scoring.request": REQUEST,
                "scoring.response": RESPONSE,
                "scoring.producer.id": "0123456789abcdef0123456789abcdef",
                "scoring.sequence": number,
            }
        )
        span.end()
    return encode_spans(finished.get_finished_spans()).SerializeToString()


def _posts(server: str) -> int:
    connection = http.client.HTTPConnection(server.removeprefix("http://"))
    connection.request("GET", "/")
    posts = int(connection.getresponse().read())
    connection.close()
    return posts


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > until:
            sys.exit("the Collector does not come to an end: nothing was measured")
        time.sleep(0.05)
