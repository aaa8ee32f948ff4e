"""The access check: who may send here."""

from __future__ import annotations

import hmac

from scorespan.settings import Secret


class Access:
    """Lets in who shows the bearer token; everybody where there is none.

    Args:
        token: what they must show.
    """

    def __init__(self, token: Secret | None) -> None:
        self._expected = None if token is None else token.reveal().encode()

    def allows(self, authorization: str | None) -> bool:
        """Whether this `authorization` header lets in; takes as long for a wrong token as any."""
        if self._expected is None:
            return True
        scheme, _, shown = (authorization or "").partition(" ")
        given = shown.strip().encode("utf-8", "replace")
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self._expected)
