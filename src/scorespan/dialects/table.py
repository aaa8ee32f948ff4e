"""Tables: what dialects share on the way from native rows to fields/values text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.native import Native
from scorespan.errors import ConversionError

PREDICTION = "prediction"
"""The column of an answer that names none."""
SCORING_INPUT = "scoring_input"
"""The column of a request that has no columns."""
_SHOWN = 200
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_CELLS, _CELLS_OF_MEMBER = 1_000_000, 16
"""Cells that objects may become, at least and for each member that they have."""
_ANSWERS = {
    *("prediction", "predictions", "predicted_label", "predicted_labels", "predicted_class"),
    *("label", "labels", "class", "classes", "score", "scores", "probability", "probabilities"),
    *("output", "outputs", "result", "results"),
}
"""Members that are an answer rather than something said about it."""
_NOT_FINITE = {"nan", "inf", "infinity", "-inf", "-infinity", "+inf", "+infinity", "∞", "-∞"}

_WRITTEN = {"nan", "NaN", "inf", "-inf", "Infinity", "-Infinity"}


class Table(NamedTuple):
    """Columns and rows of one body; every row as wide as the fields.

    `labels` are the names of the classes whose probabilities stand in an array, in its order.
    `left_out` are columns of the body that the prediction fields do not name.
    """

    fields: Sequence[str]
    rows: Sequence[Sequence[Any]]
    labels: Sequence[str] | None = None
    left_out: Sequence[str] = ()

    @property
    def text(self) -> bytes:
        """The fields/values text; raises as `encoded`."""
        return fields_values_text(self.fields, self.rows, self.labels)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of what was left out."""
        if not self.left_out:
            return ()
        names = ", ".join(self.left_out)
        return (f"response: left out, not in scoring.prediction.fields: {_cut(names)}",)


def fields_values_text(
    fields: Sequence[str], rows: Sequence[Sequence[Any]], labels: Sequence[str] | None = None
) -> bytes:
    """The fields/values text of columns and rows.

    Raises:
        ConversionError: `nested_too_deep`; a cell nests deeper than can be written.
    """
    members: dict[str, Any] = {"fields": fields, "values": rows}
    if labels is not None:
        members["labels"] = labels
    return encoded(members)


def encoded(value: object) -> bytes:
    """A document, or part of one, as JSON text.

    Raises:
        ConversionError: `nested_too_deep`; it nests deeper than can be written.
    """
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise ConversionError("nested_too_deep", f"it cannot be written again: {error}") from error


def paired(
    dialect: str,
    native: Native,
    request: Table,
    response: Table | None,
    notes: Iterable[str] = (),
) -> DialectBodies | ConversionError:
    """Both tables as the dialect's bodies; row i of the answer belongs to row i of the request.

    Columns of one name are told apart by a number: in an object only one of them could be had.

    Args:
        dialect: its name.
        native: where the tables are from; its notes are put first.
        request: the request's table.
        response: the answer's; None for a failed scoring.
        notes: what the dialect had to change.

    Returns:
        The bodies; `row_count_mismatch` where not every row has its partner.

    Raises:
        ConversionError: `nested_too_deep`.
    """
    count = len(request.rows)
    if response is not None and len(response.rows) != count:
        return ConversionError(
            "row_count_mismatch",
            f"response: {len(response.rows)} rows for {count} rows of the request",
        )
    told = [*native.notes, *notes, *(response.notes if response is not None else ())]
    return DialectBodies(
        _told_apart(request, "request", told).text,
        None if response is None else _told_apart(response, "response", told).text,
        count,
        tuple(told),
        dialect=dialect,
    )


def _told_apart(table: Table, side: str, notes: list[str]) -> Table:
    """The table with a name of its own for each column: the second `a` is `a_2`, with a note."""
    known = set(table.fields)
    if len(known) == len(table.fields):
        return table
    fields: list[str] = []
    changed: list[str] = []
    seen: Counter[str] = Counter()
    for field in table.fields:
        seen[field] += 1
        name = field
        if seen[field] > 1:
            while (name := f"{field}_{seen[field]}") in known:
                seen[field] += 1
            known.add(name)
            changed.append(name)
        fields.append(name)
    notes.append(f"{side}: columns of one name are told apart: {_cut(', '.join(changed))}")
    return table._replace(fields=fields)


def object_rows(objects: Iterable[dict[str, Any]]) -> Table:
    """One row for each object; columns are all of their keys, first seen first; absent is null.

    Raises:
        ConversionError: `too_sparse`.
    """
    objects = list(objects)
    fields = keys_of(objects)
    return Table(fields, [[item.get(field) for field in fields] for item in objects])


def keys_of(objects: Sequence[dict[str, Any]]) -> list[str]:
    """All keys of objects, first seen first.

    Raises:
        ConversionError: `too_sparse`; a table of them would hold next to nothing but nulls, and
            grow with the square of the body.
    """
    keys = list(dict.fromkeys(key for item in objects for key in item))
    cells, members = len(keys) * len(objects), sum(map(len, objects))
    if cells > max(_CELLS, _CELLS_OF_MEMBER * members):
        raise ConversionError(
            "too_sparse", f"{len(objects)} objects of {members} members have {len(keys)} keys"
        )
    return keys


def named_rows(rows: Sequence[Sequence[Any]], names: Sequence[str] | None, where: str) -> Table:
    """Rows without names under the names that the settings give, else `f0`, `f1`, ...

    Args:
        rows: the rows.
        names: `Native.feature_names`, in the order of the columns.
        where: the place of the rows in the body, for the reason.

    Raises:
        ConversionError: `row_width_mismatch`; a row is not as wide as the others or the names.
    """
    width = len(names) if names is not None else len(rows[0]) if rows else 0
    for position, row in enumerate(rows):
        if len(row) != width:
            of = "names in scoring.feature.names" if names is not None else "in the first row"
            raise ConversionError(
                "row_width_mismatch", f"{where}[{position}]: {len(row)} values for {width} {of}"
            )
    return Table(list(names) if names is not None else [f"f{at}" for at in range(width)], rows)


def answer_table(value: Any, fields: Sequence[str] | None, rows: int) -> Table:
    """The table of what stands in a response for the predictions.

    Objects are rows by their keys; null among them is a row of nulls. An object whose lists are all
    as long as the request is one of columns, whether the request has one row or many; what is no
    list beside them (a version, a time) belongs to each row, unless it is itself an answer: then
    all of it is one. A list is one row for each element, unless the request has one row and the
    list another length: then it is that row's prediction. All else is one row. What has no columns
    gets `prediction`, or the fields that the settings give.

    Args:
        value: what stands there.
        fields: `Native.prediction_fields`: these, in this order, and no others. They pick the
            columns of an answer that names its own, and name those of one that does not.
        rows: how many rows the request has.

    Raises:
        ConversionError: `wrong_prediction_fields`; the answer has names, and not all of these, or
            has none, and another number of values than these.
    """
    if isinstance(value, dict):
        value = _unindexed(value, rows)
    if isinstance(value, dict) and is_columns(value, rows):
        columns = [item if isinstance(item, list) else [item] * rows for item in value.values()]
        value = [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    answers = value if isinstance(value, list) else [value]
    if rows == 1 and len(answers) != 1:
        answers = [value]
    if {dict} == {type(item) for item in answers if item is not None}:
        table = object_rows(item or {} for item in answers)
        return table if fields is None else picked(table, fields)
    if fields is None:
        return Table([PREDICTION], [[item] for item in answers])
    if all(isinstance(item, list) and len(item) == len(fields) for item in answers):
        return Table(fields, answers)
    if len(fields) == 1:  # it holds whatever a row has
        return Table(fields, [[item] for item in answers])
    sizes = {len(item) if isinstance(item, list) else 1 for item in answers}
    raise wrong_fields(
        f"{len(fields)} names ({_cut(', '.join(fields))}) for rows of "
        f"{' or '.join(map(str, sorted(sizes)))} values without names; "
        "one name is needed, or as many as every row has values"
    )


def picked(table: Table, fields: Sequence[str]) -> Table:
    """These columns of an answer, in this order; the others are left out.

    Raises:
        ConversionError: `wrong_prediction_fields`; a column is not there.
    """
    places = {table.fields[place]: place for place in reversed(range(len(table.fields)))}
    missing = [field for field in fields if field not in places]
    if missing:
        raise wrong_fields(
            f"no row has {_cut(', '.join(missing))}; some are needed of: "
            f"{_cut(', '.join(table.fields))}"
        )
    chosen = [places[field] for field in fields]
    others = [field for place, field in enumerate(table.fields) if place not in chosen]
    return table._replace(
        fields=fields,
        rows=[[row[place] for place in chosen] for row in table.rows],
        left_out=others,
    )


def wrong_fields(reason: str) -> ConversionError:
    """Prediction fields that do not fit an answer: a setting to be mended."""
    return ConversionError(
        "wrong_prediction_fields", f"response: scoring.prediction.fields: {reason}"
    )


def _cut(names: str) -> str:
    return names if len(names) <= _SHOWN else f"{names[:_SHOWN]} ..."


def is_columns(members: dict[str, Any], rows: int) -> bool:
    """Whether an object in a response holds its columns, each a list of so many rows."""
    if _unindexed(members, rows) is not members:
        return True
    lists = {name for name, item in members.items() if isinstance(item, list)}
    if not lists or any(len(members[name]) != rows for name in lists):
        return False
    others = members.keys() - lists
    if not others:
        return True
    # One list of one value may be a value; that of an answer is a batch of one.
    return _ANSWERS.isdisjoint(others) and (rows > 1 or not _ANSWERS.isdisjoint(lists))


def _unindexed(members: dict[str, Any], rows: int) -> Any:
    """Lists for objects whose keys count the rows, as data frames and series are written.

    `{"a": {"0": 1, "1": 2}}` holds columns, `{"0": 1, "1": 2}` holds rows; all else stays the same.
    """
    index = list(map(str, range(rows)))
    if members and all(_is_indexed(column, index) for column in members.values()):
        return {name: list(column.values()) for name, column in members.items()}
    return list(members.values()) if _is_indexed(members, index) else members


def _is_indexed(members: Any, index: list[str]) -> bool:
    return isinstance(members, dict) and len(members) == len(index) and list(members) == index


def has_answer(names: Iterable[str]) -> bool:
    """Whether one of these members of a response is an answer by its name."""
    return not _ANSWERS.isdisjoint(names)


def number_of(text: str) -> Any:
    """The number that a text is, as JSON writes numbers; the text itself where it is none.

    `007` is none, so codes with zeros in front stay what they are; `1e5` and `1.5E-05` are.
    """
    if not _NUMBER.fullmatch(text):
        return text
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    number = float(text)
    if math.isinf(number):
        return text
    return number if repr(number) == text or _short(text) else orjson.Fragment(text)


def numbers_from_text(
    table: Table, where: str, texts: Collection[str] = ()
) -> tuple[Table, tuple[str, ...]]:
    """The table with numbers for texts, of engines known to send text, and notes about it.

    Column by column, so that a column has one type: all of its texts must be numbers. Beside
    numbers, empty text is null (a missing value); so, with a note, are NaN and infinities, which
    are so alone too where they are spelt as engines do: the next call's is a number.

    Args:
        table: of texts; what is no text stays as it is.
        where: the side of the body, for the notes.
        texts: fields that are known to be text, and stay so.
    """
    rows = [list(row) for row in table.rows]
    notes: list[str] = []
    for place, field in enumerate(table.fields):
        if field in texts:
            continue
        cells = (row[place] for row in rows if isinstance(row[place], str))
        found = {text: number_of(text) for text in dict.fromkeys(cells) if text.strip()}
        odd = [text for text in found if text.lower() in _NOT_FINITE]
        numbers = {text: number for text, number in found.items() if not isinstance(number, str)}
        if len(numbers) + len(odd) < len(found) or not (numbers or _WRITTEN.intersection(odd)):
            continue
        for row in rows:
            if isinstance(row[place], str):
                row[place] = numbers.get(row[place])
        notes += [f"{where}: {text} in {field!r} became null" for text in odd]
    return table._replace(rows=rows), tuple(notes)


def _short(text: str) -> bool:
    """Whether a double holds the number to its last digit, however it is spelt."""
    digits, _, exponent = text.lower().partition("e")
    return len(digits) <= 16 and len(exponent.lstrip("+-")) <= 2
