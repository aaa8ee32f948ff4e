"""The workers: several receiver processes under one parent, which replaces those that die.

The parent takes no requests. It holds the addresses, so that no connection is refused while a
worker is replaced: all workers accept from the one socket of the HTTP door, and the port of the
gRPC door, where each listens for itself, stays taken.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from scorespan.receiver.ending import SIGNALS, longest_ending
from scorespan.receiver.place import Place, Running
from scorespan.receiver.plan import Doors, Plan
from scorespan.settings import Settings

_SPARE_SECONDS = 2.0
_SHORTEST_SECONDS = 0.1

_logger = logging.getLogger("scorespan")


def serve_by_workers(
    count: int, settings: Settings, doors: Doors, on_listening: Callable[[Doors], None]
) -> int:
    """Run a receiver of several processes until SIGTERM or SIGINT; this one is their parent.

    A first signal is passed on, and all end within their deadline; a second one ends them at once.

    Args:
        count: how many processes take requests.
        settings: `durable`; the workers read the same from the environment.
        doors: where to listen; port 0 is any free one.
        on_listening: called once, with the addresses, when all workers take requests.

    Returns:
        The exit code: 0 where it was told to stop, 1 where a worker could not begin.

    Raises:
        OSError: an address cannot be had.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(doors.http.bind())
        http, grpc = doors.http.of(listener), doors.grpc
        if grpc is not None:
            grpc.bind().close()  # shared among the workers, and with nobody else
            grpc = grpc.of(stack.enter_context(grpc.bind(shared=True)))
        doors = Doors(http, grpc)
        # Now: a worker that is replaced leaves what waits for it to the others.
        listener.listen(socket.SOMAXCONN)
        token = settings.receiver_token
        plan = Plan(doors, None if token is None else token.reveal())
        parent = _Parent(count, plan, listener, settings.shutdown_seconds)
        return parent.run(lambda: on_listening(doors))


class _Parent:
    def __init__(
        self, count: int, plan: Plan, listener: socket.socket, shutdown_seconds: float
    ) -> None:
        self._places = [Place(number) for number in range(1, count + 1)]
        self._beginning = set(self._places)
        self._plan = plan
        self._listener = listener
        self._seconds = longest_ending(shutdown_seconds) + _SPARE_SECONDS
        self._selector = selectors.DefaultSelector()
        self._deadline: float | None = None
        self._code = 0

    def run(self, on_listening: Callable[[], None]) -> int:
        with self._selector, _arriving() as signals:
            self._selector.register(signals, selectors.EVENT_READ)
            while self._deadline is None or self._living():
                self._fill()
                for key, _ in self._selector.select(self._patience()):
                    if key.fileobj is signals:
                        self._signalled(signals.recv(4096))
                    else:
                        self._heard(key.data, on_listening)
                self._reap()
        return self._code

    def _living(self) -> list[Running]:
        return [place.running for place in self._places if place.running is not None]

    def _fill(self) -> None:
        """Start the workers that are due; at the deadline, end those that have not."""
        now = time.monotonic()
        if self._deadline is not None:
            if now >= self._deadline:
                self._kill()
            return
        for place in self._places:
            if place.running is None and place.due <= now:
                try:
                    link = place.fill(self._plan, self._listener, now)
                except OSError as error:
                    pause = place.empty(now)
                    _logger.warning("no worker: %s; tried again in %g s", error.strerror, pause)
                else:
                    self._selector.register(link, selectors.EVENT_READ, place)

    def _patience(self) -> float | None:
        """Seconds until something is due; None: nothing is."""
        due = [place.due for place in self._places if place.running is None]
        if self._deadline is not None:
            due = [self._deadline]
        # A worker that is killed may take its time, where the disk hangs.
        return max(_SHORTEST_SECONDS, min(due) - time.monotonic()) if due else None

    def _heard(self, place: Place, on_listening: Callable[[], None]) -> None:
        """A worker takes requests, or has closed its end."""
        if place.running is None:
            return
        link = place.running.link
        try:
            ready = link.recv(1)
        except OSError:
            ready = b""
        if not ready:
            self._selector.unregister(link)
        elif place in self._beginning:
            self._beginning.remove(place)
            if not self._beginning:
                on_listening()

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number not in SIGNALS:
                continue
            if self._deadline is None:
                _logger.info("stopping: the workers answer what is under way")
                self._stop()
            else:
                self._code = 128 + number
                self._kill()

    def _stop(self) -> None:
        self._deadline = time.monotonic() + self._seconds
        # Nobody accepts from it any more: who comes is refused, not left waiting.
        self._listener.close()
        for running in self._living():
            running.process.terminate()

    def _kill(self) -> None:
        for running in self._living():
            running.process.kill()

    def _reap(self) -> None:
        """Take away every child that has ended; as process 1 there may be others than ours."""
        codes: dict[int, int] = {}
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                codes[pid] = os.waitstatus_to_exitcode(status)
        for place in self._places:
            running = place.running
            if running is not None:
                if running.process.pid in codes:
                    running.process.returncode = codes[running.process.pid]
                # Who signals a process asks as well, and takes it away.
                if running.process.poll() is not None:
                    self._gone(place, running)

    def _gone(self, place: Place, running: Running) -> None:
        if running.link in self._selector.get_map():
            self._selector.unregister(running.link)
        pause = place.empty(time.monotonic())
        if self._deadline is not None:
            return
        how = _told(running.process.returncode)
        # One that is killed, by who needs its memory perhaps, had nothing wrong with it.
        if place in self._beginning and running.process.returncode >= 0:
            _logger.error("worker %d ended before it took requests: %s", place.number, how)
            self._code = 1
            self._stop()
        else:
            _logger.warning(
                "worker %d (process %d) is gone: %s; another one in %g s",
                place.number,
                running.process.pid,
                how,
                pause,
            )


def _told(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


@contextmanager
def _arriving() -> Iterator[socket.socket]:
    """A socket that brings the number of each signal, one byte each, while the block runs."""
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        for number in (*SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(-1)
