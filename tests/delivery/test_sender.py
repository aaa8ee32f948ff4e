"""The sender: nothing holds up the rest or is lost, and a route that is down is left in peace.

Time passes here when the sender waits for it, so that hours of an outage take no time.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from delivery.bench import Bench, span
from scorespan.delivery.lists import Aside
from scorespan.delivery.sender import Sender, Stopping
from scorespan.delivery.settle import read_status
from scorespan.delivery.worker import BATCH_BYTES
from scorespan.telemetry import RepeatedLog
from scorespan.testing import NEVER, Answer, ScriptedMart

HTML = Answer(200, b"<html>log in</html>")


class Time(threading.Event):
    """Seconds that pass when somebody waits; set when the end has come."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.end = float("inf")

    def __call__(self) -> float:
        """The time."""
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        """Let it pass."""
        self.now += timeout or 0.0
        if self.now >= self.end:
            self.set()
        return self.is_set()


class Simulation:
    """A sender over a spool, with the waits of production in a time of its own."""

    def __init__(self, bench: Bench, aside: Callable[..., Aside] = Aside) -> None:
        self.bench = bench
        self.time = Time()
        self.sender = Sender(
            bench.client,
            bench.settler,
            self.time,
            log=RepeatedLog(),
            aside=aside,
            chance=random.Random(1),
            clock=self.time,
        )

    def run(self, *, records: int, seconds: float = float("inf")) -> None:
        """Deliver in claims of so many records, until all is settled or time is up."""
        self.time.end = self.time.now + seconds
        self.time.clear()
        try:
            while True:
                entries = self.bench.spool.claim(BATCH_BYTES, records).entries
                self.sender.deliver(entries)
                if not entries and self.sender.left is None:
                    return
                if not entries:
                    self.time.wait(self.sender.left)
        except Stopping:
            if self.sender._kind is None:  # what was claimed is not in hand yet
                self.bench.spool.release()


@pytest.fixture
def make_simulation(
    tmp_path: Path, scripted_mart: ScriptedMart
) -> Iterator[Callable[..., Simulation]]:
    """Makes a simulation in front of the scripted mart."""
    made: list[Bench] = []

    def make(aside: Callable[..., Aside] = Aside, **changed: Any) -> Simulation:
        made.append(Bench(tmp_path / "root", scripted_mart, **changed))
        return Simulation(made[-1], aside)

    yield make
    for bench in made:
        bench.settler.close(blocked=None)
        bench.spool.close()
        bench.client.close()


@pytest.fixture
def simulation(make_simulation: Callable[..., Simulation]) -> Simulation:
    """A simulation as most tests need it."""
    return make_simulation()


def cannot_take(*ids: str, answer: Answer = Answer(500)) -> Callable[..., Answer | None]:  # noqa: B008 - a value
    """A mart that has trouble with some records, and so with every list that holds one."""
    return lambda records: answer if {one["scoring_id"] for one in records} & {*ids} else None


@pytest.mark.parametrize(
    "down",
    [
        Answer(503),
        Answer(500),
        Answer(502, b"<html>bad gateway</html>"),
        Answer(429),
        Answer(401),
        Answer(403),
        Answer(404),
        Answer(302, b"", (("Location", "/login"),)),
        HTML,
        Answer(drop="before"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["scorespan", None])
def test_a_route_that_is_down_is_asked_less_than_once_a_second(
    make_simulation: Callable[..., Simulation], down: Answer, kind: str | None
):
    """Requests for tokens and the kind count; afterwards everything is delivered, soon."""
    simulation = make_simulation(data_mart_kind=kind)
    mart = simulation.bench.mart
    simulation.bench.put(*map(span, range(1, 41)))
    mart.always = down
    simulation.run(records=10, seconds=600)
    assert 5 < mart.requests < 600
    assert (mart.stored, simulation.bench.letters()) == ({}, {})
    mart.always = None
    mended = simulation.time.now
    simulation.run(records=10)
    assert len(mart.stored) == 40
    # In a queue of one's own, an outage is over within the longest wait, a pause within five.
    blocked = down.status in {200, 302, 401, 403, 404}
    assert simulation.time.now - mended <= (10 if blocked else 130)
    assert set(simulation.bench.outcomes().values()) == {"stored"}


def test_a_record_that_the_mart_cannot_take_is_set_aside(simulation: Simulation):
    """All others are stored; it waits, is seen in the status, and is stored when it can be."""
    bench, mart = simulation.bench, simulation.bench.mart
    mart.judge = cannot_take("s700")
    bench.put(*map(span, range(1, 2001)))
    simulation.run(records=1000, seconds=3600)
    assert len(mart.stored) == 1999
    assert bench.letters() == {}
    assert simulation.sender.set_aside == 1
    bench.settler.write_status(blocked=None, force=True)
    status = read_status(bench.spool.path)
    assert status is not None
    assert (status["set_aside"], status["set_aside_reason"]) == (1, "HTTP 500")
    assert bench.outcomes()["s700"] == "waiting"
    tried = sum(b'"s700"' in post for post in mart.posts)
    assert 40 < tried < 300  # about twice in the longest wait
    mart.judge = None
    mended = simulation.time.now
    simulation.run(records=1000)
    assert simulation.time.now - mended <= 60
    assert set(bench.outcomes().values()) == {"stored"}
    assert (simulation.sender.set_aside, simulation.sender.oldest_waiting) == (0, None)


def test_what_comes_is_delivered_beside_what_is_set_aside(simulation: Simulation):
    """However many records the mart has trouble with, a new one waits for no more than a retry."""
    bench, mart = simulation.bench, simulation.bench.mart
    mart.judge = cannot_take(*[f"s{number}" for number in range(1, 41, 2)])
    bench.put(*map(span, range(1, 41)))
    simulation.run(records=40, seconds=3600)
    assert simulation.sender.set_aside == 20
    simulation.time.end = float("inf")
    simulation.time.clear()
    for number in range(41, 81):
        bench.put(span(number))
        before = simulation.time.now
        entries = bench.spool.claim(BATCH_BYTES, 1).entries
        simulation.sender.deliver(entries)
        assert f"s{number}" in mart.stored
        assert simulation.time.now - before <= 1
        simulation.time.now += 5
    assert simulation.sender.set_aside == 20


def test_lists_that_fail_one_after_the_other_do_not_stop_the_third(simulation: Simulation):
    """Whether the route is down or only the lists are bad is found out by going on."""
    mart = simulation.bench.mart
    mart.judge = cannot_take("s1", "s2", "s3")
    simulation.bench.put(*map(span, range(1, 6)))
    simulation.run(records=1, seconds=120)
    assert set(mart.stored) == {"s4", "s5"}
    assert simulation.bench.letters() == {}


def test_beyond_the_bound_the_route_waits(make_simulation: Callable[..., Simulation]):
    """What is set aside is held in memory: there is an end to it, and nothing is dropped."""
    simulation = make_simulation(lambda pace: Aside(pace, most_records=3))
    mart = simulation.bench.mart
    mart.judge = cannot_take("s1", "s2", "s3", "s4")
    simulation.bench.put(*map(span, range(1, 9)))
    simulation.run(records=1, seconds=3600)
    assert simulation.sender.set_aside == 3
    assert mart.stored == {}
    mart.judge = None
    simulation.run(records=1)
    assert len(mart.stored) == 8


def test_an_outage_of_hours_with_500_sets_aside_and_dead_letters_nothing_for_good(
    simulation: Simulation,
):
    """A 500 is never about a record for good, however often it comes."""
    bench, mart = simulation.bench, simulation.bench.mart
    mart.always = Answer(500)
    bench.put(*map(span, range(1, 101)))
    simulation.run(records=20, seconds=6 * 3600)
    assert mart.requests < 3600
    mart.always = None
    simulation.run(records=20)
    assert set(bench.outcomes().values()) == {"stored"}
    assert len(mart.stored) == 100


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("120", 120, 121),
        (timedelta(seconds=300), 280, 301),
        ("0", 0.2, 61),
        ("-5", 0.2, 61),
        ("315360000", 3600, 3601),
        (timedelta(days=3650), 3600, 3601),
        (timedelta(days=-1), 0.2, 61),
        ("soon", 0.2, 61),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 500])
def test_the_wait_that_the_mart_asks_for_is_kept(
    simulation: Simulation, status: int, header: str | timedelta, least: float, most: float
):
    """Both forms, capped at an hour; what makes no sense says nothing."""
    if isinstance(header, timedelta):
        header = format_datetime(datetime.now(timezone.utc) + header)
    simulation.bench.mart.answers.append(Answer(status, b"", (("Retry-After", header),)))
    simulation.bench.put(span(1))
    started = simulation.time.now
    simulation.run(records=1)
    assert len(simulation.bench.mart.posts) == 2
    assert least <= simulation.time.now - started <= most


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200),
        HTML,
        Answer(200, b'{"errors": [', (("Content-Length", "400"), ("Connection", "close"))),
        Answer(200, orjson.dumps({"errors": [{"index": 0, "code": "c"}]})),
        Answer(207, b'{"multi": "status"}'),
        Answer(206, b"part"),
        Answer(301, b"", (("Location", "/elsewhere"),)),
        Answer(307, b"", (("Location", "/elsewhere"),)),
        Answer(202, b"<html>"),
    ],
    ids=str,
)
def test_what_the_contract_does_not_allow_is_no_success(simulation: Simulation, answer: Answer):
    """The records are kept, and posted again until the mart says yes as it should."""
    mart = simulation.bench.mart
    mart.answers.append(answer)
    mart.answers.append(answer)
    simulation.bench.put(span(1))
    simulation.run(records=1)
    assert len(mart.posts) == 3
    assert set(mart.stored) == {"s1"}
    assert simulation.bench.letters() == {}


def test_a_key_that_was_rotated_is_used_within_ten_seconds(simulation: Simulation):
    """The token service refuses until the key is mended; then all goes on with a new token."""
    mart = simulation.bench.mart
    mart.answers.extend([Answer(401)] * 2)
    mart.token_answers.extend([Answer(200, b'{"access_token": "old"}')] * 2 + [Answer(400)] * 3)
    simulation.bench.put(span(1))
    simulation.run(records=1)
    assert simulation.time.now - 1000 < 4 * 5 + 1
    assert mart.authorizations[:2] == ["Bearer old"] * 2
    assert mart.authorizations[-1] != "Bearer old"
    assert simulation.bench.outcomes() == {"s1": "stored"}


def test_a_mart_with_a_bound_gets_smaller_lists(simulation: Simulation):
    """413 halves; one record over the bound is a dead letter, whole, with its size."""
    mart = simulation.bench.mart
    mart.largest = 20_000
    wide = span(50, request=b'{"fields": ["a"], "values": [["' + b"x" * 30_000 + b'"]]}')
    simulation.bench.put(*map(span, range(1, 50)), wide, *map(span, range(51, 101)))
    simulation.run(records=1000)
    assert len(mart.stored) == 99
    ((code, reason, status),) = simulation.bench.letters().values()
    assert (code, status) == ("refused", 413)
    assert "the record has 30" in reason


def test_a_list_that_takes_the_mart_too_long_gets_more_time(
    make_simulation: Callable[..., Simulation],
):
    """Four times the timeout: three copies, not one after the other for ever; one is stored."""
    simulation = make_simulation(timeout_seconds=0.5)
    mart = simulation.bench.mart
    mart.judge = lambda _: Answer(delay=2)
    simulation.bench.put(span(1), span(2))
    simulation.run(records=2)
    assert len(mart.posts) <= 3
    assert simulation.bench.outcomes() == {"s1": "stored", "s2": "stored"}


def test_a_record_that_the_mart_hangs_at_is_set_aside(make_simulation: Callable[..., Simulation]):
    """The others are stored; the mart gets a copy now and then."""
    simulation = make_simulation(timeout_seconds=0.3)
    mart = simulation.bench.mart
    mart.judge = cannot_take("s3", answer=Answer(503, delay=NEVER))
    simulation.bench.put(*map(span, range(1, 9)))
    simulation.run(records=8, seconds=10)
    assert len(set(mart.stored)) == 7
    assert simulation.sender.set_aside == 1


def test_a_record_without_a_wire_form_does_not_hold_up_the_others(simulation: Simulation):
    """A fault of ours in one record costs that record a dead letter."""
    broken = b'{"fields": ["a"], "values": [[1]]}'
    simulation.bench.put(*map(span, range(1, 9)), span(9, request=broken), span(10))
    body = simulation.sender._body

    def build(items):
        if any(item.record.scoring_id == "s9" for item in items):
            raise ValueError("a fault of ours")
        return body(items)

    simulation.sender._body = build
    simulation.run(records=10)
    assert len(simulation.bench.mart.stored) == 9
    assert simulation.bench.letters()["s9"][0] == "fault"


def test_the_lag_is_counted_from_the_end_of_the_scoring(simulation: Simulation):
    """One count for each record that is stored."""
    simulation.bench.put(span(1, end_time=1), span(2, end_time=2**62))
    simulation.run(records=2)
    lag = simulation.sender.lag
    assert lag.count == sum(lag.buckets) == 2
    assert (lag.buckets[0], lag.buckets[-1]) == (1, 1)
    assert lag.sum > 10**9
