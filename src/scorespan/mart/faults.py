"""A fault: one thing that is wrong with a request, as the answer names it."""

from __future__ import annotations

from typing import TypeAlias

from scorespan.errors import MartError

Fault: TypeAlias = dict[str, object]
"""`code` and `message`, and where they apply `field`, `index` (of the record) and `row`."""


def fault(
    code: str,
    message: str,
    *,
    field: str | None = None,
    index: int | None = None,
    row: int | None = None,
) -> Fault:
    """One fault. Codes are stable; messages are for people and never hold a payload value.

    `index` and `row` count from 0.
    """
    named: Fault = {"code": code, "message": message}
    for name, value in (("field", field), ("index", index), ("row", row)):
        if value is not None:
            named[name] = value
    return named


def refusal(status: int, code: str, message: str, *, field: str | None = None) -> MartError:
    """The error of a request that is refused for one reason."""
    return MartError(status, [fault(code, message, field=field)])
