"""The entrance: accepts the connections of an HTTP door, as many as there may be.

A connection is a stranger's until a request on it has shown that it may send. Where there are as
many as there may be, the stranger goes who has been there the longest, be it in the middle of a TLS
handshake: whoever can connect could keep the senders out otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial

from scorespan.receiver.bounds import Bounds
from scorespan.telemetry import RepeatedLog

_PAUSE_SECONDS = 1.0


class Visit:
    """One connection, from when it is accepted until it is lost.

    Args:
        entrance: where it came in.
        leave: closes it at once; who serves the connection has a better way.
    """

    def __init__(self, entrance: Entrance, leave: Callable[[], None]) -> None:
        self._entrance = entrance
        self.leave = leave

    def is_one_too_many(self) -> bool:
        """Whether there are more than there may be, and nobody else who could go."""
        return self._entrance.is_too_full()

    def known(self) -> None:
        """It has shown that it may send, and stays. Idempotent."""
        self._entrance.know(self)

    def over(self) -> None:
        """The connection is lost. Idempotent."""
        self._entrance.forget(self)


class Entrance:
    """Accepts connections, one each turn of the event loop, whose thread it is for.

    One each turn: of several processes with one listener, whoever woke first would have them all
    otherwise, and senders keep their connections.

    Args:
        bounds: how many there may be, and how long a TLS handshake may take.
        welcome: makes the protocol that serves a connection.
        tls: what connections are encrypted with; None: nothing.
        log: where it is told that connections cannot be accepted, or strangers were sent away.
        pause: seconds after which accepting is tried again where it fails.
    """

    def __init__(
        self,
        bounds: Bounds,
        welcome: Callable[[Visit], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        *,
        log: RepeatedLog | None = None,
        pause: float = _PAUSE_SECONDS,
    ) -> None:
        self._bound = bounds.connections
        self._handshake_seconds = bounds.handshake_seconds if tls else None
        self._welcome = welcome
        self._tls = tls
        self._log = log or RepeatedLog()
        self._pause = pause
        self._strangers: dict[Visit, None] = {}
        self._senders: set[Visit] = set()
        self._beginning: set[asyncio.Task[None]] = set()
        self._listeners: set[socket.socket] = set()

    def open(self, listener: socket.socket) -> None:
        """Accept connections from a socket that is bound, from now on."""
        listener.setblocking(False)
        listener.listen(socket.SOMAXCONN)
        self._listeners.add(listener)
        self._watch(listener)

    def close(self) -> None:
        """Accept none any more; the sockets are the caller's to close."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
        self._listeners.clear()

    async def end(self) -> None:
        """Send away who is still in a TLS handshake; returns when they are gone."""
        if self._beginning:
            for visit in [*self._strangers]:
                visit.leave()
            await asyncio.wait(self._beginning)

    def is_too_full(self) -> bool:
        """Whether there are more than there may be."""
        return len(self._strangers) + len(self._senders) > self._bound

    def know(self, visit: Visit) -> None:
        """A stranger is none any more; see `Visit.known`."""
        if visit in self._strangers:
            del self._strangers[visit]
            self._senders.add(visit)

    def forget(self, visit: Visit) -> None:
        """One is gone; see `Visit.over`."""
        self._strangers.pop(visit, None)
        self._senders.discard(visit)

    def _watch(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or who came has gone
        except OSError as error:
            self._log.warning(
                "receiver accept", "connections cannot be accepted: %s", error.strerror
            )
            # It would be told of at every turn: who waits is still there.
            loop.remove_reader(listener)
            loop.call_later(self._pause, self._watch, listener)
            return
        connection.setblocking(False)
        visit = Visit(self, partial(_hang_up, connection))
        self._strangers[visit] = None
        if self.is_too_full():
            self._make_room(visit)
        task = loop.create_task(self._begin(connection, visit))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def _make_room(self, newcomer: Visit) -> None:
        oldest = next(iter(self._strangers))
        if oldest is newcomer:
            return
        self._log.warning(
            "receiver full",
            "there are %d connections: the oldest that has shown no token is closed",
            self._bound,
        )
        self.forget(oldest)
        oldest.leave()

    async def _begin(self, connection: socket.socket, visit: Visit) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._welcome, visit),
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_seconds,
            )
        except OSError:  # no handshake, or none in time
            visit.over()
        except BaseException:
            visit.over()
            raise


def _hang_up(connection: socket.socket) -> None:
    """End a connection that a transport has: the transport finds that, and closes it."""
    with contextlib.suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)
