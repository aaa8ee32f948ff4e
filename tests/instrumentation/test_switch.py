"""The switch of the process."""

from __future__ import annotations

import os
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

import scorespan
from running import clean_environment, run
from scorespan import producer
from scorespan.errors import SettingsError
from scorespan.instrumentation import switch
from scorespan.settings import Settings

PROGRAM = Path(__file__).parent / "programs" / "first_together.py"
SETTINGS = Settings.load({"shutdown_seconds": 3}, {})


class Provider:
    """What is configured and drained, and how often."""

    def __init__(self) -> None:
        self.made = 0
        self.drained: list[float] = []

    def configure(self) -> None:
        """Count a provider."""
        self.made += 1

    def drain(self, seconds: float) -> None:
        """Count a drain."""
        self.drained.append(seconds)


@pytest.fixture
def provider(monkeypatch):
    """Switched on, with a provider that counts; off afterwards."""
    monkeypatch.setattr(switch, "_drained", producer.given())  # others have scored here
    counting = Provider()
    switch.install(SETTINGS, counting.configure, counting.drain)
    yield counting
    switch.off()


def score() -> None:
    """One scoring, of whatever provider there is."""
    with scorespan.scoring_span({"fields": ["a"], "values": [[1]]}):
        pass


def in_child(call) -> int:
    """The exit status of a forked child that calls this; 0 where it returns true."""
    child = os.fork()
    if child == 0:
        os._exit(0 if call() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_the_first_question_makes_the_provider(provider):
    """Not the installation: the process may fork, or be patched, before it scores."""
    assert provider.made == 0
    assert switch.is_on()
    assert switch.ready() is SETTINGS
    assert switch.ready() is SETTINGS
    assert provider.made == 1


def test_nothing_is_on_until_somebody_switches_it_on():
    """A hook that is there all the same finds capture off."""
    switch.off()
    assert not switch.is_on()
    assert switch.ready() is None


def test_threads_that_ask_at_once_get_one_provider(provider):
    """Those that come second wait for it: their scorings would be missing."""
    asked, go = threading.Event(), threading.Event()

    def configure() -> None:
        provider.configure()
        asked.set()
        assert go.wait(60)

    switch.install(SETTINGS, configure, provider.drain)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(switch.ready())) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert asked.wait(60)
    assert found == []
    go.set()
    for thread in threads:
        thread.join()
    assert found == [SETTINGS] * 8
    assert provider.made == 1


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets_that_ask_at_once_get_one_provider(library):
    """They share the thread, and its locks; each waits, and lets the others run."""
    if find_spec(library) is None:  # importing it would change this process
        pytest.skip(f"{library} is not installed")
    command = [sys.executable, "-W", "ignore", PROGRAM, library]
    assert run(command, clean_environment()).stdout == f"[1] {[True] * 5}\n"


def test_a_question_in_the_midst_of_making_is_answered_with_off(provider):
    """A signal handler that scores then waits for nobody, least of all for its own thread."""
    inner: list[object] = []

    def configure() -> None:
        inner.append(switch.ready())

    switch.install(SETTINGS, configure, provider.drain)
    assert switch.ready() is SETTINGS
    assert inner == [None]


def test_a_provider_that_cannot_be_made_leaves_it_off(provider):
    """It is tried once; the service goes on, and nothing reaches it."""

    def fail() -> None:
        provider.configure()
        raise SettingsError("SCORESPAN_SPOOL_DIR", "cannot be used")

    switch.install(SETTINGS, fail, provider.drain)
    assert [switch.ready(), switch.ready()] == [None, None]
    assert provider.made == 1
    assert not switch.is_on()


def test_what_ends_a_process_passes_through(provider):
    """An interrupt in the midst of making is the service's; the next scoring is captured off."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    switch.install(SETTINGS, interrupted, provider.drain)
    with pytest.raises(KeyboardInterrupt):
        switch.ready()
    assert switch.ready() is None


def test_a_check_may_come_first_and_installs_what_it_finds(provider):
    """It is asked once, by the first scoring of a process that has imported no server."""
    switch.off()
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        switch.install(SETTINGS, provider.configure, provider.drain)

    switch.ask_first(check)
    assert switch.is_on()
    assert [switch.ready(), switch.ready()] == [SETTINGS] * 2
    assert len(asked) == provider.made == 1
    switch.ask_first(lambda: None)
    switch.off()
    switch.ask_first(lambda: None)
    assert switch.ready() is None


def test_only_what_was_scored_since_is_drained(provider, recorded):
    """Two exits in a row, as uvicorn's and the signal's, wait once."""
    switch.drain()
    assert switch.ready() is SETTINGS
    switch.drain()
    assert provider.drained == []
    assert not switch.owes()
    score()
    assert switch.owes()
    switch.drain()
    switch.drain()
    assert provider.drained == [3.0]
    score()
    switch.drain(0.5)
    assert provider.drained == [3.0, 0.5]
    assert len(recorded.spans()) == 2


def test_an_error_of_the_drain_stays_with_us(provider, recorded):
    """A service that ends must end."""

    def fail(_seconds: float) -> None:
        raise RuntimeError("ours")

    switch.install(SETTINGS, provider.configure, fail)
    assert switch.ready() is SETTINGS
    score()
    switch.drain()
    assert len(recorded.spans()) == 1


def test_a_forked_child_goes_on_with_the_parents_provider(provider, recorded):
    """The intake handles forks; what the parent owes is not the child's."""
    assert switch.ready() is SETTINGS
    score()

    def child() -> bool:
        fresh = switch.ready() is SETTINGS and provider.made == 1 and not switch.owes()
        score()
        return fresh and switch.owes()

    assert in_child(child) == 0
    assert len(recorded.spans()) == 1


def test_a_child_forked_while_another_thread_makes_the_provider_makes_its_own(provider):
    """The lock of a thread that the child does not have must not hold it up."""
    asked, go = threading.Event(), threading.Event()

    def configure() -> None:
        provider.configure()
        if provider.made == 1 and threading.current_thread() is not threading.main_thread():
            asked.set()
            assert go.wait(60)

    switch.install(SETTINGS, configure, provider.drain)
    thread = threading.Thread(target=switch.ready)
    thread.start()
    assert asked.wait(60)
    try:
        assert in_child(lambda: switch.ready() is SETTINGS and provider.made == 2) == 0
    finally:
        go.set()
        thread.join()
