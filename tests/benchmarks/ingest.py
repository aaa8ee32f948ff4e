"""The mart's ingest: a request's bytes to a synced commit, against the bare driver.

The driver inserts the same rows with the same statement into the same table of another database
with the same schema and pragmas; both commit to disk once for each batch.
"""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path

from tests.benchmarks.measure import REQUEST, RESPONSE, Comparison, compare

from scorespan.mart.changes import INSERT_RECORD
from scorespan.mart.payload_routes import store_payload
from scorespan.mart.server import DATABASE_FILE, running_mart
from scorespan.mart.sqlite import PRAGMAS
from scorespan.record import PayloadRecord, wire_list

WHAT = "the mart's ingest"
_RECORDS = 500
_ROW = (
    "SELECT table_id, scoring_id, binding_id, deployment_id, scoring_timestamp, timestamp_utc, "
    "response_time, status, content_hash, row_count, producer, sequence, received_at, extras, "
    "request, response FROM payload_records ORDER BY store_sequence LIMIT ?"
)


def run() -> list[Comparison]:
    """The comparison."""
    with tempfile.TemporaryDirectory() as folder:
        with running_mart(Path(folder) / "bare") as other:
            other.prepare("benchmark", "benchmark")
            store_payload(other.mart, "benchmark", _batch(itertools.count(1)))
        with running_mart(Path(folder) / "ours") as mart:
            mart.prepare("benchmark", "benchmark")
            numbers = itertools.count(1)

            def ours() -> float:
                body = _batch(numbers)
                started = time.perf_counter()
                store_payload(mart.mart, "benchmark", body)
                return (time.perf_counter() - started) / _RECORDS * 1e6

            connection = sqlite3.connect(
                Path(folder) / "bare" / DATABASE_FILE, isolation_level=None
            )
            for pragma in PRAGMAS:
                connection.execute(pragma)
            rows = connection.execute(_ROW, (_RECORDS,)).fetchall()

            def bare() -> float:
                fresh = [(row[0], uuid.uuid4().hex, *row[2:]) for row in rows]
                started = time.perf_counter()
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(INSERT_RECORD, fresh)
                connection.execute("COMMIT")
                return (time.perf_counter() - started) / _RECORDS * 1e6

            times = compare(ours, bare, turns=40)
            connection.close()
    what = f"mart, a record of a batch of {_RECORDS}: request to synced commit"
    return [Comparison(what, times[0], "the bare driver", times[1], times[2], must=3.0, goal=2.0)]


def _batch(numbers: itertools.count[int]) -> bytes:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    producer = uuid.uuid4().hex
    return wire_list(
        [
            PayloadRecord(
                scoring_id=uuid.uuid4().hex,
                subscription_id="benchmark",
                deployment_id="generic_deployment",
                scoring_timestamp=now,
                response_time=12,
                request=REQUEST.encode(),
                response=RESPONSE.encode(),
                extras={
                    "v": 1,
                    "status": "ok",
                    "trace_id": uuid.uuid4().hex,
                    "span_id": uuid.uuid4().hex[:16],
                    "producer": producer,
                    "sequence": next(numbers),
                },
            )
            for _ in range(_RECORDS)
        ],
        extras=True,
    )
