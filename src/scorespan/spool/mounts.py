"""Mounts: which file system a path is on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

MOUNTS = Path("/proc/self/mountinfo")

NETWORK = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "fhgfs", "fuse.beegfs", "fuse.ceph",
    "fuse.cephfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.mfs", "fuse.moosefs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "fuse.davfs", "fuse.blobfuse", "fuse.blobfuse2",
    "fuse.goofys", "fuse.mount-s3", "glusterfs", "gpfs", "lustre", "ncp", "ncpfs", "nfs", "nfs3",
    "nfs4", "orangefs", "pvfs2", "smb2", "smb3", "smbfs",
})  # fmt: skip
"""Types of file systems whose files are on another machine."""


class Mount(NamedTuple):
    """Where a file system is mounted, and of what type it is."""

    point: str
    kind: str

    @property
    def is_network(self) -> bool:
        """Whether its files are on another machine: locks and syncs there promise too little."""
        return self.kind in NETWORK


def mount_of(path: Path, mounts: Path = MOUNTS) -> Mount | None:
    """The mount that holds a path; None where the system does not say.

    Args:
        path: a path, which need not exist.
        mounts: the table of mounts, in the form of Linux's `mountinfo`.
    """
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    target = os.path.realpath(path)
    found: Mount | None = None
    for line in lines:
        before, separator, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5 or not kinds:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        # Of two mounts at one point the later one covers the other.
        if inside and (found is None or len(point) >= len(found.point)):
            found = Mount(point, kinds[0])
    return found
