"""Replaying services: programs that score what they are fed, through OpenTelemetry's own exporter.

The Python one scores with `scoring_span`, so that its scorings are numbered; the Node.js one knows
nothing but OpenTelemetry.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

from collector.packages import SERVICE as NODE_SERVICE
from collector.packages import node_modules
from examples.payloads import Payload
from running import clean_environment, wait_until

_PYTHON_SERVICE = Path(__file__).parent / "services" / "python"
_QUEUE_SPANS = 8192
_BATCH_MS = 200
"""Longest time that a span waits for its batch: records are to flow, not to come in floods."""
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Scored(NamedTuple):
    """What a service says of a scoring; only the Python one numbers."""

    scoring_id: str
    producer_id: str = ""
    number: int = 0


class Service:
    """A running service; it scores what it is fed, at its own pace.

    Attributes:
        subscription_id: of its records.
    """

    def __init__(self, process: subprocess.Popen[str], folder: Path, subscription_id: str) -> None:
        self.subscription_id = subscription_id
        self._process = process
        self._folder = folder
        self._feeders: list[threading.Thread] = []

    @property
    def scored(self) -> list[Scored]:
        """Every scoring whose span has ended, in order."""
        whole, _, _ = (self._folder / "scored").read_text().rpartition("\n")
        lines = map(str.split, whole.splitlines())
        return [Scored(line[0], *line[1:2], *map(int, line[2:])) for line in lines]

    @property
    def said(self) -> str:
        """What it, or OpenTelemetry in it, complains about."""
        return (self._folder / "said").read_text()

    def feed(self, payloads: Iterable[Payload]) -> None:
        """Have these scored, after those before; returns at once."""
        lines = [*map(_line, payloads)]
        before = self._feeders[-1:]

        def write() -> None:
            for one in before:
                one.join()
            assert self._process.stdin is not None
            with suppress(BrokenPipeError):
                self._process.stdin.writelines(lines)
                self._process.stdin.flush()

        feeder = threading.Thread(target=write, daemon=True)
        feeder.start()
        self._feeders.append(feeder)

    def wait_for(self, count: int) -> None:
        """Return when so many have been scored."""
        wait_until(
            lambda: len(self.scored) >= count or self._process.poll() is not None,
            f"{count} scorings",
        )
        assert len(self.scored) >= count, self.said

    def finish(self, seconds: float = 60) -> None:
        """Feed no more; return when it has ended, and its exporter has delivered all."""
        for feeder in self._feeders:
            feeder.join(seconds)
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(seconds) == 0, self.said


@contextmanager
def python_service(
    folder: Path, address: str, subscription_id: str, *, rate: float
) -> Iterator[Service]:
    """The Python service while the block runs, scoring at most `rate` records a second."""
    script = _PYTHON_SERVICE / "replay.py"
    with _started([sys.executable, script], folder, address, subscription_id, rate) as service:
        yield service


@contextmanager
def node_service(
    folder: Path, address: str, subscription_id: str, *, rate: float
) -> Iterator[Service]:
    """The Node.js service while the block runs, scoring at most `rate` records a second."""
    packages = node_modules()
    folder.mkdir()
    # Node.js looks for packages beside the program; theirs are outside the tree.
    script = folder / "replay.js"
    script.write_bytes((NODE_SERVICE / "replay.js").read_bytes())
    (folder / "package.json").write_bytes((NODE_SERVICE / "package.json").read_bytes())
    (folder / "node_modules").symlink_to(packages)
    with _started(["node", script], folder, address, subscription_id, rate) as service:
        yield service


@contextmanager
def _started(
    program: list[str | Path], folder: Path, address: str, subscription_id: str, rate: float
) -> Iterator[Service]:
    folder.mkdir(exist_ok=True)
    attributes = f"service.name={folder.name},scoring.subscription.id={subscription_id}"
    environment = {
        **clean_environment(),
        "OTEL_RESOURCE_ATTRIBUTES": attributes,
        "OTEL_BSP_MAX_QUEUE_SIZE": str(_QUEUE_SPANS),
        "OTEL_BSP_SCHEDULE_DELAY": str(_BATCH_MS),
        "OTEL_BSP_EXPORT_TIMEOUT": "60000",
    }
    with (
        (folder / "scored").open("w") as scored,
        (folder / "said").open("w") as said,
        subprocess.Popen(
            [*map(str, program), address, str(rate)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=scored,
            stderr=said,
            text=True,
        ) as process,
    ):
        try:
            yield Service(process, folder, subscription_id)
        finally:
            process.kill()


def _line(payload: Payload) -> str:
    known = {
        "scoring_id": payload.scoring_id,
        "request": bytes(payload.request).decode(),
        "response": bytes(payload.response).decode(),
        "response_time": payload.response_time,
        "timestamp": timestamp_of(payload),
    }
    return json.dumps(known) + "\n"


def timestamp_of(payload: Payload) -> str:
    """When it was scored, as the Node.js service is told; the file does not say it."""
    moment = _START + timedelta(milliseconds=payload.response_time)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"
