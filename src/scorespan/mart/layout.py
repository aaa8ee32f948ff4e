"""A layout: the columns of one body, by name and kind.

Kinds are `null` (nothing but nulls seen), `boolean`, `long`, `double`, `string`, `object`,
`mixed`, and `array<kind>`. They are inferred from values, never from text that looks like a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

NULL = "null"
MIXED = "mixed"
_SCALARS = {
    type(None): NULL,
    bool: "boolean",
    int: "long",
    float: "double",
    str: "string",
    dict: "object",
}
_NUMBERS = {"long", "double"}
_DEEPEST_ARRAY = 4


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Columns of a request or response. Compared by identity: the same shape is one object."""

    fields: tuple[str, ...]
    kinds: tuple[str, ...]
    meta_fields: tuple[str, ...] = ()
    meta_kinds: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[tuple[str, ...], ...]:
        """What makes two layouts the same shape."""
        return (self.fields, self.kinds, self.meta_fields, self.meta_kinds)


def kind_of(cell: Any, depth: int = 0) -> str:
    """The kind of one cell; arrays nested deeper than four are `array<mixed>` from there on."""
    if type(cell) is list:
        if depth == _DEEPEST_ARRAY:
            return MIXED
        return f"array<{widest(kind_of(element, depth + 1) for element in cell)}>"
    return _SCALARS.get(type(cell), MIXED)


def widened(one: str, other: str) -> str:
    """The narrowest kind that holds both."""
    if other in (one, NULL):
        return one
    if one == NULL:
        return other
    if one in _NUMBERS and other in _NUMBERS:
        return "double"
    if one.startswith("array<") and other.startswith("array<"):
        return f"array<{widened(one[6:-1], other[6:-1])}>"
    return MIXED


def widest(kinds: Iterable[str]) -> str:
    """The narrowest kind that holds them all; `null` for none."""
    return reduce(widened, dict.fromkeys(kinds), NULL)


def column_kinds(width: int, rows: list[list[Any]]) -> tuple[str, ...]:
    """The kind of each column over all rows."""
    if not rows:
        return (NULL,) * width
    return tuple(widest(map(kind_of, column)) for column in zip(*rows, strict=True))


def decoded_type(kind: str) -> Any | None:
    """The type a parser must find in a column of that kind; None where any value may stand."""
    if kind.startswith("array<"):
        element = decoded_type(kind[6:-1])
        return None if element is None else list[element] | None  # type: ignore[valid-type]
    types: dict[str, Any] = {
        NULL: None.__class__,
        "boolean": bool | None,
        "long": int | None,
        "double": float | None,
        "string": str | None,
    }
    return types.get(kind)


def shown_type(kind: str) -> str | dict[str, object]:
    """The type as a table schema names it. Objects are shown as their JSON text."""
    if kind.startswith("array<"):
        return {"type": "array", "elementType": shown_type(kind[6:-1]), "containsNull": True}
    return kind if kind in {"boolean", "long", "double"} else "string"
