"""What tests share that run processes: a clean environment, a start, an end, one way to wait."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_OURS = ("SCORESPAN_", "OTEL_", "PYTEST_", "COV_")
_POLL_SECONDS = 0.02


def clean_environment() -> dict[str, str]:
    """This environment without what steers scorespan, OpenTelemetry or pytest."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OURS) and name not in {"PYTHONPATH", "PYTHONWARNINGS"}
    }


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    timeout: float = 100,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, which must be a good one; what it said is shown where it is not."""
    done = subprocess.run(
        list(map(str, command)),
        env=dict(environment),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def started(
    command: Sequence[str | Path], environment: Mapping[str, str], **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """A process while the block runs; killed at the end if it still lives."""
    with subprocess.Popen(
        list(map(str, command)), env=dict(environment), text=True, **options
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Return as soon as the condition holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        pause.wait(_POLL_SECONDS)
