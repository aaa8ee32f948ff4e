"""The SageMaker inference toolkit: a script of a model behind multi-model-server."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from examples.live import LiveMart
from servers.serving import Server, installed, serving

_START = "from sagemaker_inference.model_server import start_model_server as start; start()"
_PORTS = range(20_000, 30_000)
"""Port numbers of more than 15 bits are none to it; these are not given to other programs."""
_LOCK = Path(tempfile.gettempdir()) / "scorespan-multi-model-server.lock"


@contextmanager
def toolkit_serving(
    files: Mapping[str, Path], live: LiveMart, folder: Path, **environment: str
) -> Iterator[Server]:
    """The model server with these files of a model while the block runs.

    One at a time on this machine: the toolkit takes any model server that it finds for its own.

    Args:
        files: by their path in the model's archive.
        live: where its records go.
        folder: an empty one.
        environment: variables beside those of the mart and of capture.
    """
    _require(shutil.which("java") is not None, "a Java runtime, which .ci/run installs")
    _require(os.access("/etc", os.W_OK), "the right to write /etc, where its settings go")
    for path, source in files.items():
        place = folder / "ml" / "model" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    made, port = installed("sagemaker"), _free_port()
    ours = {
        "PATH": f"{made.path / 'bin'}:{os.environ['PATH']}",  # where it looks for its commands
        "SAGEMAKER_BASE_DIR": str(folder / "ml"),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
        # Its sockets, and the id of its process: another one of before may have left its own.
        "TEMP": str(folder),
        "TMPDIR": str(folder),
    }
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [made.python, "-c", _START]
        with serving(
            command, live, folder, port=port, ready="/ping", **ours, **environment
        ) as server:
            yield server


def _free_port() -> int:
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    pytest.fail("no free port")


def _require(there: bool, what: str) -> None:
    assert there or "CI" not in os.environ, f"there must be {what}"
    if not there:
        pytest.skip(f"it takes {what}")
