"""Tokens: from an API key, from user and password, or ready-made; renewed ahead of expiry.

API key: `POST {token URL}` with the IAM form. User and password: `GET {token URL}` with HTTP Basic.
IBM's hosted addresses use IBM's own token service; every other data mart brings its own at
`{url}/v1/preauth/validateAuth`.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import orjson
import requests

from scorespan.delivery.answer import ENCODING, start_of
from scorespan.delivery.retry import retry_after
from scorespan.errors import TokenError
from scorespan.settings import Secret, Settings
from scorespan.threads import native

_CLOUD = "https://iam.cloud.ibm.com/identity/token"
_TEST_CLOUD = "https://iam.test.cloud.ibm.com/identity/token"
_HOSTED = {
    "https://api.aiopenscale.cloud.ibm.com": _CLOUD,
    "https://eu-de.api.aiopenscale.cloud.ibm.com": _CLOUD,
    "https://api.aiopenscale.test.cloud.ibm.com": _CLOUD,
    "https://eu-de.api.aiopenscale.test.cloud.ibm.com": _CLOUD,
    "https://aios-yp-cr.us-south.containers.appdomain.cloud": _CLOUD,
    "https://aios-yp-cr.eu-de.containers.appdomain.cloud": _CLOUD,
    "https://aiopenscale-dev.us-south.containers.appdomain.cloud": _TEST_CLOUD,
    "https://aiopenscale-dev.eu-de.containers.appdomain.cloud": _TEST_CLOUD,
}
_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
_FALLBACK_LIFETIME = 1200.0
_EARLY_SHARE = 0.2
_EARLY_MOST = 300.0
_MOST_ANSWERED = 1024 * 1024
"""Bytes of an answer that are read; a token is far shorter."""


class NoAuth(requests.auth.AuthBase):
    """Keeps `requests` from putting credentials of a .netrc file on a request."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request, unchanged."""
        return request


def token_url(settings: Settings) -> str:
    """Where tokens for these settings come from."""
    if settings.token_url is not None:
        return settings.token_url
    url = settings.data_mart_url or ""
    return _HOSTED.get(url, f"{url}/v1/preauth/validateAuth")


class TokenSource:
    """The current token; any thread may ask.

    A token is renewed when a fifth of its life, at most five minutes, is left.
    """

    def __init__(
        self,
        settings: Settings,
        session: requests.Session,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._session = session
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = native.Lock()
        self._token: str | None = None
        self._renew_at = 0.0

    def token(self) -> str:
        """A token that is valid now; asks the token service where needed.

        Raises:
            TokenError: none could be had.
        """
        if self._settings.token is not None:
            return self._settings.token.reveal()
        with self._lock:
            if self._token is None or self._clock() >= self._renew_at:
                self._token = self._request()
            return self._token

    def forget(self) -> None:
        """The mart refused the token: ask for a new one next time."""
        with self._lock:
            self._token = None

    def _request(self) -> str:
        settings = self._settings
        url = token_url(settings)
        options: dict[str, Any] = {
            "headers": {"Accept": "application/json", "Accept-Encoding": ENCODING},
            "timeout": settings.timeout_seconds,
            "allow_redirects": False,
            "stream": True,
            "verify": str(settings.ca_file) if settings.ca_file else True,
            "auth": NoAuth(),
        }
        try:
            if settings.api_key is not None:
                form = {"grant_type": _GRANT, "apikey": settings.api_key.reveal()}
                answer = self._session.post(url, data=form, **options)
            else:
                pair = f"{settings.username}:{_revealed(settings.password)}".encode()
                options["headers"]["Authorization"] = b"Basic " + base64.b64encode(pair)
                answer = self._session.get(url, **options)
            with answer:
                content = start_of(answer, _MOST_ANSWERED)
        except (requests.RequestException, ValueError, OSError) as error:
            kind = type(error).__name__
            raise TokenError(f"no token from {url}: {kind}", refused=False) from None
        return self._read(url, answer, content)

    def _read(self, url: str, answer: requests.Response, content: bytes) -> str:
        if answer.status_code != 200:
            later = answer.status_code in {408, 425, 429} or answer.status_code >= 500
            raise TokenError(
                f"no token from {url}: HTTP {answer.status_code}",
                refused=not later,
                retry_after=retry_after(answer.headers.get("Retry-After")) if later else None,
            )
        try:
            body = orjson.loads(content)
            token = body.get("access_token") or body["accessToken"]
        except (ValueError, KeyError, TypeError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise TokenError(f"no token in the answer of {url}", refused=True)
        lifetime = self._lifetime(token, body)
        self._renew_at = self._clock() + lifetime - min(lifetime * _EARLY_SHARE, _EARLY_MOST)
        return token

    def _lifetime(self, token: str, body: dict[str, Any]) -> float:
        """Seconds from issue to expiry, so that a wrong local clock does not matter."""
        claims = _claims(token)
        try:
            if "expires_in" in body:
                return max(float(body["expires_in"]), 0.0)
            issued = float(claims.get("iat", self._wall_clock()))
            return max(float(claims["exp"]) - issued, 0.0)
        except (KeyError, TypeError, ValueError):
            return _FALLBACK_LIFETIME


def _revealed(secret: Secret | None) -> str:
    return "" if secret is None else secret.reveal()


def _claims(token: str) -> dict[str, Any]:
    try:
        part = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
