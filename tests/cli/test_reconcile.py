"""`scorespan reconcile`: the verdict first, then the account, then names; and how it ends."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compacting import compact_all
from examples.live import live_mart
from reconcile_world import World
from running import clean_environment, started, wait_until
from scorespan.cli.command import scorespan
from scorespan.spool.root import prepare_root
from scorespan.testing import NEVER, Answer, ScriptedMart


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running mart and a prepared root."""
    with live_mart(tmp_path) as live:
        yield World(live)


def run(world: World, *arguments: str, **environment: str) -> Result:
    """The command with the settings of the mart in its environment."""
    known = {f"SCORESPAN_{name.upper()}": value for name, value in world.live.settings.items()}
    return CliRunner().invoke(
        scorespan, ["reconcile", *arguments], env={**known, "COLUMNS": "200", **environment}
    )


def test_nothing_missing_ends_with_0_and_says_so_first(world: World):
    """One line that answers the question, then the terms."""
    world.put("p", range(1, 21))
    world.deliver()
    done = run(world)
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "nothing is missing: 20 scored = 20 stored"
    assert "= stored" in done.output
    assert "\nmissing:" not in done.output


def test_what_has_lost_its_name_may_be_a_copy(world: World):
    """Copies are known by their names; once those have gone, that is said."""
    world.put("p", range(1, 9))
    world.deliver()
    world.delete("p-7")
    copy = "a copy that was sent again after a lost answer looks like a missing record"
    assert copy not in run(world).output
    compact_all(world.root)
    assert copy in run(world).output


def test_what_is_missing_ends_with_1_and_is_named(world: World):
    """By scoring id where the ledger has it, by producer and numbers else, and at the end."""
    gone = world.cut_out(world.put("p", range(1, 21), scored=22), random.Random(1), 1)
    world.deliver()
    (number,) = gone
    kept = 3 if number != 3 else 4
    world.delete(f"p-{kept}")
    done = run(world)
    assert done.exit_code == 1
    assert done.output.splitlines()[0].startswith("4 records are missing: 22 scored = 18 stored")
    assert f"\n  p-{kept}  live-model / deployment  2025-02-19 21:20" in done.output
    assert f"higher ones are (1)\n  producer p: {number}\n" in done.output
    assert "is known of it (2)\n  producer p: 21 to 22\n" in done.output


def test_json_has_every_name(world: World):
    """For machines: the same, whole."""
    world.put("p", range(1, 201))
    world.deliver()
    world.delete(*(f"p-{number}" for number in range(1, 151)))
    shown = run(world)
    assert "and 50 more like this" in shown.output
    done = run(world, "--json")
    known = json.loads(done.output)
    assert done.exit_code == shown.exit_code == 1
    assert (known["scored"], known["stored"], known["missing"]) == (200, 50, 150)
    assert len(known["missing_records"]) == 150
    assert known["missing_records"][0]["subscription_id"] == "live-model"
    assert sum(place["missing"] for place in known["places"]) == 150


def test_what_is_outstanding_ends_with_1_and_is_told_apart(world: World):
    """It came through a Collector, where it may still be: the answer is not "nothing"."""
    world.receive(*(world.span("far", number) for number in (1, 4, 5, 7)))
    shown = run(world)
    assert shown.exit_code == 1
    assert shown.output.splitlines()[0] == (
        "3 records are outstanding, on the way or lost: 7 scored = 4 stored + 3 outstanding"
    )
    assert "have come (3)\n  producer far: 2 to 3, 6\n" in shown.output
    assert "\n+ outstanding" in shown.output
    assert "may wait in the application or a Collector" in shown.output
    assert "missing" not in shown.output


def test_a_root_alone_calls_nothing_of_others_missing(world: World):
    """`spool status` asks no data mart, which may have it from another receiver."""
    world.receive(*(world.span("far", number) for number in (1, 4, 5, 7)))
    command = ["spool", "status", "--dir", str(world.root)]
    shown = CliRunner().invoke(scorespan, command, env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "outstanding here, of producers elsewhere: 3 (producers: 1);" in shown.output
    known = json.loads(CliRunner().invoke(scorespan, [*command, "--json"]).output)
    assert (known["scored"], known["missing"], known["outstanding"]) == (4, 0, 3)


def test_what_came_twice_is_told_by_name(world: World):
    """Without numbers, the copies have one each here, and one of them in the data mart."""
    span = world.span("far", 1)._replace(producer_id=None, sequence=None)
    world.receive(span)
    world.receive(span)
    done = run(world)
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "nothing is missing: 1 scored = 1 stored"
    assert "are counted once (1)\n  far-1  live-model / deployment" in done.output
    assert [one["scoring_id"] for one in json.loads(run(world, "--json").output)["repeated"]] == [
        "far-1"
    ]


def test_since_and_until_choose_by_scoring_timestamp(world: World):
    """A record outside is neither counted nor missed."""
    world.put("p", range(1, 21))
    world.deliver()
    known = json.loads(run(world, "--since", "2h", "--json").output)
    assert (known["scored"], known["missing"]) == (0, 0)
    known = json.loads(run(world, "--since", "2000-01-01", "--until", "1h", "--json").output)
    assert known["scored"] == 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "is no moment"),
        (["--since", "1h", "--until", "2h"], "--until is before --since"),
        (["--dir", "/nowhere"], "there is no spool root"),
    ],
)
def test_wrong_use_ends_with_2(world: World, arguments: list[str], said: str):
    """One sentence says what is wrong."""
    done = run(world, *arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_missing_credentials_end_with_2_and_name_the_variable(world: World):
    """Wrong settings are wrong use."""
    done = run(world, SCORESPAN_API_KEY="")
    assert done.exit_code == 2
    assert "SCORESPAN_API_KEY" in done.output


def test_a_mart_that_is_not_reached_ends_with_2(tmp_path: Path):
    """No answer is neither good nor bad."""
    with live_mart(tmp_path) as live:
        world = World(live)
    done = run(world, SCORESPAN_DATA_MART_KIND="scorespan")
    assert done.exit_code == 2
    assert "the data mart could not be read" in done.output


INTERRUPTIBLE = """
import runpy, signal

# Who is started in the background of a shell ignores it from the beginning.
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("scorespan.cli", run_name="__main__")
"""


def test_an_interrupt_is_no_answer(scripted_mart: ScriptedMart, tmp_path: Path):
    """Who presses Ctrl-C is not told that something is missing: 130, not 1."""
    prepare_root(tmp_path)
    scripted_mart.always = Answer(delay=NEVER)
    known = {**scripted_mart.settings, "spool_dir": tmp_path}
    environment = {f"SCORESPAN_{name.upper()}": str(value) for name, value in known.items()}
    command = [sys.executable, "-c", INTERRUPTIBLE, "reconcile"]
    with started(
        command, {**clean_environment(), **environment}, stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: scripted_mart.requests > 0, "a request")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (130, "interrupted\n")
