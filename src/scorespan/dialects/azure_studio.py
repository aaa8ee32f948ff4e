"""The Azure ML Studio dialect: `{"Inputs": {"input1": ...}}` and `{"Results": {"output1": ...}}`.

Rows are a list of objects, or the table `{"ColumnNames": [...], "Values": [[...]]}`. The names of
ports are anything: the only one there is counts. Web services of Studio send every value as text,
which becomes a number, unless the table's `ColumnTypes` tell text from numbers; containers of the
Designer (`WebServiceInput0`) send types, and stay as they are. `Scored Probabilities for Class "x"`
columns become one array. Columns of the answer that only repeat the request are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from scorespan.dialects.answers import answer
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.native import Native
from scorespan.dialects.table import (
    Table,
    answer_table,
    named_rows,
    numbers_from_text,
    object_rows,
    paired,
    picked,
)
from scorespan.errors import ConversionError

NAME = "azure_studio"
KEEPS_TEXT = False
_TYPED = "WebService"
"""How the Designer's port names begin."""
_CLASS = re.compile(r'Scored Probabilities for Class "?(.*?)"?')
_PROBABILITIES = "Scored Probabilities"


def recognises(native: Native) -> bool:
    """Whether the request's rows stand under the ports of `Inputs`."""
    if not native.request.is_json:
        return False
    document = native.request.document
    ports = document.get("Inputs") if isinstance(document, dict) else None
    return isinstance(ports, dict) and any(_is_rows(rows) for rows in ports.values())


def read(native: Native) -> DialectBodies | ConversionError:
    """Both bodies as tables; see `scorespan.dialects.read`."""
    document = native.request.document
    ports = document.get("Inputs") if isinstance(document, dict) else None
    if not isinstance(ports, dict):
        return ConversionError("no_rows", "request: an object with `Inputs` is needed")
    request, notes = _of_port(ports, "request.Inputs", native.feature_names)
    if native.response is None:
        return paired(NAME, native, request, None, notes)
    answered = native.response.value
    results = answered.get("Results") if isinstance(answered, dict) else None
    if isinstance(results, dict) and any(_is_table(rows) for rows in results.values()):
        scored, more = _of_port(results, "response.Results", native.prediction_fields)
        response = _answer(scored, request, native.prediction_fields)
        return paired(NAME, native, request, response, (*notes, *more))
    if results is None:
        return paired(NAME, native, request, answer(native, len(request.rows)), notes)
    response = answer_table(results, native.prediction_fields, len(request.rows))
    return paired(NAME, native, request, response, notes)


def _of_port(
    ports: dict[str, Any], where: str, names: Sequence[str] | None
) -> tuple[Table, tuple[str, ...]]:
    """The table of the one port that has rows, and notes about it."""
    found = [name for name, rows in ports.items() if _is_rows(rows)]
    if len(found) != 1:
        named = ", ".join(found) or "none"
        raise ConversionError(
            "several_tables", f"{where}: one port with rows is needed, not: {named}"
        )
    name = found[0]
    rows, where = ports[name], f"{where}.{name}"
    if isinstance(rows, dict) and isinstance(rows.get("value"), dict):
        rows = rows["value"]
    if isinstance(rows, dict) and "ColumnNames" in rows:
        table = _named(rows, where)
    elif isinstance(rows, dict):
        table = object_rows([rows])
    elif all(isinstance(row, dict) for row in rows):
        table = object_rows(rows)
    elif all(isinstance(row, list) for row in rows):
        table = named_rows(rows, names, where)
    else:
        raise ConversionError("wrong_type", f"{where}: a list of objects is needed")
    if name.startswith(_TYPED) or not _all_text(table):
        return table, ()
    return numbers_from_text(table, where, _texts(rows, table.fields))


def _is_rows(rows: Any) -> bool:
    """Whether a port holds rows: any list, one object, or a table."""
    return isinstance(rows, list) or (isinstance(rows, dict) and bool(rows))


def _is_table(rows: Any) -> bool:
    """Whether a port of an answer holds rows with names."""
    if isinstance(rows, dict):
        return "ColumnNames" in rows or isinstance(rows.get("value"), dict)
    return isinstance(rows, list) and all(isinstance(row, dict) for row in rows)


def _named(rows: dict[str, Any], where: str) -> Table:
    """The table form."""
    names, values = rows["ColumnNames"], rows.get("Values")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConversionError("wrong_type", f"{where}.ColumnNames: a list of strings is needed")
    if not isinstance(values, list):
        raise ConversionError("wrong_type", f"{where}.Values: a list of rows is needed")
    for position, row in enumerate(values):
        if not isinstance(row, list) or len(row) != len(names):
            raise ConversionError(
                "row_width_mismatch",
                f"{where}.Values[{position}]: a list of {len(names)} values is needed",
            )
    return Table(names, values)


def _texts(rows: Any, fields: Sequence[str]) -> set[str]:
    """The columns that a table says are text, so that a call's values change no column's type."""
    types = rows.get("ColumnTypes") if isinstance(rows, dict) else None
    if not isinstance(types, list) or len(types) != len(fields):
        return set()
    texts = {field for field, kind in zip(fields, types, strict=True) if kind == "String"}
    # Where all are called so, nobody has told.
    return texts if len(texts) < len(fields) else set()


def _all_text(table: Table) -> bool:
    """Whether every value is text, as engines send it that know no other type."""
    return all(isinstance(cell, str) or cell is None for row in table.rows for cell in row)


def _answer(scored: Table, request: Table, fields: Sequence[str] | None) -> Table:
    """The columns of an answer: those that the settings name, else what the request has not."""
    if fields is None:
        return _with_array(_without(scored, request))
    whole = scored if set(fields).issubset(scored.fields) else _with_array(scored)
    answer = picked(whole, fields)
    known = set(request.fields)
    return answer._replace(
        labels=whole.labels if _PROBABILITIES in fields else None,
        left_out=[field for field in answer.left_out if field not in known],
    )


def _without(scored: Table, request: Table) -> Table:
    """The answer without the columns that the request has; all of it, if no other is left."""
    known = set(request.fields)
    kept = [place for place, field in enumerate(scored.fields) if field not in known]
    if not kept:
        return scored
    return _columns(scored, kept)


def _with_array(scored: Table) -> Table:
    """The answer with one array of the probabilities of all classes, at the place of the first."""
    classes = {
        place: found[1]
        for place, field in enumerate(scored.fields)
        if (found := _CLASS.fullmatch(field))
    }
    if not classes or _PROBABILITIES in scored.fields:
        return scored
    first = min(classes)
    fields = [
        _PROBABILITIES if place == first else field
        for place, field in enumerate(scored.fields)
        if place == first or place not in classes
    ]
    rows = [
        [
            [row[of] for of in classes] if place == first else cell
            for place, cell in enumerate(row)
            if place == first or place not in classes
        ]
        for row in scored.rows
    ]
    return Table(fields, rows, labels=list(classes.values()))


def _columns(table: Table, places: list[int]) -> Table:
    return Table(
        [table.fields[place] for place in places],
        [[row[place] for place in places] for row in table.rows],
    )
