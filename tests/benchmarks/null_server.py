"""A server in a process of its own that answers every post at once with success."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def null_server() -> Iterator[str]:
    """The server's address while it runs."""
    command = [sys.executable, "-m", "tests.benchmarks.null_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = process.stdout.readline().strip() if process.stdout else ""
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


_posts = itertools.count()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers in one write

    def do_GET(self) -> None:
        """How many posts there were."""
        said = str(next(copy(_posts))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        self.wfile.flush()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        # 200 is what OTLP calls success, 204 what the data mart does.
        self.send_response(200 if self.path == "/v1/traces" else 204)
        if self.path == "/v1/traces":
            self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()
        next(_posts)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)  # noqa: T201 - read by the starter
    server.serve_forever()
