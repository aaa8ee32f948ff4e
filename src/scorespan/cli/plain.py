"""Plain text on a terminal: what others wrote is shown, never obeyed."""

from __future__ import annotations

from rich.text import Text


def plain(text: str) -> Text:
    """Text without markup; control characters, which could steer the terminal, are replaced."""
    return Text("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text))
