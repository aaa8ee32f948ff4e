"""A SageMaker script that knows nothing of scorespan."""

from __future__ import annotations

import json


def model_fn(model_dir: str) -> None:
    """There is nothing to load."""


def transform_fn(model: None, body: str, content_type: str, accept: str) -> str:
    """The number of the request, which is the score."""
    return json.dumps({"fields": ["score"], "values": json.loads(body)["values"]})
