"""Fixtures of the hooks: capture that is on in this process, and hooks that are taken out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import Recorded
from scorespan.instrumentation import guard, switch
from scorespan.settings import Settings


@pytest.fixture
def capture(recorded: Recorded) -> Iterator[Callable[..., Settings]]:
    """Switch capture on, with these settings; its spans are kept in memory."""

    def on(**settings: Any) -> Settings:
        loaded = Settings.load(settings)
        switch.install(loaded, lambda: None, lambda _seconds: None)
        return loaded

    on()
    guard.counted.clear()
    yield on
    switch.off()


@pytest.fixture
def hooked(monkeypatch: pytest.MonkeyPatch, capture: Callable[..., Settings]) -> Iterator[None]:
    """Flask and Starlette with their hooks, while the test runs."""
    # Here: other environments run the tests that need neither.
    import flask.app
    import starlette.applications

    import scorespan.instrumentation.flask
    import scorespan.instrumentation.starlette

    for owner in (flask.app.Flask, starlette.applications.Starlette):
        monkeypatch.setattr(owner, "__call__", owner.__call__)  # so that it comes back
    monkeypatch.setattr(flask.app.Flask, "wsgi_app", flask.app.Flask.wsgi_app)  # likewise
    scorespan.instrumentation.flask.instrument(flask.app)
    scorespan.instrumentation.starlette.instrument(starlette.applications)
    yield
    flask.got_request_exception.disconnect(scorespan.instrumentation.flask._raised)
