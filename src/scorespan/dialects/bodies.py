"""What a dialect makes of the two bodies of one scoring."""

from __future__ import annotations

from typing import NamedTuple


class DialectBodies(NamedTuple):
    """Both bodies as fields/values JSON text; views of it where they are opaque.

    `rows` counts the request's rows, None where nobody has; `notes` say what the dialect had to
    change.
    """

    request: bytes | memoryview
    response: bytes | memoryview | None
    rows: int | None
    notes: tuple[str, ...] = ()
