"""A program that scores: argument 1 is a JSON object with the arguments of `score`.

With `--serve` it forks one such process for each line of its input and answers with the process's
id: a process that has everything loaded starts in a moment, and can be killed by the hundred.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import scorespan
from scorespan.conversion.span import ScoringSpan
from scorespan.intake import Intake
from scorespan.settings import Settings

FIELDS = ["n", "text"]

_Door: TypeAlias = tuple[Callable[[int, int], str], Callable[[float], bool], Callable[[], None]]
"""Takes a scoring of a thread by number, delivers for so many seconds, ends."""


def score(  # noqa: PLR0913 - what a scoring process may be told
    accepted: str,
    settings: dict[str, Any],
    *,
    threads: int = 1,
    count: int = 0,
    door: str = "scoring",
    pause_ms: float = 0.0,
    burst: int = 50,
    size: int = 0,
    flush: float = 0.0,
    report: str = "",
) -> None:
    """Score on so many threads until killed, or each thread so many times.

    Args:
        accepted: where the id of each scoring goes after our call has returned; beside it, in
            `*.refused`, a byte for each no.
        settings: keyword arguments of `configure`.
        threads: how many score at once.
        count: scorings of each thread; 0: until killed.
        door: `scoring` (a scoring that returns is accepted) or `intake` (which says yes or no).
        pause_ms: longest pause after each burst.
        burst: scorings without a pause.
        size: bytes added to each request.
        flush: seconds to deliver at the end.
        report: file for a line of JSON at the end: refused calls, whether all was flushed, times of
            all calls and of the start in seconds, memory in bytes at the start and at most.
    """
    memory = _memory("VmRSS")
    began = time.perf_counter()
    log = os.open(accepted, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    noes = os.open(accepted + ".refused", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    door_of = {"scoring": _scoring_door, "intake": _intake_door}
    take, deliver, end = door_of[door](settings, size)
    refused = 0
    opened = 0.0
    times: list[float] = []
    lock = threading.Lock()

    def run(thread: int) -> None:
        nonlocal refused, opened
        chance = random.Random(os.urandom(8))
        own: list[float] = []
        number = 0
        while not count or number < count:
            number += 1
            before = time.perf_counter()
            known = take(thread, number)
            opened = opened or time.perf_counter() - began
            if count:
                own.append(time.perf_counter() - before)
            if known:
                os.write(log, known.encode() + b"\n")
            else:
                os.write(noes, b"-")
                with lock:
                    refused += 1
            if pause_ms and number % burst == 0:
                time.sleep(chance.random() * pause_ms / 1000)
        with lock:
            times.extend(own)

    running = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    flushed = deliver(flush) if flush else False
    end()
    if report:
        known = {
            "refused": refused,
            "flushed": flushed,
            "times": sorted(times),
            "opened": opened,
            "memory": memory,
            "peak": _memory("VmHWM"),
        }
        Path(report).write_text(json.dumps(known))


def _scoring_door(settings: dict[str, Any], size: int) -> _Door:
    """`scoring_span`: what returns is accepted."""
    scorespan.configure(**settings)
    filling = "x" * size

    def take(_thread: int, number: int) -> str:
        with scorespan.scoring_span({"fields": FIELDS, "values": [[number, filling]]}) as scoring:
            scoring.set_response({"fields": ["p"], "values": [[2 * number]]})
        return scoring.id

    return take, scorespan.flush, scorespan.shutdown


def _intake_door(settings: dict[str, Any], size: int) -> _Door:
    """The intake, which says yes or no."""
    intake = Intake(Settings.load(settings))
    body = b'{"fields": ["text"], "values": [["%s"]]}' % (b"x" * size)
    name = f"{os.getpid()}-{os.urandom(4).hex()}"

    def take(thread: int, number: int) -> str:
        span = ScoringSpan(
            request=body,
            response=b'{"fields": ["p"], "values": [[0]]}',
            trace_id="0" * 32,
            scoring_id=f"key-{name}-{thread}-{number}",
        )
        return span.key if intake.accept(span) else ""

    return take, intake.flush, intake.close


def _memory(name: str) -> int:
    """Bytes of memory that this process has now (VmRSS) or had at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line for line in lines if line.startswith(name + ":"))
    return int(found.split()[1]) * 1024


def serve() -> None:
    """Fork a process for each line; end them all with the input."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are gone at once
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            try:
                score(**json.loads(line))
            except BaseException:  # noqa: BLE001 - said, and then the end of this process
                traceback.print_exc()
            finally:
                os._exit(0)
        print(process, flush=True)  # noqa: T201 - read by the starter
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    serve() if sys.argv[1] == "--serve" else score(**json.loads(sys.argv[1]))
