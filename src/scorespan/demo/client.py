"""The demo's client: scores real rows over HTTP and counts from the answers."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from scorespan.demo.engine import SCORING_ID

THREADS = 4


@dataclass
class Counted:
    """What the client saw in HTTP answers.

    Attributes:
        answered: scoring ids of answers with status 200.
        failed: scoring ids of answers with another status.
        rows: rows that were scored.
        cut_off: requests that were cut off before their answer came, and sent again.
    """

    answered: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    rows: int = 0
    cut_off: int = 0

    @property
    def ids(self) -> set[str]:
        """Scoring ids of every answer."""
        return self.answered | self.failed


def requests_of(fields: Sequence[str], rows: Sequence[Sequence[float]]) -> Iterator[dict[str, Any]]:
    """Every row once by itself, then the same rows in larger requests, and six that must fail."""
    for row in rows:
        yield {"fields": list(fields), "values": [list(row)]}
    for size, start in ((2, 0), (5, 10), (20, 40), (50, 100), (200, 300)):
        yield {"fields": list(fields), "values": [list(row) for row in rows[start : start + size]]}
    for position in range(3):
        broken: list[object] = list(rows[position])
        broken[position] = "not a number"
        yield {"fields": list(fields), "values": [broken]}
        yield {"fields": list(fields[:-1]), "values": [list(rows[position][:-1])]}


def score_all(
    port: Callable[[], int],
    requests: Sequence[dict[str, Any]],
    progress: Callable[[int], None],
) -> Counted:
    """Send every request until it has an answer, from a few threads.

    Args:
        port: the engine's port as of now; it may change when the engine is started again.
        requests: the bodies.
        progress: called with the number of answers so far, by one thread at a time.
    """
    counted = Counted()
    lock = threading.Lock()
    local = threading.local()

    def send(body: dict[str, Any]) -> None:
        while True:
            try:
                status, scoring_id = _post(local, port(), body)
                break
            except (OSError, http.client.HTTPException):
                local.connection = None
                with lock:
                    counted.cut_off += 1
                port()  # waits until the engine is there again
        with lock:
            (counted.answered if status == 200 else counted.failed).add(scoring_id)
            counted.rows += len(body["values"]) if status == 200 else 0
            progress(len(counted.answered) + len(counted.failed))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send, requests))
    return counted


def _post(local: threading.local, port: int, body: dict[str, Any]) -> tuple[int, str]:
    connection = getattr(local, "connection", None)
    if connection is None or connection.port != port:
        connection = local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/score", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers[SCORING_ID]
