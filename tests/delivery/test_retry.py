"""Outcomes and waiting: every answer has one meaning."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.delivery.retry import (
    RETRY_AFTER_CAP,
    Accepted,
    Blocked,
    Rejected,
    Retryable,
    backoff,
    classify,
    retry_after,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def errors(*indices: object) -> bytes:
    """An error body that names records."""
    return orjson.dumps({"errors": [{"code": "c", "message": "m", "index": i} for i in indices]})


@pytest.mark.parametrize(
    ("status", "body"), [(204, b""), (202, b""), (202, b'{"state": "preparing"}')]
)
def test_only_what_the_contract_allows_is_success(status: int, body: bytes):
    """204, and 202 with JSON or nothing."""
    assert classify(status, {}, body, count=1) == Accepted()


@pytest.mark.parametrize("status", [200, 201, 206, 207, 301, 302, 307, 404, 405, 410, 418])
def test_an_address_that_does_not_answer_as_a_mart_blocks(status: int):
    """Success codes outside the contract, redirects and wrong addresses keep everything."""
    outcome = classify(status, {}, b"<html>log in</html>", count=3)
    assert isinstance(outcome, Blocked)
    assert not outcome.token


def test_an_accepted_that_is_no_json_is_not_believed():
    """A proxy's page with 202 is no success."""
    assert isinstance(classify(202, {}, b"<html>", count=1), Blocked)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_block_and_ask_for_a_new_token(status: int):
    """These two may be mended by a new token."""
    outcome = classify(status, {}, b"", count=1)
    assert isinstance(outcome, Blocked)
    assert outcome.token


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 599])
def test_a_passing_fault_is_retried_after_what_the_mart_says(status: int):
    """The wait that the mart asks for comes along; then the records are not the cause."""
    outcome = classify(status, {"Retry-After": "7"}, b"", count=1)
    assert outcome == Retryable(f"HTTP {status}", 7.0)
    of_list = status not in {425, 429, 503}
    assert classify(status, {}, b"", count=1) == Retryable(f"HTTP {status}", of_list=of_list)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusal_names_records_or_none(status: int):
    """Named indices become refusals, one for each record; without them the list is refused."""
    outcome = classify(status, {}, errors(2, 0, 2), count=3)
    assert isinstance(outcome, Rejected)
    assert [refusal.position for refusal in outcome.refusals] == [2, 0]
    assert classify(status, {}, b"no", count=3) == Rejected(status, "no")


@pytest.mark.parametrize("status", [403, 404, 409])
def test_our_own_error_with_an_index_is_about_the_record(status: int):
    """A status about the address is about records where the body names one."""
    assert isinstance(classify(status, {}, errors(1), count=2), Rejected)


@given(st.integers(100, 599), st.binary(max_size=200), st.integers(1, 5))
def test_no_answer_is_without_meaning(status: int, body: bytes, count: int):
    """Whatever comes back is classified, and a refusal names only records that were sent."""
    outcome = classify(status, {}, body, count=count)
    if isinstance(outcome, Rejected):
        assert all(0 <= refusal.position < count for refusal in outcome.refusals)


@given(st.lists(st.one_of(st.none(), st.booleans(), st.text(), st.floats(), st.integers(-9, 9))))
def test_indices_that_are_none_are_not_believed(indices: list[object]):
    """Only whole numbers inside the list name a record."""
    outcome = classify(400, {}, errors(*indices), count=3)
    assert isinstance(outcome, Rejected)
    expected = {index for index in indices if type(index) is int and 0 <= index < 3}
    assert {refusal.position for refusal in outcome.refusals} == expected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
        ("99999", RETRY_AFTER_CAP),
        ("9" * 5000, RETRY_AFTER_CAP),
        (format_datetime(NOW + timedelta(seconds=90)), 90.0),
        (format_datetime(NOW - timedelta(days=1)), 0.0),
        (format_datetime(NOW + timedelta(days=3650)), RETRY_AFTER_CAP),
        ("Fri, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None):
    """Seconds and dates, capped at an hour; what makes no sense says nothing."""
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_raises(header: str):
    """Any header gives a wait within bounds, or none."""
    wait = retry_after(header, NOW)
    assert wait is None or 0 <= wait <= RETRY_AFTER_CAP


@given(st.integers(1, 10_000), st.integers())
def test_backoff_is_jittered_below_a_growing_ceiling(attempt: int, seed: int):
    """Never zero, never above the cap, and at first near the first wait."""
    wait = backoff(attempt, random.Random(seed))
    assert 0.25 <= wait <= 60
    assert wait <= 0.5 * 2 ** min(attempt - 1, 10)
