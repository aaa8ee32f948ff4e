"""Clients in processes whose code says nothing of scorespan, with a real mart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine import Reply, engine
from examples.live import LiveMart, live_mart
from running import run
from servers.serving import arrived, free_port, serving

PROGRAM = Path(__file__).parent / "programs" / "dependent.py"
ANSWER = b'{"predictions": [3]}'


@pytest.fixture
def live(tmp_path) -> LiveMart:
    """A mart with a subscription."""
    with live_mart(tmp_path) as live:
        yield live


def test_calls_of_a_service_stand_on_its_record(live, tmp_path):
    """A scoring that asks another service twice is one record, with two dependencies."""
    port = free_port()
    with engine() as other:
        command = [sys.executable, PROGRAM, "serve", port, other.url]
        other.replies += [Reply(), Reply(status=503)]
        with serving(
            command, live, tmp_path, port=port, SCORESPAN_CLIENT_URLS=other.address
        ) as server:
            answer = server.post("/score", b'{"instances": [[1, 2]]}')
            assert answer.json() == {"predictions": [1]}
            (record,) = arrived(live, 1)
    told = record.scorespan["dependencies"]
    assert (told["count"], told["failures"]) == (2, 1)
    assert 0 <= told["time"] <= record.response_time + 2


def test_a_program_that_asks_an_engine_leaves_records(live):
    """Each client's call is a record; the process imports no server, and sets only variables."""
    with engine() as other:
        other.replies += [Reply(body=ANSWER)] * 4
        environment = live.environment(SCORESPAN_ENABLE="1", SCORESPAN_CLIENT_URLS=other.address)
        done = run([sys.executable, PROGRAM, "ask", other.url], environment)
    assert done.stdout.splitlines() == [ANSWER.decode(), "[]"]
    assert done.stderr == ""
    records = arrived(live, 4)
    hooks = [record.scorespan["hook"] for record in records]
    assert sorted(hooks) == ["botocore", "httpx", "requests", "urllib"]
    assert not any(record.failed for record in records)
    assert {record.request_text for record in records} == {records[0].request_text}
