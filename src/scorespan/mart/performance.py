"""Performance: how many scorings there were, how long they took and how many failed; in SQL.

Response times are whole milliseconds, so that grouping by them leaves few rows of many records:
percentiles are read off the running totals of those groups, exactly. All of it is answered from one
index; no body is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Float, Select, and_, case, cast, func, literal, select

from scorespan.mart.tables import payload_records
from scorespan.record import STATUS_OK

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

MOST_SAMPLES = 1500
"""Samples of one answer: the minutes of a day."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which records are meant.

    Attributes:
        start: sortable timestamp of the first moment that counts; None: from the first record on.
        end: of the first moment that does not; None: to the last record.
        deployment_id: None: all deployments.
    """

    table_id: int
    start: str | None = None
    end: str | None = None
    deployment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """How one deployment performed. Times are response times in milliseconds.

    A failed scoring counts as a request, and its time where it has one; its rows do not. Without
    any response time all times are None. A percentile is the time of a request: at least so many
    of a hundred took no longer.
    """

    deployment_id: str
    requests: int
    rows: int
    failures: int
    mean: float | None
    p50: int | None
    p95: int | None
    p99: int | None
    longest: int | None
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What one deployment did at a moment or within an interval that begins then."""

    timestamp: str
    deployment_id: str
    response_time: float | None
    rows: int
    requests: int
    failures: int


@dataclass(frozen=True, slots=True)
class Interval:
    """How long a sample lasts: the length of its timestamp, and what follows to make it whole."""

    name: str
    kept: int
    rest: str


RECORD = "record"
_INTERVALS = (
    Interval("minute", len("2026-01-31T12:00"), ":00.000000Z"),
    Interval("hour", len("2026-01-31T12"), ":00:00.000000Z"),
    Interval("day", len("2026-01-31"), "T00:00:00.000000Z"),
    Interval("month", len("2026-01"), "-01T00:00:00.000000Z"),
)


def _sum(column: ColumnElement[Any]) -> ColumnElement[int]:
    """A sum that is a whole number in any database."""
    return cast(func.sum(column), BigInteger)


_record = payload_records.c
_is_ok = _record.status == STATUS_OK
_rows_of_one = case((_is_ok, _record.row_count), else_=0)
_failures_of_one = case((_is_ok, 0), else_=1)


def performances(connection: Connection, scope: Scope) -> list[Performance]:
    """Every deployment in scope, by id."""
    times = (
        select(
            _record.deployment_id,
            _record.response_time,
            func.count().label("requests"),
            func.count(_record.response_time).label("timed"),
            _sum(_rows_of_one).label("rows"),
            _sum(_failures_of_one).label("failures"),
            func.min(_record.timestamp_utc).label("first"),
            func.max(_record.timestamp_utc).label("last"),
        )
        .where(_within(scope))
        .group_by(_record.deployment_id, _record.response_time)
        .subquery()
    ).c
    of_deployment = times.deployment_id
    reached = func.sum(times.timed).over(partition_by=of_deployment, order_by=times.response_time)
    ranked = select(
        *times,
        reached.label("reached"),
        func.sum(times.timed).over(partition_by=of_deployment).label("all_timed"),
    ).subquery()
    column = ranked.c
    spent = func.sum(column.response_time * column.timed)
    query = (
        select(
            column.deployment_id,
            _sum(column.requests),
            _sum(column.rows),
            _sum(column.failures),
            # Of a deployment without times the sum is null, and so is all that follows from it.
            cast(spent, Float) / func.nullif(func.sum(column.timed), 0),
            *(
                func.min(
                    case((column.reached * 100 >= column.all_timed * share, column.response_time))
                )
                for share in (50, 95, 99)
            ),
            func.max(column.response_time),
            func.min(column.first),
            func.max(column.last),
        )
        .group_by(column.deployment_id)
        .order_by(column.deployment_id)
    )
    return [Performance(*row) for row in connection.execute(query)]


def samples(connection: Connection, scope: Scope) -> tuple[str, list[Sample]]:
    """Samples in scope, oldest first, and what each stands for.

    Returns:
        `record` and a sample for each record, where those are at most `MOST_SAMPLES`; else the
        shortest interval of `minute`, `hour`, `day` and `month` whose samples are, or the longest.
    """
    most = MOST_SAMPLES + 1
    found = _samples(connection, _of_records(scope), most)
    if len(found) < most:
        return RECORD, found
    for interval in _INTERVALS:
        found = _samples(connection, _of_intervals(scope, interval), most, interval.rest)
        if len(found) < most:
            return interval.name, found
    return interval.name, _samples(connection, _of_intervals(scope, interval), None, interval.rest)


def _of_records(scope: Scope) -> Select[Any]:
    return (
        select(
            _record.timestamp_utc,
            _record.deployment_id,
            _record.response_time,
            _rows_of_one,
            literal(1),
            _failures_of_one,
        )
        .where(_within(scope))
        .order_by(_record.timestamp_utc, _record.store_sequence)
    )


def _of_intervals(scope: Scope, interval: Interval) -> Select[Any]:
    # Timestamps are text of one form, so their beginnings are the intervals.
    start = func.substr(_record.timestamp_utc, 1, interval.kept).label("start")
    return (
        select(
            start,
            _record.deployment_id,
            cast(func.sum(_record.response_time), Float)
            / func.nullif(func.count(_record.response_time), 0),
            _sum(_rows_of_one),
            func.count(),
            _sum(_failures_of_one),
        )
        .where(_within(scope))
        .group_by(start, _record.deployment_id)
        .order_by(start, _record.deployment_id)
    )


def _samples(
    connection: Connection, query: Select[Any], limit: int | None, rest: str = ""
) -> list[Sample]:
    return [Sample(start + rest, *more) for start, *more in connection.execute(query.limit(limit))]


def _within(scope: Scope) -> ColumnElement[bool]:
    chosen = [_record.table_id == scope.table_id]
    if scope.start is not None:
        chosen.append(_record.timestamp_utc >= scope.start)
    if scope.end is not None:
        chosen.append(_record.timestamp_utc < scope.end)
    if scope.deployment_id is not None:
        chosen.append(_record.deployment_id == scope.deployment_id)
    return and_(*chosen)
