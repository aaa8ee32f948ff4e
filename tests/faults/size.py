"""How large the faults are: small in every test run, full size where `SCORESPAN_FAULTS=soak`."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

SOAK = os.environ.get("SCORESPAN_FAULTS") == "soak"


def sized(ci: T, soak: T) -> T:
    """The first in every test run, the second in the soak."""
    return soak if SOAK else ci
