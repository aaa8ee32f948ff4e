"""The FastAPI service of the examples, under uvicorn, over real HTTP."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import requests

from examples.live import EXAMPLES, LiveMart
from running import started, wait_until

FIELDS = ["sepal length", "sepal width", "petal length", "petal width"]
_LISTENING = re.compile(r"running on (http://[0-9.]+:\d+)")


@contextmanager
def service(live: LiveMart) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service on a free port, and its address."""
    command = [sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLES, "fastapi_service:app"]
    with started([*command, "--port", "0"], live.environment(), stderr=subprocess.PIPE) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            found = _LISTENING.search(line)
            if found:
                yield process, found[1]
                return
        raise AssertionError("".join(said))


def post(url: str, fields: list[str], values: list[list[float]]) -> requests.Response:
    """One scoring over HTTP."""
    return requests.post(f"{url}/score", json={"fields": fields, "values": values}, timeout=30)


def test_service_delivers_every_answered_scoring_before_sigterm_ends_it(live):
    """SIGTERM must leave every answered scoring, the failed one included, in the mart."""
    answers, failed, longest = {}, set(), 0.0
    with service(live) as (process, url):
        for row in range(30):
            began = time.monotonic()
            answer = post(url, FIELDS, [[5.0, 3.5, 1.4, row / 10], [6.5, 3.0, 5.5, 2.0]])
            longest = max(longest, time.monotonic() - began)
            assert answer.status_code == 200, answer.text
            answers[answer.headers["X-Scoring-Id"]] = (row / 10, answer.json())
        answer = post(url, FIELDS[:3], [[5.0, 3.5, 1.4]])
        assert answer.status_code == 422, answer.text
        failed.add(answer.headers["X-Scoring-Id"])
        process.send_signal(signal.SIGTERM)
        # uvicorn ends by the signal itself: nothing after its own shutdown has run.
        assert process.wait(timeout=90) == -signal.SIGTERM

    records = live.records()
    assert sorted(live.ids()) == sorted([*answers, *failed])
    assert {record.scoring_id for record in records if record.failed} == failed
    assert live.row_count() == 60
    for record in records:
        assert 0 <= record.response_time <= longest * 1000 + 1
        if record.failed:
            assert record.response_text == b"null"
            assert record.scorespan["error"]["type"] == "ValueError"
        else:
            width, answer = answers[record.scoring_id]
            assert msgspec.json.decode(record.request_text)["values"][0][3] == width
            assert msgspec.json.decode(record.response_text) == answer


def test_next_start_delivers_what_a_killed_service_left(live):
    """A service that is killed must lose nothing: its next start delivers what it had answered."""
    answered = set()
    with service(live) as (process, url):
        for _ in range(50):
            answered.add(post(url, FIELDS, [[5.0, 3.5, 1.4, 0.2]]).headers["X-Scoring-Id"])
        process.kill()
    with service(live) as (_, url):
        # The spool is opened with the first scoring.
        answered.add(post(url, FIELDS, [[5.0, 3.5, 1.4, 0.2]]).headers["X-Scoring-Id"])
        wait_until(lambda: len(live.ids()) >= 51, "51 records in the mart")
    assert sorted(live.ids()) == sorted(answered)
