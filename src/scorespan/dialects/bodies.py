"""What a dialect makes of the two bodies of one scoring."""

from __future__ import annotations

from typing import NamedTuple


class DialectBodies(NamedTuple):
    """Both bodies as fields/values JSON text; views of it where they are opaque.

    `rows` counts the request's rows, None where nobody has; `notes` say what the dialect had to
    change. `failure` is type and message of an engine's error that came in place of an answer: the
    scoring failed, and `response` is None. `dialect` is the name of the dialect that read them.
    """

    request: bytes | memoryview
    response: bytes | memoryview | None
    rows: int | None
    notes: tuple[str, ...] = ()
    failure: tuple[str, str] | None = None
    dialect: str = "fields_values"
