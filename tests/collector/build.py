"""The OpenTelemetry Collector of the tests: built once from its Go modules, outside the tree.

`python -m collector.build` builds it ahead of the tests, with OpenTelemetry's own builder and the
components of `collector-config/builder.yaml`. Where it cannot be built the tests that need it are
skipped; where CI is set that is a failure.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CONFIGURATIONS = Path(__file__).parents[2] / "collector-config"
_BUILDER = "go.opentelemetry.io/collector/cmd/builder"
_ENVIRONMENT = {
    "CGO_ENABLED": "0",  # no C compiler needed, and one program for every libc
}


class CannotBuildError(Exception):
    """There is no Collector, in one line that says why."""


def program() -> Path:
    """Where the Collector of this `builder.yaml` lies once it is built."""
    components = re.sub(r"^ *#.*\n", "", _text(), flags=re.MULTILINE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scorespan"
    name = hashlib.sha256(components.encode()).hexdigest()[:12]
    return cache / f"collector-{name}" / _setting("name")


def build() -> Path:
    """The Collector, built where it is not yet: minutes, and some GiB of Go's own caches.

    Several may build at once: one does, the others wait for it. The program appears whole or not
    at all.

    Raises:
        CannotBuildError: Go is missing or too old, or modules cannot be had.
    """
    built = program()
    if built.is_file():
        return built
    if shutil.which("go") is None:
        raise CannotBuildError("Go is not installed: no Collector to test with")
    folder = built.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.is_file():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as temporary:
                _build_in(Path(temporary))
                folder.mkdir(exist_ok=True)
                (Path(temporary) / built.name).rename(built)
    return built


def _build_in(folder: Path) -> None:
    version = _setting("version")
    _say(f"building the OpenTelemetry Collector {version}, once; it takes minutes")
    environment = {**os.environ, **_ENVIRONMENT, "GOBIN": str(folder / "bin")}
    sources = folder / "sources"
    wanted = folder / "builder.yaml"
    wanted.write_text(_text().replace(_setting("output_path"), str(sources)))
    _run(["go", "install", f"{_BUILDER}@v{version}"], environment)
    _run([str(folder / "bin" / "builder"), f"--config={wanted}"], environment)
    (sources / _setting("name")).rename(folder / _setting("name"))


def _setting(name: str) -> str:
    """A setting of `dist` in `builder.yaml`, which has no second one of that name."""
    (value,) = re.findall(rf"^  {name}: (.+)$", _text(), re.MULTILINE)
    return value


def _text() -> str:
    return (CONFIGURATIONS / "builder.yaml").read_text()


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        _say(done.stdout + done.stderr)
        raise CannotBuildError(f"{Path(command[0]).name} failed: no Collector to test with")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> int:
    """Build it; 0 where it cannot be built, but 1 where CI is set."""
    try:
        build()
    except CannotBuildError as error:
        _say(str(error))
        return 1 if os.environ.get("CI") else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
