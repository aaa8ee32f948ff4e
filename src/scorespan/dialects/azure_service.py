"""The Azure ML service dialect: `{"data": [...]}` or `{"input": [...]}`, whatever `run` answers.

Rows are objects, lists or single values. Answers are mostly JSON text within a JSON string, bare or
under `output` or `result`.
"""

from __future__ import annotations

from typing import Any

from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.native import Native
from scorespan.dialects.objects import read_rows
from scorespan.errors import ConversionError

NAME = "azure_service"
KEEPS_TEXT = False
_AROUND = ("data", "input", "Inputs", "inputs")
_BESIDE = {"method", "GlobalParameters", "params", "parameters"}
"""Members that say how to score, not what."""


def recognises(native: Native) -> bool:
    """Whether the request's rows stand under `data` or `input`, and nothing beside them."""
    if not native.request.is_json:
        return False
    name, rows = _rows(native.request.document)
    return name in {"data", "input"} and isinstance(rows, (list, dict))


def read(native: Native) -> DialectBodies | ConversionError:
    """Both bodies as tables; see `scorespan.dialects.read`."""
    name, rows = _rows(native.request.document)
    if name is None:
        return ConversionError("no_rows", "request: an object with `data` or `input` is needed")
    # Some scripts nest once more: `{"Inputs": {"data": [...]}}`.
    inner, deeper = _rows(rows)
    if inner is not None:
        name, rows = f"{name}.{inner}", deeper
    listed = rows if isinstance(rows, list) else [rows]
    return read_rows(NAME, listed, native, f"request.{name}")


def _rows(document: Any) -> tuple[str | None, Any]:
    """The member that holds the rows, and what it holds."""
    if not isinstance(document, dict):
        return None, None
    names = [name for name in document if name not in _BESIDE]
    if len(names) == 1 and names[0] in _AROUND:
        return names[0], document[names[0]]
    return None, None
