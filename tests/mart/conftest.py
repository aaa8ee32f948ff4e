"""Marts for tests: one in process, behind a client that is let in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from scorespan.mart.server import DATABASE_FILE, RunningMart, running_mart

DATA_MART = "dm"
SUBSCRIPTION = "sub"
BINDING = "binding"


class SettableClock:
    """A clock that tests move by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        """The time that was set."""
        return self.now

    def advance(self, **parts: float) -> None:
        """Let time pass."""
        self.now += timedelta(**parts)


@dataclass
class MartClient:
    """A prepared data mart and the calls that tests make to it."""

    http: httpx.Client
    running: RunningMart
    clock: SettableClock

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.running.folder / DATABASE_FILE

    @property
    def root(self) -> str:
        """Address of the data mart."""
        return f"/v1/data_marts/{DATA_MART}"

    @property
    def subscription(self) -> str:
        """Address of the subscription."""
        return f"{self.root}/service_bindings/{BINDING}/subscriptions/{SUBSCRIPTION}"

    def store(self, records: Any) -> Any:
        """Post records, or a body as it is."""
        body = records if isinstance(records, bytes) else json.dumps(records).encode()
        return self.http.post(f"{self.root}/scoring_payloads", content=body)

    def stored(self, *records: dict[str, Any]) -> None:
        """Post records that must be stored."""
        answer = self.store(list(records))
        assert answer.status_code == 204, answer.text
        assert answer.content == b""

    def get(self, path: str, **query: Any) -> Any:
        """What is at a path below the data mart."""
        answer = self.http.get(f"{self.root}/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def rows(self, **query: Any) -> Any:
        """The table of the subscription."""
        return self.get("scoring_transactions", subscription_id=SUBSCRIPTION, **query)

    def records(self, **query: Any) -> Any:
        """Whole records."""
        return self.get("scoring_payloads", **query)["records"]

    def schema(self) -> list[dict[str, Any]]:
        """Fields of the table."""
        answer = self.http.get(f"{self.subscription}/payload_table_schema")
        assert answer.status_code == 200, answer.text
        return answer.json()["table_schema"]["fields"]


@pytest.fixture
def mart_clock() -> SettableClock:
    """The clock of the mart under test."""
    return SettableClock()


@pytest.fixture
def mart_empty(tmp_path, mart_clock):
    """A mart without any data mart."""
    with running_mart(tmp_path / "mart", clock=mart_clock) as running:
        headers = {"Authorization": f"Bearer {running.token()}"}
        with httpx.Client(base_url=running.url, headers=headers, trust_env=False) as http:
            yield MartClient(http, running, mart_clock)


@pytest.fixture
def mart(mart_empty):
    """A mart with a subscription whose payload logging is on."""
    mart_empty.running.prepare(DATA_MART, SUBSCRIPTION, binding_id=BINDING)
    return mart_empty


def make_record(scoring_id: str | None = "one", rows: int = 1, **members: Any) -> dict[str, Any]:
    """A record of the test subscription; None takes a member out."""
    made: dict[str, Any] = {
        "binding_id": BINDING,
        "subscription_id": SUBSCRIPTION,
        "deployment_id": "dep",
        "scoring_id": scoring_id,
        "scoring_timestamp": "2026-01-31T12:00:00.000000Z",
        "response_time": 7,
        "request": {"fields": ["age", "job"], "values": [[30 + row, "x"] for row in range(rows)]},
        "response": {
            "fields": ["prediction", "probability"],
            "values": [["yes", [0.25, 0.75]] for _ in range(rows)],
        },
    }
    made.update(members)
    return {name: value for name, value in made.items() if value is not None}


@pytest.fixture
def mart_record():
    """Makes records of the test subscription."""
    return make_record
