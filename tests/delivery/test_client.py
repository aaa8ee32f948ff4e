"""The data mart client: what the environment of the machine may not change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scorespan.delivery.client import MartClient
from scorespan.delivery.retry import Accepted, Retryable
from scorespan.settings import Settings
from scorespan.testing import ScriptedMart


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedMart]:
    """A server that the environment names as the proxy for everything."""
    with ScriptedMart() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, server.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield server


def test_what_is_for_this_machine_does_not_pass_a_proxy(
    scripted_mart: ScriptedMart, proxy: ScriptedMart
):
    """Plain http is allowed because it stays here: neither key nor body goes to the proxy."""
    client = MartClient(Settings.load(scripted_mart.settings, {}))
    assert client.post_records(b"[]", count=1) == Accepted()
    client.close()
    assert scripted_mart.posts == [b"[]"]
    assert (proxy.tokens_given, proxy.posts) == (0, [])


def test_a_token_service_on_this_machine_is_not_asked_through_a_proxy(
    scripted_mart: ScriptedMart, proxy: ScriptedMart
):
    """Wherever the mart is, the API key for a local token service stays here."""
    settings = {
        **scripted_mart.settings,
        "data_mart_url": "https://mart.invalid",
        "token_url": f"{scripted_mart.url}/v1/preauth/validateAuth",
        "timeout_seconds": 5,
    }
    client = MartClient(Settings.load(settings, {}))
    assert isinstance(client.post_records(b"[]", count=1), Retryable)
    client.close()
    assert (scripted_mart.tokens_given, proxy.tokens_given) == (1, 0)


def test_the_certificates_of_the_settings_win_over_the_environment(
    scripted_mart: ScriptedMart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`SCORESPAN_CA_FILE` is what every request is verified with, whatever else is set."""
    ours, others = tmp_path / "ours.pem", tmp_path / "others.pem"
    ours.touch()
    others.touch()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(others))
    client = MartClient(Settings.load({**scripted_mart.settings, "ca_file": ours}, {}))
    session = client._session
    merged = session.merge_environment_settings("https://mart", {}, None, client._verify, None)
    client.close()
    assert merged["verify"] == str(ours)
