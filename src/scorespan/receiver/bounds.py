"""The bounds of a connection: what the other side may take of time and room."""

from __future__ import annotations

from typing import NamedTuple


class Bounds(NamedTuple):
    """What one side of HTTP/1.1 grants the other: seconds, bytes and counts."""

    handshake_seconds: float = 10.0
    """For TLS, before anything else."""
    head_seconds: float = 10.0
    """From its first byte to its last."""
    body_seconds: float = 20.0
    """Beside what a body takes at its pace."""
    body_pace: int = 128 * 1024
    """Bytes of a body that come each second at the least."""
    answer_seconds: float = 30.0
    """Until an answer is read."""
    linger_seconds: float = 2.0
    """For the rest of a body that is answered already."""
    head_bytes: int = 32 * 1024
    headers: int = 100
    pipelined: int = 8
    """Requests that wait for the answer to the one before."""
    connections: int = 512
