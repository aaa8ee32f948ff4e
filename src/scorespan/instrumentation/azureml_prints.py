"""The lines of an Azure ML script: the inference server's `print` sends them to a logger.

A handler of that logger is there for the whole life of the process once the server has configured
its logging, which takes away those that were added before; it imports the patched module later.
"""

from __future__ import annotations

import logging
from types import ModuleType

from scorespan.instrumentation import prints
from scorespan.instrumentation.guard import guarded

LOGGER = "azmlinfsrv.print"


def instrument(module: ModuleType) -> None:  # noqa: ARG001 - its logger is known by name
    """Read along what the server's `print_to_logger` sends to its logger; once."""
    prints.leave()
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, _Reader) for handler in logger.handlers):
        logger.addHandler(_Reader())


class _Reader(logging.Handler):
    """A handler that gives each line to the exchange that runs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Give one line, on the thread that prints it."""
        _read(record)


@guarded("prints")
def _read(record: logging.LogRecord) -> None:
    prints.take(record.getMessage())
