"""Post-import hooks: what is called once a module has been imported.

Every process of a configured environment starts with this one, so it imports next to nothing.
"""

from __future__ import annotations

import _thread
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Hook = Callable[[ModuleType], None]

_hooks: dict[str, list[Hook]] = {}
_unseen: set[str] = set()
"""Names whose hooks were not called yet. A finder before ours may bring such a module."""

_running: list[ModuleType] = []
"""Modules that are being executed."""


def after_import(name: str, call: Hook) -> None:
    """Call this with the module of that name once it has been executed without an error.

    At once where it has been imported already, and again after each reload. The thread that
    imports calls it, before the import returns. An `Exception` of the call is dropped: whoever
    registers it says what went wrong.
    """
    _hooks.setdefault(name, []).append(call)
    if _watcher not in sys.meta_path:
        sys.meta_path.insert(0, _watcher)
    module = sys.modules.get(name)
    if module is not None and _is_whole(module):
        _call(call, module)
    else:
        _unseen.add(name)


class _Watcher:
    """A finder that finds nothing itself: the others do, and the loader they name is wrapped."""

    def __init__(self) -> None:
        self._asking: set[tuple[int, str]] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a watched module, as the finders after this one give it."""
        if _unseen:
            _look()
        if name not in _hooks:
            return None
        # Another finder of this kind asks all finders again, this one too.
        asking = (_thread.get_ident(), name)
        if asking in self._asking:
            return None
        self._asking.add(asking)
        try:
            spec = self._find_after(name, path, target)
        finally:
            self._asking.discard(asking)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            wrapped: Any = _Loader(spec.loader)
            spec.loader = wrapped
        return spec

    def _find_after(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        finders = list(sys.meta_path)
        after = finders[finders.index(self) + 1 :] if self in finders else finders
        for finder in after:
            find = getattr(finder, "find_spec", None)
            if find is None:  # of a kind that Python 3.12 has dropped; left to Python
                return None
            spec: ModuleSpec | None = find(name, path, target)
            if spec is not None:
                return spec
        return None


class _Loader:
    """A loader that calls the hooks when the module is executed; otherwise the one it wraps.

    The module, and its code while it runs, find the wrapped one in its place.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, then call its hooks."""
        spec: Any = module.__spec__
        if spec.loader is self:
            spec.loader = self._loader
        if module.__loader__ is self:
            module.__loader__ = self._loader
        # Python's own mark of this is missing where the module is loaded by hand.
        _running.append(module)
        try:
            self._loader.exec_module(module)
        finally:
            _running.remove(module)
        _call_all(spec.name, module)


_watcher: Any = _Watcher()


def _look() -> None:
    """Call the hooks of modules that were imported past the watcher."""
    for name in tuple(_unseen):
        module = sys.modules.get(name)
        if module is not None and _is_whole(module):
            _call_all(name, module)


def _is_whole(module: ModuleType) -> bool:
    # Of another type is one that is loaded when it is used first: looking into it would load it.
    if type(module) is not type(sys) or any(module is running for running in _running):
        return False
    return not getattr(module.__spec__, "_initializing", False)


def _call_all(name: str, module: ModuleType) -> None:
    _unseen.discard(name)
    for call in tuple(_hooks.get(name, ())):
        _call(call, module)


def _call(call: Hook, module: ModuleType) -> None:
    try:
        call(module)
    except Exception:  # noqa: BLE001 - the import is the application's, and must go on
        return
