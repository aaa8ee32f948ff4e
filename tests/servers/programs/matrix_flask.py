"""A Flask service that knows nothing of scorespan."""

from __future__ import annotations

from typing import Any

from flask import Flask, jsonify, request
from parcels import hours

app = Flask(__name__)


@app.get("/health")
def health() -> str:
    """Whether it is up."""
    return "up"


@app.post("/score")
def score() -> Any:
    """The hours of each parcel."""
    return jsonify(predictions=hours(request.get_json()["instances"]))
