"""Golden examples of dialects: bodies as engines send them, and the record that each becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scorespan.conversion.span import ScoringSpan

EXAMPLES = {
    f"{path.stem}: {example['name']}": (path.stem, example)
    for path in sorted((Path(__file__).parent / "dialects/golden").glob("*.json"))
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
        subscription_id="credit",
        request_content_type=example.get("request_content_type", "application/json"),
        response_content_type=example.get("response_content_type", "application/json"),
        dialect=dialect,
        feature_names=example.get("feature_names"),
        details={"hook": "flask", **({"prediction_fields": fields} if fields else {})},
    )
