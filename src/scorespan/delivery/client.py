"""The data mart client: one request, one outcome; it never retries."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import orjson
import requests
from opentelemetry import context
from urllib3.exceptions import MaxRetryError, ReadTimeoutError

from scorespan.delivery.answer import ENCODING, start_of
from scorespan.delivery.auth import NoAuth, TokenSource, token_url
from scorespan.delivery.patience import Patience
from scorespan.delivery.retry import Blocked, Outcome, Retryable, classify
from scorespan.delivery.session import Session
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
_PIECE = 256 * 1024
"""Bytes of a body in pieces that are sent in one go, each within the timeout."""
_MOST_ANSWERED = 1024 * 1024
"""Bytes of an answer that are read; all that counts stands within them."""
_MOST_ASKED_FOR = 256 * 1024 * 1024
"""Bytes of an answer that are read where somebody asked for what is in it."""
_Unanswered: TypeAlias = Blocked | Retryable


class Pieces:
    """A body that is sent piece by piece, uncopied; again from the start, where need be."""

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._length = sum(map(len, pieces))

    def __len__(self) -> int:
        """Bytes of the whole body."""
        return self._length

    def __iter__(self) -> Iterator[memoryview]:
        for piece in self._pieces:
            view = memoryview(piece)
            for start in range(0, len(view), _PIECE):
                yield view[start : start + _PIECE]


class MartClient:
    """Speaks to one data mart over one kept-alive session. Used by one thread at a time.

    Redirects are off, TLS is verified, and nothing of it is traced. How long the answer to a post
    is waited for follows the answers seen; see `Patience`.

    Attributes:
        timeout: seconds that an answer may take as a rule.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        settings.check_delivery()
        self._settings = settings
        self._clock = clock
        self.timeout = settings.timeout_seconds
        self._patience = Patience(settings.timeout_seconds)
        self._base = f"{settings.data_mart_url}/v1/data_marts/{settings.data_mart_id}"
        self._session = Session()
        self._verify = str(settings.ca_file) if settings.ca_file else True
        if any(map(on_loopback, (settings.data_mart_url or "", token_url(settings)))):
            # A proxy of the environment would carry to another machine what plain http is
            # allowed for because it stays on this one.
            self._session.trust_env = False
        self._tokens = TokenSource(settings, self._session)

    def post_records(
        self, body: bytes | Pieces, *, count: int, timeout: float | None = None
    ) -> Outcome:
        """Post one JSON list of records.

        Args:
            body: the list.
            count: how many records there are in it.
            timeout: seconds that this answer is waited for at least. Where it is given, a read
                timeout says nothing about answers to others.

        Returns:
            What the answer means. No answer at all is Retryable.
        """
        with _untraced():
            token = self._token()
            return self._post(token, body, count, timeout) if isinstance(token, str) else token

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
            token = self._token()
            return self._ask_kind(token) if isinstance(token, str) else token

    def forget_token(self) -> None:
        """Use a new token for the next request."""
        self._tokens.forget()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _token(self) -> str | _Unanswered:
        """A token, or why there is none."""
        try:
            return self._tokens.token()
        except TokenError as error:
            if error.refused:
                return Blocked(str(error), token=True)
            return Retryable(str(error), error.retry_after)

    def _post(self, token: str, body: bytes | Pieces, count: int, timeout: float | None) -> Outcome:
        started = self._clock()
        timeouts = (self.timeout, max(self._patience.seconds, timeout or 0.0))
        try:
            with self._send(
                token, "POST", "/scoring_payloads", data=body, timeout=timeouts
            ) as answer:
                content = start_of(answer, _MOST_ANSWERED)
        except (requests.RequestException, ValueError, OSError) as error:
            outcome = self._no_answer(error)
            if outcome.timed_out and timeout is None:
                self._patience.timed_out()
            return outcome
        self._patience.answered(self._clock() - started)
        return classify(answer.status_code, answer.headers, content, count=count)

    def _ask_kind(self, token: str) -> str | _Unanswered:
        try:
            with self._send(token, "GET", "") as answer:
                content = start_of(answer, _MOST_ANSWERED)
        except (requests.RequestException, ValueError, OSError) as error:
            return self._no_answer(error)
        if answer.status_code == 200:
            try:
                details = orjson.loads(content)
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

    def _read(self, method: str, path: str, **options: Any) -> Any:
        with _untraced():
            try:
                with self._send(self._tokens.token(), method, path, **options) as answer:
                    content = start_of(answer, _MOST_ASKED_FOR)
            except (requests.RequestException, ValueError, OSError) as error:
                raise DeliveryError(self._no_answer(error).reason) from error
        request = f"{method} {self._base}{path}"
        if answer.status_code not in {200, 201, 202}:
            said = content[: 4 * _SHOWN].decode(errors="replace")[:_SHOWN]
            reason = f"{request}: HTTP {answer.status_code}: {said}"
            raise DeliveryError(reason, status=answer.status_code)
        try:
            # Bodies of others are in it: NaN, and numbers of any size.
            return json.loads(content)
        except (ValueError, RecursionError):
            reason = f"{request}: the answer is not JSON"
            raise DeliveryError(reason, status=answer.status_code) from None

    def _send(self, token: str, method: str, path: str, **options: Any) -> requests.Response:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": ENCODING,
        }
        options.setdefault("timeout", self.timeout)
        return self._session.request(
            method,
            self._base + path,
            headers=headers,
            allow_redirects=False,
            auth=NoAuth(),
            verify=self._verify,
            stream=True,
            **options,
        )

    def _no_answer(self, error: Exception) -> Retryable:
        """Why there is no answer, and whether the request may have arrived."""
        # The library's own text may hold the address with its query; the kind is enough.
        reason = f"no answer from {self._base}: {type(error).__name__}"
        cause = error.args[0] if error.args else None
        if isinstance(error, requests.ReadTimeout) or isinstance(cause, ReadTimeoutError):
            return Retryable(reason, of_list=True, timed_out=True)
        unreached = (requests.ConnectTimeout, requests.exceptions.ProxyError)
        untold = (requests.exceptions.SSLError, requests.exceptions.InvalidURL)
        if isinstance(error, (*unreached, *untold)) or isinstance(cause, MaxRetryError):
            return Retryable(reason)
        return Retryable(reason, of_list=isinstance(error, requests.RequestException))


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
