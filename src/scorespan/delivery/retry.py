"""Outcomes and waiting: what an answer of the data mart means, and when to ask again. Pure.

Only what the contract allows is success. Two kinds of no never mix: *Rejected* is about records,
*Blocked* is about the address or the credentials.
"""

from __future__ import annotations

import email.utils
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import NamedTuple, TypeAlias

import orjson

BACKOFF_FIRST = 0.5
BACKOFF_CAP = 60.0
BLOCKED_SECONDS = 5.0
"""How long a blocked route rests between two probes, so that it resumes soon after the fix."""
RETRY_AFTER_CAP = 3600.0
SWITCHED_OFF = "payload_logging_disabled"


class Accepted(NamedTuple):
    """Stored, or stored before."""


class Retryable(NamedTuple):
    """Not now: ask again, at the earliest after `after` seconds where the mart says so.

    `of_list` says that the route was there and these records may be what the mart cannot take; a
    mart that says when to come again speaks of itself. `timed_out` says that it may still be at
    work on them.
    """

    reason: str
    after: float | None = None
    of_list: bool = False
    timed_out: bool = False


class Refusal(NamedTuple):
    """One record that the mart named, by its position in the list."""

    position: int
    code: str
    message: str


class Rejected(NamedTuple):
    """No to records: the named ones, or, where none is named, some of the list."""

    status: int
    answer: str
    refusals: tuple[Refusal, ...] = ()


class Blocked(NamedTuple):
    """No to the address or the credentials. `token` says whether a new token may help."""

    reason: str
    token: bool = False


Outcome: TypeAlias = Accepted | Retryable | Rejected | Blocked


def classify(status: int, headers: Mapping[str, str], body: bytes, *, count: int) -> Outcome:
    """What an answer to a list of `count` records means.

    Args:
        status: HTTP status.
        headers: looked up by canonical name; a case-insensitive mapping is best.
        body: of the answer.
        count: records in the list.
    """
    if status == 204 or (status == 202 and _is_json_or_empty(body)):
        return Accepted()
    if status in {408, 425, 429} or status >= 500:
        after = retry_after(headers.get("Retry-After"))
        of_list = after is None and status not in {425, 429, 503}
        return Retryable(f"HTTP {status}", after, of_list=of_list)
    refusals = _refusals(body, count)
    if status in {400, 413, 422} or (refusals and 400 <= status < 500):
        answer = body.decode("utf-8", "replace")
        return Rejected(status, answer, refusals)
    if status == 401:
        return Blocked("HTTP 401: the token is not accepted", token=True)
    if status == 403:
        return Blocked("HTTP 403: the credentials have no right to store", token=True)
    if status == 404:
        return Blocked("HTTP 404: no such data mart at this address")
    return Blocked(f"HTTP {status}: this address does not answer as a data mart does")


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, both forms; None where it says nothing usable."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        # Only the cap matters of a number that long, and int() refuses thousands of digits.
        return min(float(value[:12]), RETRY_AFTER_CAP) if len(value) < 12 else RETRY_AFTER_CAP
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    wait = (moment - (now or datetime.now(timezone.utc))).total_seconds()
    return min(max(wait, 0.0), RETRY_AFTER_CAP)


def backoff(
    attempt: int,
    chance: random.Random,
    *,
    first: float = BACKOFF_FIRST,
    cap: float = BACKOFF_CAP,
) -> float:
    """Seconds to wait before attempt number `attempt` + 1: full jitter below a growing ceiling."""
    ceiling = min(cap, first * 2 ** min(attempt - 1, 30))
    return chance.uniform(min(first, ceiling) / 2, ceiling)


class Waits(NamedTuple):
    """Seconds: between attempts at first and at most, and while a route is blocked."""

    first: float = BACKOFF_FIRST
    longest: float = BACKOFF_CAP
    blocked: float = BLOCKED_SECONDS


class Pace:
    """When to ask again: after each failure in a row, later.

    Attributes:
        failures: how many there were in a row.
    """

    def __init__(self, waits: Waits, chance: random.Random, clock: Callable[[], float]) -> None:
        self._waits = waits
        self._chance = chance
        self._clock = clock
        self._due = 0.0
        self.failures = 0

    @property
    def left(self) -> float:
        """Seconds until it is time; 0 where it is."""
        return max(self._due - self._clock(), 0.0)

    def failed(self, least: float = 0.0) -> None:
        """That did not work: not again before `least` seconds, and what failures ask for."""
        self.failures += 1
        waits = self._waits
        wait = backoff(self.failures, self._chance, first=waits.first, cap=waits.longest)
        self._due = self._clock() + max(wait, least)

    def rest(self, seconds: float) -> None:
        """Not again before so many seconds."""
        self._due = self._clock() + seconds

    def passed(self) -> None:
        """That worked: again at once."""
        self.failures = 0
        self._due = 0.0


def _is_json_or_empty(body: bytes) -> bool:
    if not body.strip():
        return True
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _refusals(body: bytes, count: int) -> tuple[Refusal, ...]:
    """The records that an error body names; one refusal for each."""
    try:
        errors = orjson.loads(body)["errors"]
        found: dict[int, Refusal] = {}
        for error in errors:
            index = error.get("index")
            if type(index) is int and 0 <= index < count:
                refusal = Refusal(index, str(error.get("code")), str(error.get("message")))
                found.setdefault(index, refusal)
        return tuple(found.values())
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return ()
