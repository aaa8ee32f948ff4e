"""The plain script of the examples, run as a user runs it."""

from __future__ import annotations

import sys
import time

import msgspec
from sklearn.datasets import load_breast_cancer

from examples.live import EXAMPLES
from running import run

ROWS_OF_A_SCORING = 5


def test_plain_script_leaves_every_scoring_in_the_mart(live):
    """Each of the script's scorings must be in the mart with its rows and a real response time."""
    began = time.monotonic()
    done = run(
        [sys.executable, "-W", "error", EXAMPLES / "plain_script.py"],
        live.environment(),
    )
    milliseconds = (time.monotonic() - began) * 1000
    assert done.stdout == "20 scorings, all delivered\n"
    assert done.stderr == ""

    data = load_breast_cancer()
    records = live.records()
    assert len(records) == len({record.scoring_id for record in records}) == 20
    assert live.row_count() == 20 * ROWS_OF_A_SCORING
    scored = []
    for record in records:
        request = msgspec.json.decode(record.request_text)
        response = msgspec.json.decode(record.response_text)
        assert request["fields"] == list(data.feature_names)
        assert response["fields"] == ["prediction", "probability"]
        assert len(response["values"]) == len(request["values"]) == ROWS_OF_A_SCORING
        assert {label for label, _ in response["values"]} <= {"malignant", "benign"}
        scored += request["values"]
    assert scored == data.data[:100].tolist()
    # A forest of fifty trees takes milliseconds, and all of it happened while the script ran.
    assert all(record.response_time > 0 for record in records)
    assert sum(record.response_time for record in records) < milliseconds
