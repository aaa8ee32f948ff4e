"""The README's way with a Collector: its blocks, in one shell, lead from nothing to the table."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from collector.build import CONFIGURATIONS
from collector.hop import free_port
from collector.real import binary
from running import clean_environment, wait_until

ROOT = CONFIGURATIONS.parent
MART, RECEIVER, HTTP, GRPC, HEALTH, METRICS = (free_port() for _ in range(6))
OTHER_PORTS = [
    ("scorespan mart --subscription credit", f"scorespan mart --subscription credit --port {MART}"),
    ("127.0.0.1:8787", f"127.0.0.1:{MART}"),
    ("14318", str(RECEIVER)),
    ("127.0.0.1:4318/", f"127.0.0.1:{HTTP}/"),
]
"""The only changes to what the README says: other tests may have its ports."""
COLLECTOR_PORTS = {
    "OTLP_HTTP_PORT": str(HTTP),
    "OTLP_GRPC_PORT": str(GRPC),
    "HEALTH_PORT": str(HEALTH),
    "METRICS_PORT": str(METRICS),
}
INSTALL = "pip install '.[cli,mart,receiver]'    # in a clone of this repository\n"
"""Left out: it is done."""


def written() -> list[str]:
    """The blocks of the section, with other ports."""
    text = (ROOT / "README.md").read_text()
    (section,) = re.findall(r"^## With a Collector\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    blocks = "\0".join(re.findall(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE))
    for old, new in [(INSTALL, ""), *OTHER_PORTS]:
        assert old in blocks, old
        blocks = blocks.replace(old, new)
    return blocks.split("\0")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell of somebody who has the commands and nothing else; ends with all that it started."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "otelcol-contrib").symlink_to(binary())
    environment = {
        **clean_environment(),
        **COLLECTOR_PORTS,
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / ".local" / "state"),
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen(
            ["bash", "-e"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
        ) as bash,
    ):
        try:
            yield bash
        finally:
            os.killpg(bash.pid, signal.SIGKILL)


def test_the_way_with_a_collector(shell: subprocess.Popen[str], tmp_path: Path):
    """Mart, receiver, Collector, one span with curl, and the table has its row."""
    assert shell.stdin is not None
    assert shell.stdout is not None

    def type_in(lines: str) -> None:
        assert shell.stdin is not None
        assert shell.poll() is None, (tmp_path / "said").read_text()
        shell.stdin.write(lines)
        shell.stdin.flush()

    def answers(port: int, path: str = "/") -> bool:
        assert shell.poll() is None, (tmp_path / "said").read_text()
        with suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{port}{path}", timeout=10).status_code < 500
        return False

    mart, receive, collector, send, show = written()
    type_in(mart)
    wait_until(lambda: answers(MART), "a mart")
    type_in(receive)
    wait_until(lambda: answers(RECEIVER, "/readyz"), "a receiver")
    type_in(collector)
    wait_until(lambda: answers(HEALTH), "a Collector")
    type_in(send)

    def shown() -> str:
        type_in(f"{show}echo END\n")
        return "".join(iter(shell.stdout.readline, "END\n"))

    wait_until(lambda: "7200" in shown(), "the row")
    assert "Risk" in shown()
