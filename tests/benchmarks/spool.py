"""The spool beside SQLite in WAL mode: records of 1 KB, on the same disk, in the same run.

`written` stands against `synchronous=NORMAL`, `durable` against `FULL`; SQLite has a connection for
each thread and process, and waits for its lock. Both are asked in turns. And how long a spool takes
to start over a backlog, and to read all of it.
"""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

from scorespan.spool.root import Route, prepare_root
from scorespan.spool.spool import Spool

Put: TypeAlias = Callable[[], None]
Opener: TypeAlias = Callable[[Path, str], Iterator[Callable[[], Put]]]

WHAT = "the spool beside SQLite"
RECORD = [os.urandom(512), os.urandom(512)]
ROUTE = Route("http://127.0.0.1", "benchmark")
TURNS = 3
_SECONDS = 1.0
_BACKLOG = 512 * 1024 * 1024
_SYNCHRONOUS = {"written": "NORMAL", "durable": "FULL"}


class Load(NamedTuple):
    """How many put at once."""

    processes: int
    threads: int

    def __str__(self) -> str:
        if self.processes > 1:
            return f"{self.processes} processes"
        return f"{self.threads} thread" + "s" * (self.threads > 1)


LOADS = (Load(1, 1), Load(1, 8), Load(1, 64), Load(8, 1))


class Rate(NamedTuple):
    """Puts a second of all together, and how long one took, in seconds."""

    per_second: float
    p50: float
    p99: float


class Row(NamedTuple):
    """One policy under one load."""

    policy: str
    load: Load
    ours: Rate
    theirs: Rate


class Recovery(NamedTuple):
    """Seconds to start over a backlog, and to read a GB of it, and its size in bytes."""

    start: float
    scan_per_gb: float
    backlog: int


@contextmanager
def _spool(folder: Path, policy: str) -> Iterator[Callable[[], Put]]:
    prepare_root(folder / "spool")
    spool = Spool(folder / "spool", ROUTE, max_bytes=2**40, min_free=0, durable=policy == "durable")
    try:
        yield lambda: lambda: spool.put(RECORD)
    finally:
        spool.close()


@contextmanager
def _sqlite(folder: Path, policy: str) -> Iterator[Callable[[], Put]]:
    path = folder / "queue.sqlite3"
    opened: list[sqlite3.Connection] = []

    def connect() -> Put:
        connection = sqlite3.connect(
            path, timeout=60, isolation_level=None, check_same_thread=False
        )
        opened.append(connection)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[policy]}")
        connection.execute("CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, body BLOB)")
        body = b"".join(RECORD)
        return lambda: connection.execute("INSERT INTO entries (body) VALUES (?)", (body,))

    try:
        yield connect
    finally:
        for connection in opened:
            connection.close()


_SIDES = {"spool": _spool, "sqlite": _sqlite}


def rows() -> Iterator[Row]:
    """Every policy under every load."""
    for policy in _SYNCHRONOUS:
        for load in LOADS:
            turns = [(_rate("spool", policy, load), _rate("sqlite", policy, load))
                     for _ in range(TURNS)]  # fmt: skip
            yield Row(policy, load, *map(_median, zip(*turns, strict=True)))


def recovery() -> Recovery:
    """A process that finds a backlog: how soon it takes records, how fast it reads."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare_root(folder)
        dead = Spool(folder, ROUTE, max_bytes=2**40, min_free=0)
        for _ in range(_BACKLOG // 1024):
            dead.put(RECORD)
        dead.close()
        began = time.perf_counter()
        spool = Spool(folder, ROUTE, max_bytes=2**40, min_free=0)
        spool.put(RECORD)
        started = time.perf_counter() - began
        began, read = time.perf_counter(), 0
        spool.adopt()
        while entries := spool.claim(1024 * 1024, 1000).entries:
            read += sum(len(entry.body) for entry in entries)
        scanned = time.perf_counter() - began
        spool.close()
    return Recovery(started, scanned / read * 1e9, _BACKLOG)


def _rate(side: str, policy: str, load: Load) -> Rate:
    with tempfile.TemporaryDirectory() as folder:
        with _SIDES[side](Path(folder), policy) as connect:
            connect()  # SQLite does not wait for its lock where it changes to WAL
        if load.processes == 1:
            return _summed(_times(side, policy, Path(folder), load.threads), load.threads)
        # Each opens what is its own: nothing is shared but the folder.
        context = multiprocessing.get_context("spawn")
        with context.Pool(load.processes) as pool:
            pool.map(_nothing, range(load.processes))
            parts = pool.starmap(
                _times, [(side, policy, Path(folder), 1)] * load.processes, chunksize=1
            )
        return _summed([time for part in parts for time in part], load.processes)


def _nothing(_: int) -> None:
    """Nothing: a process that has done it is there."""


def _times(side: str, policy: str, folder: Path, threads: int) -> list[float]:
    """How long each put took, of so many threads that put for a while."""
    taken: list[list[float]] = [[] for _ in range(threads)]
    ready = threading.Barrier(threads)

    def put_on(times: list[float]) -> None:
        put = connect()
        ready.wait()
        until = time.perf_counter() + _SECONDS
        before = time.perf_counter()
        while before < until:
            put()
            after = time.perf_counter()
            times.append(after - before)
            before = after

    with _SIDES[side](folder, policy) as connect:
        running = [threading.Thread(target=put_on, args=(times,)) for times in taken]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    return [time for times in taken for time in times]


def _summed(times: list[float], at_once: int) -> Rate:
    times.sort()
    # Each was at it all the time, so this many took the sum together.
    seconds = sum(times) / at_once
    return Rate(len(times) / seconds, times[len(times) // 2], times[len(times) * 99 // 100])


def _median(rates: tuple[Rate, ...]) -> Rate:
    return Rate(*map(statistics.median, zip(*rates, strict=True)))
