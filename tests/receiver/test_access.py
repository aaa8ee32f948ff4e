"""Who shows the token comes in."""

from __future__ import annotations

import pytest

from scorespan.receiver.access import Access
from scorespan.settings import Secret


@pytest.mark.parametrize("shown", [None, "", "Bearer x", "Basic eA=="])
def test_without_a_token_everybody_comes_in(shown):
    """Where none is asked for, none is looked at."""
    assert Access(None).allows(shown)


@pytest.mark.parametrize("shown", ["Bearer secret", "bearer secret", "BEARER  secret "])
def test_who_shows_the_token_comes_in(shown):
    """The scheme has no case, and the token may have blanks around it."""
    assert Access(Secret("secret")).allows(shown)


@pytest.mark.parametrize(
    ("shown", "comes_in"),
    [
        ("Bearer old", True),
        ("Bearer new", True),
        ("Bearer old new", False),
        ("Bearer ol", False),
        ("Bearer ", False),
    ],
)
def test_of_several_tokens_any_lets_in(shown, comes_in):
    """While senders are moved from one token to the next, each shows one of them."""
    assert Access(Secret("old new")).allows(shown) is comes_in


@pytest.mark.parametrize(
    "shown",
    [None, "", "secret", "Bearer", "Bearer ", "Bearer Secret", "Bearer secret2", "Basic secret",
     "Bearer s\u00e9cret", "Bearer \ud800"],
)  # fmt: skip
def test_everybody_else_stays_out(shown):
    """Nothing but the token itself, with its scheme, lets in."""
    assert not Access(Secret("secret")).allows(shown)
