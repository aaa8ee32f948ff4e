"""The generated part of the README: `python -m tests.readme` writes it, a test compares it."""

from __future__ import annotations

import re
from pathlib import Path

from scorespan.settings import markdown_table

README = Path(__file__).parent.parent / "README.md"
_PART = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- /settings -->)", re.DOTALL)


def generated(text: str) -> str:
    """The README with its settings table as the code has it."""
    table = markdown_table() + "\n"
    return _PART.sub(lambda _: table, text)


if __name__ == "__main__":
    README.write_text(generated(README.read_text()))
