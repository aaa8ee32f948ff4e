"""What the gRPC door's tests share: a server, a client, and HTTP/2 by hand."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from scorespan.endpoint import Endpoint
from scorespan.intake import Intake
from scorespan.receiver.access import Access
from scorespan.receiver.grpc import METHOD, Bounds, Server, make_server
from scorespan.receiver.memory import Memory
from scorespan.receiver.reception import Reception
from scorespan.settings import Secret
from scorespan.testing import ScriptedMart

TIMEOUT = 60
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1


@contextmanager
def channel_to(
    port: int, credentials: grpc.ChannelCredentials | None = None
) -> Iterator[grpc.Channel]:
    """A connection of its own to a server."""
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
    ]
    if credentials is None:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
    else:
        channel = grpc.secure_channel(f"localhost:{port}", credentials, options)
    with channel:
        yield channel


@dataclass(frozen=True)
class GrpcDoor:
    """A gRPC door that is served, and what stands behind it."""

    server: Server
    port: int
    reception: Reception
    memory: Memory
    intake: Intake
    mart: ScriptedMart

    def send(self, body: bytes, *, channel: grpc.Channel | None = None, **options: Any) -> bytes:
        """The answer to a message; `options` are those of a call.

        Raises:
            grpc.RpcError: it is refused.
        """
        options = {"timeout": TIMEOUT, **options}
        if channel is not None:
            return channel.unary_unary(METHOD)(body, **options)
        with channel_to(self.port) as own:
            return own.unary_unary(METHOD)(body, **options)

    def refusal(self, body: bytes, **options: Any) -> grpc.RpcError:
        """How a message is refused."""
        try:
            self.send(body, **options)
        except grpc.RpcError as error:
            return error
        raise AssertionError("it is not refused")

    def stored(self) -> set[str]:
        """The ids that the mart has stored once all is delivered."""
        assert self.intake.flush(60)
        return set(self.mart.stored)

    def connect(self) -> socket.socket:
        """A connection that has begun to speak HTTP/2."""
        connection = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
        connection.sendall(PREFACE + frame(SETTINGS))
        return connection


@contextmanager
def served_grpc(  # noqa: PLR0913 - what a test may choose
    intake: Intake,
    mart: ScriptedMart,
    *,
    token: str | None = None,
    memory: Memory | None = None,
    bounds: Bounds | None = None,
    endpoint: Endpoint | None = None,
    shared: bool = False,
) -> Iterator[GrpcDoor]:
    """A gRPC door on a free loopback port unless told one."""
    reception, memory = Reception(intake), memory or Memory()
    access = Access(Secret(token) if token else None)
    server, port = make_server(
        reception, access, memory, endpoint or Endpoint(), shared=shared, bounds=bounds
    )
    try:
        server.start()
        yield GrpcDoor(server, port, reception, memory, intake, mart)
    finally:
        assert server.stop(0).wait(TIMEOUT)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(**named: str) -> bytes:
    """The header block of a call, nothing compressed; values shorter than 127 bytes."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": METHOD,
        ":authority": "tests",
        "te": "trailers",
        "content-type": "application/grpc",
        **{name.replace("_", "-"): value for name, value in named.items()},
    }
    return b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode("latin-1")
        for name, value in fields.items()
    )


def message(body: bytes, *, size: int | None = None, compressed: bool = False) -> bytes:
    """A message of gRPC, which says that it is `size` bytes."""
    return struct.pack(">BI", compressed, len(body) if size is None else size) + body


def frames_from(connection: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of each frame that comes, until the other side closes."""
    came = b""
    while True:
        while len(came) < 9 or len(came) < 9 + int.from_bytes(came[:3], "big"):
            try:
                part = connection.recv(65536)
            except ConnectionError:
                return
            if not part:
                return
            came += part
        size = int.from_bytes(came[:3], "big")
        yield came[3], came[4], int.from_bytes(came[5:9], "big"), came[9 : 9 + size]
        came = came[9 + size :]


def status_from(connection: socket.socket) -> bytes:
    """The headers that end the first stream: code and reason stand there as text; or its reset."""
    for kind, flags, stream, payload in frames_from(connection):
        if stream == 1 and (kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM)):
            return payload
    return b""
