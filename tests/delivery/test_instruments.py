"""The instruments: what a meter is told of delivery."""

from __future__ import annotations

import time

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from scorespan import producer
from scorespan.delivery.instruments import Instruments, Reading

READING = Reading(
    outcomes={"stored": 7, "dead-lettered": 2, "switched off": 1},
    posts={"accepted": 3, "blocked": 0},
    resent=4,
    damaged_bytes=100,
    sync_failures=1,
    waiting=5,
    oldest=None,
    spool_bytes=2000,
    set_aside=2,
    dead_letters=9,
    paused=False,
)


class Metered:
    """Instruments of a meter that can be read."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.instruments = Instruments(self._provider.get_meter("test"))

    def points(self) -> dict[str, object]:
        """What each instrument shows, by its name and outcome."""
        data = self._reader.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {
            ".".join([metric.name, *point.attributes.values()]): getattr(point, "value", point)
            for metric in metrics
            for point in metric.data.data_points
        }

    def units(self) -> dict[str, str]:
        """Each instrument's unit."""
        found = self._reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: metric.unit for metric in found}


@pytest.fixture
def metered() -> Metered:
    """Instruments of a test's own."""
    return Metered()


def test_every_instrument_shows_what_was_counted(metered):
    """All terms of the account, posts, spool and syncs, with units as OpenTelemetry writes them."""
    metered.instruments.report(lambda: READING)
    metered.instruments.stored_after(0.5)
    before = producer.given()
    producer.new().next_number()
    shown = metered.points()
    lag = shown.pop("scorespan.delivery.lag")
    assert (lag.count, lag.sum) == (1, 0.5)
    assert shown == {
        "scorespan.records.scored": before + 1,
        "scorespan.records.stored": 7,
        "scorespan.records.dead_lettered": 2,
        "scorespan.records.switched_off": 1,
        "scorespan.resent": 4,
        "scorespan.posts.accepted": 3,
        "scorespan.posts.blocked": 0,
        "scorespan.spool.damaged": 100,
        "scorespan.sync.failures": 1,
        "scorespan.spool.records": 5,
        "scorespan.delivery.aside": 2,
        "scorespan.spool.age": 0,
        "scorespan.spool.size": 2000,
        "scorespan.dead_letters": 9,
        "scorespan.delivery.paused": 0,
    }
    assert set(metered.units().values()) <= {
        "{record}", "{post}", "{sync}", "{letter}", "By", "s", "1",
    }  # fmt: skip


def test_the_age_is_that_of_the_oldest(metered):
    """Nothing else says as early that a mart is down; a clock that was set back makes it 0."""
    now = time.time()
    metered.instruments.report(lambda: READING._replace(oldest=now - 100))
    metered.instruments.report(lambda: READING._replace(oldest=now + 100))
    assert 100 <= metered.points()["scorespan.spool.age"] < 200


def test_counters_go_on_where_a_delivery_ends(metered):
    """What has ended is no longer open; what it counted stays counted, once."""
    readings = [lambda: READING, lambda: READING._replace(waiting=1)]
    for reading in readings:
        metered.instruments.report(reading)
    metered.instruments.end(readings[0])
    metered.instruments.end(readings[0])
    shown = metered.points()
    assert shown["scorespan.records.stored"] == 14
    assert shown["scorespan.spool.records"] == 1
    metered.instruments.end(readings[1])
    shown = metered.points()
    assert shown["scorespan.records.stored"] == 14
    assert shown["scorespan.spool.records"] == 0
    assert "scorespan.spool.size" not in shown


def test_a_forked_child_begins_from_nothing(metered):
    """What is open and what was counted are its parent's."""
    metered.instruments.report(lambda: READING)
    metered.instruments.forget()
    assert "scorespan.records.stored" not in metered.points()
    metered.instruments.report(lambda: READING)
    assert metered.points()["scorespan.records.stored"] == 7


def test_a_reading_that_fails_does_not_reach_the_meter(metered, caplog):
    """The application's collection of metrics never sees a fault of ours."""

    def fails() -> Reading:
        raise OSError

    metered.instruments.report(fails)
    assert metered.points() == {}
    assert caplog.records == []


def test_a_meter_that_fails_costs_no_record(caplog):
    """Foreign code that raises while instruments are made or fed is only told of."""
    metered = Instruments("no meter")
    metered.report(lambda: READING)
    metered.stored_after(1.0)
    assert [record.getMessage() for record in caplog.records] == [
        "there are no instruments: AttributeError"
    ]
