"""Variants of a configuration: the file itself but for an exact edit, to see what a line is for."""

from __future__ import annotations

from pathlib import Path


def variant(config: Path, folder: Path, *edits: tuple[str, str]) -> Path:
    """A copy in `folder` in which each first text, which stands there once, is the second one."""
    text = config.read_text()
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {config.name}"
        text = text.replace(old, new)
    made = folder / config.name
    made.write_text(text)
    return made
