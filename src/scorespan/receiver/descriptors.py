"""The descriptors: how many a receiver process may have, and how many of them connections get."""

from __future__ import annotations

import contextlib
import resource

_HTTP_PART, _GRPC_PART = 2, 4


def most_descriptors() -> int:
    """How many files and connections this process may have open, from now on as many as ever."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # there are systems that allow less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return soft


def http_part(connections: int, descriptors: int) -> int:
    """How many connections the HTTP door may have, of as many as it wants.

    A quarter of the descriptors is left to spool and delivery by both doors together.
    """
    return min(connections, descriptors // _HTTP_PART)


def grpc_part(connections: int, descriptors: int) -> int:
    """The same for the gRPC door."""
    return min(connections, descriptors // _GRPC_PART)
