"""One process in words: what its `status.json` says of it, alive or dead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def told(status: Mapping[str, Any]) -> str:
    """One line: what the process has counted; what is 0 is left out beside the first two.

    A receiver scores nothing, and says what it has stored. What cannot be read in it is left out as
    well: another version may have written it.
    """
    return ", ".join(_parts(status))


def _parts(status: Mapping[str, Any]) -> Iterator[str]:
    outcomes = _mapping(status.get("outcomes"))
    scored = _number(status.get("scored")) + _brought(status.get("brought"))
    if scored or not any(map(_number, outcomes.values())):
        yield f"scored {scored:.0f}"
    yield f"stored {_number(outcomes.get('stored')):.0f}"
    for outcome, count in outcomes.items():
        if outcome != "stored" and _number(count):
            yield f"{outcome} {count:.0f}"
    for posted, count in _mapping(status.get("posts")).items():
        if _number(count):
            yield f"posts {posted} {count:.0f}"
    for name, words in (
        ("resent", "records sent again"),
        ("set_aside", "records set aside"),
        ("sync_failures", "syncs failed"),
        ("damaged_bytes", "bytes damaged"),
        ("dead_letters", "dead letters in the root"),
    ):
        if _number(status.get(name)):
            yield f"{words} {status[name]:.0f}"
    lag = _mapping(status.get("lag"))
    if _number(lag.get("count")):
        yield f"lag {_number(lag.get('sum')) / lag['count']:.1f} s"


def _brought(value: object) -> float:
    """How far a producer had counted whose scorings bring their numbers along."""
    return _number(value[1]) if isinstance(value, list) and len(value) > 1 else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return value if isinstance(value, (int, float)) else 0
