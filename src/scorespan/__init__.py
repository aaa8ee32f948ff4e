"""Payload logging for machine-learning models over OpenTelemetry.

    >>> import scorespan
    >>> scorespan.configure(subscription_id="credit")      # doctest: +SKIP
    >>> @scorespan.scored
    ... def predict(rows):
    ...     return [0 for row in rows]

Importing this package loads nothing but itself; each name loads what it needs: the OpenTelemetry
API for scorings, the SDK for `configure`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` would cost every process of a configured environment 8 ms
if TYPE_CHECKING:
    from typing import Any

    from scorespan.decorator import scored
    from scorespan.errors import ScorespanError, SettingsError
    from scorespan.record import PayloadRecord
    from scorespan.scoring import Scoring, scoring_span
    from scorespan.sdk import (
        PayloadSpanExporter,
        ScoringSpanProcessor,
        configure,
        flush,
        shutdown,
    )

__version__ = "0.1.0"

__all__ = [
    "PayloadRecord",
    "PayloadSpanExporter",
    "ScorespanError",
    "Scoring",
    "ScoringSpanProcessor",
    "SettingsError",
    "__version__",
    "configure",
    "flush",
    "scored",
    "scoring_span",
    "shutdown",
]

_LAZY = {
    "PayloadRecord": "scorespan.record",
    "PayloadSpanExporter": "scorespan.sdk",
    "ScorespanError": "scorespan.errors",
    "Scoring": "scorespan.scoring",
    "ScoringSpanProcessor": "scorespan.sdk",
    "SettingsError": "scorespan.errors",
    "configure": "scorespan.sdk",
    "flush": "scorespan.sdk",
    "scored": "scorespan.decorator",
    "scoring_span": "scorespan.scoring",
    "shutdown": "scorespan.sdk",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'scorespan' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only where the name is used

    if name == "configure":
        # Scorings in signal handlers must not come in the middle of this import.
        import_module("scorespan.decorator")
    # Kept: to come here again would cost every scoring more than its put.
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value
