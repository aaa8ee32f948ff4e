"""The model behind all the services here: how long a parcel takes, in hours."""

from __future__ import annotations

import time
from collections.abc import Sequence

SCORING_SECONDS = 0.02


def hours(rows: Sequence[Sequence[float]]) -> list[float]:
    """The hours of each parcel, from its kilometres and kilograms.

    Raises:
        ArithmeticError: a parcel weighs less than nothing.
    """
    time.sleep(SCORING_SECONDS)
    if any(kilograms < 0 for _, kilograms in rows):
        raise ArithmeticError("a parcel weighs less than nothing")
    return [kilometres / 60 * (1 + kilograms / 40) for kilometres, kilograms in rows]
