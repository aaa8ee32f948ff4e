"""The command line. One module for each command; each imports what it needs when it runs."""

from __future__ import annotations

import sys


def main() -> None:
    """The `scorespan` command."""
    try:
        from scorespan.cli.command import scorespan
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        sys.exit("The scorespan command needs its extra: pip install 'scorespan[cli]'")
    scorespan()
