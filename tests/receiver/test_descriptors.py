"""A process has the descriptors that it needs, however many connections come."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from examples.live import live_mart
from receiver.receiver_process import COMMAND, receiver_process
from running import wait_until
from scorespan.receiver.descriptors import grpc_part, http_part

HARD = 128


@pytest.mark.parametrize("most", [64, 1000, 1024, 1_000_000])
def test_both_doors_leave_a_quarter(most):
    """Whatever a door wants, spool and delivery have theirs."""
    for wanted in (1, 250, 512):
        http, grpc = http_part(wanted, most), grpc_part(wanted, most)
        assert 0 < http <= wanted
        assert 0 < grpc <= wanted
        assert http + grpc <= most * 3 // 4


def test_strangers_leave_descriptors_to_the_others(tmp_path):
    """With few of them and silent connections at both doors, what is sent is taken and stored."""
    limited = ["sh", "-c", f'ulimit -Sn 100 && ulimit -Hn {HARD} && exec {" ".join(COMMAND)} "$@"']
    with (
        live_mart(tmp_path) as live,
        receiver_process(live.environment(), command=[*limited, "receive"]) as receiver,
        ExitStack() as hold,
    ):
        limits = Path(f"/proc/{receiver.process.pid}/limits").read_text().splitlines()
        (soft,) = (line.split()[3] for line in limits if line.startswith("Max open files"))
        assert int(soft) == HARD
        host, _, port = receiver.grpc.rpartition(":")
        for _ in range(HARD):
            hold.enter_context(receiver.connect())
            hold.enter_context(socket.create_connection((host, int(port)), timeout=60))
        assert receiver.post("a").status_code == 200
        wait_until(lambda: live.ids() == ["a"], "it is stored")
        hold.close()
        said = receiver.end()
    assert "the oldest that has shown no token is closed" in said
    assert "cannot be accepted" not in said
