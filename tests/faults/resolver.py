"""A sender in a network of its own whose resolver fails first; argument 1 is a folder.

Runs under `unshare -n -m`: it brings loopback up, is the only name server there, and answers with
SERVFAIL, then NXDOMAIN, then the mart's address. The last line says how that ended.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

from faults.oracle import Oracle, stored_in
from faults.proxy import SteeredMart
from running import clean_environment, wait_until

SERVFAIL, NXDOMAIN, FOUND = 2, 3, 0


class Resolver:
    """A name server on 127.0.0.1:53 that knows one address, when it wants to."""

    def __init__(self) -> None:
        self.code = SERVFAIL
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            wants_ipv4 = query[end - 4 : end - 2] == b"\0\x01"
            answers = int(self.code == FOUND and wants_ipv4)
            head = query[:2] + bytes([0x81, 0x80 | self.code, 0, 1, 0, answers, 0, 0, 0, 0])
            address = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x01" if answers else b""
            self.asked += 1
            self._socket.sendto(head + query[12:end] + address, sender)


def run_apart(folder: Path) -> int:
    """Run this program in a network of its own; returns how many records the mart then has."""
    environment = {**clean_environment(), "PYTHONPATH": str(Path(__file__).parents[1])}
    command = ["unshare", "-n", "-m", sys.executable, "-m", "faults.resolver", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return int(json.loads(done.stdout.splitlines()[-1])["stored"])


def main(folder: Path) -> None:
    """Score while no name is found, then while the mart's is."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    # The file may be a link, whose target is what can be mounted over.
    subprocess.run(
        ["mount", "--bind", folder / "resolv.conf", Path("/etc/resolv.conf").resolve()], check=True
    )
    resolver = Resolver()
    with SteeredMart() as mart:
        url = mart.url.replace("127.0.0.1", "mart.test")
        settings = {**mart.settings, "data_mart_url": url, "allow_http": True}
        oracle = Oracle(settings, stored_in(mart), folder)
        with oracle.scorer() as scorer:
            scorer.score_many(10)
            descriptors = len([*Path("/proc/self/fd").iterdir()])
            for code in (SERVFAIL, NXDOMAIN):
                resolver.code = code
                before = resolver.asked
                wait_until(lambda before=before: resolver.asked >= before + 2, "more questions")
            assert len([*Path("/proc/self/fd").iterdir()]) <= descriptors + 2
            assert not mart.stored
            resolver.code = FOUND
            wait_until(lambda: scorer.intake.flush(5), "delivery to a name that is found")
        oracle.check()
    print(json.dumps({"stored": len(mart.stored), "asked": resolver.asked}))  # noqa: T201 - read


if __name__ == "__main__":
    main(Path(sys.argv[1]))
