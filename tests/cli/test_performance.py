"""`scorespan performance`: each deployment in one line, read from a real data mart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from examples.live import SUBSCRIPTION_ID, live_mart
from reconcile_world import World
from scorespan.cli.command import scorespan


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running mart and a prepared root."""
    with live_mart(tmp_path) as live:
        yield World(live)


def run(world: World, *arguments: str, **environment: str) -> Result:
    """The command with the settings of the mart in its environment."""
    known = {f"SCORESPAN_{name.upper()}": value for name, value in world.live.settings.items()}
    return CliRunner().invoke(
        scorespan, ["performance", *arguments], env={**known, "COLUMNS": "140", **environment}
    )


def score(world: World) -> None:
    """Ten scorings of one deployment ten minutes ago, two of another two hours ago."""
    now = datetime.now(timezone.utc)
    recent, old = (int((now - timedelta(minutes=ago)).timestamp() * 1e9) for ago in (10, 120))
    ms = 1_000_000
    spans = [
        world.span("p", number, start_time=recent, end_time=recent + 10 * number * ms)
        for number in range(1, 11)
    ]
    spans += [
        world.span("p", 11, start_time=old, end_time=old + ms, deployment_id="[old]\x1b"),
        world.span(
            "p", 12, start_time=old, end_time=old + 3 * ms, deployment_id="[old]\x1b", failed=True
        ),
    ]
    world.receive(*spans)


def test_each_deployment_has_a_line(world: World):
    """Requests, failures, rate and times; what others wrote steers no terminal."""
    score(world)
    done = run(world, SUBSCRIPTION_ID)
    assert done.exit_code == 0
    header, old, recent, period = done.output.splitlines()
    assert header.split()[:5] == ["deployment", "requests", "rows", "failed", "rate"]
    assert old.split()[:5] == ["[old]\N{REPLACEMENT CHARACTER}", "2", "1", "1", "50.0%"]
    assert recent.split()[:5] == ["deployment", "10", "10", "0", "0.0%"]
    assert recent.split()[6:11] == ["55.0", "50", "100", "100", "100"]
    assert period.startswith("from ")
    narrow = run(world, SUBSCRIPTION_ID, COLUMNS="80").output.splitlines()
    assert all(len(line) <= 80 for line in narrow)
    assert recent.split()[:11] == narrow[2].split()


def test_a_time_and_a_deployment_can_be_asked_for(world: World):
    """The rate is over the time that was asked for."""
    score(world)
    found = json.loads(run(world, SUBSCRIPTION_ID, "--since", "1h", "--json").output)
    (one,) = found["deployments"]
    assert (one["deployment_id"], one["requests"]) == ("deployment", 10)
    assert one["requests_per_minute"] == pytest.approx(10 / 60, rel=0.01)
    asked = run(world, SUBSCRIPTION_ID, "--deployment", "[old]\x1b", "--json")
    (old,) = json.loads(asked.output)["deployments"]
    assert old["failure_rate"] == 0.5
    assert old["response_time"]["max"] == 3
    assert run(world, SUBSCRIPTION_ID, "--deployment", "other").output == "no scorings\n"


def test_what_cannot_be_shown_says_why(world: World):
    """An unknown subscription is a bad answer; a time that is none, and no mart, are wrong use."""
    unknown = run(world, "other")
    assert unknown.exit_code == 1
    assert "no such subscription" in unknown.output
    assert run(world, SUBSCRIPTION_ID, "--since", "yesterday").exit_code == 2
    assert run(world, SUBSCRIPTION_ID, SCORESPAN_DATA_MART_URL="").exit_code == 2
