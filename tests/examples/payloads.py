"""The German credit payloads: 2,880 real records, and the bytes of their bodies."""

from __future__ import annotations

import os

import msgspec
import pytest

from examples.live import ROOT

_FILE = ROOT.parent / "shared" / "data" / "german_credit_payloads.json"


class Payload(msgspec.Struct):
    """A record of the file; the bodies as the file spells them."""

    scoring_id: str
    response_time: int
    request: msgspec.Raw
    response: msgspec.Raw


def read_payloads() -> dict[str, Payload]:
    """The records by scoring id; without the file the test is skipped, or fails where CI is set."""
    if not _FILE.is_file():
        if "CI" in os.environ:
            pytest.fail(f"{_FILE.name} is needed where CI is set")
        pytest.skip(f"{_FILE.name} is not here")
    read = msgspec.json.decode(_FILE.read_bytes(), type=list[Payload])
    return {payload.scoring_id: payload for payload in read}
