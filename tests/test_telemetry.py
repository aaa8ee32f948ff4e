"""The log that does not repeat itself."""

from __future__ import annotations

import logging
import logging.config

import pytest

from scorespan.telemetry import RepeatedLog, logger, said


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds, as moved."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock that the log goes by."""
    return Clock()


@pytest.fixture
def repeated(clock: Clock) -> RepeatedLog:
    """A log of one line a minute for each failure."""
    return RepeatedLog(period=60.0, clock=clock)


def test_a_failure_is_said_once_a_minute_with_its_count(repeated, clock, caplog):
    """What was kept quiet is counted in the next line."""
    for clock.now in (0.0, 1.0, 59.0, 60.0):
        repeated.warning("disk", "cannot write: %s", "full")
    assert [record.getMessage() for record in caplog.records] == [
        "cannot write: full",
        "cannot write: full (2 more like this since the last line)",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_each_failure_has_a_minute_of_its_own(repeated, caplog):
    """One failure does not silence another."""
    repeated.warning("disk", "disk")
    repeated.warning("network", "network")
    assert len(caplog.records) == 2


def test_a_failure_that_comes_and_goes_is_said_once_a_minute(repeated, clock, caplog):
    """Its end is told once for each line that told of it, and not at each of its returns."""
    ends = []
    for clock.now in (0.0, 1.0, 2.0, 61.0):
        repeated.warning("disk", "disk")
        ends += [repeated.over("disk"), repeated.over("disk")]
    assert ends == [True, False, False, False, False, False, True, False]
    assert caplog.messages == ["disk", "disk (2 more like this since the last line)"]


def test_an_exception_that_cannot_speak_is_named():
    """What an exception says is had from any exception."""

    class SpeechlessError(Exception):
        """An exception whose text cannot be had."""

        def __str__(self) -> str:
            raise ValueError

    assert said(ValueError("text")) == "text"
    assert said(SpeechlessError()) == "SpeechlessError"


def test_a_log_that_fails_reaches_nobody(repeated):
    """A filter of the application may raise; neither a scoring nor a thread of ours ends by it."""

    def fail(record: logging.LogRecord) -> bool:
        raise LookupError(record.name)

    logger.addFilter(fail)
    try:
        repeated.warning("disk", "the disk is full")
    finally:
        logger.removeFilter(fail)


def test_a_server_that_configures_logging_does_not_silence_us(repeated, caplog):
    """It disables the loggers that are there already, as Azure ML's does."""
    known = map(logging.getLogger, list(logging.root.manager.loggerDict))
    enabled = [one for one in known if not one.disabled]
    try:
        logging.config.dictConfig({"version": 1})
        assert logger.disabled
        logging.getLogger().addHandler(caplog.handler)
        repeated.warning("disk", "cannot write")
        assert [record.getMessage() for record in caplog.records] == ["cannot write"]
    finally:
        for one in enabled:
            one.disabled = False
