"""`dual.yaml`: scorings whole one way, every span without bodies the other, neither in the way."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from collector.backend import Backend
from collector.build import CONFIGURATIONS
from collector.real import running_collector
from collector.sending import post, scoring, scorings, span
from collector.variants import variant
from running import wait_until

DUAL = CONFIGURATIONS / "dual.yaml"
BODIES = {"scoring.request", "scoring.response"}


@pytest.fixture
def receiver() -> Backend:
    """What stands in the receiver's place; not up."""
    return Backend()


@pytest.fixture
def tracing() -> Backend:
    """A tracing backend; not up."""
    return Backend()


def test_the_backend_gets_every_span_and_no_body(
    receiver: Backend, tracing: Backend, tmp_path: Path
):
    """Each side has all that is meant for it, as it came but for the bodies."""
    whole = [scoring("one"), scoring("two", size=1000)]
    whole[0].attributes.add(key="scoring.id").value.string_value = "4711"
    others = [span("GET /", http_route="/"), span("a query", db_statement="select 1")]
    addresses = {"RECEIVER_URL": receiver.url, "TRACING_URL": tracing.url}
    with (
        receiver.up(),
        tracing.up(),
        running_collector(tmp_path, config=DUAL, **addresses) as dual,
    ):
        assert post(dual.http_url, [others[0], *whole, others[1]]) == 200
        wait_until(lambda: len(receiver.spans) == 2, "the scorings at the receiver")
        wait_until(lambda: len(tracing.spans) == 4, "every span at the tracing backend")
    assert sorted(receiver.spans, key=str) == sorted(whole, key=str)
    for one in whole:
        kept = [attribute for attribute in one.attributes if attribute.key not in BODIES]
        del one.attributes[:]
        one.attributes.extend(kept)
    assert sorted(tracing.spans, key=str) == sorted([*whole, *others], key=str)
    assert tracing.tokens == {None}


def test_an_outage_of_the_backend_holds_up_nothing(
    receiver: Backend, tracing: Backend, tmp_path: Path
):
    """The backend is away and its queue is full: every scoring is taken at once and delivered.

    Without the batch processor before that queue, the service is refused for both ways. The queue
    is made so small that it is full after one batch.
    """
    full = ("queue_size: 67108864", "queue_size: 2048")
    unguarded = ("[attributes/without_bodies, batch/tracing]", "[attributes/without_bodies]")
    addresses = {"RECEIVER_URL": receiver.url, "TRACING_URL": tracing.url}
    sent = [scorings(f"request {number}", 10) for number in range(20)]
    with ExitStack() as stack:
        stack.enter_context(receiver.up())
        answers = {}
        for name, edits in {"dual": (full,), "unguarded": (full, unguarded)}.items():
            folder = tmp_path / name
            folder.mkdir()
            running = running_collector(folder, config=variant(DUAL, folder, *edits), **addresses)
            one = stack.enter_context(running)
            answers[name] = [post(one.http_url, spans) for spans in sent]
            if name == "dual":
                wait_until(lambda: len(receiver.spans) == 200, "every scoring at the receiver")
    assert set(answers["dual"]) == {200}
    assert 503 in answers["unguarded"]
