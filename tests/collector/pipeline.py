"""The pipeline of the tests: mart, receiver and Collector as processes, each to be killed alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests

from collector.hop import Hop, free_port
from collector.real import AGENT, TOKEN, RealCollector, binary
from collector.replaying import Service
from examples.live import BINDING_ID, DATA_MART_ID, LiveMart
from faults.size import sized
from running import clean_environment, wait_until
from scorespan.delivery.auth import TokenSource
from scorespan.mart.server import open_mart
from scorespan.mart.subscribe import subscribe
from scorespan.settings import Settings

CLI = (sys.executable, "-m", "scorespan.cli")


class MartAddress(NamedTuple):
    """Where the mart is, and what opens it: as of a mart that runs in this process."""

    url: str
    api_key: str

    def token(self) -> str:
        """A bearer token."""
        known = {"data_mart_url": self.url, "data_mart_id": DATA_MART_ID, "api_key": self.api_key}
        with requests.Session() as session:
            return TokenSource(Settings.load(known, {}), session).token()


class Pipeline(NamedTuple):
    """Mart, receiver and Collector, all up."""

    mart: Hop
    receiver: Hop
    collector: RealCollector
    address: MartAddress

    def of(self, subscription_id: str) -> LiveMart:
        """The mart, as one subscription of it."""
        return LiveMart(self.address, Path(), subscription_id)

    def ids(self, subscription_id: str) -> list[str]:
        """The scoring id of all that the mart has stored of a subscription."""
        return self.of(subscription_id).ids()

    def wait_for_all(self, service: Service, *, lost: int = 0) -> None:
        """Return when all that a service scored is stored, but for so many at most."""
        scored = len(service.scored)
        wait_until(
            lambda: len(self.ids(service.subscription_id)) >= scored - lost,
            f"{scored:,} records of {service.subscription_id}",
            seconds=sized(60, 200),
        )

    def lost(self, service: Service) -> set[tuple[str, int]]:
        """Producer and number of what a service scored and the mart does not have."""
        stored = set(self.ids(service.subscription_id))
        return {one[1:] for one in service.scored if one.scoring_id not in stored}

    def named(self) -> set[tuple[str, int]]:
        """Producer and number of all that reconcile does not find."""
        found = self.reconcile()
        names = {
            (gap["producer_id"], number)
            for kind in ("outstanding_numbers", "missing_numbers", "missing_at_the_end")
            for gap in found[kind]
            for number in range(gap["first"], gap["last"] + 1)
        }
        assert len(names) == found["outstanding"] + found["missing"], found
        return names

    def reconcile(self) -> Any:
        """What `scorespan reconcile` finds on the receiver's machine."""
        done = subprocess.run(
            [*CLI, "reconcile", "--json"],
            env=self.receiver.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stderr
        return json.loads(done.stdout)


@contextmanager
def pipeline(
    folder: Path,
    subscriptions: Sequence[str],
    *,
    config: Path = AGENT,
    workers: int = 1,
    **settings: str,
) -> Iterator[Pipeline]:
    """All three, up; killed at the end.

    Args:
        folder: where everything of them is, but for what the settings say.
        subscriptions: what the mart knows.
        config: of the Collector.
        workers: processes of the receiver.
        settings: of the receiver, beyond the mart's address.
    """
    binary()
    mart_port, receiver_port = free_port(), free_port()
    with open_mart(folder / "mart") as opened:
        for subscription_id in subscriptions:
            subscribe(opened.mart, DATA_MART_ID, subscription_id, binding_id=BINDING_ID)
        key = opened.key_file.read_text(encoding="ascii").strip()
    address = MartAddress(f"http://127.0.0.1:{mart_port}", key)
    known = {
        "data_mart_url": address.url,
        "data_mart_id": DATA_MART_ID,
        "api_key": address.api_key,
        "spool_dir": str(folder / "spool"),
        "receiver_token": TOKEN,
        **settings,
    }
    mart = Hop(
        [*CLI, "mart", "--data", folder / "mart", "--port", str(mart_port)],
        clean_environment(),
        mart_port,
        folder / "mart.said",
    )
    receiver = Hop(
        [
            *(*CLI, "receive", "--no-grpc", "--http-port", str(receiver_port)),
            *("--workers", str(workers)),
        ],
        environment_of(known),
        receiver_port,
        folder / "receiver.said",
    )
    collector = RealCollector(config, folder, {"RECEIVER_URL": f"http://127.0.0.1:{receiver_port}"})
    hops = (mart, receiver, collector)
    try:
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(lambda hop: hop.start(), hops))
        yield Pipeline(mart, receiver, collector, address)
    finally:
        mart.kill()
        receiver.kill()
        collector.stop_where_it_runs()


def environment_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a process with these settings, and no others."""
    ours = {f"SCORESPAN_{name.upper()}": str(value) for name, value in settings.items()}
    return {**clean_environment(), **ours}
