"""The command line. One module for each command; each imports what it needs when it runs."""

from __future__ import annotations

import sys

from scorespan.startup import stay_off


def main() -> None:
    """The `scorespan` command."""
    # What switches capture on for the services of this environment is not meant for our servers.
    stay_off()
    try:
        from scorespan.cli.command import scorespan
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        sys.exit("The scorespan command needs its extra: pip install 'scorespan[cli]'")
    scorespan()
