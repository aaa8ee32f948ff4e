"""Prints: what model code prints during a scoring goes to its exchange as well.

The original `print` does its work first, unchanged, and converts each value once. Lines that are
printed outside of a scoring, or elsewhere than to the standard output of the process, belong to
none; so do those under `contextlib.redirect_stdout`, which the model reads itself. Where `print` is
somebody else's by the time a server is imported, it is left as it is.
"""

from __future__ import annotations

import builtins
import functools
import sys
from types import BuiltinFunctionType, ModuleType
from typing import Any

from scorespan.instrumentation.exchange import Exchange, running
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
    if _left or not isinstance(original, BuiltinFunctionType):
        return

    @functools.wraps(original)
    def printed(*values: object, **options: Any) -> None:
        exchange = running.get()
        if exchange is None or not _is_to(exchange, options.get("file")):
            original(*values, **options)
            return
        seen = [value if type(value) is str else _Seen(value) for value in values]
        original(*seen, **options)
        _take(seen, options)

    builtins.print = printed


class _Seen:
    """A value on its way through `print`, which asks it for its text, once, in its turn."""

    __slots__ = ("_value", "text")

    def __init__(self, value: object) -> None:
        self._value = value
        self.text = ""

    def __str__(self) -> str:
        self.text = str(self._value)
        return self.text


def _is_to(exchange: Exchange, file: object) -> bool:
    return exchange.prints_to(getattr(sys, "stdout", None) if file is None else file)


@guarded(_HOOK)
def _take(seen: list[str | _Seen], options: dict[str, Any]) -> None:
    separator, end = options.get("sep"), options.get("end")
    texts = [value.text if isinstance(value, _Seen) else value for value in seen]
    text = (" " if separator is None else separator).join(texts)
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
