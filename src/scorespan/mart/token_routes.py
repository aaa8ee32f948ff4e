"""Token routes: an API key goes in, a token comes out."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response

from scorespan.mart.access import Mart, TheMart
from scorespan.mart.answers import MartRoute, answer
from scorespan.mart.authority import Token
from scorespan.mart.faults import refusal
from scorespan.mart.incoming import read_form

PATH = "/v1/preauth/validateAuth"
GRANT = "urn:ibm:params:oauth:grant-type:apikey"
KEY_LIFETIME = timedelta(hours=1)
# Who logs in by password has no renewal: the token must last a working day.
PASSWORD_LIFETIME = timedelta(hours=12)

router = APIRouter(route_class=MartRoute)


def _issue(mart: Mart, api_key: str, lifetime: timedelta) -> Token:
    key_id = mart.authority.key_id(api_key)
    if key_id is None:
        raise refusal(401, "unauthorized", "the API key is not known")
    return mart.authority.issue(key_id, lifetime)


@router.post(PATH)
def token_for_key(mart: TheMart, body: Annotated[bytes, Depends(read_form)]) -> Response:
    """Token for an API key in a form, good for an hour."""
    form = parse_qs(body.decode(errors="replace"))
    if form.get("grant_type") != [GRANT]:
        raise refusal(400, "unsupported_grant", f"grant_type must be {GRANT}", field="grant_type")
    token = _issue(mart, form.get("apikey", [""])[0], KEY_LIFETIME)
    return answer(
        {
            "access_token": token.text,
            "token_type": "Bearer",
            "expires_in": token.lifetime,
            "expiration": token.expiration,
        }
    )


@router.get(PATH)
def token_for_password(request: Request, mart: TheMart) -> Response:
    """Token for HTTP Basic with the API key as password, good for twelve hours."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        decoded = ""
    _, _, password = decoded.partition(":")
    token = _issue(mart, password if scheme.lower() == "basic" else "", PASSWORD_LIFETIME)
    return answer({"accessToken": token.text})
