"""The Node.js packages of the replaying service: installed once, outside the tree.

`python -m collector.packages` installs them ahead of the tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SERVICE = Path(__file__).parent / "services" / "node"
_FILES = ("package.json", "package-lock.json", ".npmrc")
_READY = ".ready"
"""Written last: what a killed installation has left lacks it, and is made anew."""


def node_modules() -> Path:
    """The folder of the packages, as the lock file names them; installed where it is not yet.

    Without Node.js the test is skipped, or fails where CI is set.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            missing = f"{program} is not installed: no Node.js service"
            pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return _installed() / "node_modules"


def _installed() -> Path:
    content = b"\0".join((SERVICE / name).read_bytes() for name in _FILES)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scorespan"
    folder = cache / f"node-{hashlib.sha256(content).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _READY).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in _FILES:
                shutil.copy(SERVICE / name, folder)
            done = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert done.returncode == 0, f"npm ci\n{done.stdout}\n{done.stderr[-4000:]}"
            (folder / _READY).touch()
    return folder


if __name__ == "__main__":
    print(_installed())  # noqa: T201 - said to who calls it
