"""The example that sends through a Collector, with a real one."""

from __future__ import annotations

import sys

import msgspec
from sklearn.datasets import load_iris

from collector.pipeline import pipeline
from examples.live import EXAMPLES
from running import clean_environment, run, wait_until


def test_example_through_a_collector_leaves_every_scoring_in_the_mart(tmp_path):
    """Each scoring of the script must come through Collector and receiver, with its rows."""
    with pipeline(tmp_path, ("irises",)) as whole:
        done = run(
            [sys.executable, "-W", "error", EXAMPLES / "through_a_collector.py"],
            {
                **clean_environment(),
                "OTEL_EXPORTER_OTLP_ENDPOINT": whole.collector.http_url,
                "OTEL_RESOURCE_ATTRIBUTES": "service.name=irises,scoring.subscription.id=irises",
            },
        )
        assert (done.stdout, done.stderr) == ("15 scorings\n", "")
        wait_until(lambda: len(whole.ids("irises")) >= 15, "15 records in the mart")
        requests = [msgspec.json.decode(one.request_text) for one in whole.of("irises").records()]
    values = [row for request in requests for row in request["values"]]
    assert len(requests) == 15
    assert sorted(values) == sorted(load_iris().data.tolist())
