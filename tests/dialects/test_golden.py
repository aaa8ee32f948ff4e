"""Golden examples: bodies as engines send them, and the record that each becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scorespan.conversion.convert import convert
from scorespan.conversion.span import ScoringSpan
from scorespan.mart.body import read_body
from scorespan.record import PayloadRecord

EXAMPLES = {
    f"{path.stem}: {example['name']}": (path.stem, example)
    for path in sorted(Path(__file__).with_name("golden").glob("*.json"))
    for example in json.loads(path.read_text())
}


@pytest.mark.parametrize("named", [False, True], ids=["detected", "named"])
@pytest.mark.parametrize(("dialect", "example"), EXAMPLES.values(), ids=EXAMPLES)
def test_each_example_becomes_its_record(dialect: str, example: dict[str, Any], named: bool):
    """Whether the span names the dialect or not; and the data mart takes it."""
    fields = example.get("prediction_fields")
    span = ScoringSpan(
        example["request"].encode(),
        example["response"].encode(),
        trace_id="a" * 32,
        span_id="b" * 16,
        subscription_id="s",
        request_content_type=example.get("request_content_type", "application/json"),
        response_content_type=example.get("response_content_type", "application/json"),
        dialect=dialect if named else None,
        feature_names=example.get("feature_names"),
        details={"hook": "flask", **({"prediction_fields": fields} if fields else {})},
    )
    record = convert(span)
    assert isinstance(record, PayloadRecord), record
    wire = json.loads(record.wire(extras=True))
    extras, wanted = wire["scorespan"], example["record"]
    assert wire["request"] == wanted["request"]
    assert wire["response"] == wanted["response"]
    assert extras.get("dialect", "fields_values") == dialect
    assert extras.get("notes", []) == wanted.get("notes", [])
    error = {name: extras.get("error", {}).get(name) for name in ("type", "message")}
    assert error == wanted.get("error", {"type": None, "message": None})
    sides = {"request": record.request, "response": record.response}
    rows = {read_body(bytes(body), side).rows for side, body in sides.items() if body is not None}
    assert len(rows) == 1
