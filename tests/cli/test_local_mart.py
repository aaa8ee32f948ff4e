"""The data mart of this machine, for commands whose environment names none."""

from __future__ import annotations

import pytest

from scorespan.cli.local_mart import mart_variables
from scorespan.errors import SettingsError
from scorespan.mart.place import ADMIN_KEY_FILE, DEFAULT_DATA_MART, default_folder

KEY = "sk-of-this-machine"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A state folder with the admin key of a data mart."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    default_folder().mkdir()
    (default_folder() / ADMIN_KEY_FILE).write_text(f"{KEY}\n")


@pytest.mark.usefixtures("here")
def test_nothing_said_leads_to_the_mart_of_this_machine():
    """Address, data mart and key are those of `scorespan mart` as it runs by default."""
    assert mart_variables({}) == {
        "SCORESPAN_DATA_MART_URL": "http://127.0.0.1:8787",
        "SCORESPAN_DATA_MART_ID": DEFAULT_DATA_MART,
        "SCORESPAN_API_KEY": KEY,
    }


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "environ",
    [
        {"SCORESPAN_DATA_MART_URL": "https://mart.example.com"},
        {"SCORESPAN_API_KEY": "another"},
        {"SCORESPAN_TOKEN": "another"},
        {"SCORESPAN_USERNAME": "somebody"},
    ],
)
def test_an_address_or_credentials_of_another_are_not_mixed_with_it(environ):
    """The key of this machine goes nowhere else, and no other key goes to it."""
    assert mart_variables(environ) == {}


def test_without_one_the_error_says_what_to_do(tmp_path, monkeypatch):
    """It names the variables, the command and the place that was looked at."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(SettingsError) as raised:
        mart_variables({})
    for word in ("SCORESPAN_DATA_MART_URL", "SCORESPAN_API_KEY", "`scorespan mart`", str(tmp_path)):
        assert word in str(raised.value)
