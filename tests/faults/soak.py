"""The soak: processes that score under a random mix of faults, for as long as it is told.

`make soak` runs it for half an hour, every test run for a minute; `SCORESPAN_SOAK_SECONDS` and
`SCORESPAN_SOAK_SEED` say otherwise. The mix is rows 1, 5, 16, 17, 24 and 25 of the fault table. At
the end the oracle must find everything, `scorespan reconcile` must say the same, and memory and
descriptors of the one process that lived through all of it must not have grown.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from examples.live import live_mart
from faults.disks import fill, small_disk
from faults.oracle import Oracle, pause
from faults.processes import ScorerProcess, scorers
from faults.proxy import Exchange, Proxy, is_down, passes
from running import clean_environment, wait_until
from scorespan.testing import Answer

THREADS = 4
MORTALS = 2
_SECONDS = os.environ.get("SCORESPAN_SOAK_SECONDS")
_SEED = os.environ.get("SCORESPAN_SOAK_SEED")


def seconds(usual: float) -> float:
    """How long to run, where the environment says nothing else."""
    return float(_SECONDS or usual)


def seed() -> int:
    """The seed of the mix: the environment's, or a new one."""
    return int(_SEED or random.SystemRandom().randrange(10**6))


class Sample(NamedTuple):
    """What the process that is never killed holds at a moment."""

    memory: int
    descriptors: int

    @classmethod
    def of(cls, process: ScorerProcess) -> Sample:
        """The sample, now."""
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), process.held[0])


class Soak:
    """Producers, a mart behind a proxy, and the faults between them."""

    def __init__(
        self, oracle: Oracle, proxy: Proxy, start: Callable[..., ScorerProcess], disk: Path | None
    ) -> None:
        self._oracle = oracle
        self._proxy = proxy
        self._disk = disk
        how = {
            "threads": THREADS, "door": "intake", "burst": 2, "pause_ms": 60, "size": 300,
        }  # fmt: skip
        self._start = lambda: start(oracle, **how)
        self.steady = self._start()
        self._mortals = [self._start() for _ in range(MORTALS)]
        self.kills = 0
        self.faults: Counter[str] = Counter()

    def one_fault(self, chance: random.Random) -> None:
        """One fault for a moment, then none for a moment."""
        faults: dict[str, Callable[[random.Random], None]] = {
            "1 kill": self._kill,
            "5 full disk": self._full_disk,
            "16 503": lambda chance: self._between(is_down, chance),
            "17 Retry-After": lambda chance: self._between(_later, chance),
            "24 slow": lambda chance: self._between(_slow, chance),
            "25 reset": lambda chance: self._between(_lost, chance),
        }
        if self._disk is None:
            del faults["5 full disk"]
        name = chance.choice(list(faults))
        self.faults[name] += 1
        faults[name](chance)
        pause(chance.uniform(0.2, 1.5))

    def end(self) -> None:
        """No fault any more, and no producer."""
        for process in (self.steady, *self._mortals):
            process.kill()
            self.kills += 1

    def _kill(self, chance: random.Random) -> None:
        place = chance.randrange(MORTALS)
        self._mortals[place].kill()
        self.kills += 1
        self._mortals[place] = self._start()

    def _full_disk(self, chance: random.Random) -> None:
        assert self._disk is not None
        pad = fill(self._disk, leave=chance.choice([0, 100_000, 1_000_000]))
        pause(chance.uniform(0.5, 3))
        pad.unlink()

    def _between(self, fault: Callable[[Exchange], None], chance: random.Random) -> None:
        self._proxy.fault = fault
        pause(chance.uniform(0.5, 4))
        self._proxy.fault = passes


def run(folder: Path, *, seconds: float, seed: int, say: Callable[[str], None]) -> None:
    """Soak for so long; raises where an invariant does not hold."""
    say(f"soak: seed {seed}, {seconds:.0f} s")
    chance = random.Random(seed)
    with ExitStack() as stack:
        live = stack.enter_context(live_mart(folder))
        proxy = stack.enter_context(Proxy(live.running.url))
        proxy.keep = False
        disk = stack.enter_context(_disk(folder))
        told = {
            "data_mart_url": proxy.url, "data_mart_kind": "scorespan", "timeout_seconds": 1,
            "spool_min_free_bytes": 0,
        }  # fmt: skip
        oracle = Oracle({**live.settings, **told}, live.ids, disk or folder)
        # Not on the disk that is filled: the test's own note must always be written.
        accepted = oracle.note_in(folder / "accepted")
        start = stack.enter_context(scorers())
        soak = Soak(oracle, proxy, start, disk)
        wait_until(lambda: proxy.count > 0, "the first post")
        samples = _for_so_long(soak, chance, seconds, lambda: _line(soak, proxy, accepted), say)
        soak.end()
        proxy.fault = passes
        noes = accepted.with_name(accepted.name + ".refused").stat().st_size
        account = oracle.recovers(600, unaccepted=soak.kills * THREADS, refused=noes)
        say(f"account: {account.totals}, in no place since a kill: {account.missing_count}")
        _agrees(oracle, account.missing_count)
    _flat(samples, say)


@contextmanager
def _disk(folder: Path) -> Iterator[Path | None]:
    """A small disk to fill; None without the right to make one."""
    if os.geteuid() != 0:
        yield None
        return
    with small_disk(folder / "disk", 256) as disk:
        yield disk


def _for_so_long(
    soak: Soak,
    chance: random.Random,
    seconds: float,
    line: Callable[[], str],
    say: Callable[[str], None],
) -> list[Sample]:
    began = time.monotonic()
    said, samples = 0.0, []
    while (passed := time.monotonic() - began) < seconds:
        soak.one_fault(chance)
        assert soak.steady.alive, "the steady process ended by itself"
        samples.append(Sample.of(soak.steady))
        if passed - said >= 10:
            said = passed
            memory = samples[-1].memory / 2**20
            say(f"{passed:5.0f} s {line()}, {memory:.0f} MiB, {samples[-1].descriptors} open")
    return samples


def _line(soak: Soak, proxy: Proxy, accepted: Path) -> str:
    size = accepted.stat().st_size
    faults = ", ".join(f"{name} x{count}" for name, count in sorted(soak.faults.items()))
    return f"{size / 2**20:.1f} MiB of accepted ids, {proxy.count} posts; {faults}"


def _agrees(oracle: Oracle, missing: int) -> None:
    """`scorespan reconcile` names as many missing records as the oracle's account."""
    environment = {
        f"SCORESPAN_{name.upper()}": str(value) for name, value in oracle.settings.items()
    }
    done = subprocess.run(
        [sys.executable, "-m", "scorespan.cli", "reconcile", "--json"],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == bool(missing), done.stderr or done.stdout[-2000:]
    assert json.loads(done.stdout)["missing"] == missing


def _flat(samples: list[Sample], say: Callable[[str], None]) -> None:
    """What the process held in the last quarter is what it held in the second."""
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    for name, most in (("memory", 24 * 2**20), ("descriptors", 6)):
        before = statistics.median(getattr(sample, name) for sample in early)
        after = statistics.median(getattr(sample, name) for sample in late)
        say(f"{name}: {before:.0f} in the second quarter, {after:.0f} in the last")
        assert after - before <= most, f"{name} grew from {before} to {after}"


def _later(exchange: Exchange) -> None:
    exchange.answer(Answer(429, headers=(("Retry-After", "1"),)))


def _slow(exchange: Exchange) -> None:
    answer = exchange.forward()
    pause(1.5)
    exchange.answer(answer)


def _lost(exchange: Exchange) -> None:
    exchange.forward()
    exchange.reset()


def main() -> None:
    """Run it and say how it stands."""
    with tempfile.TemporaryDirectory() as folder:
        run(
            Path(folder),
            seconds=seconds(1800),
            seed=seed(),
            say=lambda line: print(line, flush=True),  # noqa: T201 - what a soak is watched by
        )


if __name__ == "__main__":
    main()
