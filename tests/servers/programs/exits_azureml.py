"""An Azure ML script that knows nothing of scorespan."""

from __future__ import annotations

import json
from typing import Any


def init() -> None:
    """There is nothing to load."""


def run(data: str) -> dict[str, Any]:
    """The number of the request, which is the score."""
    return {"fields": ["score"], "values": json.loads(data)["values"]}
