"""The gRPC door: OTLP/gRPC traces.

The library brings each message as it came, compressed or not; reading, decompression and bounds are
those of the HTTP door. It has an event loop in a thread of its own, so that nobody who is slow or
has no token takes a thread; what is read and kept is so in a few threads.

No process that has made a server may be forked: the library's threads would be missing in the
child. Several processes are started, each makes its own, and all listen on one port.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, NamedTuple, TypeAlias, TypeVar

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from scorespan.conversion.otlp import read_otlp
from scorespan.endpoint import Endpoint
from scorespan.errors import ReceiverError
from scorespan.receiver.access import Access
from scorespan.receiver.body_format import PROTOBUF
from scorespan.receiver.decompression import decompressed
from scorespan.receiver.grpc_places import Places
from scorespan.receiver.grpc_refusal import refusal_of
from scorespan.receiver.memory import DECOMPRESSED_BYTES, WIRE_BYTES, Memory, Share, to_read
from scorespan.receiver.reception import Reception

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

_Result = TypeVar("_Result")
_Call = Any  # the library's type for it is not public
_Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"
_AGAIN_SECONDS = 1


class Bounds(NamedTuple):
    """What senders may ask of a server.

    Attributes:
        calls: how many calls are under way, those that wait included; more are told to come again.
        reads: how many messages are read at a time; each may be as large as the limit.
        reads_each: how many of one connection.
        seconds: how long a call may wait for its turn, and then its message may take to come.
        connections: how many connections are open; more are closed at once.
        idle_seconds: how long a connection without calls stays open.
        handshake_seconds: how long a connection may take to begin.
        threads: how many requests are kept at a time; one sync serves those that wait together.
    """

    calls: int = 512
    reads: int = 4
    reads_each: int = 2
    seconds: float = 30.0
    connections: int = 1000
    idle_seconds: float = 300.0
    handshake_seconds: float = 10.0
    threads: int = 8


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
    with RetryInfo, whatever the reason; other codes are for what never can be taken as it is.

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
    try:
        return server, server.listen(endpoint)
    except BaseException:
        server.stop(0).wait()
        raise


class Server:
    """A server on a port, with an event loop in a thread of its own. Any thread may call it."""

    def __init__(self, door: _Door, bounds: Bounds, *, shared: bool) -> None:
        self._door = door
        self._bounds = bounds
        self._loop = asyncio.new_event_loop()
        self._stopped = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="scorespan-grpc", daemon=True)
        self._thread.start()
        self._server = self._called(self._made(shared=shared))

    def listen(self, endpoint: Endpoint) -> int:
        """Have the address; returns its port. Once, before `start`."""
        credentials = _credentials(endpoint)
        return self._called(self._bound(endpoint, credentials))

    def start(self) -> None:
        """Take calls from now on. Once."""
        self._called(self._server.start())

    def stop(self, grace: float) -> threading.Event:
        """Let nobody in any more and end the calls under way; does not wait. Idempotent.

        Args:
            grace: seconds that the calls under way have; what still waits then is cut off.

        Returns:
            Set when the server is gone.
        """
        if not self._stopping:
            self._stopping = True
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._end(grace)))
        return self._stopped

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
            self._door.close()
            self._stopped.set()

    def _called(self, call: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    async def _made(self, *, shared: bool) -> grpc.aio.Server:
        server = grpc.aio.server(options=_options(self._bounds, shared=shared))
        server.add_generic_rpc_handlers((_Handlers(self._door),))
        return server

    async def _bound(self, endpoint: Endpoint, credentials: grpc.ServerCredentials | None) -> int:
        try:
            if credentials is None:
                return self._server.add_insecure_port(endpoint.address)
            return self._server.add_secure_port(endpoint.address, credentials)
        except RuntimeError as error:
            raise OSError(f"{endpoint.address}: {error}") from error

    async def _end(self, grace: float) -> None:
        try:
            await self._server.stop(grace)
        finally:
            self._loop.stop()


def _options(bounds: Bounds, *, shared: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", int(shared)),
        ("grpc.max_receive_message_length", WIRE_BYTES),
        # It would hold what a message becomes against the bound for what comes.
        ("grpc.per_message_decompression", 0),
        # Not more than the windows that streams begin with, for calls that wait for their turn.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_concurrent_streams", 128),
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
        self._bounds = bounds
        self._calls = 0
        self._places = Places(bounds.reads, bounds.reads_each)
        self._threads = ThreadPoolExecutor(bounds.threads, "scorespan-receiver-grpc")

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    async def export(self, _: object, call: _Call) -> bytes:
        self._calls += 1
        try:
            return await self._answer(call)
        except ReceiverError as error:
            refusal = refusal_of(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the same request may come again
            refusal = refusal_of(self._reception.failed(error))
        finally:
            self._calls -= 1
        await call.abort(*refusal)
        return b""

    async def _answer(self, call: _Call) -> bytes:
        share = self._memory.share()
        try:
            message = await self._message(call)
            share.hold(len(message))
        except ReceiverError as error:
            self._reception.refused(error)
            raise
        body = BytesIO(message)  # which lets go of it at once when it is closed
        del message
        # Who asked may go: what is under way ends all the same, and gives its share back. It has no
        # name here: an error would keep it, and it the error with all that was read.
        return await asyncio.shield(
            asyncio.get_running_loop().run_in_executor(self._threads, self._taken, body, share)
        )

    async def _message(self, call: _Call) -> bytes:
        shown = [value for name, value in call.invocation_metadata() if name == "authorization"]
        if not self._access.allows(shown[0] if len(shown) == 1 else None):
            raise ReceiverError(401, "a bearer token is needed")
        if self._calls > self._bounds.calls:
            raise _later("there are too many calls at a time")
        try:
            message = await asyncio.wait_for(self._read(call), 2 * self._bounds.seconds)
        except asyncio.TimeoutError as error:
            raise _later("the message did not come in time") from error
        if not isinstance(message, bytes):
            raise ReceiverError(400, "the call has no message")
        return message

    async def _read(self, call: _Call) -> Any:
        async with self._places.place(call.peer()):
            return await asyncio.wait_for(call.read(), self._bounds.seconds)

    def _taken(self, body: BytesIO, share: Share) -> bytes:
        """Take a request that has come as a whole; gives back what it holds of the budget."""
        with share:
            try:
                opened = self._opened(body, share)
            except ReceiverError as error:
                self._reception.refused(error)
                raise
            taken = self._reception.take(opened, read_otlp)
        answer = ExportTraceServiceResponse()
        if taken.warning is not None:
            answer.partial_success.error_message = taken.warning.encode("utf-8", "replace").decode()
        return answer.SerializeToString()

    def _opened(self, body: BytesIO, share: Share) -> bytes:
        wire = body.getvalue()
        body.close()
        came = len(wire)
        opened = decompressed(
            wire, _encoding(wire), DECOMPRESSED_BYTES, lambda size: share.hold(came + size)
        )
        share.hold(to_read(opened, PROTOBUF.marks))
        return opened


def _encoding(body: bytes) -> str:
    """The compression of a message: by its first bytes, for the library tells nobody.

    A request begins with the tag of its one field, 0x0a, and is empty otherwise. The library itself
    refuses other encodings than these.
    """
    if body.startswith(b"\x1f\x8b"):
        return "gzip"
    return "deflate" if body.startswith(b"\x78") else "identity"


def _later(reason: str) -> ReceiverError:
    return ReceiverError(503, reason, retry_after=_AGAIN_SECONDS)
