"""The gRPC door stays alive and bounded whatever is sent to its port."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.door import payload_of
from receiver.grpc_door import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    TIMEOUT,
    GrpcDoor,
    channel_to,
    frame,
    frames_from,
    headers,
    message,
    served_grpc,
    status_from,
)
from running import clean_environment, started, wait_until
from scorespan.receiver.grpc import Bounds

CANCELLED, UNAVAILABLE = b"grpc-status\x011", b"grpc-status\x0214"
LONG = 3600.0


@pytest.fixture
def make_door(make_intake, scripted_mart) -> Iterator[Callable[..., GrpcDoor]]:
    """Makes a served gRPC door with these bounds."""
    with ExitStack() as stack:

        def make(**bounds) -> GrpcDoor:
            served = served_grpc(make_intake(), scripted_mart, bounds=Bounds(**bounds))
            return stack.enter_context(served)

        yield make


@pytest.fixture
def door(make_door) -> GrpcDoor:
    """A served gRPC door with the bounds as they are."""
    return make_door()


def begin(connection: socket.socket, body: bytes = b"", *, stream: int = 1, size: int = 1000):
    """Begin a call whose message never comes as a whole."""
    connection.sendall(
        frame(HEADERS, END_HEADERS, stream, headers())
        + frame(DATA, 0, stream, message(body, size=size))
    )


def assert_alive(door: GrpcDoor) -> None:
    """A sender who asks for nothing special is served."""
    door.send(payload_of("alive"))
    assert "alive" in door.stored()


def test_a_call_by_hand_is_answered(door):
    """What the other tests send by hand is refused for what is wrong with it, not for the hand."""
    with door.connect() as connection:
        connection.sendall(
            frame(HEADERS, END_HEADERS, 1, headers())
            + frame(DATA, END_STREAM, 1, message(payload_of("a")))
        )
        assert b"grpc-status\x010" in status_from(connection)
    assert door.stored() == {"a"}


def test_a_message_that_does_not_come_is_given_up(make_door):
    """Who stands still in the middle may come again, and holds up the others no longer."""
    door = make_door(seconds=0.5, reads=2, reads_each=1)
    with ExitStack() as stack:
        slow = [stack.enter_context(door.connect()) for _ in range(5)]
        for connection in slow:
            begin(connection, b"part")
        wait_until(lambda: is_taken(door), "a place for another one")
        for connection in slow:
            told = status_from(connection)
            assert CANCELLED in told or UNAVAILABLE in told


def is_taken(door: GrpcDoor) -> bool:
    """Whether a message is taken now, or may come again."""
    try:
        door.send(payload_of("alive"))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True


def test_who_stands_still_leaves_places_to_the_others(make_door):
    """One connection has some of the places at most, however many calls it begins."""
    door = make_door(seconds=LONG, reads=3, reads_each=2)
    with door.connect() as slow:
        for stream in range(1, 101, 2):
            begin(slow, stream=stream)
        assert_alive(door)


def test_who_leaves_in_the_middle_holds_nothing(make_door):
    """A connection that breaks gives its places and its calls back."""
    door = make_door(seconds=LONG, reads=1, reads_each=1)
    for _ in range(10):
        with door.connect() as gone:
            begin(gone, b"part")
    assert_alive(door)
    assert door.stored() == {"alive"}
    assert door.memory.held == 0


def test_a_connection_without_calls_is_closed(make_door):
    """Who asks for nothing is told to go."""
    door = make_door(idle_seconds=0.3)
    with door.connect() as connection:
        for kind, flags, _, payload in frames_from(connection):
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK))
            if kind == PING and not flags & ACK:
                connection.sendall(frame(PING, ACK, 0, payload))
    assert_alive(door)


def test_a_sender_comes_back_after_a_pause(make_door):
    """A connection that was closed for want of calls costs its sender nothing, not even an error.

    The channel has no retries of its own: it is told before that it has to make another connection.
    """
    door, states = make_door(idle_seconds=0.3), []
    with channel_to(door.port) as channel:
        channel.subscribe(states.append)
        for name in "abc":
            door.send(payload_of(name), channel=channel)
            states.clear()
            wait_until(lambda: grpc.ChannelConnectivity.IDLE in states, "a closed connection")
    assert door.stored() == {"a", "b", "c"}


@pytest.mark.parametrize("start", [b"", b"PRI * HT", PREFACE])
def test_a_connection_that_does_not_begin_is_closed(make_door, start):
    """Whatever part of the beginning it has sent."""
    door = make_door(handshake_seconds=0.3)
    with socket.create_connection(("127.0.0.1", door.port), TIMEOUT) as connection:
        connection.sendall(start)
        for _ in frames_from(connection):
            pass
    assert_alive(door)


def test_more_connections_than_the_bound_are_closed(make_door):
    """Those that are there go on, and there is room again when one has gone."""
    door = make_door(connections=3)
    with ExitStack() as stack:
        there = [stack.enter_context(door.connect()) for _ in range(3)]
        for connection in there:
            assert next(frames_from(connection))[0] == SETTINGS
        with socket.create_connection(("127.0.0.1", door.port), TIMEOUT) as one_too_many:
            assert list(frames_from(one_too_many)) == []
        there[0].sendall(
            frame(HEADERS, END_HEADERS, 1, headers())
            + frame(DATA, END_STREAM, 1, message(payload_of("a")))
        )
        assert b"grpc-status\x010" in status_from(there[0])


FLOODS = {
    "settings": frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)),
    "pings": frame(PING, 0, 0, bytes(8)),
    "empty frames": frame(DATA, 0, 1),
    "acknowledgements": frame(SETTINGS, ACK),
    "priorities": frame(2, 0, 1, bytes(5)),
    "windows": frame(8, 0, 0, struct.pack(">I", 1)),
    "unknown frames": frame(99, 0, 0, bytes(100)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_harms_nobody_else(door, name):
    """Frames that cost the sender nothing are ended or endured; the others are served."""
    with door.connect() as connection, suppress(ConnectionError, TimeoutError):
        begin(connection)
        connection.settimeout(1)  # who floods does not read the answers
        for _ in range(50):
            connection.sendall(FLOODS[name] * 1000)
        assert_alive(door)
    assert_alive(door)


def test_calls_that_are_reset_at_once_harm_nobody_else(door):
    """Neither does who begins calls and ends them before they are answered."""
    block = headers()
    with door.connect() as connection, suppress(ConnectionError, TimeoutError):
        connection.settimeout(1)  # who floods does not read the answers
        for stream in range(1, 20_001, 2):
            reset = frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
            connection.sendall(frame(HEADERS, END_HEADERS, stream, block) + reset)
        assert_alive(door)
    assert_alive(door)
    assert door.memory.held == 0


@pytest.mark.parametrize(
    "metadata",
    [
        [("authorization", "x" * 100_000)],
        [(f"name-{number}", "x" * 100) for number in range(2000)],
        [("authorization", "Bearer"), ("authorization", "")],
        [("name-bin", bytes(range(256)))],
        [("grpc-timeout-bin", b"\xff" * 2000)],
    ],
)
def test_strange_metadata_is_refused_or_left_alone(door, metadata):
    """It ends the call at most."""
    with suppress(grpc.RpcError):
        door.send(payload_of("a"), metadata=metadata)
    assert_alive(door)


@pytest.mark.parametrize(
    "name",
    [
        {"grpc_encoding": "zstd"},
        {"grpc_encoding": "snappy"},
        {"grpc_encoding": "identity"},
        {"grpc_timeout": "1n"},
        {"grpc_timeout": "99999999999999H"},
        {"content_type": "text/plain"},
        {"te": "none"},
        {":method": "GET"},
        {":path": "/"},
        {":path": ""},
        {":path": "/\xff\xfe"},
        {":authority": "\xff"},
        {"user_agent": "\xff\xfe"},
        {"authorization": "Bearer \xff"},
    ],
)
def test_a_call_of_another_kind_is_never_taken(door, name):
    """What it says of itself is not so; it is refused, and the others are served."""
    with door.connect() as connection:
        connection.sendall(
            frame(HEADERS, END_HEADERS, 1, headers(**name))
            + frame(DATA, END_STREAM, 1, message(payload_of("a"), compressed=True))
        )
        assert b"grpc-status\x010" not in status_from(connection)
    assert_alive(door)
    assert "a" not in door.stored()


@pytest.mark.parametrize("size", [0, 1, 100, 2**26, 2**26 + 1, 2**31, 2**32 - 1])
def test_a_message_of_another_size_than_it_says_is_never_taken(door, size):
    """Shorter, longer or larger than memory: it is refused."""
    with door.connect() as connection:
        connection.sendall(
            frame(HEADERS, END_HEADERS, 1, headers())
            + frame(DATA, END_STREAM, 1, message(payload_of("a"), size=size))
        )
        status_from(connection)
    assert_alive(door)
    assert "a" not in door.stored()


CALL = (
    frame(SETTINGS)
    + frame(HEADERS, END_HEADERS, 1, headers())
    + frame(DATA, END_STREAM, 1, message(payload_of("a")))
)


def changed(seed: int) -> bytes:
    """A good call with some bytes changed, left out or put in."""
    chance = random.Random(seed)
    data = bytearray(CALL)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(data))
        data[place : place + chance.choice([0, 1, 1, 4])] = chance.randbytes(chance.choice([0, 1]))
    return bytes(data[: chance.randint(1, len(data))])


@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.builds(lambda rest: PREFACE + frame(SETTINGS) + rest, st.binary(max_size=300)),
        st.builds(lambda seed: PREFACE + changed(seed), st.integers(0, 2**32)),
        st.builds(
            lambda kind, flags, stream, body: (
                PREFACE + frame(SETTINGS) + frame(kind, flags, stream, body)
            ),
            st.integers(0, 11),
            st.integers(0, 255),
            st.sampled_from([0, 1, 2, 2**31 - 1]),
            st.binary(max_size=64),
        ),
    )
)
def test_no_bytes_end_the_service(door, data):
    """Garbage, frames that are cut off, calls with changed bytes: the port goes on."""
    with socket.create_connection(("127.0.0.1", door.port), TIMEOUT) as connection:
        connection.sendall(data)
    door.send(b"")


def test_what_strangers_send_is_not_said_on_stderr():
    """The library keeps to itself what it finds wrong with a connection."""
    code = (
        "import sys\n"
        "from scorespan.endpoint import Endpoint\n"
        "from scorespan.receiver.grpc import make_server\n"
        "server, port = make_server(None, None, None, Endpoint())\n"
        "server.start()\n"
        "print(port, flush=True)\n"
        "sys.stdin.read()\n"
        "assert server.stop(0).wait(30)\n"
    )
    command = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, clean_environment(), **pipes) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            call = frame(HEADERS, END_HEADERS | END_STREAM, 1, headers(grpc_encoding="zstd"))
            connection.sendall(PREFACE + frame(SETTINGS) + call)
            assert b"grpc-status\x0213" in status_from(connection)
        _, said = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, said) == (0, "")
