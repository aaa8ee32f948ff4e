"""Programs in the ways services run them: whatever was accepted is somewhere, once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from hosts.host import PROGRAMS, command, hanging
from running import run, started, wait_until
from scorespan.delivery.settle import read_status
from scorespan.spool.root import directories

MARGIN = 15.0
"""Seconds beyond a deadline that a busy machine may need to start and end a process."""


def test_many_threads(host):
    """64 threads, some of which leave by `sys.exit`: all is delivered before the process ends."""
    host.run("many_threads")
    assert host.check(3200) == {"stored": 3200}


def test_an_event_loop_is_not_held_up(host):
    """A data mart that never answers costs the loop's ticks nothing like a wait."""
    with hanging() as url:
        mart = {"SCORESPAN_DATA_MART_URL": url, "SCORESPAN_SHUTDOWN_SECONDS": "0"}
        gaps = {
            name: min(float(host.run("event_loop", name, **mart)) for _ in range(3))
            for name in ("without", "with")
        }
    # The same program alone, at worst; a thread may keep the interpreter for some milliseconds.
    assert gaps["with"] < 20 * max(gaps["without"], 0.01), gaps
    assert len(host.accepted()) == 6000


def test_greenlets(host):
    """Under gevent all is delivered, on no greenlet's time, at exit, too."""
    host.run("greenlets", str(host.root))
    assert host.check(1 + 2000 + 200 + 200 + 1) == {"stored": 2402}


def test_green_threads_of_eventlet(host):
    """Under eventlet nothing hangs, and nothing is lost."""
    host.run("eventlets")
    assert host.check(1010) == {"stored": 1010}


@pytest.mark.parametrize("worker", ["sync", "gevent"])
def test_gunicorn_with_a_preloaded_application(host, worker):
    """What arbiter and four workers scored is delivered, once, when SIGTERM has ended them."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as server:
        descriptor = server.fileno()
        gunicorn = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "4"]
        gunicorn += [
            "--worker-class",
            worker,
            "--bind",
            f"fd://{descriptor}",
            "--no-control-socket",
        ]
        gunicorn += ["--chdir", str(PROGRAMS), "--log-level", "warning", "wsgi:app"]
        with started(gunicorn, host.environment(), pass_fds=[descriptor]) as arbiter:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            with ThreadPoolExecutor(8) as clients:
                answers = list(clients.map(lambda _: requests.get(url, timeout=60), range(400)))
            arbiter.terminate()
            assert arbiter.wait(100) == 0
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.text for answer in answers} < set(host.accepted())
    host.deliver_rest()
    assert host.check(401) == {"stored": 401}


def test_forks_with_a_spool_that_is_not_empty(host):
    """A child sends nothing of its parent's, and `os._exit` loses nothing."""
    host.mart.down = True
    host.run("forks", SCORESPAN_SHUTDOWN_SECONDS="0")
    assert host.check(500) == {"waiting": 500}
    host.mart.down = False
    host.deliver_rest()
    assert host.check(500) == {"stored": 500}


@pytest.mark.parametrize(
    ("method", "kind", "tasks"),
    [
        ("fork", "pool", 300),
        ("forkserver", "pool", 24),
        ("spawn", "pool", 24),
        ("fork", "executor", 300),
        ("spawn", "executor", 100),
    ],
)
def test_pools_of_processes(host, method, kind, tasks):
    """A process for each task, or four for all: each task's record arrives once."""
    assert host.run("pools", method, kind, str(tasks)) == f"{tasks}\n"
    host.deliver_rest()
    assert host.check(tasks + 1, cut_off=True) == {"stored": tasks + 1}


@pytest.mark.parametrize(("before", "count"), [("scored", 309), ("first", 9)])
def test_scorings_at_the_end_of_the_interpreter(host, before, count):
    """Threads that outlive the main one, handlers before and after ours, and finalizers score."""
    host.run("ending", before)
    host.check(count, cut_off=True)
    host.deliver_rest()
    assert host.check(count, cut_off=True) == {"stored": count}


def test_a_daemon_thread_that_runs_into_the_end(host):
    """It scores while and after the process drains; the last scoring may be cut off."""
    host.run("daemon", SCORESPAN_SHUTDOWN_SECONDS="2")
    count = len(host.accepted())
    host.check(count, more=1, cut_off=True)
    host.deliver_rest()
    assert host.check(count, more=1, cut_off=True) == {"stored": count}


@pytest.mark.parametrize("handled", ["default", "exit"])
def test_sigterm_with_the_mart_down(host, handled):
    """The process ends at once, or within the time it is given; the next start delivers all."""
    host.mart.down = True
    with host.start("service", "1000", handled, SCORESPAN_SHUTDOWN_SECONDS="2") as service:
        assert service.stdout.readline() == "scored\n"
        asked = time.monotonic()
        service.terminate()
        ended = service.wait(60)
    assert ended == (0 if handled == "exit" else -signal.SIGTERM)
    assert time.monotonic() - asked < 2 + MARGIN
    assert host.check(1000) == {"waiting": 1000}
    host.mart.down = False
    host.deliver_rest()
    assert host.check(1000) == {"stored": 1000}


@pytest.mark.parametrize(
    ("program", "seconds"), [("once", "0"), ("once", "1"), ("green_once", "1")]
)
def test_a_mart_that_hangs_at_the_end(host, program, seconds):
    """A mart that takes the request and never answers holds no exit up beyond its time."""
    with hanging() as url:
        environment = {"SCORESPAN_DATA_MART_URL": url, "SCORESPAN_SHUTDOWN_SECONDS": seconds}
        with host.start(program, "100", **environment) as process:
            assert process.stdout.readline() == "scored\n"
            scored = time.monotonic()
            assert process.wait(60) == 0
            assert time.monotonic() - scored < float(seconds) + MARGIN
        assert host.check(100) == {"waiting": 100}


def test_one_of_eight_processes_is_killed(host):
    """The others adopt what it left, one of them alone, though none of them ends."""
    host.mart.down = True
    with contextlib.ExitStack() as stack:
        services = [stack.enter_context(host.start("service", "100", "exit")) for _ in range(8)]
        for service in services:
            assert service.stdout.readline() == "scored\n"
        victim = services[0]
        (left,) = [path for path in directories(host.root) if f"w-{victim.pid}-" in path.name]
        victim.kill()
        host.mart.down = False
        wait_until(lambda: len(host.mart.taken) == 800, "every record is stored")
        wait_until(lambda: not left.exists(), "the directory of the dead is drained")
        for service in services:
            service.terminate()
        assert [service.wait(60) for service in services[1:]] == [0] * 7
    assert host.check(800, cut_off=True) == {"stored": 800}
    # What the victim had in flight came again from its heir, and nothing else from anybody.
    assert len(host.producers_resent()) <= 1


def test_a_stopped_process_keeps_what_is_its_own(host):
    """SIGSTOP is no death: nobody adopts, and what it holds is delivered when it goes on."""
    host.mart.down = True
    with host.start("service", "100", "exit") as stopped:
        assert stopped.stdout.readline() == "scored\n"
        (held,) = directories(host.root)
        stopped.send_signal(signal.SIGSTOP)
        host.mart.down = False
        host.deliver_rest()  # looks for orphans twice, and ends
        host.run("once", "100")
        assert directories(host.root) == [held]
        assert host.check(200) == {"waiting": 100, "stored": 100}
        stopped.send_signal(signal.SIGCONT)
        wait_until(lambda: len(host.mart.taken) == 200, "what it held is stored")
        stopped.terminate()
        assert stopped.wait(60) == 0
    assert host.check(200) == {"stored": 200}


def test_what_the_meter_shows(host):
    """Each process shows its own account, a child from nothing, another configuration going on."""
    of_parent, of_child, at_last = map(json.loads, host.run("metered").splitlines())
    for shown, count in ((of_parent, 10), (of_child, 3), (at_last, 11)):
        assert shown["scorespan.records.scored"] == count
        assert shown["scorespan.records.stored"] >= count - shown["scorespan.spool.records"]
        assert shown["scorespan.posts.accepted"] >= 1
        assert (shown["scorespan.records.refused"], shown["scorespan.sync.failures"]) == (0, 0)
        assert (shown["scorespan.delivery.paused"], shown["scorespan.dead_letters"]) == (0, 0)
        assert shown["scorespan.spool.records"] == 0
        assert shown["scorespan.spool.size"] > 0
    assert of_parent["scorespan.delivery.lag"] >= 1


def test_the_status_tells_what_the_meter_shows(host):
    """Who has no meter reads the same numbers from the disk, of a process that has died, too."""
    host.mart.down = True
    with host.start("service", "100", "default") as service:
        assert service.stdout.readline() == "scored\n"
        (directory,) = directories(host.root)
        wait_until(
            lambda: (read_status(directory) or {}).get("posts", {}).get("retryable", 0) > 0,
            "the status tells of a refused post",
        )
        service.kill()
    status = read_status(directory)
    assert (status["waiting"], status["scored"], status["sync_failures"]) == (100, 100, 0)
    assert status["oldest"] <= time.time()
    assert status["lag"]["count"] == status["dead_letters"] == 0


CLOCKS = ["+3d", "-1d", "1970-01-02 00:00:00", "2038-02-01 00:00:00"]


@pytest.fixture
def faketime():
    """The command that starts a program at another time of the wall clock."""
    found = shutil.which("faketime")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("faketime is missing: apt-get install faketime")
        pytest.skip("faketime is missing")
    return found


@pytest.mark.parametrize("clock", CLOCKS)
def test_no_clock_lets_a_record_expire(host, faketime, clock):
    """Waiting for years or into the past loses nothing, and a wrong clock delivers as well."""
    at = [faketime, "-f", clock if clock[0] in "+-" else f"@{clock}"]
    elsewhere = host.environment(FAKETIME_DONT_FAKE_MONOTONIC="1")
    host.mart.down = True
    run([*at, *command("once", "100")], {**elsewhere, "SCORESPAN_SHUTDOWN_SECONDS": "0"})
    host.run("once", "100", SCORESPAN_SHUTDOWN_SECONDS="0")
    assert host.check(200) == {"waiting": 200}
    host.mart.down = False
    run([*at, *command("once", "100")], elsewhere)
    host.deliver_rest()
    assert host.check(300) == {"stored": 300}


LIMITS = {
    "OTEL_TRACES_SAMPLER": "always_off",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "1",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "10",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "10",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "0",
}


def test_no_limit_of_the_host_touches_a_record(host):
    """Sampling and limits in the environment are the application's, and cut no scoring."""
    host.run("once", "1000", **LIMITS)
    assert host.check(1000) == {"stored": 1000}
    numbers = {record["request"]["values"][0][0] for record in host.mart.stored.values()}
    assert numbers == set(range(1000))
    assert {record["response"]["fields"][0] for record in host.mart.stored.values()} == {"double"}
