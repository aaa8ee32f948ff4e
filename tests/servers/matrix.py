"""The matrix: what every server of the table is asked, and what the mart must have of it then."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import requests

from examples.live import LiveMart, Stored
from isolated.environments import Environment, built_wheel
from running import wait_until
from scorespan.intake import Intake
from scorespan.settings import Settings
from servers.serving import JSON, Server, arrived
from servers.table import Row

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
AT_ONCE = 16
_THREADS = 8
_VARY = {"date", "x-bentoml-request-id", "x-process-time"}
"""Headers of an answer that differ from call to call."""

Tabled = dict[str, Any]
"""A body as the mart has it, in fields and values."""
Serve = Callable[..., AbstractContextManager[Server]]


def tabled(fields: str, *rows: Sequence[Any]) -> Tabled:
    """The table of these columns, whose names have a blank between them."""
    return {"fields": fields.split(), "values": [list(row) for row in rows]}


class Good(NamedTuple):
    """A scoring that succeeds, and the tables that its bodies become."""

    path: str
    body: bytes
    request: Tabled
    response: Tabled
    content_type: str = JSON


class Failing(NamedTuple):
    """A scoring that fails, with the status of the answer and the type of the error."""

    path: str
    body: bytes
    status: int
    error: str
    content_type: str = JSON


@dataclass(frozen=True)
class Case:
    """What one server is asked, in this order."""

    good: Sequence[Good]
    failing: Sequence[Failing]
    numbered: Callable[[int], Good]
    """A scoring that differs from number to number; many are asked at once."""
    unscored: Sequence[str]
    """Paths that are read until all is ready, which is no scoring."""
    model: str | None = None
    """The model that the path names."""
    least_ms: int = 20
    """How long a scoring takes at least."""
    hook: str = "starlette"


class Heard(NamedTuple):
    """An answer as a client sees it, without what differs from call to call."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Asked(NamedTuple):
    heard: Heard
    took_ms: float


def hold(case: Case, serve: Serve, live: LiveMart, row: Row) -> None:
    """Ask a captured server, end it, look for all of it in the mart; then ask one without capture.

    Args:
        case: what is asked and expected.
        serve: starts the server, given variables for its environment.
        live: where its records go.
        row: of the server in the table.
    """
    with serve(SCORESPAN_ENABLE="1") as server:
        try:
            captured = _ask(case, server)
        finally:  # the processes of some servers outlive the first one where it is killed
            ended = server.stop()
        said = server.output.read_text(errors="replace").splitlines()
    ours = [line for line in said if "scorespan" in line]
    assert all('File "' in line for line in ours), ours  # of a traceback
    # What was not delivered before the end is by the next start.
    intake = Intake(Settings.load(live.settings))
    intake.open()
    try:
        _check(case, captured, live, row)
    finally:
        intake.close()
    count = len(live.records())
    with serve(SCORESPAN_ENABLE="0") as server:
        try:
            plain = _ask(case, server)
        finally:
            assert server.stop() == ended
    assert [one.heard for one in captured] == [one.heard for one in plain]
    assert len(live.records()) == count


def _ask(case: Case, server: Server) -> list[_Asked]:
    """All answers: of what the case names one by one, then of those at once."""
    # Some servers listen before their models are loaded.
    for path in case.unscored:
        wait_until(lambda path=path: server.get(path).status_code == 200, f"200 at {path}")
    calls = [*case.good, *case.failing]
    asked = [_post(server, call, number) for number, call in enumerate(calls)]
    numbers = range(len(calls), len(calls) + AT_ONCE)
    with ThreadPoolExecutor(_THREADS) as threads:
        asked += threads.map(lambda number: _post(server, case.numbered(number), number), numbers)
    for call, one in zip(calls, asked, strict=False):
        expected = call.status if isinstance(call, Failing) else 200
        assert one.heard.status == expected, (call, one.heard)
    return asked


def _post(server: Server, call: Good | Failing, number: int) -> _Asked:
    headers = {
        "Content-Type": call.content_type,
        "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-00",
        "x-request-id": f"call-{number}",
    }
    began = time.perf_counter()
    answer = requests.post(f"{server.url}{call.path}", call.body, headers=headers, timeout=60)
    took = (time.perf_counter() - began) * 1000
    names = sorted((name.lower(), value) for name, value in answer.headers.items())
    kept = tuple((name, value) for name, value in names if name not in _VARY)
    return _Asked(Heard(answer.status_code, kept, answer.content), took)


def _check(case: Case, asked: list[_Asked], live: LiveMart, row: Row) -> None:
    records = {record.scorespan["request_id"]: record for record in arrived(live, len(asked))}
    assert len(records) == len(asked)
    named = list(case.good) + list(case.failing)
    calls = named + [case.numbered(number) for number in range(len(named), len(asked))]
    for number, (call, one) in enumerate(zip(calls, asked, strict=True)):
        record = records[f"call-{number}"]
        said = record.scorespan
        row.found("ids", said["trace_id"] == TRACE_ID and said.get("model") == case.model)
        row.found("response time", record.response_time <= one.took_ms + 1)
        assert said["hook"] == case.hook
        if isinstance(call, Good):
            _check_good(call, record, case, row)
        else:
            row.found("error", record.failed and record.response_text == b"null")
            assert said["http_status"] == call.status
            assert said["error"]["type"] == call.error, said["error"]
            assert said["error"]["message"]


def _check_good(call: Good, record: Stored, case: Case, row: Row) -> None:
    assert not record.failed, record
    assert json.loads(record.request_text) == call.request
    row.found("request", json.loads(record.request_text) == call.request)
    assert json.loads(record.response_text) == call.response
    row.found("response", json.loads(record.response_text) == call.response)
    row.found("response time", case.least_ms <= record.response_time)


def moved_by_installing(made: Environment) -> list[str]:
    """What else pip would install with the wheel, where a server is; nothing, if all is well."""
    command = [str(made.python), "-m", "pip", "install", "--dry-run", "--no-index", "--quiet"]
    command += ["--disable-pip-version-check", "--report", "-", str(built_wheel())]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    installed = json.loads(done.stdout)["install"]
    return [one["metadata"]["name"] for one in installed]
