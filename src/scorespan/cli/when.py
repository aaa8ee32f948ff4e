"""A moment as people name it on the command line: a timestamp, a date, or how long ago."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import click

FORMS = "RFC 3339 (2026-11-20T09:22:47Z), a date (its start in UTC), or how long ago (2h, 7d)"

_AGO = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-]\d\d:\d\d))", re.ASCII
)


def parse_when(text: str, now: float) -> datetime:
    """The moment that a text names, in UTC.

    Args:
        text: one of `FORMS`; units of a time ago are s, m, h, d and w.
        now: seconds since the epoch; what a time ago is counted from.

    Raises:
        ValueError: the text names no moment of the calendar; says which forms do.
    """
    text = text.strip()
    try:
        ago = _AGO.fullmatch(text)
        if ago is not None:
            past = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            return datetime.fromtimestamp(now, timezone.utc) - past
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
        parts = _TIMESTAMP.fullmatch(text)
        if parts is not None:
            # Python 3.10 takes neither `Z` nor fractions of any length.
            fraction = (parts[3] or "")[:6].ljust(6, "0")
            whole = f"{parts[1]}T{parts[2]}.{fraction}{parts[4] or '+00:00'}"
            return datetime.fromisoformat(whole).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is no moment; allowed are {FORMS}")


class When(click.ParamType):  # type: ignore[type-arg] # generic in newer clicks only
    """An option whose value is a moment; the command gets an aware `datetime` in UTC.

    Args:
        clock: seconds since the epoch.
    """

    name = "time"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The moment; a text that names none is wrong use."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_when(value, self._clock())
        except ValueError as error:
            self.fail(str(error), param, ctx)
