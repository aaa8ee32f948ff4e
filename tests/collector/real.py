"""The real Collector as a process: its place, its check of a configuration, its life and death."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from collector.build import CONFIGURATIONS, program
from collector.hop import free_port
from running import clean_environment, wait_until

AGENT = CONFIGURATIONS / "agent.yaml"
TOKEN = "a-receiver-s-token"
_PORTS = ("OTLP_HTTP_PORT", "OTLP_GRPC_PORT", "HEALTH_PORT", "METRICS_PORT")


def binary() -> Path:
    """The Collector, which `make collector` builds; without it skip, or fail where CI is set."""
    built = program()
    if not built.is_file():
        missing = "there is no Collector; `make collector` builds it where Go is installed"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return built


def validate(config: Path, **environment: str) -> str | None:
    """What the Collector says against a configuration; None where it takes it."""
    done = subprocess.run(
        [binary(), "validate", f"--config={config}"],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return None if done.returncode == 0 else done.stdout + done.stderr


class RealCollector:
    """A Collector under one configuration, on ports and with a queue that outlive its process."""

    def __init__(self, config: Path, folder: Path, environment: dict[str, str]) -> None:
        self.config = config
        self.said = folder / "collector.log"
        """All that its processes have written."""
        self._environment = {
            **clean_environment(),
            "QUEUE_DIR": str(folder / "queue"),
            "SCORESPAN_RECEIVER_TOKEN": TOKEN,
            **{name: str(free_port()) for name in _PORTS},
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http_url(self) -> str:
        """Where applications send OTLP over HTTP; `/v1/traces` comes behind it."""
        return f"http://127.0.0.1:{self._environment['OTLP_HTTP_PORT']}"

    @property
    def grpc_endpoint(self) -> str:
        """Where applications send OTLP over gRPC, `host:port`, without TLS."""
        return f"127.0.0.1:{self._environment['OTLP_GRPC_PORT']}"

    @property
    def pid(self) -> int:
        """The process, which runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """A process of it; returns when it is ready to take spans."""
        assert self._process is None, "it runs"
        with self.said.open("ab") as said:
            self._process = subprocess.Popen(
                [binary(), f"--config={self.config}"],
                env=self._environment,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._ready, "a Collector that is ready")

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM, as an upgrade does; returns when the process is gone."""
        self._end(signal.SIGTERM)

    def stop_where_it_runs(self) -> None:
        """SIGKILL where a process runs; nothing otherwise."""
        if self._process is not None:
            self.kill()

    def metric(self, name: str) -> float:
        """The sum over all series of one of its own metrics; 0 where it has none yet."""
        address = f"http://127.0.0.1:{self._environment['METRICS_PORT']}/metrics"
        page = requests.get(address, timeout=60).text
        return sum(map(float, re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE)))

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        assert process is not None, "it does not run"
        self._process = None
        process.send_signal(how)
        try:
            process.wait(60)
        finally:
            process.kill()

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.said.read_text()
        with suppress(requests.RequestException):
            address = f"http://127.0.0.1:{self._environment['HEALTH_PORT']}"
            return requests.get(address, timeout=10).ok
        return False


@contextmanager
def running_collector(
    folder: Path, *, config: Path = AGENT, **environment: str
) -> Iterator[RealCollector]:
    """A Collector that is ready while the block runs, with its queue and output in `folder`.

    The environment names what the configuration asks for, such as `RECEIVER_URL`; its own token is
    `TOKEN` and its ports are free ones. Within the block it may be killed and started again.
    """
    real = RealCollector(config, folder, environment)
    try:
        real.start()
        yield real
    finally:
        real.stop_where_it_runs()
