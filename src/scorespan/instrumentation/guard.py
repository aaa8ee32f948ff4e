"""The guard around every hook: an error of ours is counted and said, and the service goes on.

It is said once a minute, and only of which type it is: its text may hold a payload value. A
`TimeoutError` passes: nothing here waits, so it is the service's own alarm, which went off while a
hook ran; so do exceptions that are no `Exception`, such as the end of a worker.
"""

from __future__ import annotations

import collections
import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from opentelemetry.metrics import Counter, get_meter

from scorespan.telemetry import RepeatedLog

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

counted: collections.Counter[str] = collections.Counter()
"""Errors so far, by the name of the part that had them. Two at once may count as one."""
_log = RepeatedLog()


def failed(name: str, error: Exception) -> None:
    """Count an error of ours and say it; a `TimeoutError` is raised again.

    Args:
        name: the part that had it, such as the name of a hook.
        error: what it was.
    """
    if isinstance(error, TimeoutError):
        raise error
    with contextlib.suppress(Exception):  # a broken meter of the application's
        counted[name] += 1
        _log.warning(name, "capture (%s) had an error: %s", name, type(error).__name__)
        _instrument().add(1, {"part": name})


def guarded(
    name: str,
) -> Callable[[Callable[_Arguments, _Result]], Callable[_Arguments, _Result | None]]:
    """A decorator: None is returned where the function raises.

    Args:
        name: the part that the function belongs to.
    """

    def guard(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result | None]:
        @functools.wraps(function)
        def call(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result | None:
            try:
                return function(*arguments, **named)
            except Exception as error:  # noqa: BLE001 - the service must not see our fault
                failed(name, error)
                return None

        return call

    return guard


@contextlib.contextmanager
def swallowed(name: str) -> Iterator[None]:
    """A block of which an error stays inside.

    Args:
        name: the part that the block belongs to.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the service must not see our fault
        failed(name, error)


@functools.cache
def _instrument() -> Counter:
    return get_meter("scorespan").create_counter(
        "scorespan.instrumentation.errors", "{error}", "errors inside capture, by `part`"
    )
