"""Serving: a real server in a process of its own, whose scorings end in a real mart."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from examples.live import LiveMart, Stored
from isolated.environments import Environment, environment
from running import wait_until
from servers.pins import PINS

JSON = "application/json"
_SHOWN = 8000
_TIMEOUT = 60


@dataclass(frozen=True)
class Server:
    """A server that listens on a loopback port. `session` keeps its connection alive."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path
    """What the process and its children have said, to both streams."""
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def post(
        self,
        path: str,
        body: bytes,
        content_type: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """The answer to one POST, whatever its status; the same connection each time."""
        sent = {"Content-Type": content_type, **(headers or {})}
        return self.session.post(f"{self.url}{path}", data=body, headers=sent, timeout=_TIMEOUT)

    def get(self, path: str) -> requests.Response:
        """The answer to one GET, whatever its status."""
        return self.session.get(f"{self.url}{path}", timeout=_TIMEOUT)

    def stop(self, sent: signal.Signals = signal.SIGTERM, *, seconds: float = 90) -> int:
        """Send the signal to the server's first process and wait for its end; its exit status."""
        self.session.close()
        self.process.send_signal(sent)
        return self.process.wait(timeout=seconds)

    def said(self) -> str:
        """The end of what it has said, for a test that fails."""
        return self.output.read_text(errors="replace")[-_SHOWN:]


def installed(name: str) -> Environment:
    """The environment of a server, with the wheel of the working tree."""
    return environment(name, PINS[name], wheel=True)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def serving(
    command: Sequence[str | Path],
    live: LiveMart,
    folder: Path,
    *,
    port: int,
    ready: str = "/",
    **environment: str,
) -> Iterator[Server]:
    """A server with capture on while the block runs; all of its processes are killed at its end.

    Args:
        command: starts the server, which listens on `port`.
        live: where its records go.
        folder: the working directory; its output is kept there in `output.txt`.
        port: see `free_port`.
        ready: a path; the block begins when a GET of it is answered below 500.
        environment: variables beside those of the mart and `SCORESPAN_ENABLE=1`.
    """
    output = folder / "output.txt"
    with (
        output.open("ab") as out,
        subprocess.Popen(
            list(map(str, command)),
            env=live.environment(**{"SCORESPAN_ENABLE": "1", **environment}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        server = Server(process, port, output)
        try:
            wait_until(lambda: _answers(server, ready), f"an answer of {command[0]}", seconds=90)
            yield server
        finally:
            server.session.close()
            sys.stdout.write(server.said())  # pytest shows it where the test fails
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _answers(server: Server, ready: str) -> bool:
    status = server.process.poll()
    assert status is None, f"the server ended with {status}\n{server.said()}"
    try:
        return server.get(ready).status_code < 500
    except requests.RequestException:
        return False


def arrived(
    live: LiveMart, count: int, condition: Callable[[Stored], bool] = lambda _: True
) -> list[Stored]:
    """The records of the mart, once there are so many that hold the condition; never more."""

    def found() -> list[Stored]:
        return [record for record in live.records() if condition(record)]

    wait_until(lambda: len(found()) >= count, f"{count} records in the mart")
    records = found()
    assert len(records) == count, records
    return records
