"""The plan: where a receiver listens, and what a parent tells its workers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from scorespan.endpoint import Endpoint


class Doors(NamedTuple):
    """The endpoints of a receiver; without gRPC the second is None."""

    http: Endpoint
    grpc: Endpoint | None


class Plan(NamedTuple):
    """What a worker does not find in the environment.

    Attributes:
        doors: the addresses, with the ports that were got.
        token: what senders must show; it may have come from a file. None: as the environment says.
    """

    doors: Doors
    token: str | None

    def encode(self) -> bytes:
        """One JSON object. It holds the token: not for files, nor for a command line."""
        doors = [None if door is None else asdict(door) for door in self.doors]
        return json.dumps({"doors": doors, "token": self.token}, default=str).encode()

    @classmethod
    def decode(cls, data: bytes) -> Plan:
        """The plan that was encoded."""
        found = json.loads(data)
        http, grpc = found["doors"]
        return cls(Doors(_endpoint(http), grpc and _endpoint(grpc)), found["token"])


def _endpoint(found: dict[str, Any]) -> Endpoint:
    certificate, key = found["certificate"], found["certificate_key"]
    return Endpoint(
        found["host"], found["port"], certificate and Path(certificate), key and Path(key)
    )
