"""The access check: who may send here."""

from __future__ import annotations

import hmac

from scorespan.settings import Secret


class Access:
    """Lets in who shows a bearer token that is known; everybody where there is none.

    Args:
        token: what they must show; of several, which have blanks between, any of them.
    """

    def __init__(self, token: Secret | None) -> None:
        self._known = None if token is None else token.reveal().encode().split()

    def allows(self, authorization: str | None) -> bool:
        """Whether this `authorization` header lets in; takes as long for a wrong token as any."""
        if self._known is None:
            return True
        scheme, _, shown = (authorization or "").partition(" ")
        given = shown.strip().encode("utf-8", "replace")
        shows_one = [hmac.compare_digest(given, one) for one in self._known]
        return scheme.lower() == "bearer" and any(shows_one)
