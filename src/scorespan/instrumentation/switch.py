"""The switch: whether this process captures scorings, and with which settings.

The hooks ask it for each scoring. It makes the private provider when the first one comes, not
before: since the service was imported the process may have forked, or gevent patched it.
"""

from __future__ import annotations

import _thread
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scorespan.settings import Settings

_settings: Settings | None = None
_undecided = False
_decider: int | None = None
"""The thread or greenlet that makes the provider now."""
_PAUSE_SECONDS = 0.001
_check: Callable[[], None] | None = None
_installed: tuple[Settings, Callable[[], object]] | None = None
_drain: Callable[[float], object] | None = None
_drained = 0
_locks: dict[str, Any] = {}


def ask_first(check: Callable[[], None]) -> None:
    """Have `check` called by the first `ready`, unless something is installed before.

    It installs what it finds, or nothing.
    """
    global _check, _undecided  # noqa: PLW0603 - the switch of the process is what this module is
    _check = check
    _undecided = True


def install(
    settings: Settings, configure: Callable[[], object], drain: Callable[[float], object]
) -> None:
    """Switch capture on, from the first `ready` of the process on.

    Args:
        settings: what `ready` answers then.
        configure: makes the private provider; called once, by the first `ready`. Where it raises
            an `Exception`, capture is off.
        drain: delivers what was scored, for so many seconds at most.
    """
    global _check, _settings, _installed, _drain, _undecided  # noqa: PLW0603 - see ask_first
    _check = None
    _settings = None
    _installed = settings, configure
    _drain = drain
    _undecided = True


def off() -> None:
    """Switch capture off; scorings that run are recorded still."""
    global _check, _settings, _installed, _undecided  # noqa: PLW0603 - see ask_first
    _check = _settings = _installed = None
    _undecided = False


def is_on() -> bool:
    """Whether capture is on as far as is known, without making anything."""
    return _undecided or _settings is not None


def known() -> Settings | None:
    """The settings, as soon as they are known; nothing is made or checked for it."""
    return _settings or (None if _installed is None else _installed[0])


def ready() -> Settings | None:
    """The settings of the capture; None where it is off. Raises nothing, from any thread.

    The first call in a process makes the private provider; while it does, other threads wait for
    it, as a scoring that goes by now would be missing. Later calls read one variable.
    """
    return _decided() if _undecided else _settings


def owes() -> bool:
    """Whether anything was scored since the last drain. Takes no lock."""
    if _settings is None:
        return False
    from scorespan import producer  # noqa: PLC0415 - there where anything was scored

    return producer.given() != _drained


def drain(seconds: float | None = None) -> None:
    """Deliver what was scored since the last time. What takes longer stays on disk.

    Args:
        seconds: how long at most; None: `shutdown_seconds`.
    """
    global _drained  # noqa: PLW0603 - see ask_first
    if _settings is None or _drain is None or not owes():
        return
    from scorespan import producer  # noqa: PLC0415 - see owes

    _drained = producer.given()
    try:
        _drain(_settings.shutdown_seconds if seconds is None else seconds)
    except Exception:  # noqa: BLE001 - a service that ends must end; the records are kept
        return


def _decided() -> Settings | None:
    global _check, _decider, _drained, _installed, _settings, _undecided  # noqa: PLW0603 - see ask_first
    from scorespan import producer  # noqa: PLC0415 - most processes never come here
    from scorespan.threads import native  # noqa: PLC0415 - likewise

    with _locks.setdefault("deciding", native.RLock()):
        if _decider is not None:
            return _awaited()
        _decider = _thread.get_ident()
        try:
            # Each is forgotten when it is done: a child that is forked meanwhile begins anew.
            if _check is not None:
                _check()
            if _installed is not None:
                settings, configure = _installed
                configure()
                _drained = producer.given()  # whoever scored until now
                _settings = settings
        except Exception:  # noqa: BLE001, S110 - the caller of both has said what is wrong
            pass
        finally:
            _check = _installed = None
            _undecided = False
            _decider = None
        return _settings


def _awaited() -> Settings | None:
    """What another greenlet of this thread decides; None for a signal handler of the same one."""
    if _decider == _thread.get_ident():
        return None
    import time  # noqa: PLC0415 - see _decided

    # Greenlets have identities of their own only where this lets the others run.
    while _undecided:
        time.sleep(_PAUSE_SECONDS)
    return _settings


def _renew_in_child() -> None:
    """In a forked child: the thread that held one is the parent's, as are the numbers given."""
    global _decider, _drained  # noqa: PLW0603 - see ask_first
    _locks.clear()
    _decider = None
    _drained = 0


os.register_at_fork(after_in_child=_renew_in_child)
