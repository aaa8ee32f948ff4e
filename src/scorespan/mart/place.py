"""The place: where a data mart of this machine is found unless it was told otherwise."""

from __future__ import annotations

import os
from pathlib import Path

PORT = 8787
ADMIN_KEY_FILE = "admin.key"
DEFAULT_DATA_MART = "00000000-0000-0000-0000-000000000000"


def default_folder() -> Path:
    """Where a mart keeps its data unless told otherwise."""
    state = os.environ.get("XDG_STATE_HOME")
    root = Path(state) if state else Path.home() / ".local" / "state"
    return root / "scorespan-mart"
