"""Switched off and on while the service runs: nothing to disk while it is off, and each counted."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests

from examples.live import BINDING_ID, DATA_MART_ID, SUBSCRIPTION_ID, LiveMart, live_mart
from reconcile_world import World
from running import wait_until
from scorespan.conversion.span import ScoringSpan
from scorespan.delivery.refused import MOST_NAMED
from scorespan.delivery.subscription_switch import Place
from scorespan.errors import SpoolGoneError
from scorespan.intake import Intake
from scorespan.producer import current
from scorespan.reconcile import read_account
from scorespan.settings import Settings
from scorespan.testing import Answer, ScriptedMart

SOON = (0.01, 0.03)
NEVER_ASKED = (3600.0, 3600.0)
BODY = b'{"fields": ["a"], "values": [["a body that must not be on the disk"]]}'
ANSWER = b'{"fields": ["p"], "values": [[0]]}'


def span(number: int, **members: Any) -> ScoringSpan:
    """A span with an id of its own."""
    return ScoringSpan(BODY, ANSWER, trace_id="0" * 32, span_id=f"{number:016x}")._replace(
        **members
    )


def turn(live: LiveMart, *, enabled: bool) -> None:
    """Switch the payload logging of the live subscription as its owner does."""
    root = f"{live.running.url}/v1/data_marts/{DATA_MART_ID}"
    answer = requests.put(
        f"{root}/service_bindings/{BINDING_ID}/subscriptions/{SUBSCRIPTION_ID}"
        "/configurations/payload_logging",
        json={"enabled": enabled},
        headers={"Authorization": f"Bearer {live.running.token()}"},
        timeout=60,
    )
    assert answer.status_code == 200


def known_off(intake: Intake) -> bool:
    """Whether the intake knows of a subscription that is off."""
    delivery = intake._opening.delivery
    return delivery is not None and bool(delivery.switch.off)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running mart and a prepared root."""
    with live_mart(tmp_path) as live:
        yield World(live)


@pytest.mark.parametrize("bound", [True, False])
def test_the_account_balances_after_phases_of_off_and_on(world: World, bound: bool):
    """With a real mart: scored = stored + switched off, by id, through both ways of the door."""
    settings = {**world.live.settings, "data_mart_kind": "scorespan"}
    if not bound:
        del settings["binding_id"]
    intake = Intake(Settings.load(settings, {}), asked_every=SOON)
    numbers = iter(range(1, 1000))
    kept, dropped = set(), set()
    for enabled in (True, False, True, False):
        turn(world.live, enabled=enabled)
        if not enabled:
            # Until that is known the mart's answer is what switches a record off.
            unknown = span(next(numbers))
            assert intake.accept(unknown)
            dropped.add(unknown.key)
        # Of what the mart answers nothing waits for the next turn.
        assert intake.flush(60)
        wait_until(lambda: known_off(intake) is not enabled, f"enabled is {enabled}")  # noqa: B023 - called here only
        for _ in range(5):
            single, *several = [span(next(numbers)) for _ in range(4)]
            assert intake.accept(single)
            intake.accept_all(several)
            (kept if enabled else dropped).update(one.key for one in (single, *several))
        assert intake.flush(60)
    intake.close()
    assert set(world.live.ids()) == kept
    account = read_account(world.root)
    assert account.ids("stored") == kept
    assert account.ids("switched off") == dropped
    report = world.report()
    assert report.missing == 0
    assert report.scored == len(kept) + len(dropped) == 82
    assert report.verdict.startswith("nothing is missing: 82 scored = 40 stored")


@pytest.fixture
def intake(scripted_mart: ScriptedMart, tmp_path: Path) -> Iterator[Intake]:
    """An intake that asks all the time, before the scripted mart."""
    settings = {**scripted_mart.settings, "binding_id": "binding", "spool_dir": tmp_path / "root"}
    opened = Intake(Settings.load(settings, {}), asked_every=SOON)
    yield opened
    opened.close()


@pytest.fixture
def off(intake: Intake, scripted_mart: ScriptedMart) -> Intake:
    """An intake that knows that its subscription is off."""
    intake.accept(span(0))
    assert intake.flush(60)
    scripted_mart.payload_logging = False
    wait_until(lambda: known_off(intake), "it is off")
    return intake


def test_no_body_goes_to_the_disk_while_it_is_off(off: Intake, scripted_mart: ScriptedMart):
    """Nor over the network; the next ones after it is on again do."""
    spool = off._opening.delivery._spool
    put = spool.mark()
    posts = len(scripted_mart.posts)
    off.accept_all([span(1), span(2)])
    assert off.accept(span(3))
    assert off.flush(60)
    assert spool.mark() == put
    files = [path for path in off.root.rglob("*") if path.is_file()]
    assert not any(BODY in path.read_bytes() for path in files if path.suffix == ".ledger")
    assert len(scripted_mart.posts) == posts
    scripted_mart.payload_logging = True
    wait_until(lambda: not known_off(off), "it is on")
    assert off.accept(span(4))
    assert off.flush(60)
    off.close()
    account = read_account(off.root)
    assert account.ids("stored") == {span(0).key, span(4).key}
    assert account.ids("switched off") == {span(number).key for number in (1, 2, 3)}
    assert account.missing == []


def test_the_hosted_kind_is_followed_as_well(scripted_mart: ScriptedMart, tmp_path: Path):
    """It has the same configuration; failed scorings are switched off, not withheld."""
    hosted = {"data_mart_kind": "openscale", "binding_id": "binding", "spool_dir": tmp_path}
    settings = Settings.load({**scripted_mart.settings, **hosted}, {})
    intake = Intake(settings, asked_every=SOON)
    scripted_mart.payload_logging = False
    assert intake.accept(span(1))
    wait_until(lambda: known_off(intake), "it is off")
    assert intake.accept(span(2))
    assert intake.accept(span(3, failed=True))
    intake.close()
    account = read_account(tmp_path)
    assert account.ids("stored") == {span(1).key}
    assert account.ids("switched off") == {span(2).key, span(3).key}
    assert account.missing == []


def test_only_the_subscription_that_is_off_is_left_out(off: Intake):
    """One that a span names itself is another, on until the mart says something of it."""
    off._opening.delivery.switch.end()
    off.accept_all([span(1), span(2, subscription_id="other"), span(3, binding_id="other")])
    assert off.accept(span(4, subscription_id="other"))
    assert off.flush(60)
    off.close()
    account = read_account(off.root)
    assert account.ids("switched off") == {span(1).key}
    assert account.ids("stored") == {span(number).key for number in (0, 2, 3, 4)}
    assert account.missing == []


def test_numbers_that_scorings_bring_stay_theirs(off: Intake):
    """Those of the process, and those of others whose spans come through a receiver."""
    producer_id, sequence = current().next_number()
    assert off.accept(span(1, producer_id=producer_id, sequence=sequence))
    off.accept_all([span(2, producer_id="far", sequence=7), span(3)])
    assert off.flush(60)
    off.close()
    account = read_account(off.root)
    assert account.ids("switched off") == {span(number).key for number in (1, 2, 3)}
    assert [gap for gap in account.missing if gap.producer_id != "far"] == []


def test_beyond_a_bound_the_numbers_are_kept(off: Intake):
    """However long it is off while nothing can be written, memory stays bounded."""
    delivery = off._opening.delivery
    refused = delivery._settler._refused
    held = refused._writing
    with held:
        refused._named.extend([None] * MOST_NAMED)
        for number in range(1, 11):
            assert off.accept(span(number))
        refused._named.clear()
        assert len(refused._numbers) == 1
    off.close()
    account = read_account(off.root)
    assert account.totals["switched off"] == 10
    assert account.missing == []


def test_the_setting_goes_on_while_it_is_off(scripted_mart: ScriptedMart, tmp_path: Path):
    """Records are delivered, and the mart's answer to each is what counts."""
    settings = {**scripted_mart.settings, "spool_dir": tmp_path, "follow_subscription": "0"}
    intake = Intake(Settings.load(settings, {}), asked_every=SOON)
    scripted_mart.payload_logging = False
    fault = {"code": "payload_logging_disabled", "message": "off", "index": 0}
    scripted_mart.judge = lambda _: Answer(422, orjson.dumps({"errors": [fault]}))
    for number in range(3):
        assert intake.accept(span(number))
        assert intake.flush(60)
    intake.close()
    assert len(scripted_mart.posts) == 3
    assert read_account(tmp_path).totals["switched off"] == 3


def test_the_first_scoring_waits_for_no_answer(scripted_mart: ScriptedMart, tmp_path: Path):
    """Nor any other: it is on until it is known to be off."""
    settings = {**scripted_mart.settings, "spool_dir": tmp_path}
    intake = Intake(Settings.load(settings, {}), asked_every=NEVER_ASKED)
    scripted_mart.payload_logging = False
    requests_before = scripted_mart.requests
    assert intake.accept(span(1))
    assert intake.flush(60)
    intake.close()
    assert set(scripted_mart.stored) == {span(1).key}
    assert scripted_mart.requests <= requests_before + 2  # a token, and the post


def test_a_post_that_hangs_holds_up_no_switch(intake: Intake, scripted_mart: ScriptedMart):
    """The question goes beside it."""
    intake.accept(span(0))
    assert intake.flush(60)
    released = threading.Event()
    answer = scripted_mart.answer_post

    def hang(body: bytes) -> Answer:
        released.wait(60)
        return answer(body)

    scripted_mart.answer_post = hang
    try:
        intake.accept(span(1))
        scripted_mart.payload_logging = False
        wait_until(lambda: known_off(intake), "it is off")
        assert intake.accept(span(2))
    finally:
        released.set()
    intake.close()
    account = read_account(intake.root)
    assert account.ids("switched off") == {span(2).key}
    assert account.missing == []


def test_a_removed_spool_is_noticed_while_it_is_off(off: Intake):
    """What is counted must not go to a ledger that is gone: another spool is opened."""
    gone = off._opening.delivery
    away = off.root.with_name("away")
    off.root.rename(away)
    shutil.rmtree(away, ignore_errors=True)
    with suppress(SpoolGoneError):  # its own threads may have seen it
        gone._spool.put(b"")
    wait_until(lambda: gone.gone, "the sync that sees it")
    assert known_off(off)
    assert off.accept(span(2))
    assert off._opening.delivery is not gone
    assert off.flush(60)
    off.close()
    assert read_account(off.root).ids("stored") == {span(2).key}


def test_a_scoring_after_the_end_is_taken_as_any_other(off: Intake):
    """A span that comes late opens another spool; of that nothing is known yet."""
    off.close()
    assert off.accept(span(1))
    off.close()
    account = read_account(off.root)
    assert account.totals["stored"] + account.totals["switched off"] == 2
    assert account.missing == []


def test_what_is_written_down_is_counted_by_its_outcome(off: Intake):
    """The status and the metrics have it where it belongs."""
    for number in range(1, 6):
        assert off.accept(span(number))
    delivery = off._opening.delivery
    wait_until(lambda: delivery.reading().outcomes["switched off"] == 5, "it is counted")
    assert delivery.reading().outcomes["refused"] == 0
    assert Place("binding", "subscription") in delivery.switch.off


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
import orjson
from scorespan.conversion.span import ScoringSpan
from scorespan.intake import Intake
from scorespan.settings import Settings

intake = Intake(Settings.load(orjson.loads(sys.argv[1]), {}), asked_every=(0.01, 0.03))
request = b'{"fields": ["a"], "values": [[1]]}'
intake.accept(ScoringSpan(request, failed=True, span_id="1"))
with gevent.Timeout(60):
    while not intake._opening.delivery.switch.off:
        gevent.sleep(0.01)
intake.accept(ScoringSpan(request, failed=True, span_id="2"))
intake.close()
"""


def test_greenlets_score_on_while_the_mart_is_asked(scripted_mart: ScriptedMart, tmp_path: Path):
    """Under gevent it is a thread of the operating system that asks."""
    settings = {**scripted_mart.settings, "spool_dir": str(tmp_path), "shutdown_seconds": "30"}
    scripted_mart.payload_logging = False
    text = orjson.dumps(settings).decode()
    subprocess.run([sys.executable, "-W", "ignore", "-c", GREENLETS, text], check=True, timeout=100)
    account = read_account(tmp_path)
    assert (account.totals["stored"], account.totals["switched off"]) == (1, 1)
    assert account.missing == []
