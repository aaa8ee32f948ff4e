"""Virtual environments of their own, made once for each set of pins and kept beside `.venv`."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LOCKS = ROOT / ".venv-locks"
_READY = ".ready"
"""Written last: what a killed build has left lacks it, and is made anew."""

START_UP_FILES = (ROOT / "src" / "scorespan.pth", ROOT / "src" / "scorespan.start")
"""What stands beside the package in site-packages, and is copied there even from this tree."""

CORE = ("orjson==3.13.0", "requests==2.34.2")
"""What scorespan needs beside OpenTelemetry."""

TOOLS = (
    "hypothesis==6.150.3",
    "numpy==2.2.6",
    "pandas==2.3.3",
    "pytest==9.2.0",
    "pytest-timeout==2.4.0",
    "pytest-xdist==3.8.0",
)
"""What the tests of the core need: the newest of each that still takes Python 3.10."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with scorespan and the packages it was asked for."""

    path: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    def script(self, name: str) -> Path:
        """A command that one of its packages installed."""
        return self.path / "bin" / name

    def versions(self, *packages: str) -> list[str]:
        """What is really installed, asked of the environment itself."""
        code = (
            "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
        )
        return _call([self.python, "-I", "-c", code, *packages]).split()


def environment(
    name: str,
    pins: Sequence[str],
    *,
    python: str | Path = sys.executable,
    wheel: bool = False,
) -> Environment:
    """The environment of this name with exactly these pins; made where there is none yet.

    Its folder is `.venv-<name>-<hash>`: other pins, or another interpreter, make another one. A
    lock lets parallel test workers make it once. scorespan itself is installed from the working
    tree: in place, and again where its `pyproject.toml` (entry points live there) or a start-up
    file has changed; as a wheel, and again where any source has changed.
    """
    version = _call([python, "-c", "import sys; print(sys.version)"])
    digest = hashlib.sha256("\n".join([version, *sorted(pins)]).encode()).hexdigest()[:12]
    made = Environment(ROOT / f".venv-{name}-{digest}")
    project = _digest([ROOT / "pyproject.toml", *(_sources() if wheel else START_UP_FILES)])
    _LOCKS.mkdir(exist_ok=True)
    with (_LOCKS / made.path.name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = made.path / _READY
        if not ready.is_file():
            shutil.rmtree(made.path, ignore_errors=True)
            _call([python, "-m", "venv", made.path])
            _install(made, pins)
            ready.touch()
        if ready.read_text() != project:
            if wheel:
                _install(made, ["--no-deps", "--force-reinstall", str(built_wheel())])
            else:
                _install(made, ["--no-deps", "--editable", str(ROOT)])
            ready.write_text(project)
    return made


def built_wheel() -> Path:
    """The wheel of the working tree as it is now; built once for all that ask."""
    folder = _LOCKS / f"wheel-{_digest([ROOT / 'pyproject.toml', *_sources()])[:12]}"
    _LOCKS.mkdir(exist_ok=True)
    with (_LOCKS / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("*.whl")):
            options = ["--quiet", "--disable-pip-version-check", "--no-deps"]
            _call([sys.executable, "-m", "pip", "wheel", *options, "-w", folder, ROOT])
    (wheel,) = folder.glob("*.whl")
    return wheel


def _sources() -> list[Path]:
    """What a wheel is made of."""
    return sorted(
        path
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _install(made: Environment, what: Sequence[str]) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-input"]
    _call([made.python, "-m", "pip", "install", *options, *what])


def _call(command: Sequence[str | Path]) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr[-4000:]}"
    return done.stdout
