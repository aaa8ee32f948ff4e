"""Greenlets whose first scorings come together, while the provider is made and lets others run."""

from __future__ import annotations

import sys

if sys.argv[1] == "gevent":
    import gevent
    from gevent import monkey

    monkey.patch_all()
else:
    import eventlet

    eventlet.monkey_patch()

import time

from scorespan.instrumentation import switch
from scorespan.settings import Settings

made = []


def configure() -> None:
    """Make the provider, slowly."""
    made.append(1)
    time.sleep(0.2)


found = []


def ask() -> None:
    """One scoring."""
    found.append(switch.ready() is not None)


switch.install(Settings.load({}, {}), configure, lambda _seconds: None)
if sys.argv[1] == "gevent":
    gevent.joinall([gevent.spawn(ask) for _ in range(5)])
else:
    for thread in [eventlet.spawn(ask) for _ in range(5)]:
        thread.wait()
print(made, found)
