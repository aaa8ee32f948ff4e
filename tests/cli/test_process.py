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


@pytest.mark.parametrize(
    "status", [{}, {"scored": "many", "outcomes": [], "posts": {"accepted": None}, "lag": 1}]
)
def test_what_cannot_be_read_is_left_out(status):
    """A status of another version, or none at all, is no reason to fail."""
    assert told(status) == "scored 0, stored 0"
