"""Instances: the rows of a request, in any of the forms that servers of models take them.

===================================  ===============================================================
rows                                 table
===================================  ===============================================================
objects                              columns are their keys
lists of one width                   columns under the feature names, else `f0`, `f1`, ...
lists of lists (images, sequences)   one column of arrays, unless the feature names are as many
scalars, `{"b64": ...}` objects      one column
an object of lists, one per column   the lists side by side
an object of anything else           one row
===================================  ===============================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scorespan.dialects.table import Table, named_rows, object_rows
from scorespan.errors import ConversionError

_BINARY = {"b64"}
_SHOWN = 8
_SHOWN_LENGTH = 64


def table_of(instances: Any, names: Sequence[str] | None, where: str) -> Table:
    """The table of rows, or of columns, as a request has them.

    Args:
        instances: a list of rows, or an object of columns.
        names: `Native.feature_names`, for rows that have no keys.
        where: the place in the body, for the reason.

    Raises:
        ConversionError: `wrong_type`, `row_width_mismatch` or `row_count_mismatch`.
    """
    if isinstance(instances, dict):
        return columns_table(instances, where)
    if not isinstance(instances, list):
        raise ConversionError(
            "wrong_type", f"{where}: a list of rows or an object of columns is needed"
        )
    kinds = list(map(_kind, instances))
    for position, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ConversionError(
                "wrong_type",
                f"{where}[{position}]: {kind} among rows of another kind, {kinds[0]}",
            )
    if kinds[:1] == ["an object"]:
        return object_rows(instances)
    rows = instances
    if kinds[:1] != ["a list"] or _are_arrays(rows, names):
        rows = [[instance] for instance in instances]
    return named_rows(rows, names, where)


def columns_table(columns: dict[str, Any], where: str) -> Table:
    """Columns side by side as rows; an object with anything but lists is one row.

    Raises:
        ConversionError: `row_count_mismatch`; the lists are not of one length.
    """
    if not columns or not all(isinstance(column, list) for column in columns.values()):
        return object_rows([columns])
    lengths = {name: len(column) for name, column in columns.items()}
    first = next(iter(lengths))
    for name, length in lengths.items():
        if length != lengths[first]:
            raise ConversionError(
                "row_count_mismatch",
                f"{where}.{name}: {length} values for the {lengths[first]} of {first}",
            )
    return Table(list(columns), list(zip(*columns.values(), strict=True)))


def left_out(document: Mapping[str, Any], known: set[str], where: str) -> tuple[str, ...]:
    """A note about members that are no part of the record."""
    others = sorted(document.keys() - known)
    if not others:
        return ()
    shown = ", ".join(name[:_SHOWN_LENGTH] for name in others[:_SHOWN])
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return (f"{where}: left out: {shown}{more}",)


def _kind(instance: Any) -> str:
    if isinstance(instance, list):
        return "a list"
    if isinstance(instance, dict) and instance.keys() != _BINARY:
        return "an object"
    return "a value"


def _are_arrays(rows: list[list[Any]], names: Sequence[str] | None) -> bool:
    """Whether each row is an array of its own rather than a list of cells."""
    if names is not None and len(names) > 1 and all(len(row) == len(names) for row in rows):
        return False
    return all(rows) and all(isinstance(cell, list) for row in rows for cell in row)
