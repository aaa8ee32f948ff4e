"""A shape: a body layout seen before, with the parser that checks a body against it in one pass."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal, NamedTuple

import msgspec

from scorespan.mart.body import Body
from scorespan.mart.layout import Layout, decoded_type

_MOST = 1024


class _Shape(NamedTuple):
    layout: Layout
    decoder: msgspec.json.Decoder[Any]


class Shapes:
    """The shape each owner's bodies had last.

    A body of that shape costs one pass and no Python object of its own. Only layouts of stored
    records are to be remembered, so that no table gets a type from a record that was refused.
    Threads may share one; it holds a bounded number of shapes.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, _Shape] = {}

    def match(self, owner: Hashable, text: bytes) -> Body | None:
        """The body, if it has the owner's remembered shape; None says nothing about the body."""
        shape = self._known.get(owner)
        if shape is None:
            return None
        try:
            found = shape.decoder.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return None
        rows = len(found.values)
        if found.meta is not None and len(found.meta.values) != rows:
            return None
        return Body(shape.layout, rows)

    def remember(self, owner: Hashable, layout: Layout) -> None:
        """Expect this layout from now on. Columns that hold any kind of value are not expected."""
        known = self._known.get(owner)
        if known is not None and known.layout is layout:
            return
        decoder = _decoder(layout)
        if decoder is None:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[owner] = _Shape(layout, decoder)


def _decoder(layout: Layout) -> msgspec.json.Decoder[Any] | None:
    body = _members(layout.fields, layout.kinds)
    meta = _members(layout.meta_fields, layout.meta_kinds)
    if body is None or meta is None:
        return None
    beside: Any = (
        ("meta", msgspec.defstruct("Meta", meta, gc=False))
        if layout.meta_fields
        else ("meta", type(None), None)
    )
    return msgspec.json.Decoder(msgspec.defstruct("Known", [*body, beside], gc=False))


def _members(fields: tuple[str, ...], kinds: tuple[str, ...]) -> list[tuple[str, Any]] | None:
    types = [decoded_type(kind) for kind in kinds]
    if None in types:
        return None
    # A tuple of literals is compared name by name without building a string.
    names: Any = tuple[tuple(Literal[name] for name in fields)]  # type: ignore[misc]
    row: Any = tuple[tuple(types)]  # type: ignore[misc]
    return [("fields", names), ("values", list[row])]
