"""Prints: what model code prints during a scoring goes to its exchange as well.

The original `print` does its work first, unchanged. Lines that are printed outside of a scoring, or
elsewhere than to standard output, belong to none.
"""

from __future__ import annotations

import builtins
import functools
import sys
from types import ModuleType
from typing import Any

from scorespan.instrumentation.exchange import running
from scorespan.instrumentation.guard import guarded

_HOOK = "prints"
_left = False


def leave() -> None:
    """Leave `print` as it is from now on: a server has its own, whose lines come to `take`."""
    global _left  # noqa: PLW0603 - `print` itself belongs to the process
    _left = True


def instrument(module: ModuleType) -> None:  # noqa: ARG001 - any server's
    """Read along what `print` writes to standard output; once, however often it is called."""
    original = builtins.print
    if _left or hasattr(original, "scorespan"):
        return

    @functools.wraps(original)
    def printed(*values: object, **options: Any) -> None:
        original(*values, **options)
        if running.get() is not None:
            file = options.get("file")
            if file is None or file is sys.stdout:
                _take(values, options)

    printed.scorespan = True  # type: ignore[attr-defined]  # the mark of ours
    builtins.print = printed


@guarded(_HOOK)
def _take(values: tuple[object, ...], options: dict[str, Any]) -> None:
    separator, end = options.get("sep"), options.get("end")
    text = (" " if separator is None else separator).join(map(str, values))
    text += "\n" if end is None else end
    take(text.removesuffix("\n"), ended=text.endswith("\n"))


def take(line: str, *, ended: bool = True) -> None:
    """Give a line that is being printed to the exchange of this context, if one runs.

    Args:
        line: without the line feed at its end.
        ended: false: it had none, and the next one goes on where this one ends.
    """
    exchange = running.get()
    if exchange is not None and not exchange.ended:
        exchange.add_print(line, ended=ended)
