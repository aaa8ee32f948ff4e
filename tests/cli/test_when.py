"""Moments on the command line: three ways to say one, and nothing else."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from scorespan.cli.when import When, parse_when

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T09:22:47Z", "2026-11-20T09:22:47+00:00"),
        ("2026-11-20t09:22:47.5z", "2026-11-20T09:22:47.500000+00:00"),
        ("2026-11-20 11:22:47.123456789+02:00", "2026-11-20T09:22:47.123456+00:00"),
        ("2026-11-20", "2026-11-20T00:00:00+00:00"),
        (" 2h ", "2026-11-20T10:00:00+00:00"),
        ("90s", "2026-11-20T11:58:30+00:00"),
        ("30m", "2026-11-20T11:30:00+00:00"),
        ("7d", "2026-11-13T12:00:00+00:00"),
        ("1w", "2026-11-13T12:00:00+00:00"),
        ("0s", "2026-11-20T12:00:00+00:00"),
    ],
)
def test_a_moment_is_read(text: str, expected: str):
    """Timestamps, dates and times ago become one moment in UTC."""
    assert parse_when(text, NOW.timestamp()).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2026-11-20T09:22:47", "2026-02-30", "2026-11-20T25:00:00Z", "2", "h",
        "-2h", "2.5h", "2 h", "999999999w", "0001-01-01T00:00:00+23:59", "2026-11-20T09:22Z",
        "٢h",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str):
    """One clear error names the forms; a timestamp without a zone is no moment."""
    with pytest.raises(ValueError, match="no moment; allowed are RFC 3339"):
        parse_when(text, NOW.timestamp())


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_every_timestamp_comes_back(moment: datetime):
    """What Python writes as RFC 3339 is read as the same moment, whatever the zone."""
    text = moment.isoformat(timespec="microseconds")
    assert parse_when(text, 0.0) == moment
    assert parse_when(text.replace("+00:00", "Z"), 0.0) == moment


@given(st.text(max_size=40))
def test_no_text_does_harm(text: str):
    """A moment or a ValueError, never another fault."""
    with contextlib.suppress(ValueError):
        assert parse_when(text, NOW.timestamp()).utcoffset() == timedelta(0)


def test_an_option_takes_a_moment():
    """A command gets the moment; a wrong text is wrong use that names the option."""

    @click.command()
    @click.option("--since", type=When(NOW.timestamp))
    def command(since: datetime) -> None:
        click.echo(since.isoformat())

    good = CliRunner().invoke(command, ["--since", "2h"])
    assert (good.exit_code, good.output) == (0, "2026-11-20T10:00:00+00:00\n")
    wrong = CliRunner().invoke(command, ["--since", "soon"])
    assert wrong.exit_code == 2
    assert "--since" in wrong.output
    assert "2h, 7d" in wrong.output
