"""Services under load, with capture and without: what their callers see of it.

Both run beside each other for the whole time, and wrk asks them in turns.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.measure import REQUEST
from tests.benchmarks.null_server import null_server

WHAT = "services under wrk, with capture and without"
PROGRAM = "wrk"
_SERVERS = {
    "FastAPI, uvicorn": ("uvicorn", "--log-level", "warning", "--port", "{port}",
                         "tests.benchmarks.services:with_fastapi"),
    "Flask, gunicorn": ("gunicorn", "--log-level", "warning", "--no-control-socket",
                        "-b", "127.0.0.1:{port}", "tests.benchmarks.services:with_flask"),
}  # fmt: skip
_TURNS = 7
_SECONDS = 3
_CONNECTIONS = 4
_BODY = REQUEST + " " * (1024 - len(REQUEST))
_SCRIPT = f"""wrk.method = "POST"
wrk.body = {json.dumps(_BODY)}
wrk.headers["Content-Type"] = "application/json"
"""
_PAUSE_MS = 10
_LOADS = {
    f"{_CONNECTIONS} callers that pause {_PAUSE_MS} ms": _SCRIPT
    + f"function delay() return {_PAUSE_MS} end\n",
    f"{_CONNECTIONS} callers that never pause": _SCRIPT,
}
"""As services live, and where they, what delivers and what asks share too few cores."""
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_START_SECONDS = 30


class Load(NamedTuple):
    """What wrk saw: requests a second, seconds of an answer."""

    per_second: float
    p50: float
    p99: float


class Row(NamedTuple):
    """One service without and with capture; the ratios are medians of the turns'."""

    service: str
    load: str
    off: Load
    on: Load
    p50_ratio: float
    p99_ratio: float


def available() -> bool:
    """Whether wrk is on this machine."""
    return shutil.which(PROGRAM) is not None


def rows() -> list[Row]:
    """Every service, asked for some seconds at a time, with capture and without in turns."""
    return [row for name in _SERVERS for row in _rows(name)]


def _rows(name: str) -> list[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mart = stack.enter_context(null_server())
        off = stack.enter_context(_service(name, {}))
        on = stack.enter_context(_service(name, _capture(mart, folder / "spool")))
        found = []
        for load, text in _LOADS.items():
            script = folder / "post.lua"
            script.write_text(text)
            pairs = [(_load(off, script), _load(on, script)) for _ in range(_TURNS + 1)][1:]
            found.append(_row(name, load, pairs))
        return found


def _row(name: str, load: str, pairs: list[tuple[Load, Load]]) -> Row:
    return Row(
        name,
        load,
        _median([off for off, _ in pairs]),
        _median([on for _, on in pairs]),
        statistics.median(on.p50 / off.p50 for off, on in pairs),
        statistics.median(on.p99 / off.p99 for off, on in pairs),
    )


def _capture(mart: str, spool: Path) -> dict[str, str]:
    return {
        "SCORESPAN_ENABLE": "1",
        "SCORESPAN_DATA_MART_URL": mart,
        "SCORESPAN_DATA_MART_ID": "bench",
        "SCORESPAN_DATA_MART_KIND": "scorespan",
        "SCORESPAN_TOKEN": "bench",
        "SCORESPAN_SUBSCRIPTION_ID": "bench",
        "SCORESPAN_SPOOL_DIR": str(spool),
        "SCORESPAN_FOLLOW_SUBSCRIPTION": "0",
    }


@contextmanager
def _service(name: str, capture: dict[str, str]) -> Iterator[str]:
    """The address of a service while it runs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [part.format(port=port) for part in _SERVERS[name]]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SCORESPAN_")}
    with subprocess.Popen([sys.executable, "-m", *command], env=clean | capture) as process:
        try:
            _wait(port)
            yield f"http://127.0.0.1:{port}/score"
        finally:
            process.terminate()


def _wait(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _load(url: str, script: Path) -> Load:
    command = [
        PROGRAM,
        "-t1",
        f"-c{_CONNECTIONS}",
        f"-d{_SECONDS}s",
        "--latency",
        "-s",
        script,
        url,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said:
        raise RuntimeError(f"a service refused what it was asked:\n{said}")
    return read(said)


def read(said: str) -> Load:
    """What wrk says.

    Raises:
        AttributeError: it says something else.
    """
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    return Load(float(rate[1]), _seconds(said, 50), _seconds(said, 99))  # type: ignore[index]


def _seconds(said: str, percent: int) -> float:
    found = re.search(rf"\b{percent}%\s+([\d.]+)(us|ms|s)\b", said)
    return float(found[1]) * _UNITS[found[2]]  # type: ignore[index]


def _median(loads: list[Load]) -> Load:
    return Load(*(statistics.median(values) for values in zip(*loads, strict=True)))
