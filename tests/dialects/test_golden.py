"""Golden examples: bodies as engines send them, and the record that each becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from examples.live import DATA_MART_ID, SUBSCRIPTION_ID, live_mart
from scorespan.conversion.convert import convert
from scorespan.conversion.span import ScoringSpan
from scorespan.dialects.detector import BY_NAME
from scorespan.record import PayloadRecord, wire_list

EXAMPLES = {
    f"{path.stem}: {example['name']}": (path.stem, example)
    for path in sorted(Path(__file__).with_name("golden").glob("*.json"))
    for example in json.loads(path.read_text())
}


def span_of(example: dict[str, Any], dialect: str | None) -> ScoringSpan:
    """The scoring span of an example, as a hook makes it."""
    fields = example.get("prediction_fields")
    return ScoringSpan(
        example["request"].encode(),
        example["response"].encode(),
        trace_id="a" * 32,
        span_id="b" * 16,
        subscription_id=SUBSCRIPTION_ID,
        request_content_type=example.get("request_content_type", "application/json"),
        response_content_type=example.get("response_content_type", "application/json"),
        dialect=dialect,
        feature_names=example.get("feature_names"),
        details={"hook": "flask", **({"prediction_fields": fields} if fields else {})},
    )


@pytest.mark.parametrize("named", [False, True], ids=["detected", "named"])
@pytest.mark.parametrize(("dialect", "example"), EXAMPLES.values(), ids=EXAMPLES)
def test_each_example_becomes_its_record(dialect: str, example: dict[str, Any], named: bool):
    """Whether the span names the dialect or not."""
    record = convert(span_of(example, dialect if named else None))
    assert isinstance(record, PayloadRecord), record
    wire = json.loads(record.wire(extras=True))
    extras, wanted = wire["scorespan"], example["record"]
    assert wire["request"] == wanted["request"]
    assert wire["response"] == wanted["response"]
    assert extras.get("dialect", "fields_values") == dialect
    assert extras.get("notes", []) == wanted.get("notes", [])
    error = {name: extras.get("error", {}).get(name) for name in ("type", "message")}
    assert error == wanted.get("error", {"type": None, "message": None})


def test_every_dialect_has_examples():
    """One file for each."""
    assert {dialect for dialect, _ in EXAMPLES.values()} == BY_NAME.keys()


def test_the_data_mart_stores_each_of_them(tmp_path):
    """With nested cells, arrays, mixed columns and nulls; every row of an answer can be read."""
    records = [
        convert(span_of(example, None)._replace(scoring_id=f"example-{number}"))
        for number, (_, example) in enumerate(EXAMPLES.values())
    ]
    assert all(isinstance(record, PayloadRecord) for record in records)
    with live_mart(tmp_path) as live:
        answer = requests.post(
            f"{live.running.url}/v1/data_marts/{DATA_MART_ID}/scoring_payloads",
            wire_list(records, extras=True),
            headers={"Authorization": f"Bearer {live.running.token()}"},
            timeout=60,
        )
        assert answer.status_code == 204, answer.text
        stored = {record.scoring_id: record for record in live.records()}
        for record in records:
            assert stored[record.scoring_id].request_text == record.request
            assert stored[record.scoring_id].failed == record.failed
        rows = [len(json.loads(record.response)["values"]) for record in records if record.response]
        assert live.row_count() == sum(rows)
