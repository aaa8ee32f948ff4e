"""A batch of one: its columns and the types of its cells are those of every other batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from native_bodies import CSV, JSON, LINES, native, read

Made = Callable[[int], Any]

REQUESTS: dict[str, tuple[Made, str]] = {
    "objects": (lambda rows: [{"a": 1, "b": 2.5}] * rows, JSON),
    "objects under a name": (lambda rows: {"rows": [{"a": 1, "b": 2.5}] * rows}, JSON),
    "beside a value": (lambda rows: {"rows": [{"a": 1, "b": 2.5}] * rows, "id": "x"}, JSON),
    "matrix": (lambda rows: [[1, 2.5]] * rows, JSON),
    "matrix under a name": (lambda rows: {"X": [[1, 2.5]] * rows}, JSON),
    "columns": (lambda rows: {"a": [1] * rows, "b": [2.5] * rows}, JSON),
    "data": (lambda rows: {"data": [[1, 2.5]] * rows}, JSON),
    "input_data": (lambda rows: {"input_data": {"columns": [0], "data": [[1]] * rows}}, JSON),
    "instances": (lambda rows: {"instances": [[1, 2.5]] * rows}, JSON),
    "features": (lambda rows: {"instances": [{"features": [1, 2.5]}] * rows}, JSON),
    "inputs by column": (lambda rows: {"inputs": {"a": [1] * rows, "b": [2.5] * rows}}, JSON),
    "split": (lambda rows: {"dataframe_split": {"columns": ["a"], "data": [[1]] * rows}}, JSON),
    "fields and values": (lambda rows: {"fields": ["a"], "values": [[1]] * rows}, JSON),
    "wrapped": (lambda rows: {"input_data": [{"fields": ["a"], "values": [[1]] * rows}]}, JSON),
    "Studio": (lambda rows: {"Inputs": {"input1": [{"a": "1", "b": "x"}] * rows}}, JSON),
    "CSV": (lambda rows: "1,2.5\n" * rows, CSV),
    "JSON lines": (lambda rows: '{"features": [1, 2.5]}\n' * rows, LINES),
}
ANSWERS: dict[str, Made] = {
    "scalars": lambda rows: [0.5] * rows,
    "arrays": lambda rows: [[0.1, 0.9]] * rows,
    "objects": lambda rows: [{"label": "yes", "probability": [0.1, 0.9]}] * rows,
    "predictions": lambda rows: {"predictions": ["yes"] * rows},
    "predictions beside": lambda rows: {"predictions": ["yes"] * rows, "model": "m"},
    "result": lambda rows: {"result": [{"label": "yes"}] * rows, "time": 3},
    "columns": lambda rows: {"predictions": ["yes"] * rows, "probabilities": [[0.1, 0.9]] * rows},
    "columns beside": lambda rows: {
        "prediction": ["yes"] * rows,
        "probability": [[0.1, 0.9]] * rows,
        "model": "m",
    },
}


@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("answered", ANSWERS)
def test_a_batch_of_one_has_the_columns_of_any_other(asked, answered):
    """Else a deployment's table would change its columns with the number of rows."""
    request, kind = REQUESTS[asked]
    answer = ANSWERS[answered]
    one = read(None, native(request(1), answer(1), sent=kind))
    for rows in (3, 5):  # no number of columns
        many = read(None, native(request(rows), answer(rows), sent=kind))
        assert many.dialect == one.dialect
        assert many.request == {**one.request, "values": one.request["values"] * rows}
        assert many.response == {**one.response, "values": one.response["values"] * rows}
