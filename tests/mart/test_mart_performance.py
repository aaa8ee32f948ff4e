"""Performance: requests, rates, times and failures by deployment, as samples and in lines."""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from datetime import datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from scorespan.mart.performance import MOST_SAMPLES, Scope, performances
from scorespan.mart.sqlite import SqliteStore
from scorespan.mart.tables import metadata, payload_records

START = datetime(2026, 1, 31, 11, 0, tzinfo=timezone.utc)
ERROR = {"v": 1, "status": "error", "error": {"type": "ValueError", "message": "no"}}
SUBSCRIPTION = {"subscription_id": "sub"}


def moment(seconds):
    """A timestamp so many seconds after the start."""
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


@pytest.fixture
def scored(mart, mart_record):
    """Stores records of which only deployment, time and failure are told."""
    count = 0

    def store(*told, rows=1):
        nonlocal count
        records = []
        for deployment_id, seconds, response_time, failed in told:
            count += 1
            more = {"response": None, "scorespan": ERROR} if failed else {}
            record = mart_record(
                f"{count}",
                rows,
                deployment_id=deployment_id,
                scoring_timestamp=moment(seconds),
                response_time=response_time,
            )
            records.append({**record, **more})
        mart.stored(*records)

    return store


def test_each_deployment_has_its_rates_and_times(mart, scored):
    """Requests, rows, failures, the rate over the time asked for, and the times of requests."""
    told = [("a", second, second + 1, False) for second in range(100)]
    scored(*told, ("b", 5, None, True), ("b", 6, 30, True), ("b", 7, 10, False), rows=2)
    found = mart.get("performance", **SUBSCRIPTION, start=moment(0), end=moment(600))
    assert (found["start"], found["end"]) == (
        "2026-01-31T11:00:00.000000Z",
        "2026-01-31T11:10:00.000000Z",
    )
    a, b = found["deployments"]
    assert a == {
        "deployment_id": "a",
        "requests": 100,
        "rows": 200,
        "failures": 0,
        "failure_rate": 0.0,
        "requests_per_minute": 10.0,
        "response_time": {"mean": 50.5, "p50": 50, "p95": 95, "p99": 99, "max": 100},
        "first": "2026-01-31T11:00:00.000000Z",
        "last": "2026-01-31T11:01:39.000000Z",
    }
    assert (b["requests"], b["rows"], b["failures"]) == (3, 2, 2)
    assert b["failure_rate"] == pytest.approx(2 / 3)
    # A time that is not known is not in them; that of a failed scoring is.
    assert b["response_time"] == {"mean": 20.0, "p50": 10, "p95": 30, "p99": 30, "max": 30}


def test_without_a_time_it_is_from_the_first_record_until_now(mart, scored):
    """Now is the mart's; a record from ahead of it still counts, and none is no error."""
    nothing = mart.get("performance", **SUBSCRIPTION)
    assert nothing == {"start": None, "end": "2026-01-31T12:00:00.000000Z", "deployments": []}
    scored(("a", 0, 1, False), ("a", 60, 1, False))
    (a,) = mart.get("performance", **SUBSCRIPTION)["deployments"]
    assert a["requests_per_minute"] == pytest.approx(2 / 60)
    scored(("a", 2 * 3600, 1, False))
    ahead = mart.get("performance", **SUBSCRIPTION)
    assert ahead["end"] == "2026-01-31T13:00:00.000000Z"
    assert ahead["deployments"][0]["requests_per_minute"] == pytest.approx(3 / 120)


def test_a_moment_has_no_rate(mart, scored):
    """One record of right now: there is no time to divide by."""
    scored(("a", 3600, None, False))
    (a,) = mart.get("performance", **SUBSCRIPTION)["deployments"]
    assert a["requests_per_minute"] is None
    assert a["response_time"] == dict.fromkeys(("mean", "p50", "p95", "p99", "max"))


def test_a_time_and_a_deployment_can_be_asked_for(mart, scored):
    """The start counts, the end does not; any offset, its plus sign escaped or not."""
    scored(*((name, second, 1, False) for name in "ab" for second in (0, 60, 120)))
    asked = {**SUBSCRIPTION, "deployment_id": "b", "binding_id": "binding"}
    found = mart.get("performance", **asked, start=moment(60), end=moment(120))
    assert [(one["deployment_id"], one["requests"]) for one in found["deployments"]] == [("b", 1)]
    unescaped = f"{mart.root}/performance?subscription_id=sub&start=2026-01-31T13:02:00+02:00"
    found = mart.http.get(unescaped).json()
    assert found["start"] == "2026-01-31T11:02:00.000000Z"
    assert [one["requests"] for one in found["deployments"]] == [1, 1]
    sampled = mart.get("metrics", **asked, metric_type="performance", start=moment(60))
    assert [one["timestamp"][14:19] for one in sampled["metrics"]] == ["01:00", "02:00"]


def test_there_is_a_sample_for_each_record(mart, scored):
    """As the v1 API has it, with requests and failures beside; oldest first."""
    scored(("a", 9, None, False), ("b", 3, 7, False), ("a", 5, 8, True), rows=3)
    found = mart.get("metrics", **SUBSCRIPTION, metric_type="performance", format="samples")
    assert found == {
        "metrics": [
            {
                "timestamp": f"2026-01-31T11:00:0{second}.000000Z",
                "deployment_id": deployment_id,
                "value": {
                    "response_time": response_time,
                    "records": rows,
                    "requests": 1,
                    "failures": failures,
                },
            }
            for second, deployment_id, response_time, rows, failures in (
                (3, "b", 7, 3, 0),
                (5, "a", 8, 0, 1),
                (9, "a", None, 3, 0),
            )
        ],
        "interval": "record",
    }


@pytest.mark.parametrize(
    ("apart", "interval", "samples"),
    [
        (1, "minute", math.ceil((MOST_SAMPLES + 60) / 60)),
        (60, "hour", math.ceil((MOST_SAMPLES + 60) / 60)),
        (3600, "day", math.ceil((MOST_SAMPLES + 60 + 11) / 24)),
        (86400, "month", 53),
    ],
)
def test_many_records_are_told_by_interval(mart, scored, apart, interval, samples):
    """The shortest one that keeps the answer small; nothing is left out of it."""
    count = MOST_SAMPLES + 60
    scored(*(("a", number * apart, number, number % 10 == 0) for number in range(count)))
    found = mart.get("metrics", **SUBSCRIPTION, metric_type="performance")
    assert found["interval"] == interval
    assert len(found["metrics"]) <= samples
    values = [one["value"] for one in found["metrics"]]
    assert sum(value["requests"] for value in values) == count
    assert sum(value["failures"] for value in values) == count / 10
    assert sum(value["records"] for value in values) == count - count / 10
    spent = sum(value["response_time"] * value["requests"] for value in values)
    assert spent == pytest.approx(sum(range(count)))
    times = [one["timestamp"] for one in found["metrics"]]
    assert times == sorted(set(times))
    for time in times:
        datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("path", "query", "status", "field"),
    [
        ("performance", {}, 400, "subscription_id"),
        ("performance", {"subscription_id": "other"}, 404, "subscription_id"),
        ("performance", {**SUBSCRIPTION, "binding_id": "other"}, 404, None),
        ("performance", {**SUBSCRIPTION, "start": "yesterday"}, 400, "start"),
        ("metrics", {**SUBSCRIPTION}, 400, "metric_type"),
        ("metrics", {**SUBSCRIPTION, "metric_type": "quality"}, 400, "metric_type"),
        (
            "metrics",
            {**SUBSCRIPTION, "metric_type": "performance", "format": "time_series"},
            400,
            "format",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(mart, path, query, status, field):
    """With the parameter that is wrong."""
    answer = mart.http.get(f"{mart.root}/{path}", params=query)
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert error.get("field") == field


@pytest.fixture(scope="module")
def connection():
    """A database with the mart's tables, and whatever a test adds until it rolls back."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        connection.commit()
        yield connection
    engine.dispose()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.none() | st.integers(0, 40) | st.integers(0, 10**6)),
        max_size=250,
    )
)
def test_percentiles_are_those_of_the_sorted_times(connection, told):
    """The nearest rank, whatever the times are."""
    common = {
        "table_id": 1,
        "scoring_timestamp": moment(0),
        "timestamp_utc": moment(0),
        "status": "ok",
        "content_hash": "",
        "row_count": 1,
        "received_at": "",
        "request": "",
        "response": "",
    }
    rows = [
        {**common, "scoring_id": f"{n}", "deployment_id": deployment_id, "response_time": time}
        for n, (deployment_id, time) in enumerate(told)
    ]
    if rows:
        connection.execute(payload_records.insert(), rows)
    found = {one.deployment_id: one for one in performances(connection, Scope(1))}
    connection.rollback()
    times = defaultdict(list)
    for deployment_id, time in told:
        times[deployment_id] += [] if time is None else [time]
    assert found.keys() == times.keys()
    for deployment_id, known in times.items():
        one = found[deployment_id]
        known.sort()
        expected = [
            known[math.ceil(share * len(known) / 100) - 1] if known else None
            for share in (50, 95, 99, 100)
        ]
        assert [one.p50, one.p95, one.p99, one.longest] == expected
        assert one.mean == (pytest.approx(sum(known) / len(known)) if known else None)
        assert one.requests == sum(name == deployment_id for name, _ in told)


def test_no_body_is_read_for_performance(connection):
    """The index answers: however long the bodies are, they are not touched."""
    driver = connection.connection.driver_connection
    seen = []
    driver.set_trace_callback(seen.append)
    performances(connection, Scope(1, moment(0), moment(1), "a"))
    driver.set_trace_callback(None)
    (query,) = [one for one in seen if one.startswith("SELECT")]
    plan = " ".join(row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {query}"))
    assert "SEARCH payload_records USING COVERING INDEX payload_records_newest" in plan


def test_a_store_of_the_first_version_gets_the_index(tmp_path):
    """The step is taken over what is stored."""
    path = tmp_path / "mart.sqlite3"
    SqliteStore(path).close()
    database = sqlite3.connect(path)
    with database:
        database.execute("DROP INDEX payload_records_newest")
        database.execute(
            "CREATE INDEX payload_records_newest ON payload_records "
            "(table_id, timestamp_utc, store_sequence, status, row_count)"
        )
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    database.close()
    store = SqliteStore(path)
    with store._readers.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    store.close()
