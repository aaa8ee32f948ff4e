"""The data mart client: one request, one outcome; it never retries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import requests
from opentelemetry import context
from requests.adapters import HTTPAdapter

from scorespan.delivery.auth import NoAuth, TokenSource, token_url
from scorespan.delivery.retry import Blocked, Outcome, Retryable, classify
from scorespan.errors import DeliveryError, TokenError
from scorespan.settings import Settings, on_loopback

# Instrumentations look for the key that their version of OpenTelemetry knows; the plain word is
# what all of them have in common.
_SUPPRESS_KEYS = (
    getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    "suppress_instrumentation",
)
_SHOWN = 500
_HOSTED_MEMBERS = {"database_configuration", "internal_database"}


class MartClient:
    """Speaks to one data mart over one kept-alive session. Used by one thread at a time.

    Redirects are off, TLS is verified, and nothing of it is traced.
    """

    def __init__(self, settings: Settings) -> None:
        settings.check_delivery()
        self._settings = settings
        self._base = f"{settings.data_mart_url}/v1/data_marts/{settings.data_mart_id}"
        self._session = requests.Session()
        self._verify = str(settings.ca_file) if settings.ca_file else True
        if any(map(on_loopback, (settings.data_mart_url or "", token_url(settings)))):
            # A proxy of the environment would carry to another machine what plain http is
            # allowed for because it stays on this one.
            self._session.trust_env = False
        self._tokens = TokenSource(settings, self._session)

    def post_records(self, body: bytes, *, count: int) -> Outcome:
        """Post one JSON list of records.

        Returns:
            What the answer means. No answer at all is Retryable.
        """
        with _untraced():
            answer = self._answer("POST", "/scoring_payloads", data=body)
        if not isinstance(answer, requests.Response):
            return answer
        return classify(answer.status_code, answer.headers, answer.content, count=count)

    def get(self, path: str, **parameters: str | int | None) -> Any:
        """Get JSON below the data mart's address; `path` is empty or begins with a slash.

        Raises:
            DeliveryError: no answer, or not a 200 with JSON.
        """
        return self._read("GET", path, params=parameters)

    def call(self, method: str, path: str, body: object) -> Any:
        """Send JSON to an address below the data mart's; returns the answer's JSON.

        Raises:
            DeliveryError: no answer, or not a 200, 201 or 202 with JSON.
        """
        return self._read(method, path, data=orjson.dumps(body))

    def kind(self) -> str | Blocked | Retryable:
        """`scorespan` for our own mart, `openscale` for the hosted one: set, or asked for.

        Returns:
            The kind, or why there was no usable answer.
        """
        if self._settings.data_mart_kind is not None:
            return self._settings.data_mart_kind
        with _untraced():
            answer = self._answer("GET", "")
        if not isinstance(answer, requests.Response):
            return answer
        if answer.status_code == 200:
            try:
                details = answer.json()
            except ValueError:
                return Blocked("HTTP 200 without JSON: this address does not answer as a data mart")
            known = set(details) if isinstance(details, dict) else set()
            if "scorespan" in known:
                return "scorespan"
            if known & _HOSTED_MEMBERS:
                return "openscale"
            return Blocked("HTTP 200 with other JSON: this address does not answer as a data mart")
        outcome = classify(answer.status_code, answer.headers, b"", count=0)
        if isinstance(outcome, (Blocked, Retryable)):
            return outcome
        return Blocked(f"HTTP {answer.status_code}: this address does not answer as a data mart")

    def forget_token(self) -> None:
        """Use a new token for the next request."""
        self._tokens.forget()

    def close(self) -> None:
        """Close the connections."""
        for adapter in self._session.adapters.values():
            if isinstance(adapter, HTTPAdapter):
                pools = adapter.poolmanager.pools
                # At the end of a process the pools' own finalizers have run before us, and did not
                # see a connection that was in use then.
                for key in pools.keys():  # noqa: SIM118 - urllib3's container cannot be iterated
                    pools[key].close()
        self._session.close()

    def _answer(
        self, method: str, path: str, **options: Any
    ) -> requests.Response | Blocked | Retryable:
        """The answer to a request, or why there is none."""
        try:
            return self._send(method, path, **options)
        except TokenError as error:
            if error.refused:
                return Blocked(str(error), token=True)
            return Retryable(str(error), error.retry_after)
        except DeliveryError as error:
            return Retryable(str(error))

    def _read(self, method: str, path: str, **options: Any) -> Any:
        with _untraced():
            answer = self._send(method, path, **options)
        request = f"{method} {self._base}{path}"
        if answer.status_code not in {200, 201, 202}:
            said = answer.text[:_SHOWN]
            raise DeliveryError(f"{request}: HTTP {answer.status_code}: {said}")
        try:
            return answer.json()
        except ValueError:
            raise DeliveryError(f"{request}: the answer is not JSON") from None

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {
            "Authorization": f"Bearer {self._tokens.token()}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        try:
            return self._session.request(
                method,
                self._base + path,
                headers=headers,
                timeout=self._settings.timeout_seconds,
                allow_redirects=False,
                auth=NoAuth(),
                verify=self._verify,
                **options,
            )
        except (requests.RequestException, ValueError, OSError) as error:
            # The library's own text may hold the address with its query; the kind is enough.
            raise DeliveryError(f"no answer from {self._base}: {type(error).__name__}") from error


@contextmanager
def _untraced() -> Iterator[None]:
    current = context.get_current()
    for key in _SUPPRESS_KEYS:
        current = context.set_value(key, True, current)
    token = context.attach(current)
    try:
        yield
    finally:
        context.detach(token)
