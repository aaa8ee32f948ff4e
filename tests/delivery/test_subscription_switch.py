"""The subscription switch: what the configuration says is known soon, and only what it says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
import requests
from opentelemetry import context

from examples.live import BINDING_ID, DATA_MART_ID, SUBSCRIPTION_ID, LiveMart, live_mart
from running import wait_until
from scorespan.conversion.span import Ids, ScoringSpan
from scorespan.delivery.subscription_switch import (
    MOST_FOLLOWED,
    PERIOD,
    Place,
    SubscriptionSwitch,
    place_of,
)
from scorespan.settings import Settings
from scorespan.telemetry import RepeatedLog
from scorespan.testing import Answer, ScriptedMart

PLACE = Place(BINDING_ID, SUBSCRIPTION_ID)
LONG = (3600.0, 3600.0)
"""Tests that ask themselves wait for no thread."""


class ConfiguredMart(ScriptedMart):
    """A scripted mart that answers questions for a configuration from a table of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.configured: dict[str, Answer] = {}

    def answer(self, method: str, path: str, body: bytes = b"", bearer: str = "") -> Answer:
        """What the table says for a subscription, if anything."""
        if not path.endswith("/configurations/payload_logging"):
            return super().answer(method, path, body, bearer)
        self.asked.append(path)
        return self.configured.get(path.split("/")[-3], Answer(200, b'{"enabled": true}'))


@pytest.fixture
def configured() -> Iterator[ConfiguredMart]:
    """Such a mart."""
    with ConfiguredMart() as mart:
        yield mart


def switch_of(mart: ScriptedMart, **more: Any) -> SubscriptionSwitch:
    """A switch that asks when it is told to."""
    return SubscriptionSwitch(Settings.load({**mart.settings, **more}, {}), period=LONG)


def says(enabled: object) -> Answer:
    """A configuration."""
    return Answer(200, orjson.dumps({"enabled": enabled, "parameters": {}}))


def test_it_knows_what_the_configuration_says(configured: ConfiguredMart):
    """Each subscription by its own; on until it is known, and on again."""
    switch = switch_of(configured)
    switch.see([Place("b", "one"), Place("b", "two")])
    configured.configured["one"] = says(enabled=False)
    assert switch.off == frozenset()
    switch.ask()
    assert switch.off == {Place("b", "one")}
    configured.configured["one"] = says(enabled=True)
    switch.ask()
    assert switch.off == frozenset()
    switch.end()


def test_it_asks_for_the_address_of_the_hosted_api(configured: ConfiguredMart):
    """With the binding; without one as our own mart has it. Ids are quoted."""
    switch = switch_of(configured)
    switch.see([Place("b", "s"), Place(None, "s"), Place("b/../?", "s\ud800 ü")])
    switch.ask()
    root = f"/v1/data_marts/{configured.DATA_MART_ID}"
    assert [unquote(path) for path in configured.asked] == [
        f"{root}/service_bindings/b/subscriptions/s/configurations/payload_logging",
        f"{root}/subscriptions/s/configurations/payload_logging",
        f"{root}/service_bindings/b/../?/subscriptions/s? ü/configurations/payload_logging",
    ]
    assert configured.asked[2].count("/") == configured.asked[0].count("/")
    switch.end()


@pytest.mark.parametrize(
    "answer",
    [Answer(status) for status in (408, 429, 500, 503, 302)]
    + [Answer(200, b"no json"), Answer(200, b"[]"), says("false"), Answer(drop="before")],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_what_is_no_answer_changes_nothing(
    configured: ConfiguredMart, answer: Answer, enabled: bool
):
    """The last known state holds."""
    switch = switch_of(configured)
    switch.see([Place("b", "s")])
    configured.configured["s"] = says(enabled)
    switch.ask()
    known = switch.off
    configured.configured["s"] = answer
    switch.ask()
    assert switch.off == known == (frozenset() if enabled else {Place("b", "s")})
    switch.end()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_mart_that_says_no_leaves_it_to_the_records(configured: ConfiguredMart, status: int):
    """Unknown subscription, no right: on, and asked about again when it is scored for."""
    switch = switch_of(configured)
    switch.see([Place("b", "gone"), Place("b", "there")])
    configured.configured["gone"] = configured.configured["there"] = says(enabled=False)
    switch.ask()
    assert len(switch.off) == 2
    configured.configured["gone"] = Answer(status)
    switch.ask()
    assert switch.off == {Place("b", "there")}
    asked = len(configured.asked)
    switch.ask()
    assert len(configured.asked) == asked + 1
    switch.see([Place("b", "gone")])
    configured.configured["gone"] = says(enabled=False)
    switch.ask()
    assert len(switch.off) == 2
    switch.end()


def test_credentials_that_are_refused_leave_it_to_the_records(configured: ConfiguredMart):
    """Who may not ask must not go on leaving records out by what was known once."""
    switch = switch_of(configured)
    switch.see([PLACE])
    configured.configured[SUBSCRIPTION_ID] = says(enabled=False)
    switch.ask()
    assert switch.off
    configured.configured[SUBSCRIPTION_ID] = Answer(401)
    configured.token_answers.extend([Answer(401)] * 2)
    switch.ask()
    switch.see([PLACE])
    switch.ask()
    assert not switch.off
    switch.see([PLACE])
    configured.configured[SUBSCRIPTION_ID] = says(enabled=False)
    configured.token_answers.clear()
    switch.ask()
    assert switch.off
    switch.end()


def test_a_mart_that_is_not_there_is_asked_once(configured: ConfiguredMart):
    """Not for each subscription in turn: each would wait for its time out."""
    switch = switch_of(configured)
    switch.see([Place("b", str(number)) for number in range(20)])
    configured.configured = {str(number): Answer(503) for number in range(20)}
    switch.ask()
    assert len(configured.asked) == 1
    switch.end()


def test_it_follows_a_bounded_number(configured: ConfiguredMart):
    """What comes beyond is as the mart answers it."""
    switch = switch_of(configured)
    switch.see(Place("b", str(number)) for number in range(MOST_FOLLOWED + 50))
    switch.ask()
    assert len(configured.asked) == MOST_FOLLOWED
    switch.end()


def test_a_setting_says_otherwise(configured: ConfiguredMart):
    """Nothing is asked where the subscription is not to be followed."""
    switch = switch_of(configured, follow_subscription="0")
    switch.see([PLACE])
    switch.ask()
    assert configured.asked == []
    assert switch._thread is None


def test_nothing_is_asked_before_the_first_scoring(configured: ConfiguredMart):
    """A process that scores nothing has no thread for it; one that has ended asks no more."""
    period = (0.01, 0.02)
    switch = SubscriptionSwitch(Settings.load(configured.settings, {}), period=period)
    assert switch._thread is None
    configured.configured["s"] = says(enabled=False)
    switch.see([Place("b", "s")])
    wait_until(lambda: bool(switch.off), "the answer")
    thread = switch._thread
    assert thread is not None
    switch.end()
    thread.join(30)
    assert not thread.is_alive()
    asked = len(configured.asked)
    switch.see([Place("b", "other")])
    switch.ask()
    assert len(configured.asked) == asked


def test_a_fault_of_ours_does_not_end_the_questions(
    configured: ConfiguredMart, caplog: pytest.LogCaptureFixture
):
    """It is told by its type, and the next question is asked."""
    switch = SubscriptionSwitch(Settings.load(configured.settings, {}), period=(0.01, 0.02))
    whole, faults = switch._client.get, iter([ValueError("secret")])

    def get(path: str, **parameters: Any) -> Any:
        for fault in faults:
            raise fault
        return whole(path, **parameters)

    switch._client.get = get
    configured.configured["s"] = says(enabled=False)
    switch.see([Place("b", "s")])
    wait_until(lambda: bool(switch.off), "the answer")
    switch.end()
    assert "payload logging: ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_changes_are_told(configured: ConfiguredMart, caplog: pytest.LogCaptureFixture):
    """Whoever wonders where the records are finds a line, once, and one when they come again."""
    log = RepeatedLog()
    settings = Settings.load(configured.settings, {})
    switch = SubscriptionSwitch(settings, log=log, period=LONG)
    switch.see([Place("b", "s")])
    for enabled in (False, False, True, True):
        configured.configured["s"] = says(enabled)
        switch.ask()
    assert [record.getMessage() for record in caplog.records] == [
        "payload logging of s is switched off: its scorings are counted, not kept",
        "payload logging of s is on again",
    ]
    switch.end()


def test_questions_are_not_traced(configured: ConfiguredMart):
    """Instrumentations find the mark in the context of the request."""
    switch = switch_of(configured)
    seen = []
    send = switch._client._session.send

    def traced(request: requests.PreparedRequest, **options: Any) -> requests.Response:
        seen.append(context.get_value("suppress_instrumentation"))
        return send(request, **options)

    switch._client._session.send = traced
    switch.see([PLACE])
    switch.ask()
    assert seen
    assert all(seen)
    switch.end()


def test_a_change_is_known_within_thirty_seconds(scripted_mart: ScriptedMart):
    """The longest period and the longest wait for an answer together."""
    settings = Settings.load({**scripted_mart.settings, "timeout_seconds": "300"}, {})
    assert PERIOD[1] + SubscriptionSwitch(settings)._client.timeout < 30


def test_a_place_is_the_span_s_else_that_of_the_settings():
    """As the entry has it."""
    ids = Ids("binding", "subscription", "deployment")
    assert place_of(ScoringSpan(), ids) == Place("binding", "subscription")
    assert place_of(ScoringSpan(binding_id="", subscription_id="own"), ids) == Place("", "own")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveMart]:
    """A real mart."""
    with live_mart(tmp_path) as mart:
        yield mart


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


@pytest.mark.parametrize("binding_id", [BINDING_ID, None])
def test_a_real_mart_answers(live: LiveMart, binding_id: str | None):
    """With and without a binding; an unknown subscription is on."""
    switch = SubscriptionSwitch(Settings.load(live.settings, {}), period=LONG)
    place = Place(binding_id, SUBSCRIPTION_ID)
    unknown = Place(binding_id, "unknown")
    switch.see([unknown, place])
    for enabled in (False, True, False):
        turn(live, enabled=enabled)
        switch.ask()
        assert switch.off == (frozenset() if enabled else {place})
    switch.end()


def test_ending_waits_for_no_answer(configured: ConfiguredMart):
    """A mart that hangs at the question holds nobody up."""
    switch = SubscriptionSwitch(Settings.load(configured.settings, {}), period=(0.01, 0.02))
    configured.configured["s"] = Answer(200, b"{}", delay=60)
    switch.see([Place("b", "s")])
    wait_until(lambda: bool(configured.asked), "the question")
    ended = threading.Thread(target=switch.end)
    ended.start()
    ended.join(30)
    assert not ended.is_alive()
    assert not configured.closing.is_set()
