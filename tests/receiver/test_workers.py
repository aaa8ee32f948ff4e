"""The workers: all take requests, one that dies is replaced, and all end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from collector.hop import free_port
from examples.live import live_mart
from receiver.receiver_process import (
    ANY_PORTS,
    COMMAND,
    ReceiverProcess,
    Senders,
    certain_ports,
    children_of,
    is_alive,
    receiver_process,
)
from running import started, wait_until
from scorespan.receiver.place import Place
from scorespan.spool.root import directories


@pytest.fixture
def live(tmp_path):
    """A running mart with one subscription."""
    with live_mart(tmp_path) as mart:
        yield mart


def owners(root):
    """The processes that the directories of a spool root are named after."""
    return {int(path.name.split("-")[1]) for path in directories(root)}


def entries_of(root, process_id):
    """Bytes of what a process has put."""
    return sum(
        segment.stat().st_size
        for path in directories(root)
        if path.name.startswith(f"w-{process_id}-")
        for segment in path.glob("*.segment")
    )


def is_delivered(live, accepted):
    """Whether all that was accepted is stored."""
    return set(accepted) <= set(live.ids())


def test_all_of_them_take_requests(tmp_path):
    """Two workers have a spool directory each, and the requests of many connections fill both."""
    with live_mart(tmp_path, port=free_port()) as live:
        environment = {**live.environment(), "SCORESPAN_SHUTDOWN_SECONDS": "0"}
    with receiver_process(environment, "--workers", "2") as receiver:
        workers = receiver.workers
        assert len(workers) == 2
        assert owners(live.spool) == set(workers)
        before = {worker: entries_of(live.spool, worker) for worker in workers}

        def all_have_some():
            with Senders(receiver, 4) as senders:
                senders.wait_for(40)
            return all(entries_of(live.spool, one) > before[one] for one in workers)

        wait_until(all_have_some, "each worker has taken some")
        receiver.end()
    assert not any(map(is_alive, workers))


def test_one_that_dies_is_replaced(live):
    """Killed under load, its records are delivered by another, and a new one takes its place."""
    with receiver_process(live.environment(), "--workers", "2") as receiver:
        killed, other = receiver.workers
        with Senders(receiver) as senders:
            senders.wait_for(50)
            os.kill(killed, signal.SIGKILL)
            wait_until(
                lambda: len(receiver.workers) == 2 and killed not in receiver.workers,
                "there are two again",
            )
            assert other in receiver.workers
            senders.wait_for(len(senders.accepted) + 50)
        wait_until(lambda: is_delivered(live, senders.accepted), "all that was accepted is stored")
        wait_until(lambda: killed not in owners(live.spool), "nobody's directory is taken over")
        said = receiver.end()
    assert f"process {killed}" in said
    assert "SIGKILL" in said
    assert len(live.ids()) == len(set(live.ids()))


def test_one_that_is_killed_while_it_starts_is_replaced(live):
    """Whoever needed the memory first: the receiver begins with another one in its place."""
    command = [*COMMAND, *ANY_PORTS, "--json", "--workers", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, live.environment(), **pipes) as process:
        wait_until(lambda: len(children_of(process.pid)) == 2, "both are started")
        killed, _ = children_of(process.pid)
        os.kill(killed, signal.SIGKILL)
        receiver = ReceiverProcess(process)
        assert len(receiver.workers) == 2
        assert receiver.post("a").status_code == 200
        said = receiver.end()
    assert f"process {killed}" in said
    assert "SIGKILL" in said
    assert live.ids() == ["a"]


def test_one_that_cannot_begin_ends_the_start(live):
    """What is wrong with it is wrong with all: its reason is told, and no other is tried."""
    command = [*COMMAND, *ANY_PORTS, "--json", "--workers", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, live.environment(), **pipes) as process:
        wait_until(lambda: children_of(process.pid) != [], "one is started")
        live.spool.rename(live.spool.with_name("elsewhere"))
        live.spool.write_text("no directory")
        listening, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert listening == ""
    assert "a worker cannot run: " in said
    assert "ended before it took requests: exit code 1" in said


def test_told_to_stop_all_at_once(live):
    """A signal to parent and workers alike, as from a service manager: all is stored, exit 0."""
    with receiver_process(live.environment(), "--workers", "2") as receiver:
        workers = receiver.workers
        with Senders(receiver) as senders:
            senders.wait_for(50)
            for one in (*workers, receiver.process.pid):
                os.kill(one, signal.SIGTERM)
            receiver.ended()
        assert not any(map(is_alive, workers))
    assert is_delivered(live, senders.accepted)


def test_a_second_signal_ends_all_at_once(tmp_path):
    """Parent and workers are gone, whatever is still to be delivered."""
    with live_mart(tmp_path, port=free_port()) as live:
        environment = {**live.environment(), "SCORESPAN_SHUTDOWN_SECONDS": "3600"}
    with receiver_process(environment, "--workers", "2") as receiver:
        workers = receiver.workers
        assert receiver.post("a").status_code == 200
        receiver.process.send_signal(signal.SIGINT)
        assert "stopping" in receiver.process.stderr.readline()
        receiver.process.send_signal(signal.SIGINT)
        assert receiver.process.wait(60) == 128 + signal.SIGINT
        assert not any(map(is_alive, workers))


def test_a_worker_that_hangs_holds_up_nothing(tmp_path):
    """It is ended when its time is up; the exit code is that of a good end."""
    with live_mart(tmp_path, port=free_port()) as live:
        environment = {**live.environment(), "SCORESPAN_SHUTDOWN_SECONDS": "0"}
    with receiver_process(environment, "--workers", "2") as receiver:
        hangs, other = receiver.workers
        os.kill(hangs, signal.SIGSTOP)
        receiver.end()
        assert not any(map(is_alive, (hangs, other)))


def test_workers_end_with_their_parent(live):
    """A parent that is killed takes its workers along, and the next has the same ports at once."""
    environment, arguments = live.environment(), ("--workers", "2", *certain_ports())
    with receiver_process(environment, *arguments) as receiver:
        workers = receiver.workers
        with receiver.connect():  # one that nobody closes keeps no port
            assert receiver.post("a").status_code == 200
            os.kill(receiver.process.pid, signal.SIGKILL)
            wait_until(lambda: not any(map(is_alive, workers)), "the workers have ended")
            with receiver_process(environment, *arguments) as next_one:
                assert next_one.url == receiver.url
                assert next_one.grpc == receiver.grpc
                assert next_one.post("b").status_code == 200
                wait_until(lambda: is_delivered(live, "ab"), "both are stored")
                next_one.end()


def test_a_place_is_filled_after_a_pause_that_grows():
    """The pause doubles with each worker that dies young, up to half a minute."""
    place, now, pauses = Place(1), 100.0, []
    for _ in range(10):
        pauses.append(place.empty(now))
        assert place.due == now + pauses[-1]
        now = place.due
    assert pauses[:4] == [0.25, 0.5, 1, 2]
    assert pauses[-2:] == [30, 30]
