"""A payload table: its columns, and the rows that a stored record becomes when it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from scorespan.mart.layout import Layout, shown_type, widened

if TYPE_CHECKING:
    from collections.abc import Mapping

FEATURE, OUTPUT, META = "feature", "output", "meta"
_PART_ORDER = (FEATURE, OUTPUT, META)

_BEFORE: tuple[tuple[str, str, bool, dict[str, object]], ...] = (
    ("scoring_id", "string", False, {"modeling_role": "record-id", "primary_key": True}),
    ("scoring_timestamp", "timestamp", False, {"modeling_role": "record-timestamp"}),
    ("deployment_id", "string", False, {}),
    ("asset_revision", "string", True, {}),
)
_PROBABILITY = "prediction_probability"
_AFTER = (
    (_PROBABILITY, "double", {"modeling_role": "prediction-probability"}),
    ("debiased_prediction", None, {"modeling_role": "debiased-prediction"}),
    (
        "debiased_probability",
        shown_type("array<double>"),
        {"modeling_role": "debiased-probability"},
    ),
    ("debiased_decoded_target", "string", {"modeling_role": "debiased-decoded-target"}),
)
_RESERVED = {column[0] for column in _BEFORE} | {column[0] for column in _AFTER}
_COLUMN_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Column:
    """One column that came with the records."""

    name: str
    kind: str
    part: str


@dataclass(frozen=True, slots=True)
class Columns:
    """All columns that came with a subscription's records, in order of their arrival."""

    known: tuple[Column, ...] = ()

    def text(self) -> str:
        """JSON text to keep; `columns_of` reads it."""
        return json.dumps([[column.name, column.kind, column.part] for column in self.known])

    def unknown(self, request: Layout, response: Layout | None) -> list[str]:
        """Names in a record's bodies that are no columns yet."""
        names = {column.name for column in self.known}
        found = (name for name, _, _ in _columns(request, response))
        return [name for name in dict.fromkeys(found) if name not in names]

    def absorbed(self, request: Layout, response: Layout | None) -> Columns:
        """The columns with a record's own added, their kinds widened to hold its values."""
        kept = {column.name: column for column in self.known}
        for name, kind, part in _columns(request, response):
            column = kept.get(name)
            if column is None:
                kept[name] = Column(name, kind, part)
            elif widened(column.kind, kind) != column.kind:
                kept[name] = Column(name, widened(column.kind, kind), column.part)
        columns = tuple(kept.values())
        return self if columns == self.known else Columns(columns)


def _columns(request: Layout, response: Layout | None) -> list[tuple[str, str, str]]:
    found = [(*pair, FEATURE) for pair in zip(request.fields, request.kinds, strict=True)]
    if response is not None:
        echoed = set(request.fields)
        outputs = zip(response.fields, response.kinds, strict=True)
        found += [(name, kind, OUTPUT) for name, kind in outputs if name not in echoed]
    found += [(*pair, META) for pair in zip(request.meta_fields, request.meta_kinds, strict=True)]
    return found


@lru_cache(maxsize=1024)
def columns_of(text: str) -> Columns:
    """Columns from the text that `Columns.text` made."""
    return Columns(tuple(Column(name, kind, part) for name, kind, part in json.loads(text)))


@dataclass(frozen=True, slots=True)
class TableSchema:
    """What readers see of a table: its fields in order, and which of them hold probabilities.

    Attributes:
        fields: as `payload_table_schema` answers them; rows have the same order.
        probabilities: columns that `prediction_probability` is computed from.
    """

    fields: tuple[Mapping[str, Any], ...]
    names: tuple[str, ...]
    probabilities: tuple[str, ...]


def _field(name: str, kind: object, *, nullable: bool, metadata: dict[str, object]) -> Any:
    if kind == "string":
        metadata = {**metadata, "columnInfo": {"columnLength": _COLUMN_LENGTH}}
    return {"name": name, "type": kind, "nullable": nullable, "metadata": metadata}


@lru_cache(maxsize=1024)
def table_schema(columns_text: str, properties_text: str) -> TableSchema:
    """The schema of a table. Cached; before any record it has the four system columns only.

    Args:
        columns_text: from `Columns.text`.
        properties_text: JSON text of the subscription's asset properties.
    """
    properties = json.loads(properties_text)
    columns = [column for column in columns_of(columns_text).known if column.name not in _RESERVED]
    columns.sort(key=lambda column: _PART_ORDER.index(column.part))
    roles = _output_roles(properties, [column.name for column in columns])
    categorical = set(_names(properties.get("categorical_fields")))
    fields = [
        _field(name, kind, nullable=nullable, metadata=dict(metadata))
        for name, kind, nullable, metadata in _BEFORE
    ]
    prediction: object = "string"
    for column in columns:
        kind = shown_type(column.kind)
        metadata: dict[str, object] = {}
        if column.part == META:
            metadata["modeling_role"] = "meta-field"
        elif column.name in roles:
            metadata["modeling_role"] = roles[column.name]
        elif column.part == FEATURE:
            metadata["modeling_role"] = "feature"
        if column.part == FEATURE and column.name in categorical:
            metadata["measure"] = "discrete"
        if roles.get(column.name) == "prediction":
            prediction = kind
        fields.append(_field(column.name, kind, nullable=True, metadata=metadata))
    if columns:
        fields += [
            _field(name, kind or prediction, nullable=True, metadata=dict(metadata))
            for name, kind, metadata in _AFTER
        ]
    return TableSchema(
        tuple(fields),
        tuple(field["name"] for field in fields),
        tuple(name for name, role in roles.items() if role == "probability"),
    )


def _names(value: object) -> list[str]:
    """A list of names, or one name as plain text; nothing else counts."""
    if isinstance(value, str):
        return [value]
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _output_roles(properties: dict[str, Any], names: list[str]) -> dict[str, str]:
    """Role by column name: as the asset properties say, else by the usual names."""
    present = set(names)
    predictions = _names(properties.get("prediction_field"))
    decoded = _names(properties.get("predicted_target_field"))
    if not predictions:
        predictions, decoded = decoded, []
    probabilities = _names(properties.get("probability_fields"))
    roles = dict.fromkeys(probabilities or ["probability"], "probability")
    roles.update(dict.fromkeys(decoded, "decoded-target"))
    roles.update(dict.fromkeys(predictions or ["prediction"], "prediction"))
    return {name: role for name, role in roles.items() if name in present}
