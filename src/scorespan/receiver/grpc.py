"""The gRPC door: OTLP/gRPC traces.

The library brings each message as it came, compressed or not; reading, decompression and bounds are
those of the HTTP door. Its asyncio server is none for a port that is open to others: one call whose
path is no UTF-8 ends it. So each call has a thread, and what may keep a thread waiting is bounded.

No process that has made a server may be forked: the library's threads would be missing in the
child. Several processes are started, each makes its own, and all listen on one port.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import NamedTuple, TypeAlias

import grpc

from scorespan.endpoint import Endpoint
from scorespan.errors import ReceiverError
from scorespan.receiver.access import Access
from scorespan.receiver.body_format import PROTOBUF
from scorespan.receiver.decompression import decompressed
from scorespan.receiver.grpc_deadline import Deadline
from scorespan.receiver.grpc_places import Places
from scorespan.receiver.grpc_refusal import refusal_of
from scorespan.receiver.memory import DECOMPRESSED_BYTES, WIRE_BYTES, Memory, Share, to_read
from scorespan.receiver.reception import Reception

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_DEFLATE = "deflate"

_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


class Bounds(NamedTuple):
    """What senders may ask of a server.

    Attributes:
        calls: how many calls are under way; those that come then wait, with nothing read of them.
        calls_each: how many of one connection; clients keep more than that to themselves.
        reads: how many messages are read at a time; each may be as large as the limit.
        reads_each: how many of one connection.
        seconds: how long a call may wait for its turn, and then its message may take to come.
        connections: how many connections are open; more are closed at once.
        idle_seconds: how long a connection without calls stays open; senders make another one by
            themselves, and strangers hold their places no longer.
        handshake_seconds: how long a connection may take to begin.
        kept: how many requests are kept at a time; one sync serves those that wait together.
    """

    calls: int = 128
    calls_each: int = 16
    reads: int = 4
    reads_each: int = 2
    seconds: float = 30.0
    connections: int = 250
    idle_seconds: float = 20.0
    handshake_seconds: float = 10.0
    kept: int = 8


def make_server(  # noqa: PLR0913 - the parts of a receiver, as its other door takes them
    reception: Reception,
    access: Access,
    memory: Memory,
    endpoint: Endpoint,
    *,
    shared: bool = False,
    bounds: Bounds | None = None,
) -> tuple[Server, int]:
    """A server that has its port and takes no calls yet, and that port.

    Yes is said when every record of a request is synced. What cannot be taken now is UNAVAILABLE
    with RetryInfo, whatever the reason, or CANCELLED where its message does not come; other codes
    are for what never can be taken as it is.

    Args:
        reception: takes what a request holds.
        access: who may send.
        memory: the budget that requests share.
        endpoint: where to listen; port 0 is any free one.
        shared: whether other processes that say so as well may listen on the same port.
        bounds: what senders may ask of it.

    Raises:
        OSError: the address or the certificate cannot be used.
    """
    bounds = bounds or Bounds()
    server = Server(_Door(reception, access, memory, bounds), bounds, shared=shared)
    return server, server.listen(endpoint)


class Server:
    """A server on a port. Any thread may call it."""

    def __init__(self, door: _Door, bounds: Bounds, *, shared: bool) -> None:
        self._door = door
        self._server = grpc.server(
            ThreadPoolExecutor(bounds.calls, "scorespan-receiver-grpc"),
            handlers=[_Handlers(door)],
            options=_options(bounds, shared=shared),
        )

    def listen(self, endpoint: Endpoint) -> int:
        """Have the address; returns its port. Once, before `start`."""
        credentials = _credentials(endpoint)
        try:
            if credentials is None:
                return self._server.add_insecure_port(endpoint.address)
            return self._server.add_secure_port(endpoint.address, credentials)
        except RuntimeError as error:
            raise OSError(f"{endpoint.address}: {error}") from error

    def start(self) -> None:
        """Take calls from now on. Once."""
        self._server.start()

    def stop(self, grace: float) -> threading.Event:
        """Let nobody in any more and end the calls under way; does not wait. Idempotent.

        Args:
            grace: seconds that the calls under way have; what still waits then is cut off.

        Returns:
            Set when the server is gone.
        """
        self._door.close()
        return self._server.stop(grace)


def _options(bounds: Bounds, *, shared: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(shared)),
        ("grpc.max_receive_message_length", WIRE_BYTES),
        # It would hold what a message becomes against the bound for what comes.
        ("grpc.per_message_decompression", 0),
        # Not more than the windows that streams begin with, for calls that wait for their turn.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_concurrent_streams", bounds.calls_each),
        ("grpc.max_allowed_incoming_connections", bounds.connections),
        ("grpc.max_connection_idle_ms", int(bounds.idle_seconds * 1000)),
        ("grpc.server_handshake_timeout_ms", int(bounds.handshake_seconds * 1000)),
        # Who is gone without a word is found out; and who asks as often is no nuisance yet.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 9_000),
    ]


def _credentials(endpoint: Endpoint) -> grpc.ServerCredentials | None:
    if endpoint.certificate is None or endpoint.certificate_key is None:
        return None
    pair = endpoint.certificate_key.read_bytes(), endpoint.certificate.read_bytes()
    return grpc.ssl_server_credentials([pair])


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in its stub only
    """Knows the one method. On the wire one message is as good as a stream of it."""

    def __init__(self, door: _Door) -> None:
        self._export = grpc.stream_unary_rpc_method_handler(door.export)

    def service(self, details: grpc.HandlerCallDetails) -> _Handler | None:
        return self._export if details.method == METHOD else None


class _Door:
    """Answers calls: who it is, then whether there is a place, then what it sends."""

    def __init__(
        self, reception: Reception, access: Access, memory: Memory, bounds: Bounds
    ) -> None:
        self._reception = reception
        self._access = access
        self._memory = memory
        self._seconds = bounds.seconds
        self._places = Places(bounds.reads, bounds.reads_each)
        self._deadline = Deadline(bounds.seconds)
        self._keeping = threading.BoundedSemaphore(bounds.kept)

    def close(self) -> None:
        """Let no call wait any more; those whose message is coming are left to the library."""
        self._places.close()
        self._deadline.close()

    def export(self, messages: Iterator[bytes], call: grpc.ServicerContext) -> bytes:
        try:
            return self._answer(messages, call)
        except ReceiverError as error:
            refusal = refusal_of(error)
        except Exception as error:
            if not call.is_active():  # who asked has gone, or was cut off
                raise
            refusal = refusal_of(self._reception.failed(error))
        call.set_trailing_metadata(refusal.metadata)
        return call.abort(refusal.code, refusal.reason)

    def _answer(self, messages: Iterator[bytes], call: grpc.ServicerContext) -> bytes:
        with self._memory.share() as share:
            try:
                opened = self._opened(self._message(messages, call), share)
            except ReceiverError as error:
                self._reception.refused(error)
                raise
            with self._keeping:
                taken = self._reception.take(opened, PROTOBUF.read)
        return PROTOBUF.yes(taken.warning)

    def _message(self, messages: Iterator[bytes], call: grpc.ServicerContext) -> BytesIO:
        shown = [value for name, value in call.invocation_metadata() if name == "authorization"]
        if not self._access.allows(str(shown[0]) if len(shown) == 1 else None):
            raise ReceiverError(401, "no bearer token that is known here")
        with (
            self._places.place(call.peer(), self._seconds),
            self._deadline.watching(call.cancel),
        ):
            message = next(messages, None)
        if message is None:
            if not call.is_active():
                raise ReceiverError(503, "the sender has gone, or sent more than the library takes")
            raise ReceiverError(400, "the call has no message")
        return BytesIO(message)  # which lets go of it at once when it is closed

    def _opened(self, body: BytesIO, share: Share) -> bytes:
        wire = body.getvalue()
        body.close()
        came = len(wire)
        share.hold(came)
        encoding = _encoding(wire)
        with self._keeping:
            try:
                opened = decompressed(
                    wire, encoding, DECOMPRESSED_BYTES, lambda size: share.hold(came + size)
                )
            except ReceiverError as error:
                # It may be a request that begins with a field that is not known here.
                if encoding != _DEFLATE or error.status != 400:
                    raise
                opened = wire
        share.hold(to_read(opened, PROTOBUF.marks))
        return opened


def _encoding(body: bytes) -> str:
    """The compression of a message: by its first bytes, for the library tells nobody.

    A request begins with the tag of its one field, 0x0a, and is empty otherwise. What begins like
    deflate may be another field's tag as well; gzip is the beginning of none. The library itself
    refuses other encodings than these.
    """
    if body.startswith(b"\x1f\x8b"):
        return "gzip"
    return _DEFLATE if body.startswith(b"\x78") else "identity"
