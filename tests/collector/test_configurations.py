"""The real Collector takes every configuration as it is, and refuses what would start and lose."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.build import CONFIGURATIONS
from collector.real import AGENT, validate
from collector.variants import variant

NEEDED = {
    "agent.yaml": ("RECEIVER_URL", "SCORESPAN_RECEIVER_TOKEN"),
    "dual.yaml": ("RECEIVER_URL", "SCORESPAN_RECEIVER_TOKEN", "TRACING_URL"),
    "gateway.yaml": (
        "GATEWAY_CERTIFICATE",
        "GATEWAY_KEY",
        "GATEWAY_TOKEN",
        "RECEIVERS",
        "SCORESPAN_RECEIVER_TOKEN",
    ),
    "kafka-in.yaml": ("RECEIVER_URL", "SCORESPAN_RECEIVER_TOKEN"),
    "kafka-out.yaml": (),
}
"""What each configuration asks for; everything else has a default."""


GIVEN = {
    "RECEIVER_URL": "https://receiver.example.com:4318",
    "RECEIVERS": "[receiver-1.example.com:4317, receiver-2.example.com:4317]",
    "SCORESPAN_RECEIVER_TOKEN": "t",
    "TRACING_URL": "https://traces.example.com:4318",
    "GATEWAY_TOKEN": "g",
    "GATEWAY_CERTIFICATE": "/etc/otelcol/gateway.pem",
    "GATEWAY_KEY": "/etc/otelcol/gateway.key",
}
"""A value for each."""


def test_every_configuration_is_known():
    """None is left out of these tests."""
    files = {path.name for path in CONFIGURATIONS.glob("*.yaml")}
    assert files == {*NEEDED, "builder.yaml"}


@pytest.mark.parametrize("name", NEEDED)
def test_the_collector_takes_it(name: str):
    """With what it asks for, and nothing else, a configuration is good."""
    asked = {variable: GIVEN[variable] for variable in NEEDED[name]}
    assert validate(CONFIGURATIONS / name, **asked) is None


@pytest.mark.parametrize(
    ("name", "variable"), [(name, variable) for name in NEEDED for variable in NEEDED[name]]
)
def test_what_it_asks_for_cannot_be_forgotten(name: str, variable: str):
    """A missing address or token is an error at the start, not a loss later."""
    asked = {other: GIVEN[other] for other in NEEDED[name] if other != variable}
    assert validate(CONFIGURATIONS / name, **asked) is not None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            "block_on_overflow: true",
            "wait_for_result: true",
            "`wait_for_result` is not supported with a persistent queue",
            id="a queue on disk that waits for the answer",
        ),
        pytest.param(
            "max_elapsed_time: 0s",
            "max_elapsed_time: 10s",
            "'max_elapsed_time' must not be less than 'max_interval'",
            id="retries that end before the second one",
        ),
        pytest.param(
            "max_elapsed_time: 0s",
            "max_elapsed_time: -1s",
            "'max_elapsed_time' must be non-negative",
            id="a negative give-up time",
        ),
        pytest.param(
            "min_size: 0",
            "min_size: 67108864",
            "`max_size` (58720256) must be greater or equal to `min_size`",
            id="batches smaller than they must be",
        ),
        pytest.param(
            "queue_size: 1073741824",
            "queue_size: 0",
            "`queue_size` must be positive",
            id="a queue of no size",
        ),
        pytest.param(
            "fsync: true", "sync: true", "invalid keys: sync", id="a setting that is not there"
        ),
        pytest.param(
            "      processors: [filter/scorings]",
            "      processors: [filter/scorings, memory_limiter]",
            'references processor "memory_limiter" which is not configured',
            id="a processor that was not thought over",
        ),
    ],
)
def test_a_bad_variant_is_refused(old: str, new: str, said: str, tmp_path: Path):
    """The Collector names what is wrong with a variant of `agent.yaml`."""
    bad = variant(AGENT, tmp_path, (old, new))
    asked = {name: GIVEN[name] for name in NEEDED["agent.yaml"]}
    assert said in (validate(bad, **asked) or "")
