"""Golden examples: bodies as engines send them, and the record that each becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from golden_dialects import EXAMPLES, span_of
from scorespan.conversion.convert import convert
from scorespan.dialects.detector import BY_NAME
from scorespan.record import PayloadRecord


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
