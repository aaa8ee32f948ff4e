"""The server: a data mart on a port, over one data folder."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from scorespan.endpoint import Endpoint
from scorespan.errors import SettingsError
from scorespan.mart.access import Mart
from scorespan.mart.app import create_app
from scorespan.mart.authority import first_key, open_authority
from scorespan.mart.connection import JoinedProtocol
from scorespan.mart.place import ADMIN_KEY_FILE
from scorespan.mart.sqlite import SqliteStore
from scorespan.mart.subscribe import subscribe
from scorespan.mart.timestamp import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

DATABASE_FILE = "mart.sqlite3"

# Longer than the idle time after which clients drop a connection themselves, so that none sends
# into one that is just being closed.
_KEEP_ALIVE_SECONDS = 75
_SHUTDOWN_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Opened:
    """A mart over its data folder. `new_key` is the admin key if this start made it."""

    mart: Mart
    folder: Path
    new_key: str | None = field(repr=False)

    @property
    def key_file(self) -> Path:
        """Where the admin key was written."""
        return self.folder / ADMIN_KEY_FILE


@contextmanager
def open_mart(folder: Path, clock: Callable[[], datetime] = utc_now) -> Iterator[Opened]:
    """Open the data folder, made with mode 0700 where there is none; close the store at the end."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise SettingsError("--data", f"{folder} belongs to another user")
    folder.chmod(0o700)
    store = SqliteStore(folder / DATABASE_FILE)
    try:
        new_key = first_key(folder, store, clock())
        mart = Mart(store, open_authority(folder, store, clock), clock)
        yield Opened(mart, folder, new_key)
    finally:
        store.close()


class _Server(uvicorn.Server):
    """A server that says when it listens and leaves signals to its caller."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    def capture_signals(self) -> Any:
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_listening()


def _server(mart: Mart, endpoint: Endpoint, on_listening: Callable[[], None]) -> _Server:
    config = uvicorn.Config(
        create_app(mart),
        http=JoinedProtocol,
        ssl_certfile=endpoint.certificate,
        ssl_keyfile=endpoint.certificate_key,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
    )
    return _Server(config, on_listening)


def serve(
    folder: Path,
    endpoint: Endpoint,
    on_listening: Callable[[str, Opened], None],
    clock: Callable[[], datetime] = utc_now,
) -> None:
    """Run a mart until SIGTERM or SIGINT; requests under way are answered first.

    Args:
        folder: the data folder.
        endpoint: where to listen; port 0 is any free one.
        on_listening: called once with the address, when requests are taken.
        clock: what time it is.
    """
    with open_mart(folder, clock) as opened, endpoint.bind() as listener:
        url = endpoint.of(listener).url
        server = _server(opened.mart, endpoint, lambda: on_listening(url, opened))

        def stop(_signal: int, _frame: object) -> None:
            server.should_exit = True

        with _handling((signal.SIGTERM, signal.SIGINT), stop):
            asyncio.run(server.serve(sockets=[listener]))


@contextmanager
def _handling(numbers: tuple[signal.Signals, ...], handler: Any) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@dataclass(frozen=True, slots=True)
class RunningMart:
    """A mart that runs in a thread of this process.

    Attributes:
        url: its address, without a slash at the end.
        api_key: its admin key.
        folder: its data folder.
    """

    url: str
    api_key: str = field(repr=False)
    folder: Path
    mart: Mart = field(repr=False)

    def token(self) -> str:
        """A bearer token, good for an hour."""
        authority = self.mart.authority
        key_id = authority.key_id(self.api_key)
        if key_id is None:
            raise SettingsError(ADMIN_KEY_FILE, "the key in it is not the key of this mart")
        return authority.issue(key_id, _TOKEN_LIFETIME).text

    def prepare(
        self,
        data_mart_id: str,
        subscription_id: str,
        *,
        binding_id: str = "binding",
        asset_properties: Mapping[str, Any] | None = None,
        enabled: bool = True,
    ) -> None:
        """Make data mart, binding and subscription, and switch payload logging."""
        subscribe(
            self.mart,
            data_mart_id,
            subscription_id,
            binding_id=binding_id,
            asset_properties=asset_properties,
            enabled=enabled,
        )


_TOKEN_LIFETIME = timedelta(hours=1)


@contextmanager
def running_mart(
    folder: Path, *, port: int = 0, clock: Callable[[], datetime] = utc_now
) -> Iterator[RunningMart]:
    """A mart on loopback while the block runs, in a thread, on any free port unless told one."""
    endpoint = Endpoint(port=port)
    with open_mart(folder, clock) as opened, endpoint.bind() as listener:
        ready = threading.Event()
        server = _server(opened.mart, endpoint, ready.set)

        def run() -> None:
            try:
                asyncio.run(server.serve(sockets=[listener]))
            finally:
                ready.set()

        thread = threading.Thread(target=run, name="scorespan-mart", daemon=True)
        thread.start()
        ready.wait()
        try:
            if not server.started:
                raise RuntimeError("the mart did not start")
            key = opened.key_file.read_text(encoding="ascii").strip()
            yield RunningMart(endpoint.of(listener).url, key, folder, opened.mart)
        finally:
            server.should_exit = True
            thread.join()
