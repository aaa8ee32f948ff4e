"""What a dialect makes of the two bodies of one scoring."""

from __future__ import annotations

from typing import NamedTuple


class DialectBodies(NamedTuple):
    """Both bodies as fields/values JSON text.

    `rows` counts the request's rows; `notes` say what the dialect had to change.
    """

    request: bytes
    response: bytes | None
    rows: int
    notes: tuple[str, ...] = ()
