"""Payload logging for machine-learning models over OpenTelemetry.

    >>> import scorespan
    >>> scorespan.configure(subscription_id="credit")      # doctest: +SKIP
    >>> @scorespan.scored
    ... def predict(rows):
    ...     return [0 for row in rows]

Importing this package needs the OpenTelemetry API alone; the SDK door is loaded by `configure`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scorespan.decorator import scored
from scorespan.errors import ScorespanError, SettingsError
from scorespan.scoring import Scoring, scoring_span

if TYPE_CHECKING:
    from scorespan.record import PayloadRecord
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
    "ScoringSpanProcessor": "scorespan.sdk",
    "configure": "scorespan.sdk",
    "flush": "scorespan.sdk",
    "shutdown": "scorespan.sdk",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'scorespan' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only where the name is used

    return getattr(import_module(_LAZY[name]), name)
