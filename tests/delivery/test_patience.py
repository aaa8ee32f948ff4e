"""Patience: a slow mart is waited for longer, a quick one as the setting says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scorespan.delivery.patience import LONGEST_SECONDS, Patience


def test_a_mart_that_takes_four_times_the_setting_gets_three_copies():
    """5 s, then longer, then long enough; the next list is waited for at once."""
    patience = Patience(5)
    copies = 1
    while patience.seconds <= 20:
        patience.timed_out()
        copies += 1
    assert copies == 3
    patience.answered(20)
    assert patience.seconds > 20


def test_quick_answers_bring_the_setting_back():
    """One slow moment does not make every later fault slow to notice."""
    patience = Patience(5)
    patience.timed_out()
    patience.timed_out()
    patience.answered(0.1)
    assert patience.seconds == 5


@given(
    st.floats(0.1, 3600),
    st.lists(st.none() | st.floats(0, 10_000), max_size=30),
)
def test_patience_is_never_below_the_setting_nor_without_end(
    setting: float, answers: list[float | None]
):
    """Whatever comes, the wait stays within its bounds."""
    patience = Patience(setting)
    for took in answers:
        if took is None:
            patience.timed_out()
        else:
            patience.answered(took)
        assert setting <= patience.seconds <= max(setting, LONGEST_SECONDS)
