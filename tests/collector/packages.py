"""The Node.js packages of the replaying service: installed once, outside the tree.

`python -m collector.packages` installs them ahead of the tests. Where they cannot be had the tests
of that service are skipped; where CI is set that is a failure.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SERVICE = Path(__file__).parent / "services" / "node"
_FILES = ("package.json", "package-lock.json", ".npmrc")
_READY = ".ready"
"""Written last: what a killed installation has left lacks it, and is made anew."""


class CannotInstallError(Exception):
    """There are no packages, in one line that says why."""


def node_modules() -> Path:
    """The folder of the packages; without them skip, or fail where CI is set."""
    try:
        return install()
    except CannotInstallError as error:
        pytest.fail(str(error)) if os.environ.get("CI") else pytest.skip(str(error))


def install() -> Path:
    """The folder of the packages, as the lock file names them; installed where it is not yet.

    Several may install at once: one does, the others wait for it.

    Raises:
        CannotInstallError: Node.js is missing, or packages cannot be had.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise CannotInstallError(f"{program} is not installed: no Node.js service to test with")
    content = b"\0".join((SERVICE / name).read_bytes() for name in _FILES)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scorespan"
    folder = cache / f"node-{hashlib.sha256(content).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _READY).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _install_in(folder)
            (folder / _READY).touch()
    return folder / "node_modules"


def _install_in(folder: Path) -> None:
    for name in _FILES:
        shutil.copy(SERVICE / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)  # noqa: T201 - who installs reads it
        raise CannotInstallError("npm ci failed: no Node.js service to test with")


def main() -> int:
    """Install and say where; 0 where that cannot be done, but 1 where CI is set."""
    try:
        print(f"the Node.js packages: {install()}")  # noqa: T201 - the command's answer
    except CannotInstallError as error:
        print(error, file=sys.stderr)  # noqa: T201 - likewise
        return 1 if os.environ.get("CI") else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
