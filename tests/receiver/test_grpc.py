"""The gRPC door takes what OTLP/gRPC sends, and refuses the rest so that no record is dropped."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from faults.certificates import Authority
from receiver.door import TOKEN, payload_of, request_of
from receiver.grpc_door import TIMEOUT, GrpcDoor, channel_to, frames_from, served_grpc
from running import wait_until
from scorespan.endpoint import Endpoint
from scorespan.receiver.grpc import METHOD, Bounds
from scorespan.receiver.memory import Memory, Share
from scorespan.testing import Answer

MIB = 1024 * 1024
COMPRESSIONS = [
    grpc.Compression.NoCompression,
    grpc.Compression.Gzip,
    grpc.Compression.Deflate,
]


@pytest.fixture
def make_door(make_intake, scripted_mart) -> Iterator[Callable[..., GrpcDoor]]:
    """Makes a served gRPC door; what is no option of it is a setting of its intake."""
    names = {"token", "memory", "bounds", "endpoint", "shared"}
    with ExitStack() as stack:

        def make(**given) -> GrpcDoor:
            options = {name: given.pop(name) for name in names & given.keys()}
            return stack.enter_context(served_grpc(make_intake(**given), scripted_mart, **options))

        yield make


@pytest.fixture
def door(make_door) -> GrpcDoor:
    """A served gRPC door with the bounds as they are."""
    return make_door()


def retry_seconds(error: grpc.RpcError) -> int:
    """When the same may come again, as the refusal says in its details."""
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = Status.FromString(details)
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    again = RetryInfo()
    assert status.details[0].Unpack(again)
    return again.retry_delay.seconds


def is_final(error: grpc.RpcError) -> bool:
    """Whether a sender is told to drop what it sent."""
    return "grpc-status-details-bin" not in dict(error.trailing_metadata() or ())


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_message_is_taken_compressed_or_not(door, compression):
    """Whatever compression the library has is the sender's choice."""
    answer = door.send(payload_of("a", "b", others=2), compression=compression)
    assert not ExportTraceServiceResponse.FromString(answer).HasField("partial_success")
    assert door.stored() == {"a", "b"}
    assert door.reception.requests == {"taken": 1}


def test_the_official_messages_go_through(door):
    """A client made of OpenTelemetry's own messages gets its own answer."""
    with channel_to(door.port) as channel:
        export = channel.unary_unary(
            METHOD,
            request_serializer=ExportTraceServiceRequest.SerializeToString,
            response_deserializer=ExportTraceServiceResponse.FromString,
        )
        assert export(request_of("a"), timeout=TIMEOUT) == ExportTraceServiceResponse()
    assert door.stored() == {"a"}


def test_yes_means_on_the_disk(make_door, scripted_mart):
    """When the answer is there the records are in the spool, though the mart is down."""
    scripted_mart.always = Answer(503)
    door = make_door()
    door.send(payload_of("kept"))
    root = door.intake.root
    assert b"kept" in b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())


def test_an_empty_message_is_taken(door):
    """A request without any span is no fault."""
    assert door.send(b"") == b""


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_message_that_is_no_request_is_refused_for_good(door, compression):
    """INVALID_ARGUMENT, and no time to come again."""
    error = door.refusal(b"\xff" * 100, compression=compression)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert is_final(error)
    assert door.reception.requests == {"invalid": 1}


@pytest.mark.parametrize("start", [b"\x1f\x8b", b"\x1f\x8b\x08", b"\x78\x9c", b"\x78"])
def test_a_message_that_only_looks_compressed_is_refused(door, start):
    """What begins like a compressed message and is none is no request either."""
    assert door.refusal(start + b"rest").code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("value", [0x01, 0x9C, 0x5E])
def test_a_request_that_begins_like_deflate_is_taken(door, value):
    """A field that is not known here may stand before the spans, whatever its bytes look like."""
    unknown = bytes([0x78, value]) + (b"\x01" if value > 127 else b"")
    door.send(unknown + payload_of("a"))
    assert door.stored() == {"a"}


def test_one_bad_span_costs_only_a_warning(door):
    """The others are taken; the sender is told, and that nothing is to be sent again."""
    spans = request_of("good", "bad").resource_spans[0].scope_spans[0].spans
    broken = spans[1].SerializeToString() + b"\xff"
    scope = b"".join(field(2, span) for span in (spans[0].SerializeToString(), broken))
    answer = door.send(field(1, field(2, scope)))
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 0
    assert partial.error_message.startswith("1 scoring spans cannot be read")
    assert door.reception.spans == {"scoring": 1, "unreadable": 1, "other": 0}
    assert door.stored() == {"good"}


def field(number: int, body: bytes) -> bytes:
    """A field of protobuf that holds a message."""
    size, length = len(body), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + body


def test_a_message_above_the_limit_is_refused_for_good(door):
    """RESOURCE_EXHAUSTED without RetryInfo: nobody sends it again as it is."""
    error = door.refusal(bytes(64 * MIB + 1))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert is_final(error)
    door.send(payload_of("next"))
    assert door.stored() == {"next"}


def test_a_bomb_is_refused_for_good(door):
    """So is what becomes more than the limit; what it held is given back."""
    error = door.refusal(bytes(257 * MIB), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert is_final(error)
    assert door.memory.held == 0
    assert door.reception.requests == {"too_large": 1}


def test_only_who_shows_the_token_may_send(make_door):
    """UNAUTHENTICATED comes before the message: even without one."""
    door = make_door(token=TOKEN)
    for shown in ([], [TOKEN], ["Bearer wrong"], [f"Bearer {TOKEN}", "Bearer other"]):
        error = door.refusal(payload_of("a"), metadata=[("authorization", one) for one in shown])
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert is_final(error)
    with channel_to(door.port) as channel:
        never = threading.Event()
        with pytest.raises(grpc.RpcError) as caught:
            channel.stream_unary(METHOD)(iter(never.wait, True), timeout=TIMEOUT)
        never.set()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    door.send(payload_of("b"), metadata=[("authorization", f"Bearer {TOKEN}")])
    assert door.stored() == {"b"}


def test_another_method_is_unimplemented(door):
    """The door knows traces only."""
    with channel_to(door.port) as channel:
        metrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(metrics)(b"", timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_call_without_a_message_is_refused(door):
    """A stream that ends before its first message is no request."""
    with channel_to(door.port) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.stream_unary(METHOD)(iter(()), timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_no_room_in_memory_may_come_again(make_door):
    """UNAVAILABLE with a time, before it is read and while it grows; then it is taken."""
    door = make_door(memory=Memory(budget=3000, large=3000))
    hog = door.memory.share()
    hog.hold(2900)
    for compression in COMPRESSIONS:
        error = door.refusal(payload_of("later"), compression=compression)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert retry_seconds(error) == 1
    assert door.memory.held == 2900
    hog.hold(0)
    door.send(payload_of("later"))
    assert door.stored() == {"later"}
    assert door.memory.held == 0


def test_a_full_spool_may_come_again(make_door, scripted_mart):
    """UNAVAILABLE with a time where the mart answers nobody; taken when there is room."""
    scripted_mart.always = Answer(503)
    door = make_door(spool_max_bytes=1_500_000)
    count = 0
    refusal = None
    with channel_to(door.port) as channel:
        while refusal is None and count < 10_000:
            count += 1
            names = [f"{count}-{number}" for number in range(20)]
            try:
                door.send(payload_of(*names), channel=channel)
            except grpc.RpcError as error:
                refusal = error
    assert refusal is not None
    assert refusal.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_seconds(refusal) == 10
    assert "spool" in refusal.details()
    scripted_mart.always = None
    wait_until(lambda: door.reception.not_ready() is None, "room again")
    door.send(payload_of("later"))
    assert "later" in door.stored()


def test_what_comes_while_stopping_may_come_again(door):
    """UNAVAILABLE with a time: another process may be there already."""
    with channel_to(door.port) as channel:
        door.send(payload_of("a"), channel=channel)
        door.reception.stop()
        error = door.refusal(payload_of("b"), channel=channel)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert retry_seconds(error) == 1
        door.server.stop(TIMEOUT).wait()
        assert door.refusal(payload_of("c"), channel=channel).code() is grpc.StatusCode.UNAVAILABLE
    assert door.stored() == {"a"}


def test_a_stop_answers_what_is_under_way(door):
    """Calls that have come get their answer; what stands still is cut off after the grace."""
    with channel_to(door.port) as channel:
        hold = threading.Event()
        began = channel.stream_unary(METHOD).future(
            iter(lambda: hold.wait() and payload_of("a"), None), timeout=TIMEOUT
        )
        door.send(payload_of("b"), channel=channel)
        assert door.server.stop(0.2).wait(TIMEOUT)
        assert began.exception(TIMEOUT) is not None
        hold.set()
    assert door.stored() == {"b"}


class BrokenMemory(Memory):
    """A budget with a fault, in the loop or in a thread."""

    def __init__(self, changes: int) -> None:
        super().__init__()
        self._changes = changes

    def change(self, share: Share, size: int) -> None:
        """Fail after some changes."""
        self._changes -= 1
        if self._changes < 0:
            raise ZeroDivisionError
        super().change(share, size)


@pytest.mark.parametrize("changes", [0, 1])
def test_a_fault_of_ours_may_come_again(make_door, changes, caplog):
    """Never UNKNOWN or INTERNAL, for which a Collector drops what it sent; we are told its name."""
    error = make_door(memory=BrokenMemory(changes)).refusal(payload_of("a"))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_seconds(error) == 5
    assert "ZeroDivisionError" in caplog.text


def test_many_send_at_the_same_time(make_door):
    """Every record of many connections is taken once."""
    door = make_door()
    names = [[f"{sender}-{number}" for number in range(10)] for sender in range(12)]

    def send(mine: list[str]) -> None:
        with channel_to(door.port) as channel:
            for name in mine:
                door.send(payload_of(name), channel=channel, compression=grpc.Compression.Gzip)

    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(send, names))
    assert door.stored() == {name for mine in names for name in mine}
    assert door.reception.requests == {"taken": 120}


def test_more_calls_than_the_bound_wait(make_door):
    """Who is one too many is answered when another one is."""
    door = make_door(bounds=Bounds(calls=1))
    with channel_to(door.port) as channel:
        answers = [
            channel.unary_unary(METHOD).future(payload_of(str(number)), timeout=TIMEOUT)
            for number in range(20)
        ]
        assert {answer.result(TIMEOUT) for answer in answers} == {b""}
    assert door.stored() == {str(number) for number in range(20)}


def test_tls_takes_the_certificate_of_the_endpoint(make_door, tmp_path):
    """With a certificate only TLS is spoken."""
    authority = Authority(tmp_path)
    authority.server(timedelta(hours=1))
    both = tmp_path / "server3600.pem"
    door = make_door(endpoint=Endpoint("localhost", 0, both, both))
    trusting = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with channel_to(door.port, trusting) as channel:
        door.send(payload_of("a"), channel=channel)
    assert door.refusal(payload_of("b")).code() is grpc.StatusCode.UNAVAILABLE
    assert door.stored() == {"a"}


def test_a_tls_handshake_that_does_not_come_is_given_up(make_door, tmp_path):
    """Who connects and says nothing is closed, and the others are served meanwhile."""
    authority = Authority(tmp_path)
    authority.server(timedelta(hours=1))
    both = tmp_path / "server3600.pem"
    endpoint = Endpoint("localhost", 0, both, both)
    door = make_door(endpoint=endpoint, bounds=Bounds(handshake_seconds=0.5))
    trusting = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with socket.create_connection(("localhost", door.port), TIMEOUT) as silent:
        with channel_to(door.port, trusting) as channel:
            door.send(payload_of("a"), channel=channel)
        assert list(frames_from(silent)) == []
    assert door.stored() == {"a"}


def test_an_address_that_cannot_be_had_is_an_error(make_door, door):
    """So are a certificate that is none and one that is not there."""
    with pytest.raises(OSError, match=str(door.port)):
        make_door(endpoint=Endpoint(port=door.port))
    nowhere = door.intake.root / "none.pem"
    with pytest.raises(OSError, match=r"none\.pem"):
        make_door(endpoint=Endpoint("127.0.0.1", 0, nowhere, nowhere))
    nowhere.write_text("no certificate")
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        make_door(endpoint=Endpoint("127.0.0.1", 0, nowhere, nowhere))


def test_several_may_share_one_port(make_door):
    """Where all say so they listen on one port; each gets a part of the connections."""
    with Endpoint().bind(shared=True) as placeholder:
        endpoint = Endpoint().of(placeholder)
        doors = [make_door(endpoint=endpoint, shared=True) for _ in range(2)]
        assert {door.port for door in doors} == {endpoint.port}
        for number in range(40):
            doors[0].send(payload_of(str(number)))
    assert all(door.reception.requests["taken"] for door in doors)
    assert sum(door.reception.requests["taken"] for door in doors) == 40


def test_a_child_that_was_started_has_a_server_of_its_own():
    """A process that serves may start others; they share nothing of the library's threads."""
    code = (
        "import subprocess, sys\n"
        "from scorespan.endpoint import Endpoint\n"
        "from scorespan.receiver.grpc import make_server\n"
        "server, port = make_server(None, None, None, Endpoint())\n"
        "server.start()\n"
        "if len(sys.argv) < 2:\n"
        "    subprocess.run([sys.executable, '-c', sys.stdin.read(), 'child'], check=True)\n"
        "assert server.stop(1).wait(30)\n"
        "print(port)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=code,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, len(done.stdout.split()), done.stderr) == (0, 2, "")
