"""What the faults are done to: a real mart behind a proxy, or a steered one, and the oracle."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from examples.live import live_mart
from faults.injection import orphans
from faults.oracle import Oracle, Scorer, stored_in
from faults.processes import scorers
from faults.proxy import Proxy, SteeredMart
from scorespan.testing import Answer


@pytest.fixture
def live(tmp_path):
    """A real mart with one subscription, payload logging on."""
    with live_mart(tmp_path) as mart:
        yield mart


@pytest.fixture
def proxy(live):
    """What stands between the senders and the real mart."""
    with Proxy(live.running.url) as between:
        yield between


@pytest.fixture
def real(live, proxy, tmp_path):
    """The oracle of what is sent through the proxy to the real mart."""
    told = {"data_mart_url": proxy.url, "data_mart_kind": "scorespan", "allow_http": True}
    return Oracle({**live.settings, **told}, live.ids, tmp_path)


@pytest.fixture
def mart():
    """A mart in memory that answers by a rule."""
    with SteeredMart() as steered:
        yield steered


@pytest.fixture
def oracle(mart, tmp_path):
    """The oracle of what is sent to the mart in memory."""
    return Oracle(mart.settings, stored_in(mart), tmp_path)


class Route(NamedTuple):
    """A mart of its own, its oracle and a scorer that sends to it."""

    mart: SteeredMart
    oracle: Oracle
    scorer: Scorer


@pytest.fixture
def route(tmp_path):
    """Makes routes that deliver beside each other; `route.end()` ends their scorers."""
    numbers = itertools.count()
    with ExitStack() as marts, ExitStack() as scorers_:

        def make(first: Answer | None = None, *, records: int = 0, **settings) -> Route:
            steered = marts.enter_context(SteeredMart())
            if first is not None:
                steered.answers.append(first)
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            oracle = Oracle({**steered.settings, **settings}, stored_in(steered), folder)
            if records:
                orphans(oracle, 1, records)
            scorer = scorers_.enter_context(oracle.scorer())
            scorer.score()
            return Route(steered, oracle, scorer)

        make.end = scorers_.close
        yield make


@pytest.fixture
def start():
    """Starts scoring processes; whoever is left is killed."""
    with scorers() as starts:
        yield starts
