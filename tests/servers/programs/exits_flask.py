"""A Flask service that knows nothing of scorespan: the application of many servers' ends."""

from __future__ import annotations

from typing import Any

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def health() -> str:
    """Whether it is up."""
    return "up"


@app.post("/score")
def score() -> dict[str, Any]:
    """The number of the request, which is the score."""
    return {"fields": ["score"], "values": request.get_json()["values"]}
