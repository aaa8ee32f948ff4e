"""Processes that score, to be killed, stopped and counted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from faults.oracle import Oracle
from running import clean_environment, wait_until

SCORER = Path(__file__).parent / "scorer.py"


class ScorerProcess:
    """One scoring process."""

    def __init__(self, process_id: int) -> None:
        self.pid = process_id

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL; returns when it is gone. It must still be there."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self, seconds: float = 60) -> None:
        """Return when it is gone."""
        wait_until(lambda: not self.alive, f"the end of process {self.pid}", seconds=seconds)

    @property
    def held(self) -> tuple[int, int]:
        """How many descriptors and threads it has."""
        folder = Path(f"/proc/{self.pid}")
        return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP while the block runs."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@contextmanager
def scorers() -> Iterator[Callable[..., ScorerProcess]]:
    """Starts scoring processes in a moment; whoever is left at the end is killed."""
    server = subprocess.Popen(
        [sys.executable, str(SCORER), "--serve"],
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def start(oracle: Oracle, **how: Any) -> ScorerProcess:
        how = {**oracle.how, **how}
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(how) + "\n")
        server.stdin.flush()
        return ScorerProcess(int(server.stdout.readline()))

    try:
        yield start
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def score_in(
    oracle: Oracle,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    **how: Any,
) -> Any:
    """Run a scoring process to its end, under another command where there is one; its report."""
    report = oracle.accepted.path.with_name("report")
    how = {**oracle.how, "report": str(report), **how}
    done = subprocess.run(
        [*prefix, sys.executable, str(SCORER), json.dumps(how)],
        env={**clean_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(report.read_bytes())


@contextmanager
def program(name: str, oracle: Oracle, *arguments: str, **settings: Any) -> Iterator[Any]:
    """A program of this folder while the block runs."""
    known = json.dumps({**oracle.settings, **settings})
    command = [sys.executable, SCORER.with_name(name), oracle.accepted.path, known, *arguments]
    with subprocess.Popen(command, env=clean_environment()) as process:
        try:
            yield process
        finally:
            process.kill()
