"""The provider slot: the tracer that scoring spans come from.

`scorespan.sdk.configure()` fills it with the tracer of a private provider. While it is empty,
scoring spans come from the application's global provider, whose tracer records nothing where no
SDK is configured.
"""

from __future__ import annotations

from opentelemetry import trace

INSTRUMENTATION_NAME = "scorespan"

_installed: trace.Tracer | None = None
_global = trace.get_tracer(INSTRUMENTATION_NAME)


def tracer() -> trace.Tracer:
    """The tracer for scoring spans, as of now."""
    return _installed if _installed is not None else _global


def install(tracer: trace.Tracer | None) -> None:
    """Fill the slot, or empty it with None."""
    global _installed  # noqa: PLW0603 - the slot is the one piece of state of this module
    _installed = tracer
