"""Settings: where they come from, what is refused and what is never shown."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.errors import SettingsError
from scorespan.settings import Secret, Settings, markdown_table, variable_name

FIELDS = [field.name for field in dataclasses.fields(Settings)]
SECRETS = ["api_key", "password", "receiver_token", "token"]
ENOUGH = {"data_mart_url": "https://mart.example.com", "data_mart_id": "dm", "api_key": "k"}


def loaded(**arguments: object) -> Settings:
    """Settings from these arguments and an empty environment."""
    return Settings.load(arguments, {})


def refusal(name: str, value: object) -> str:
    """What the refusal of a value says; the same from an argument and from the environment."""
    with pytest.raises(SettingsError) as by_argument:
        loaded(**{name: value})
    with pytest.raises(SettingsError) as by_variable:
        Settings.load({}, {variable_name(name): str(value)})
    assert str(by_argument.value) == str(by_variable.value)
    assert by_argument.value.variable == variable_name(name)
    assert str(by_argument.value).startswith(f"{variable_name(name)}: must ")
    return str(by_argument.value)


def test_nothing_given_is_the_defaults():
    """An empty environment gives every setting its default."""
    assert loaded() == Settings()


def test_an_argument_wins_over_the_environment_and_that_over_the_default():
    """The nearest word counts, for each setting on its own."""
    environ = {"SCORESPAN_SUBSCRIPTION_ID": "env", "SCORESPAN_BINDING_ID": "env"}
    settings = Settings.load({"subscription_id": "argument"}, environ)
    assert settings.subscription_id == "argument"
    assert settings.binding_id == "env"
    assert settings.deployment_id == "generic_deployment"


def test_the_process_environment_is_read_where_none_is_given(monkeypatch):
    """Without an environment of its own, `load` reads the process's."""
    monkeypatch.setenv("SCORESPAN_DEPLOYMENT_ID", "d")
    assert Settings.load().deployment_id == "d"


def test_an_empty_variable_is_unset():
    """A variable that is set to nothing leaves the default."""
    environ = {variable_name(name): "" for name in FIELDS}
    assert Settings.load({}, environ) == Settings()


def test_an_argument_of_none_is_not_given():
    """None as an argument leaves the word to the environment."""
    environ = {"SCORESPAN_SUBSCRIPTION_ID": "env"}
    assert Settings.load({"subscription_id": None}, environ).subscription_id == "env"


def test_an_unknown_argument_is_refused():
    """A setting that does not exist is named."""
    with pytest.raises(SettingsError, match="SCORESPAN_SUBSCRIPTION: there is no such") as caught:
        loaded(subscription="credit")
    assert caught.value.variable == "SCORESPAN_SUBSCRIPTION"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("data_mart_url", " https://mart.example.com/base/ ", "https://mart.example.com/base"),
        ("data_mart_url", "http://[::1]:8787", "http://[::1]:8787"),
        ("data_mart_kind", "openscale", "openscale"),
        ("spool_dir", "/var/spool/x", Path("/var/spool/x")),
        ("spool_dir", Path("/var/spool/x"), Path("/var/spool/x")),
        ("spool_dir", "~/spool", Path.home() / "spool"),
        ("ca_file", "~/ca.pem", Path.home() / "ca.pem"),
        ("spool_max_bytes", 1048576, 1048576),
        ("spool_max_bytes", "2097152", 2097152),
        ("full_wait_ms", "0", 0),
        ("full_wait_ms", 250, 250),
        ("shutdown_seconds", 0.5, 0.5),
        ("timeout_seconds", "3600", 3600.0),
        ("allow_http", True, True),
        ("allow_http", "yes", True),
        ("allow_http", "0", False),
        ("api_key", "  k  ", Secret("k")),
        ("api_key", Secret("k"), Secret("k")),
        ("receiver_token", " old,\nnew\t", Secret("old new")),
        ("subscription_id", 5, "5"),
    ],
)
def test_values_are_read(name, value, expected):
    """Text and Python's own types are both understood; space around is dropped."""
    assert getattr(loaded(**{name: value}), name) == expected


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("data_mart_url", "mart.example.com", "https://mart.example.com"),
        ("data_mart_url", "ftp://mart.example.com", "https://mart.example.com"),
        ("data_mart_url", "https://", "https://mart.example.com"),
        ("data_mart_url", "https://[::1", "https://mart.example.com"),
        ("data_mart_url", "https://mart:port", "https://mart.example.com"),
        ("data_mart_url", "https://mart:99999", "https://mart.example.com"),
        ("data_mart_url", "https://mart example", "https://mart.example.com"),
        ("data_mart_url", "https://mart\nexample", "https://mart.example.com"),
        ("token_url", "https://mart.example.com?key=secret", "query"),
        ("token_url", "https://user:secret@mart.example.com", "SCORESPAN_API_KEY"),
        ("token_url", "https://@mart.example.com", "credentials"),
        ("data_mart_kind", "other", "scorespan, openscale"),
        ("api_version", "v3", "v1"),
        ("data_mart_id", " ", "not be empty"),
        ("api_key", " ", "not be empty"),
        ("spool_max_bytes", "many", "1048576"),
        ("spool_max_bytes", "1048575", "1048576"),
        ("spool_max_bytes", "-1", "1048576"),
        ("spool_max_bytes", "4e9", "1048576"),
        ("full_wait_ms", "soon", "whole number, 0 or more"),
        ("full_wait_ms", "must", "whole number, 0 or more"),
        ("full_wait_ms", "1.5", "whole number, 0 or more"),
        ("full_wait_ms", "-1", "whole number, 0 or more"),
        ("shutdown_seconds", "soon", "seconds, 0 or more"),
        ("shutdown_seconds", "-0.1", "seconds, 0 or more"),
        ("shutdown_seconds", "nan", "seconds, 0 or more"),
        ("shutdown_seconds", "inf", "seconds, 0 or more"),
        ("timeout_seconds", "inf", "at most 3600"),
        ("timeout_seconds", "0", "above 0"),
        ("timeout_seconds", "1e12", "at most 3600"),
        ("token", "tokén", "printable ASCII"),
        ("allow_http", "maybe", "1 or 0"),
        ("paths", "/score,invocations", "begin with / or *"),
        ("paths", '["https://host/score"]', "begin with / or *"),
        ("spool_dir", "~nobody-of-that-name/spool", "a path on this machine"),
        ("ca_file", "/etc/\0", "a path on this machine"),
    ],
)
def test_a_wrong_value_names_the_variable_and_what_is_allowed(name, value, allowed):
    """A refusal says which variable it is about and what may stand there, and shows no secret."""
    said = refusal(name, value)
    assert allowed in said
    assert "secret" not in said


def test_a_wrong_value_is_shown_where_it_is_no_secret():
    """Who mistyped an address or a number sees what was read."""
    assert "'mart.example.com'" in refusal("data_mart_url", "mart.example.com")
    assert "'soon'" in refusal("full_wait_ms", "soon")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_shows_in_no_form(name):
    """No representation of the settings holds a secret."""
    settings = loaded(**{name: "very-secret"})
    secret = getattr(settings, name)
    assert secret.reveal() == "very-secret"
    for shown in (repr(settings), f"{settings}", repr(secret), f"{secret}", f"{secret:>20}"):
        assert "very-secret" not in shown
    assert f"{name}='***'" in repr(settings)
    assert "very-secret" not in repr(dataclasses.replace(settings, binding_id="b"))


def test_every_secret_is_a_secret():
    """The settings that must not be shown are of the type that is not."""
    typed = {field.name for field in dataclasses.fields(Settings) if "Secret" in str(field.type)}
    assert typed == set(SECRETS)
    assert repr(Secret("x")) == "'***'"


@given(name=st.sampled_from(SECRETS), value=st.text())
def test_no_refusal_shows_a_secret(name, value):
    """Whatever a secret is set to, what is said about it does not hold it."""
    try:
        settings = loaded(**{name: "##" + value, "api_version": "v0"})
    except SettingsError as error:
        assert "##" not in str(error)  # noqa: PT017 - it need not raise
    else:
        assert "##" not in repr(settings)


@given(name=st.sampled_from(FIELDS), value=st.text())
def test_any_text_is_read_or_refused(name, value):
    """Whatever stands in a variable, there are settings or one error that names it."""
    try:
        Settings.load({}, {variable_name(name): value})
    except SettingsError as error:
        assert error.variable == variable_name(name)  # noqa: PT017 - it need not raise


def test_settings_cannot_be_changed():
    """Settings in force stay what they were checked to be."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded().binding_id = "b"


# What delivery needs.


def delivery_refusal(**arguments: object) -> SettingsError:
    """Why settings are not enough to deliver."""
    with pytest.raises(SettingsError) as caught:
        loaded(**{**ENOUGH, **arguments}).check_delivery()
    return caught.value


@pytest.mark.parametrize(
    "credentials",
    [{"api_key": "k"}, {"username": "u", "password": "p"}, {"token": "t"}],
)
def test_one_way_in_is_enough(credentials):
    """An address, an id and one kind of credentials reach a mart."""
    loaded(
        data_mart_url="https://mart.example.com", data_mart_id="dm", **credentials
    ).check_delivery()


@pytest.mark.parametrize("name", ["data_mart_url", "data_mart_id"])
def test_address_and_id_are_required(name):
    """What is missing is named."""
    error = delivery_refusal(**{name: None})
    assert error.variable == variable_name(name)
    assert "required" in str(error)


def test_credentials_are_required():
    """Without credentials the refusal names every way to give them."""
    said = str(delivery_refusal(api_key=None))
    for name in ("API_KEY", "USERNAME", "PASSWORD", "TOKEN"):
        assert f"SCORESPAN_{name}" in said


@pytest.mark.parametrize(
    ("credentials", "variable"),
    [
        ({"api_key": "k", "token": "t"}, "SCORESPAN_API_KEY"),
        ({"api_key": "k", "username": "u", "password": "p"}, "SCORESPAN_API_KEY"),
        ({"api_key": None, "username": "u"}, "SCORESPAN_PASSWORD"),
        ({"api_key": None, "password": "p"}, "SCORESPAN_USERNAME"),
        ({"username": "u"}, "SCORESPAN_PASSWORD"),
    ],
)
def test_credentials_that_contradict_or_lack_their_other_half_are_named(credentials, variable):
    """Two ways in, or half of one, are refused, and the refusal holds no secret."""
    error = delivery_refusal(**credentials)
    assert error.variable == variable
    assert "'k'" not in str(error)


@pytest.mark.parametrize("name", ["data_mart_url", "token_url"])
@pytest.mark.parametrize("host", ["mart.example.com", "10.0.0.1", "localhost.example.com"])
def test_credentials_do_not_travel_in_the_clear(name, host):
    """Plain http to another host is refused unless it is asked for."""
    error = delivery_refusal(**{name: f"http://{host}"})
    assert error.variable == variable_name(name)
    assert "SCORESPAN_ALLOW_HTTP=1" in str(error)
    loaded(**{**ENOUGH, name: f"http://{host}", "allow_http": True}).check_delivery()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8787", "127.0.0.1:8787", "[::1]"])
def test_plain_http_may_stay_on_this_host(host):
    """Loopback needs no encryption."""
    url = f"http://{host}"
    loaded(**{**ENOUGH, "data_mart_url": url, "token_url": url}).check_delivery()


def test_a_certificate_file_must_exist(tmp_path):
    """A file of certificates that is not there is said before the first connection."""
    missing = tmp_path / "ca.pem"
    assert str(missing) in str(delivery_refusal(ca_file=missing))
    missing.touch()
    loaded(**{**ENOUGH, "ca_file": missing}).check_delivery()


# The README's table.


def test_the_table_has_every_setting():
    """Each setting stands in the table with its variable, default and meaning."""
    lines = markdown_table().splitlines()
    assert len(lines) == len(FIELDS) + 2
    for field, line in zip(dataclasses.fields(Settings), lines[2:], strict=True):
        assert line.startswith(f"| `SCORESPAN_{field.name.upper()}` |")
        assert field.metadata["doc"] in line
        assert line.count(" | ") == 2


def test_a_default_of_the_table_can_be_set():
    """What the table gives as default is accepted as value and changes nothing."""
    for line in markdown_table().splitlines()[2:]:
        variable, default, _ = (cell.strip(" `") for cell in line.strip("| ").split(" | "))
        if default:
            assert Settings.load({}, {variable: default}) == Settings()


def test_no_test_sees_the_machines_settings():
    """The environment of a test holds no setting that it did not make."""
    assert [name for name in os.environ if name.startswith(("SCORESPAN_", "OTEL_"))] == []


@pytest.mark.parametrize("name", ["feature_names", "prediction_fields"])
@pytest.mark.parametrize("value", ["a,b,a", '["a", "a"]'])
def test_names_of_columns_are_different(name, value):
    """Two columns of one name could not be told apart."""
    assert "different names; a is there twice" in refusal(name, value)
