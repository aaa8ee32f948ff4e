"""Values of settings: what the text of a variable stands for.

Every function here takes the text and raises ValueError, which says what the setting must be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

_LONGEST_TIMEOUT = 3600


def text(value: str) -> str:
    """A text that is not empty."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def url(value: str) -> str:
    """The address of a server, without a slash at its end."""
    value = value.strip().rstrip("/")
    try:
        parts = urlsplit(value)
        whole = value.split() == [value] and parts.hostname and parts.port != 0
        known = whole and parts.scheme in {"http", "https"}
    except ValueError:  # brackets that do not close, a port that is no number
        known = False
    if not known:
        raise ValueError("must be an address such as https://mart.example.com")
    if "@" in parts.netloc:
        raise ValueError("must not hold credentials; use SCORESPAN_API_KEY or SCORESPAN_USERNAME")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or fragment")
    return value


def path(value: str) -> Path:
    """A path on this machine."""
    try:
        path = Path(text(value)).expanduser()
    except RuntimeError:  # ~somebody who has no home here
        path = None
    if path is None or "\0" in value:
        raise ValueError("must be a path on this machine")
    return path


def flag(value: str) -> bool:
    """Yes or no."""
    word = value.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("must be 1 or 0")


def count(value: str) -> int:
    """A whole number from 0 on."""
    if not value.strip().isdecimal():
        raise ValueError("must be a whole number, 0 or more")
    return int(value)


def seconds(value: str) -> float:
    """A number of seconds from 0 on."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError("must be a number of seconds, 0 or more")
    return number


def some_seconds(value: str) -> float:
    """A number of seconds above 0."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= _LONGEST_TIMEOUT:
        raise ValueError(f"must be a number of seconds above 0, at most {_LONGEST_TIMEOUT}")
    return number


def ascii_text(value: str) -> str:
    """A text of printable ASCII."""
    value = text(value)
    if not value.isascii() or not value.isprintable():
        raise ValueError("must be printable ASCII")
    return value


def tokens(value: str) -> str:
    """Tokens that are separated by commas, blanks or lines; in one text, with one blank between."""
    return ascii_text(" ".join(value.replace(",", " ").split()))


def byte_count(value: str) -> int:
    """A number of bytes, a mebibyte at least."""
    if not value.strip().isdecimal() or int(value) < 1024 * 1024:
        raise ValueError("must be a number of bytes, 1048576 or more")
    return int(value)


def one_of(*allowed: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(value: str) -> str:
        if value.strip() not in allowed:
            raise ValueError(f"must be one of: {', '.join(allowed)}")
        return value.strip()

    return parse


def names(value: str) -> tuple[str, ...]:
    """Names with commas between, or a JSON list of them where one holds a comma."""
    if value.strip().startswith("["):
        try:
            held = json.loads(value)
        except ValueError:
            held = None
        if not isinstance(held, list) or not all(isinstance(name, str) for name in held):
            raise ValueError("must be names with commas between, or a JSON list of strings")
    else:
        held = [name.strip() for name in value.split(",")]
    if not all(held):
        raise ValueError("must be names with commas between, none of them empty")
    return tuple(held)


def different_names(value: str) -> tuple[str, ...]:
    """Names as `names` reads them, none of them twice."""
    held = names(value)
    twice = next((name for place, name in enumerate(held) if name in held[:place]), None)
    if twice is not None:
        raise ValueError(f"must be different names; {twice} is there twice")
    return held


def patterns(value: str) -> tuple[str, ...]:
    """Patterns with commas or blanks between; `*` stands for any text."""
    if value.strip().startswith("["):
        return names(value)
    return tuple(value.replace(",", " ").split())


def paths(value: str) -> tuple[str, ...]:
    """Patterns of paths on a server.

    One that begins in another way, such as a whole address, would match nothing.
    """
    held = patterns(value)
    if not all(pattern.startswith(("/", "*")) for pattern in held):
        raise ValueError("must be paths that begin with / or *")
    return held
