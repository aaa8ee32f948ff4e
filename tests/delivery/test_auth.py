"""Tokens: the right request, renewal ahead of expiry, and no secret anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from scorespan.delivery.auth import TokenSource, token_url
from scorespan.errors import TokenError
from scorespan.settings import Settings
from scorespan.testing import Answer, ScriptedMart


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session that is closed afterwards."""
    with requests.Session() as opened:
        yield opened


class Clock:
    """Seconds that pass when told."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def settings_for(mart: ScriptedMart, **changed: object) -> Settings:
    """Settings that reach the mart."""
    return Settings.load({**mart.settings, **changed}, {})


def test_a_token_is_asked_for_once_and_renewed_before_it_ends(
    scripted_mart: ScriptedMart, session: requests.Session
):
    """An hour's token serves until five minutes are left."""
    clock = Clock()
    source = TokenSource(settings_for(scripted_mart), session, clock=clock)
    first = source.token()
    clock.now += 3600 - 301
    assert source.token() == first
    clock.now += 2
    assert source.token() != first
    assert scripted_mart.tokens_given == 2


def test_a_short_token_is_renewed_when_a_fifth_is_left(
    scripted_mart: ScriptedMart, session: requests.Session
):
    """`expires_in` counts where there is one."""
    clock = Clock()
    scripted_mart.token_answers.append(Answer(200, b'{"access_token": "a.b.c", "expires_in": 100}'))
    source = TokenSource(settings_for(scripted_mart), session, clock=clock)
    assert source.token() == "a.b.c"
    clock.now += 79
    assert source.token() == "a.b.c"
    clock.now += 2
    assert source.token() != "a.b.c"


def test_user_and_password_use_basic(scripted_mart: ScriptedMart, session: requests.Session):
    """The GET form of the same address answers with `accessToken`."""
    settings = settings_for(scripted_mart, api_key=None, username="admin", password="secret")
    assert TokenSource(settings, session).token().count(".") == 2


def test_a_ready_made_token_is_used_as_it_is(session: requests.Session):
    """Nobody is asked."""
    settings = Settings.load({"data_mart_url": "http://127.0.0.1:9", "token": "ready"}, {})
    assert TokenSource(settings, session).token() == "ready"


def test_forgetting_asks_again(scripted_mart: ScriptedMart, session: requests.Session):
    """After a 401 the next request has a new token."""
    source = TokenSource(settings_for(scripted_mart), session)
    first = source.token()
    source.forget()
    assert source.token() != first


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (Answer(401, b"no"), True),
        (Answer(400, b"no"), True),
        (Answer(302, b"", (("Location", "https://elsewhere"),)), True),
        (Answer(503, b"", (("Retry-After", "3"),)), False),
        (Answer(200, b"<html>"), True),
        (Answer(200, b"[]"), True),
        (Answer(200, b'{"access_token": 5}'), True),
        (Answer(200, b'{"access_token": "a\\nb"}'), True),
    ],
)
def test_an_answer_without_a_token_is_an_error_that_says_which_kind(
    scripted_mart: ScriptedMart, session: requests.Session, answer: Answer, refused: bool
):
    """Refused credentials block, a passing fault does not; the key is in no message."""
    scripted_mart.token_answers.append(answer)
    with pytest.raises(TokenError) as raised:
        TokenSource(settings_for(scripted_mart), session).token()
    assert raised.value.refused is refused
    assert ScriptedMart.API_KEY not in str(raised.value)
    assert raised.value.retry_after == (3.0 if answer.status == 503 else None)


def test_an_unreachable_token_service_is_a_passing_fault(session: requests.Session):
    """No connection says nothing about the credentials."""
    settings = Settings.load({"data_mart_url": "http://127.0.0.1:9", "api_key": "secret-key"}, {})
    with pytest.raises(TokenError) as raised:
        TokenSource(settings, session).token()
    assert not raised.value.refused
    assert "secret-key" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.aiopenscale.cloud.ibm.com", "https://iam.cloud.ibm.com/identity/token"),
        (
            "https://aiopenscale-dev.eu-de.containers.appdomain.cloud",
            "https://iam.test.cloud.ibm.com/identity/token",
        ),
        (
            "https://api.aiopenscale.cloud.ibm.com.evil.example",
            "https://api.aiopenscale.cloud.ibm.com.evil.example/v1/preauth/validateAuth",
        ),
        ("https://mart.example", "https://mart.example/v1/preauth/validateAuth"),
    ],
)
def test_the_token_address_follows_the_data_mart(url: str, expected: str):
    """Exactly the hosted addresses use the cloud's token service."""
    assert token_url(Settings.load({"data_mart_url": url}, {})) == expected


def test_a_set_token_address_wins():
    """The setting is taken as it is."""
    settings = Settings.load(
        {"data_mart_url": "https://mart.example", "token_url": "https://tokens.example/t"}, {}
    )
    assert token_url(settings) == "https://tokens.example/t"


def test_a_netrc_file_does_not_replace_the_token(
    scripted_mart: ScriptedMart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Credentials that the machine keeps for the host never go on our requests."""
    from scorespan.delivery.client import MartClient

    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client = MartClient(settings_for(scripted_mart))
    client.post_records(b"[]", count=1)
    client.close()
    assert scripted_mart.authorizations[0].startswith("Bearer ey")
