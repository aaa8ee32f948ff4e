"""Customers who may leave, in a container of one's own: the two routes that SageMaker asks for."""

import csv
import io
import math

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.get("/ping")
def ping() -> Response:
    """Whether the container is well."""
    return Response(status=200)


@app.post("/invocations")
def invocations() -> Response:
    """Rows of CSV in; out what SageMaker's linear learner says of such rows."""
    rows = csv.reader(io.StringIO(request.get_data(as_text=True)))
    return jsonify(predictions=[prediction(*map(float, row)) for row in rows if row])


def prediction(months: float, complaints: float) -> dict[str, float]:
    """Score and label of one customer."""
    score = 1 / (1 + math.exp(0.1 * months - complaints))
    return {"predicted_label": int(score > 0.5), "score": score}
