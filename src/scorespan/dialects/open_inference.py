"""The Open Inference dialect (version 2): `{"inputs": [{"name", "shape", "datatype", "data"}]}`.

The first dimension of a tensor counts the rows; data may be flat or nested.

==================  ================================================================================
tensor of shape     columns
==================  ================================================================================
`[N]`, `[N, 1]`     one, of its name
`[N, M]`, an input  M: the feature names where there is one input, which must be as many, else
                    `name_0`, `name_1`, ...
`[N, M]`, an        one of arrays, of its name (the probabilities of the classes); M where there is
output              one output and the prediction fields are as many
`[N, A, B, ...]`    one of arrays, nested as the shape says
`[]`                one, one row
==================  ================================================================================

Several tensors stand side by side. The prediction fields pick outputs by name, in their order.
Parameters and ids are left out. Tensors as binary data behind the JSON cannot be read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.native import Native, NativeBody
from scorespan.dialects.table import Table, answer_table, named_rows, paired, picked
from scorespan.errors import ConversionError

NAME = "open_inference"
KEEPS_TEXT = False
_MOST_DIMENSIONS = 32
_BINARY = ("binary_data_size", "shared_memory_region")


class _Tensor(NamedTuple):
    """A tensor as rows of so many cells, each a scalar or an array."""

    name: str
    width: int
    rows: Sequence[Sequence[Any]]
    where: str


def recognises(native: Native) -> bool:
    """Whether the request has `inputs` that are tensors."""
    if not native.request.is_json:
        return False
    document = native.request.document
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list) or not inputs or not isinstance(inputs[0], dict):
        return False
    return {"name", "shape", "datatype"} <= inputs[0].keys()


def read(native: Native) -> DialectBodies | ConversionError:
    """Both bodies; see `scorespan.dialects.read`."""
    inputs = _tensors(native.request, "inputs")
    names = native.feature_names if len(inputs) == 1 else None
    columns = [_spread(tensor, names) for tensor in inputs]
    request = _side_by_side(columns, inputs)
    if native.response is None:
        return paired(NAME, native, request, None)
    return paired(NAME, native, request, _answer(native.response, native.prediction_fields))


def _answer(body: NativeBody, fields: tuple[str, ...] | None) -> Table:
    outputs = _tensors(body, "outputs")
    output = outputs[0]
    if fields is not None and len(outputs) == 1 and output.name not in fields:
        if output.width == len(fields):
            return Table(fields, output.rows)
        return answer_table([_cell(row) for row in output.rows], fields, len(output.rows))
    table = _side_by_side([_folded(output) for output in outputs], outputs)
    if fields is None:
        return table
    return picked(table, fields)


def _tensors(body: NativeBody, name: str) -> list[_Tensor]:
    where = f"{body.side}.{name}"
    try:
        document = body.document
    except ConversionError:
        if any(f'"{mark}"'.encode() in body.text for mark in _BINARY):
            raise _binary(where) from None
        raise
    tensors = document.get(name) if isinstance(document, dict) else None
    if not isinstance(tensors, list) or not tensors:
        raise ConversionError("missing_member", f"{where}: a list of tensors is needed")
    return [_tensor(tensor, f"{where}[{place}]") for place, tensor in enumerate(tensors)]


def _tensor(tensor: Any, where: str) -> _Tensor:
    if not isinstance(tensor, dict):
        raise ConversionError("wrong_type", f"{where}: an object is needed")
    name, shape, data = tensor.get("name"), tensor.get("shape"), tensor.get("data")
    if not isinstance(name, str):
        raise ConversionError("wrong_type", f"{where}.name: text is needed")
    parameters = tensor.get("parameters")
    if data is None and isinstance(parameters, dict) and not parameters.keys().isdisjoint(_BINARY):
        raise _binary(where)
    if (
        not isinstance(shape, list)
        or len(shape) > _MOST_DIMENSIONS
        or not all(type(size) is int and size >= 0 for size in shape)
    ):
        raise ConversionError(
            "wrong_type", f"{where}.shape: at most {_MOST_DIMENSIONS} whole numbers are needed"
        )
    if not isinstance(data, list):
        raise ConversionError("wrong_type", f"{where}.data: a list is needed")
    shape = shape or [1]
    cells = _flattened(data, shape, where) if data and isinstance(data[0], list) else data
    if len(cells) != math.prod(shape) or 0 in shape[1:] or list in set(map(type, cells)):
        raise ConversionError(
            "shape_mismatch", f"{where}.data: {len(cells)} values do not fill the shape {shape}"
        )
    for size in reversed(shape[1:] if len(shape) > 2 else []):
        cells = [cells[start : start + size] for start in range(0, len(cells), size)]
    width = shape[1] if len(shape) == 2 else 1
    rows = [cells[start : start + width] for start in range(0, len(cells), width)]
    return _Tensor(name, width, rows, where)


def _flattened(data: list[Any], shape: list[int], where: str) -> list[Any]:
    """The values of nested data, whose lists must be as long as the shape says."""
    cells = data
    for depth, size in enumerate(shape[1:], 1):
        if not all(isinstance(cell, list) and len(cell) == size for cell in cells):
            raise ConversionError(
                "shape_mismatch",
                f"{where}.data: lists of {size} are needed {depth} deep for the shape {shape}",
            )
        cells = [value for cell in cells for value in cell]
    return cells


def _spread(
    tensor: _Tensor, names: tuple[str, ...] | None
) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """An input as columns; these names are for its rows, unless it is one column of its own."""
    if names is not None and (tensor.width > 1 or len(names) == 1):
        named = named_rows(tensor.rows, names, f"{tensor.where}.data")
        return named.fields, named.rows
    if tensor.width == 1:
        return [tensor.name], tensor.rows
    return [f"{tensor.name}_{place}" for place in range(tensor.width)], tensor.rows


def _folded(tensor: _Tensor) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """An output as one column."""
    return [tensor.name], [[_cell(row)] for row in tensor.rows]


def _cell(row: Sequence[Any]) -> Any:
    return row[0] if len(row) == 1 else row


def _side_by_side(
    columns: list[tuple[Sequence[str], Sequence[Sequence[Any]]]], tensors: list[_Tensor]
) -> Table:
    first = tensors[0]
    for tensor in tensors:
        if len(tensor.rows) != len(first.rows):
            raise ConversionError(
                "row_count_mismatch",
                f"{tensor.where}: {len(tensor.rows)} rows, but {first.where} has {len(first.rows)}",
            )
    fields = [name for names, _ in columns for name in names]
    rows = zip(*(rows for _, rows in columns), strict=True)
    return Table(fields, [[cell for part in row for cell in part] for row in rows])


def _binary(where: str) -> ConversionError:
    return ConversionError(
        "binary_tensor", f"{where}: tensors are read as JSON; binary data behind it is not"
    )
