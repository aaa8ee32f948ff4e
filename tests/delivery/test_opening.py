"""The opening: one delivery at a time, opened when it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from running import wait_until
from scorespan.delivery.delivery import Delivery
from scorespan.delivery.opening import Opening
from scorespan.errors import SpoolClosedError, SpoolError
from scorespan.settings import Settings
from scorespan.spool.root import directories, prepare_root
from scorespan.telemetry import RepeatedLog
from scorespan.testing import ScriptedMart


class Maker:
    """Makes deliveries, and closes what is left of them."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self.settings = settings
        self.root = root
        self.made: list[Delivery] = []
        self.before = lambda: None

    def __call__(self) -> Delivery:
        """A delivery, after what the test wants to come first."""
        before, self.before = self.before, lambda: None
        before()
        self.made.append(Delivery(self.settings, self.root, RepeatedLog()))
        return self.made[-1]


@pytest.fixture
def maker(scripted_mart: ScriptedMart, tmp_path: Path) -> Iterator[Maker]:
    """What makes deliveries to the scripted mart."""
    root = tmp_path / "root"
    prepare_root(root)
    maker = Maker(Settings.load({**scripted_mart.settings, "spool_dir": root}, {}), root)
    with ExitStack() as ending:
        yield maker
        for one in maker.made:
            ending.callback(one.close, 0)


def test_the_first_that_is_opened_stays(maker: Maker):
    """Whoever asks gets the same one."""
    opening = Opening(maker)
    assert opening.delivery is None
    assert opening.opened() is opening.opened() is opening.delivery
    assert len(maker.made) == 1


def test_another_follows_one_that_was_closed(maker: Maker):
    """Once only, however many met the closed one."""
    opening = Opening(maker)
    closed = opening.opened()
    following = opening.instead_of(closed)
    assert following is not closed
    assert opening.instead_of(closed) is following
    opening.let_go(closed)
    assert opening.delivery is following


def test_what_was_opened_meanwhile_is_used(maker: Maker):
    """A signal handler that scores while a delivery is made opens one; the late one is closed."""
    opening = Opening(maker)
    maker.before = opening.opened
    assert opening.opened() is maker.made[0] is opening.delivery
    assert len(maker.made) == 2
    assert directories(maker.root) == [maker.made[0]._spool.path]


def test_what_fails_is_not_tried_for_each_record():
    """An attempt touches the disk; in between the answer is no at once."""
    tries: list[None] = []

    def fail() -> Delivery:
        tries.append(None)
        raise OSError("no disk")

    opening = Opening(fail)
    with pytest.raises(OSError, match="no disk"):
        opening.opened()
    with pytest.raises(SpoolError):
        opening.opened()
    assert len(tries) == 1


def test_one_whose_spool_was_removed_is_followed_by_another(maker: Maker):
    """However many find that out; it ends by itself."""
    opening = Opening(maker)
    gone = opening.opened()
    remove_under(gone, maker.root)
    following = opening.instead_of(gone)
    assert following is not gone
    assert opening.instead_of(gone) is opening.opened_once() is following
    wait_until(lambda: not gone._worker._thread.is_alive(), "the end of its worker")
    assert len(maker.made) == 2


def test_one_that_is_gone_stays_until_another_can_be_opened(maker: Maker):
    """It says why nothing is taken meanwhile."""
    opening = Opening(maker)
    gone = opening.opened()
    remove_under(gone, maker.root)
    maker.before = no_disk
    with pytest.raises(SpoolError, match="no disk"):
        opening.opened_once()
    assert opening.delivery is gone
    assert "removed" in str(gone.refusal())


def remove_under(delivery: Delivery, root: Path) -> None:
    """Remove a delivery's directory, and have it seen."""
    directories(root)[0].rename(root / ".away")  # its worker may make files in it meanwhile
    delivery.put(lambda: [b"x"], 1)
    wait_until(lambda: delivery.gone, "the sync that sees it")


def no_disk() -> None:
    """A disk that cannot be used."""
    raise OSError("no disk")


def test_what_has_ended_is_not_opened_again(maker: Maker):
    """Not for those who keep what they send; for a scoring it is."""
    opening = Opening(maker)
    assert opening.opened_once() is opening.opened_once() is opening.delivery
    assert opening.end() is opening.delivery
    with pytest.raises(SpoolClosedError):
        opening.opened_once()
    following = opening.instead_of(maker.made[0])
    assert following is maker.made[1] is opening.delivery
    with pytest.raises(SpoolClosedError):
        opening.opened_once()


def test_a_disk_that_cannot_be_used_is_an_error_of_the_spool():
    """Whatever the system calls it; who asks again at once is told so, too."""

    def fail() -> Delivery:
        raise OSError("no disk")

    opening = Opening(fail)
    for _ in range(2):
        with pytest.raises(SpoolError):
            opening.opened_once()
