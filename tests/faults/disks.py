"""Small disks to fill, and what only root may do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def after_power_loss(disk: Path) -> Iterator[Path]:
    """What the disk would hold had the power failed now: what has reached its image, and no more.

    Who writes to it must be stopped meanwhile.
    """
    # Written, and never synced: were it there afterwards, this would be no power loss.
    (disk / "unsynced").write_bytes(b"x" * 100_000)
    copy = disk.with_suffix(".copy")
    image = disk.with_name(f"{disk.name}-after.image")
    shutil.copyfile(disk.with_suffix(".image"), image)
    copy.mkdir()
    needed(["mount", "-o", "loop", str(image), str(copy)])
    try:
        lost = copy / "unsynced"
        assert not lost.exists() or lost.read_bytes() == b"", "nothing was lost"
        yield copy
    finally:
        subprocess.run(["umount", "-l", str(copy)], check=True)
        image.unlink()


@contextmanager
def small_disk(
    folder: Path, mebibytes: int, kind: str = "ext4", options: str = ""
) -> Iterator[Path]:
    """A file system of its own in the folder; the image of an ext4 one is `<folder>.image`."""
    folder.mkdir()
    image = folder.with_suffix(".image")
    if kind == "ext4":
        image.touch()
        os.truncate(image, mebibytes * 1024 * 1024)
        made = ["mkfs.ext4", "-q", "-F", "-m", "0", str(image)]
        mounted = ["mount", "-o", f"loop,{options}".rstrip(","), str(image), str(folder)]
    else:
        made = ["true"]
        mounted = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "scorespan", str(folder)]
    for command in (made, mounted):
        needed(command)
    folder.chmod(0o700)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        image.unlink(missing_ok=True)


def needed(command: Sequence[str]) -> None:
    """Run a command that only root may; without the right skip, or fail where CI is set."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        refusal = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError:
        refusal = f"{command[0]} is not installed"
    if refusal:
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(f"needed where CI is set: {' '.join(command)}: {refusal}")
        pytest.skip(f"not possible here: {command[0]}: {refusal}")


def installed(program: str) -> str:
    """The path of a program; without it skip, or fail where CI is set."""
    found = shutil.which(program)
    if found is None:
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(f"{program} is needed where CI is set")
        pytest.skip(f"{program} is not installed")
    return found


def fill(folder: Path, leave: int = 0) -> Path:
    """Write somebody else's data until no more than `leave` bytes are free."""
    pad = folder / "somebody-else"
    descriptor = os.open(pad, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with suppress(OSError):
        while shutil.disk_usage(folder).free > leave:
            size = max(1, min(256 * 1024, shutil.disk_usage(folder).free - leave))
            os.write(descriptor, bytes(size))
    os.close(descriptor)
    return pad
