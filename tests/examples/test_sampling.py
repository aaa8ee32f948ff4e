"""Payload records do not depend on what the application samples and cuts."""

from __future__ import annotations

import json
import sys

from sklearn.datasets import load_breast_cancer

from examples.live import PROGRAMS
from running import run


def test_every_record_arrives_whole_under_a_sampler_and_a_length_limit(live, tmp_path):
    """All 569 records must arrive whole though the application keeps 1 % of its spans, cut."""
    written = tmp_path / "scored.jsonl"
    done = run(
        [sys.executable, "-W", "error", PROGRAMS / "sampled_service.py", written],
        live.environment(OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="10"),
    )
    own = json.loads(done.stdout)
    assert own["spans"] < 60, "the application's sampler did not sample"
    assert own["longest"] <= 10, "the application's limit did not cut"

    scored = {
        line["scoring_id"]: line for line in map(json.loads, written.read_text().splitlines())
    }
    records = live.records()
    ids = [record.scoring_id for record in records]
    assert len(ids) == len(set(ids)) == 569
    assert set(ids) == set(scored)
    rows = load_breast_cancer().data.tolist()
    for record in records:
        line = scored[record.scoring_id]
        assert record.request_text == line["request"].encode()
        assert record.response_text == line["response"].encode()
        number = int(record.scoring_id.removeprefix("patient-"))
        request = json.loads(record.request_text)
        assert len(request["fields"]) == 30
        assert request["values"] == [rows[number]]
        assert json.loads(record.response_text)["values"] == [[number / 7]]
