"""One process in words."""

from __future__ import annotations

import pytest

from scorespan.cli.process import told


def test_a_process_tells_what_it_has_counted():
    """Scored and stored are always said, the rest where there is something to say."""
    status = {
        "scored": 1000000,
        "outcomes": {"stored": 7, "dead-lettered": 2, "refused": 0},
        "posts": {"accepted": 3, "blocked": 0},
        "resent": 4,
        "set_aside": 0,
        "sync_failures": 1,
        "damaged_bytes": 30,
        "dead_letters": 2,
        "lag": {"count": 7, "sum": 3.5, "buckets": [7]},
    }
    assert told(status) == (
        "scored 1000000, stored 7, dead-lettered 2, posts accepted 3, records sent again 4, "
        "syncs failed 1, bytes damaged 30, dead letters in the root 2, lag 0.5 s"
    )


def test_a_receiver_tells_what_it_has_stored():
    """Its scorings are counted elsewhere: none is no news, and those without numbers are some."""
    assert told({"scored": 0, "outcomes": {"stored": 7}}) == "stored 7"
    assert told({"scored": 2, "outcomes": {"stored": 7}}) == "scored 2, stored 7"


def test_scorings_that_bring_their_number_are_scored():
    """As behind an exporter: the process has counted them, whoever numbered them."""
    status = {"scored": 1, "brought": ["p", 6], "outcomes": {"stored": 7}}
    assert told(status) == "scored 7, stored 7"


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"brought": [1]},
        {"scored": "many", "brought": [1, None], "outcomes": [], "posts": {"accepted": None}},
        {"lag": 1},
    ],
)
def test_what_cannot_be_read_is_left_out(status):
    """A status of another version, or none at all, is no reason to fail."""
    assert told(status) == "scored 0, stored 0"
