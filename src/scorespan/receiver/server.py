"""The server: one receiver process, an intake behind both doors, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import Any

import uvicorn

from scorespan.endpoint import Endpoint
from scorespan.intake import Intake
from scorespan.receiver.access import Access
from scorespan.receiver.bounds import Bounds
from scorespan.receiver.connection import ReceiverProtocol
from scorespan.receiver.descriptors import grpc_part, http_part, most_descriptors
from scorespan.receiver.ending import ANSWER_SECONDS, LINGER_SECONDS, Ending, longest_ending
from scorespan.receiver.entrance import Entrance, Visit
from scorespan.receiver.grpc import Bounds as GrpcBounds
from scorespan.receiver.grpc import make_server
from scorespan.receiver.http import create_app
from scorespan.receiver.memory import Memory
from scorespan.receiver.plan import Doors
from scorespan.receiver.reception import Reception
from scorespan.settings import Settings

# Longer than the idle time after which clients drop a connection themselves, so that none sends
# into one that is just being closed.
_KEEP_ALIVE_SECONDS = 120
_CLOSE = (b"connection", b"close")
_COLLECT_AFTER = 20_000
"""Objects made and not freed after which cycles are looked for; the usual is 700."""
_POLL_SECONDS = 0.02

_logger = logging.getLogger("scorespan")


def serve(settings: Settings, doors: Doors, on_listening: Callable[[Doors], None]) -> None:
    """Run a receiver in this process until SIGTERM or SIGINT; called by the main thread, once.

    Args:
        settings: `durable`; the spool is opened before anything listens.
        doors: where to listen; port 0 is any free one.
        on_listening: called once, with the addresses, when requests are taken.

    Raises:
        SettingsError: a setting or the spool root cannot be used.
        SpoolError: the spool cannot be opened.
        OSError: an address or a certificate cannot be used, or the disk fails.
    """
    ending = Ending(longest_ending(settings.shutdown_seconds))
    with doors.http.bind() as listener:
        grpc = doors.grpc
        if grpc is not None:
            # Where that fails it is told in our words; the library prints its own.
            with grpc.bind() as probe:
                grpc = replace(grpc.of(probe), port=grpc.port)
        run(settings, listener, Doors(doors.http.of(listener), grpc), ending, on_listening)


def run(  # noqa: PLR0913 - what `serve` makes, a worker is given by its parent
    settings: Settings,
    listener: socket.socket,
    doors: Doors,
    ending: Ending,
    on_listening: Callable[[Doors], None],
    *,
    shared: bool = False,
) -> None:
    """Run intake and doors until the process is told to stop; see `serve`.

    Args:
        settings: as `serve` takes them.
        listener: bound to the address of the HTTP door.
        doors: the addresses; a gRPC door that is shared has a certain port, not 0.
        ending: says when to stop.
        on_listening: as `serve` takes it.
        shared: whether other processes have the address of the gRPC door as well.
    """
    intake = Intake(settings)
    intake.open()
    try:
        reception = Reception(intake)
        reception.report()
        access, memory = Access(settings.receiver_token), Memory()
        config = _config(create_app(reception, access, memory), doors.http)
        http_bounds, grpc_bounds = _bounds()
        with ExitStack() as stack:
            server = HttpServer(config, http_bounds)
            if doors.grpc is not None:
                grpc, port = make_server(
                    reception, access, memory, doors.grpc, shared=shared, bounds=grpc_bounds
                )
                doors = doors._replace(grpc=replace(doors.grpc, port=port))
                server.on_closed = lambda: grpc.stop(ANSWER_SECONDS)
                stack.callback(lambda: grpc.stop(ANSWER_SECONDS).wait(ANSWER_SECONDS))
                grpc.start()
            server.on_listening = lambda: on_listening(doors)

            def stop() -> None:
                reception.stop()
                server.leave()

            ending.then(stop)
            # Spans are made by hundreds, without cycles: looking for those at the usual pace, among
            # all that was imported, took a twentieth of the processor's time.
            gc.freeze()
            gc.set_threshold(_COLLECT_AFTER)
            asyncio.run(server.serve(sockets=[listener]))
    finally:
        intake.close()


def _bounds() -> tuple[Bounds, GrpcBounds]:
    """The bounds of both doors; what this process cannot have open is none of them."""
    http, grpc, most = Bounds(), GrpcBounds(), most_descriptors()
    return (
        http._replace(connections=http_part(http.connections, most)),
        grpc._replace(connections=grpc_part(grpc.connections, most)),
    )


def _config(app: Any, endpoint: Endpoint) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        ws="none",
        ssl_certfile=endpoint.certificate,
        ssl_keyfile=endpoint.certificate_key,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        server_header=False,
        log_config=None,
    )
    config.load()  # a certificate that cannot be used is told before a door opens
    return config


class HttpServer(uvicorn.Server):
    """The HTTP door: says when it listens, leaves signals to the ending, and closes in order."""

    def __init__(self, config: uvicorn.Config, bounds: Bounds) -> None:
        super().__init__(config)
        self._bounds = bounds
        self.on_listening: Callable[[], None] = lambda: None
        self.on_closed: Callable[[], object] = lambda: None

    def capture_signals(self) -> Any:
        """Signals are the ending's."""
        return nullcontext()

    def leave(self) -> None:
        """Stop soon; from now on each answer closes its connection. For a signal handler."""
        self.should_exit = True
        self._close_connections()

    def _close_connections(self) -> None:
        headers = [*(one for one in self.server_state.default_headers if one != _CLOSE), _CLOSE]
        self.server_state.default_headers = headers
        for connection in self._connections():
            if connection.cycle is not None:  # its answer has the headers of when it began
                connection.cycle.default_headers = headers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on sockets that are bound."""
        self._entrance = Entrance(self._bounds, self._welcome, self.config.ssl)
        for listener in sockets or ():
            self._entrance.open(listener)
        self.started = True
        self.on_listening()

    def _welcome(self, visit: Visit) -> ReceiverProtocol:
        state = {"known": visit.known}
        return ReceiverProtocol(
            self.config, self.server_state, state, bounds=self._bounds, visit=visit
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody in; answer what is under way; tell what comes on open connections to leave."""
        _logger.info("stopping: requests under way are answered")
        self._close_connections()  # the list is renewed now and then
        self._entrance.close()
        for listener in sockets or ():
            listener.close()
        self.on_closed()
        await self._parted(LINGER_SECONDS)
        for connection in self._connections():
            connection.shutdown()
        await self._parted(ANSWER_SECONDS)
        late = self._connections()
        for connection in late:
            connection.transport.abort()
        if late:
            _logger.warning("%d connections were cut off before their answer", len(late))
        await self._entrance.end()

    async def _parted(self, seconds: float) -> None:
        """Wait until no connection is left, at most so long."""
        until = time.monotonic() + seconds
        while self._connections() and time.monotonic() < until:  # noqa: ASYNC110 - no one tells
            await asyncio.sleep(_POLL_SECONDS)

    def _connections(self) -> list[Any]:
        return list(self.server_state.connections)
