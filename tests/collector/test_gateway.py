"""`gateway.yaml`: from many agents to several receivers, none of which is missed for long."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from collector.backend import GrpcBackend
from collector.build import CONFIGURATIONS
from collector.real import AGENT, TOKEN, RealCollector, running_collector
from collector.sending import post, scorings
from collector.variants import variant
from faults.certificates import Authority
from running import wait_until

GATEWAY = CONFIGURATIONS / "gateway.yaml"
QUICK = ("max_interval: 15s", "max_interval: 1s")


class World(NamedTuple):
    """Receivers that are not up, and what a gateway before them is told."""

    receivers: list[GrpcBackend]
    environment: dict[str, str]
    ca: str

    @property
    def names(self) -> set[str]:
        """The name of every span at any of the receivers."""
        return set().union(*(one.names for one in self.receivers))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two receivers, and a gateway's environment."""
    authority = Authority(tmp_path)
    authority.server(timedelta(days=1))
    pem = tmp_path / f"server{timedelta(days=1).total_seconds():.0f}.pem"
    receivers = [GrpcBackend(pem.read_bytes(), pem.read_bytes()) for _ in range(2)]
    environment = {
        "RECEIVERS": f"[{', '.join(one.endpoint for one in receivers)}]",
        "GATEWAY_TOKEN": "a-gateway-s-token",
        "GATEWAY_CERTIFICATE": str(pem),
        "GATEWAY_KEY": str(pem),
        "RECEIVER_CA_FILE": str(authority.file),
        "OTLP_HOST": "127.0.0.1",
    }
    return World(receivers, environment, str(authority.file))


def address(gateway: RealCollector) -> str:
    """A gateway's door, by the name in its certificate."""
    return gateway.http_url.replace("http://127.0.0.1", "https://localhost")


def test_the_way_from_an_agent_over_a_gateway_to_the_receivers(world: World, tmp_path: Path):
    """Both configurations as they are, one behind the other; each receiver has a part."""
    (tmp_path / "gateway").mkdir()
    (tmp_path / "agent").mkdir()
    sent = scorings("agent", 100)
    with ExitStack() as stack:
        for one in world.receivers:
            stack.enter_context(one.up())
        gateway = stack.enter_context(
            running_collector(tmp_path / "gateway", config=GATEWAY, **world.environment)
        )
        agent = stack.enter_context(
            running_collector(
                tmp_path / "agent",
                config=AGENT,
                RECEIVER_URL=address(gateway),
                SCORESPAN_RECEIVER_TOKEN=world.environment["GATEWAY_TOKEN"],
                RECEIVER_CA_FILE=world.ca,
            )
        )
        assert post(agent.http_url, sent) == 200
        wait_until(lambda: world.names == {one.name for one in sent}, "every scoring")
        assert post(address(gateway), sent, token="another", ca=world.ca) == 401
    assert all(one.names for one in world.receivers)
    assert {token for one in world.receivers for token in one.tokens} == {f"Bearer {TOKEN}"}


def test_no_outage_of_receivers_or_gateway_loses_anything(world: World, tmp_path: Path):
    """All receivers away, the gateway killed, one receiver back before the other: all arrive."""
    first, second = world.receivers
    sent = scorings("kept", 50)
    config = variant(GATEWAY, tmp_path, QUICK)
    with ExitStack() as stack:
        gateway = stack.enter_context(
            running_collector(tmp_path, config=config, **world.environment)
        )
        token = world.environment["GATEWAY_TOKEN"]
        assert post(address(gateway), sent, token=token, ca=world.ca) == 200
        gateway.kill()
        gateway.start()
        stack.enter_context(first.up())
        wait_until(lambda: bool(first.names), "a part at the receiver that is back")
        assert world.names != {one.name for one in sent}
        stack.enter_context(second.up())
        wait_until(lambda: world.names == {one.name for one in sent}, "every scoring")
