"""The provider slot: the tracer that scoring spans come from.

`scorespan.sdk.configure()` fills it with the tracer of a private provider. While it is empty,
scoring spans come from the application's global provider, whose tracer records nothing where no
SDK is configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import trace

if TYPE_CHECKING:
    from opentelemetry._logs import Logger

INSTRUMENTATION_NAME = "scorespan"


class Slot(NamedTuple):
    """What scorings are recorded with.

    Attributes:
        tracer: their spans come from it.
        numbered: whether the spans are to bring a producer's number with them. They are not where
            the door that they end at gives it, with the write.
        logger: lines that model code prints become its log records; None: they become none.
    """

    tracer: trace.Tracer
    numbered: bool = True
    logger: Logger | None = None


_global = Slot(trace.get_tracer(INSTRUMENTATION_NAME))
_installed = _global


def slot() -> Slot:
    """The slot, as of now."""
    return _installed


def filled() -> bool:
    """Whether `install` has put a tracer into the slot."""
    return _installed is not _global


def install(
    tracer: trace.Tracer | None, *, numbered: bool = True, logger: Logger | None = None
) -> None:
    """Fill the slot, or empty it with None."""
    global _installed  # noqa: PLW0603 - the slot is the one piece of state of this module
    _installed = _global if tracer is None else Slot(tracer, numbered, logger)
