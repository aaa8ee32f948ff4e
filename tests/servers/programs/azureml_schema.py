"""An Azure ML script whose input the server parses."""

from __future__ import annotations

from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init() -> None:
    """There is nothing to load."""


@input_schema("data", StandardPythonParameterType([[1.0, 2.0]]))
@output_schema(StandardPythonParameterType([1.0]))
def run(data: list[list[float]]) -> list[float]:
    """The sum of each row."""
    return [sum(row) for row in data]
