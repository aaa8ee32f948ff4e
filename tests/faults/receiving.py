"""A receiver that faults are done to, and a sender that notes what it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
import requests
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.hop import Hop, free_port
from collector.pipeline import CLI, environment_of
from faults.oracle import START, Oracle, scoring
from scorespan import attributes

_TYPE = "application/x-protobuf"


class Told(NamedTuple):
    """What a receiver answers: an HTTP status or a gRPC code, and when to come again."""

    status: int | grpc.StatusCode
    retry_after: float | None = None


class Receiver:
    """A running receiver; any thread may send to it.

    Attributes:
        refused: how many scorings were told no; some of them may have been kept.
    """

    def __init__(self, hop: Hop, grpc_port: int, oracle: Oracle) -> None:
        self.hop = hop
        self._grpc_port = grpc_port
        self._oracle = oracle
        self._numbers = iter(range(1, 10**9))
        self._lock = threading.Lock()
        self._accepted: set[str] = set()
        self.refused = 0

    @property
    def url(self) -> str:
        """Its HTTP door."""
        return f"http://127.0.0.1:{self.hop.port}"

    def batch(self, count: int = 20, size: int = 0, *, producer_id: str = "") -> Batch:
        """A request of so many scorings, that nobody has sent; numbered where it has a producer."""
        with self._lock:
            numbers = [next(self._numbers) for _ in range(count)]
        return Batch.of(numbers, size, producer_id)

    def post(self, batch: Batch) -> Told:
        """Send over HTTP; what is answered with 200 counts as accepted.

        Raises:
            requests.RequestException: nobody answered.
        """
        answer = requests.post(
            f"{self.url}/v1/traces", batch.body, headers={"Content-Type": _TYPE}, timeout=60
        )
        after = answer.headers.get("Retry-After")
        return self._noted(batch, Told(answer.status_code, None if after is None else int(after)))

    def export(self, batch: Batch) -> Told:
        """Send over gRPC; what is answered with OK counts as accepted."""
        with grpc.insecure_channel(f"127.0.0.1:{self._grpc_port}") as channel:
            try:
                TraceServiceStub(channel).Export(
                    ExportTraceServiceRequest.FromString(batch.body), timeout=60
                )
            except grpc.RpcError as error:
                return self._noted(batch, Told(error.code(), _asked_of(error)))
            return self._noted(batch, Told(200))

    def _noted(self, batch: Batch, told: Told) -> Told:
        with self._lock:
            if told.status == 200:
                for scoring_id in batch.ids:
                    if scoring_id not in self._accepted:
                        self._oracle.accepted.add(scoring_id)
                self._accepted.update(batch.ids)
            else:
                self.refused += len(batch.ids)
        return told


class Batch(NamedTuple):
    """The scorings of one request."""

    ids: list[str]
    body: bytes

    @classmethod
    def of(cls, numbers: Sequence[int], size: int, producer_id: str) -> Batch:
        """A request of these scorings, each with a request body of about `size` bytes."""
        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add().scope_spans.add().spans
        ids = []
        for number in numbers:
            known = scoring(producer_id or "unnumbered", number)
            ids.append(known.key)
            span = spans.add(
                name="scoring",
                trace_id=number.to_bytes(16, "big"),
                span_id=number.to_bytes(8, "big"),
                start_time_unix_nano=START,
                end_time_unix_nano=START + 7_000_000,
            )
            _set(span, attributes.ID, known.key)
            body = b'{"fields": ["t"], "values": [["%s"]]}' % (b"x" * size)
            _set(span, attributes.REQUEST, body.decode())
            _set(span, attributes.RESPONSE, (known.response or b"").decode())
            if producer_id:
                _set(span, attributes.PRODUCER_ID, producer_id)
                _set(span, attributes.SEQUENCE, number)
        return cls(ids, request.SerializeToString())


@contextmanager
def receiver(oracle: Oracle, prefix: Sequence[str] = (), **settings: Any) -> Iterator[Receiver]:
    """A receiver over the oracle's spool while the block runs; killed at the end.

    Args:
        oracle: knows the mart, and the accepted ids.
        prefix: the command under which it runs.
        settings: beyond those of the oracle.
    """
    port, grpc_port = free_port(), free_port()
    hop = Hop(
        [*prefix, *CLI, "receive", "--http-port", str(port), "--grpc-port", str(grpc_port)],
        environment_of({**oracle.settings, **settings}),
        port,
        oracle.accepted.path.with_name("receiver.said"),
    )
    try:
        hop.start()
        yield Receiver(hop, grpc_port, oracle)
    finally:
        hop.kill()


def _set(span: Span, name: str, value: str | int) -> None:
    attribute = span.attributes.add(key=name)
    if isinstance(value, str):
        attribute.value.string_value = value
    else:
        attribute.value.int_value = value


def _asked_of(error: Any) -> float | None:
    """Seconds to wait, as the answer's details say it."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            for detail in Status.FromString(value).details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return info.retry_delay.ToTimedelta().total_seconds()
    return None
