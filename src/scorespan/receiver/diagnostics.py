"""The diagnostics of a receiver: what its processes say on stderr, in lines."""

from __future__ import annotations

import logging
import time


class _OneLine(logging.Formatter):
    """Time in UTC, level, process and text; what has several lines is joined to one."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s[%(process)d]: %(message)s",
            "%Y-%m-%dT%H:%M:%S",
        )

    def format(self, record: logging.LogRecord) -> str:
        return " | ".join(super().format(record).splitlines())


def say_on_stderr() -> None:
    """Let this process say what it does on stderr, one line each; of libraries only warnings.

    Nothing of the HTTP server: it tells of each request that is none, and anybody can send those.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("scorespan").setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
