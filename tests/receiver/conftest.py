"""What the receiver's tests begin with: an intake, and an HTTP door before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from receiver.door import Door, served
from scorespan.intake import Intake
from scorespan.receiver.bounds import Bounds
from scorespan.receiver.memory import Memory
from scorespan.receiver.reception import Reception
from scorespan.settings import Settings
from scorespan.testing import ScriptedMart


@pytest.fixture
def make_intake(scripted_mart: ScriptedMart, tmp_path: Path) -> Iterator[Callable[..., Intake]]:
    """Makes an intake that syncs before it says yes, towards the scripted mart."""
    with ExitStack() as stack:

        def make(**settings: object) -> Intake:
            known = {**scripted_mart.settings, "spool_dir": tmp_path / "spool", "sync": "durable"}
            known["shutdown_seconds"] = 0.2
            intake = Intake(Settings.load({**known, **settings}, {}))
            intake.open()
            stack.callback(intake.close)
            return intake

        yield make


@pytest.fixture
def make_door(
    make_intake: Callable[..., Intake], scripted_mart: ScriptedMart
) -> Iterator[Callable[..., Door]]:
    """Makes a served HTTP door over an intake of its own."""
    with ExitStack() as stack:

        def make(
            *,
            memory: Memory | None = None,
            token: str | None = None,
            bounds: Bounds | None = None,
            certificate: Path | None = None,
            **settings: object,
        ) -> Door:
            intake = make_intake(**settings)
            reception, memory = Reception(intake), memory or Memory()
            port = stack.enter_context(
                served(reception, memory, token=token, bounds=bounds, certificate=certificate)
            )
            return Door(port, reception, memory, intake, scripted_mart)

        yield make


@pytest.fixture
def door(make_door: Callable[..., Door]) -> Door:
    """A served HTTP door with the bounds as they are."""
    return make_door()
