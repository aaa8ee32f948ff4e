"""Threads of the operating system, and locks between them.

Our workers must be real threads wherever they run: as greenlets they would stop while a greenlet
of the application computes, and wait for the data mart on the application's hub. Modules of ours
take `native` for `threading`. It is that module, unless gevent or eventlet has patched it: then it
is another copy of it, over what was there before. Which one is asked at each use, because gunicorn
patches its workers after the application was imported.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["Bell", "native", "start", "wait_apart"]

_Result = TypeVar("_Result")
_SENTINEL = "_set_sentinel"


class Bell:
    """An event that may be set where an exception of a signal handler can come at any step.

    `Event` takes and gives back its lock in steps of Python. An exception between two of them, such
    as a time limit that a server sets for its model, leaves that lock held for ever, and with it
    everybody who sets or waits. Here each of them is one step of C.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = native.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let those who wait go on. Never waits."""
        if self._lock.locked():
            try:
                self._lock.release()
            except RuntimeError:  # another thread was faster
                return

    def clear(self) -> None:
        """Have those who come wait."""
        self._lock.acquire(blocking=False)

    def is_set(self) -> bool:
        """Whether nobody need wait."""
        return not self._lock.locked()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, and leave it so; false where that took longer than `timeout`."""
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            return False
        self.set()
        return True


def wait_apart(call: Callable[[], _Result]) -> _Result:
    """What a call that waits returns; under gevent the other greenlets run meanwhile.

    Not for a call that may raise: gevent would print that.
    """
    if _gevent_monkey() is None:
        return call()
    try:
        result = sys.modules["gevent"].get_hub().threadpool.spawn(call)
    except RuntimeError:  # at exit, where nobody can start a thread
        return call()
    waited: _Result = result.get()
    return waited


def start(thread: native.Thread) -> bool:
    """Start a thread; false where the interpreter ends and lets nobody start one any more.

    Raises:
        RuntimeError: the process may not have more threads.
    """
    if sys.is_finalizing():  # before Python 3.12 the new one never runs, and is waited for
        return False
    try:
        thread.start()
    except RuntimeError as error:
        if "interpreter shutdown" not in str(error):
            raise
        return False
    return True


def _gevent_monkey() -> Any:
    """The patching of gevent, where it has patched `threading`."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey if monkey is not None and monkey.is_module_patched("threading") else None


def _threading() -> ModuleType:
    monkey = _gevent_monkey()
    if monkey is not None:
        return _under_gevent(monkey.get_original)
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("thread"):
        return patcher.original("threading")  # type: ignore[no-any-return]  # eventlet has no types
    return threading


class _Originals:
    """A module as it was before it was patched."""

    def __init__(self, name: str, original: Callable[[str, str], Any]) -> None:
        self._name = name
        self._original = original

    def __getattr__(self, item: str) -> Any:
        # The copy makes a main thread at once. Given the real sentinel, that would take from the
        # standard module's one what tells others of the thread's end.
        return self._original(self._name, "allocate_lock" if item == _SENTINEL else item)


@functools.cache
def _under_gevent(original: Callable[[str, str], Any]) -> ModuleType:
    """The standard module executed once more, with the originals wherever it imports."""

    def import_original(name: str, *arguments: Any, **options: Any) -> Any:
        if name in {"_thread", "time"}:
            return _Originals(name, original)
        return builtins.__import__(name, *arguments, **options)

    spec = importlib.util.find_spec("threading")
    if spec is None or spec.loader is None:
        raise ImportError("there is no module `threading`")
    copy: Any = importlib.util.module_from_spec(spec)
    copy.__builtins__ = {**vars(builtins), "__import__": import_original}
    spec.loader.exec_module(copy)
    if hasattr(copy, _SENTINEL):  # gone in Python 3.13
        setattr(copy, _SENTINEL, original("_thread", _SENTINEL))

    class Thread(copy.Thread):  # type: ignore[misc]  # made at run time
        """A thread whose patched sockets wait on a hub of its own, which ends with it."""

        def run(self) -> None:
            hub = sys.modules["gevent"].get_hub()
            # The usual one looks names up in more threads, which nobody can start at exit.
            hub.resolver = importlib.import_module("gevent.resolver.blocking").Resolver(hub)
            try:
                super().run()
            finally:
                hub.destroy(destroy_loop=True)

    copy.Thread = Thread
    return copy  # type: ignore[no-any-return]  # made at run time


class _Native(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(_threading(), name)


if TYPE_CHECKING:
    import threading as native
else:
    native = _Native("native")
