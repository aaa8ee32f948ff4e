"""Tokens: who gets one, how long it lasts, what it opens."""

from __future__ import annotations

import jwt
import pytest

from scorespan.mart.app import ROUTERS
from scorespan.mart.server import open_mart

PATH = "/v1/preauth/validateAuth"
GRANT = "urn:ibm:params:oauth:grant-type:apikey"


def test_an_api_key_gets_a_token_for_an_hour(mart):
    """A POST with the key answers a JWT with iat and exp one hour apart, and the token opens."""
    answer = mart.http.post(PATH, data={"grant_type": GRANT, "apikey": mart.running.api_key})
    assert answer.status_code == 200
    document = answer.json()
    claims = jwt.decode(document["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == document["expires_in"] == 3600
    assert document["expiration"] == claims["exp"]
    assert document["token_type"] == "Bearer"
    bearer = {"Authorization": f"Bearer {document['access_token']}"}
    assert mart.http.get(mart.root, headers=bearer).status_code == 200


@pytest.mark.parametrize("user", ["admin", "", "any:one"[:3]])
def test_a_password_login_gets_a_token_for_twelve_hours(mart, user):
    """HTTP Basic with the key as password answers accessToken, whatever the user name."""
    answer = mart.http.get(PATH, auth=(user, mart.running.api_key))
    assert answer.status_code == 200
    claims = jwt.decode(answer.json()["accessToken"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 12 * 3600


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"grant_type": GRANT, "apikey": "wrong"}, 401, "unauthorized"),
        ({"grant_type": GRANT}, 401, "unauthorized"),
        ({"grant_type": "password", "apikey": "wrong"}, 400, "unsupported_grant"),
        ({}, 400, "unsupported_grant"),
    ],
)
def test_a_wrong_key_or_grant_gets_no_token(mart, form, status, code):
    """A wrong key is 401 and a wrong grant 400, each with its code."""
    answer = mart.http.post(PATH, data=form)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


@pytest.mark.parametrize(
    "header", ["", "Basic !!!", "Basic Og==", "Basic YTpi", "Bearer x", "Basic \xe9"]
)
def test_a_wrong_password_login_is_refused(mart, header):
    """A login that is no Basic login with the key is 401."""
    headers = {"Authorization": header.encode("latin-1")}
    assert mart.http.get(PATH, headers=headers).status_code == 401


ROUTES = [
    ("PUT", ""),
    ("GET", ""),
    ("POST", "/service_bindings"),
    ("GET", "/service_bindings"),
    ("GET", "/service_bindings/binding"),
    ("DELETE", "/service_bindings/binding"),
    ("GET", "/service_bindings/binding/subscriptions"),
    ("PUT", "/service_bindings/binding/subscriptions/sub"),
    ("GET", "/service_bindings/binding/subscriptions/sub"),
    ("PATCH", "/service_bindings/binding/subscriptions/sub"),
    ("DELETE", "/service_bindings/binding/subscriptions/sub"),
    ("GET", "/service_bindings/binding/subscriptions/sub/payload_table_schema"),
    ("GET", "/service_bindings/binding/subscriptions/sub/configurations/payload_logging"),
    ("PUT", "/service_bindings/binding/subscriptions/sub/configurations/payload_logging"),
    ("POST", "/scoring_payloads"),
    ("GET", "/scoring_payloads"),
    ("GET", "/scoring_transactions"),
    ("GET", "/scoring_conflicts"),
    ("GET", "/subscriptions/sub/configurations/payload_logging"),
    ("GET", "/metrics"),
    ("GET", "/performance"),
]


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer x.y.z", "Bearer é", "Basic YTpi"])
def test_every_route_needs_a_token(mart, token):
    """Without a good bearer token each route is 401 and changes nothing."""
    del mart.http.headers["Authorization"]
    headers = {} if token is None else {"Authorization": token.encode("latin-1")}
    for method, path in ROUTES:
        answer = mart.http.request(method, mart.root + path, headers=headers, content=b"[]")
        assert answer.status_code == 401, (method, path)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["errors"][0]["code"] == "unauthorized"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_token(mart, path):
    """Health and readiness are open."""
    del mart.http.headers["Authorization"]
    assert mart.http.get(path).status_code == 200


def test_the_list_of_routes_is_complete():
    """Every route of the application but token and health is in the test of tokens above."""
    known = {(method, "/v1/data_marts/dm" + path) for method, path in ROUTES}
    ids = {"data_mart_id": "dm", "binding_id": "binding", "subscription_id": "sub"}
    paths = {
        (method, route.path.format(**ids, monitor="payload_logging"))
        for router in ROUTERS
        for route in router.routes
        for method in route.methods
    }
    open_paths = {("GET", PATH), ("POST", PATH), ("GET", "/healthz"), ("GET", "/readyz")}
    assert paths - open_paths == known


def test_an_expired_token_is_refused(mart):
    """A token holds for its lifetime and not a second longer."""
    mart.clock.advance(seconds=3599)
    assert mart.http.get(mart.root).status_code == 200
    mart.clock.advance(seconds=1)
    assert mart.http.get(mart.root).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"kid": "k", "iat": 0},
        {"kid": "k", "iat": 0, "exp": "soon"},
        {"kid": "k", "iat": 0, "exp": None},
        {"iat": 0, "exp": 9e9},
        {"kid": "no such key", "iat": 0, "exp": 9e9},
        {"kid": ["k"], "iat": 0, "exp": 9e9},
    ],
)
def test_a_signed_token_with_wrong_claims_is_refused(mart, claims):
    """Our signature alone is not enough: expiry and a key that is still let in are needed."""
    secret = (mart.running.folder / "signing.key").read_text().strip()
    token = jwt.encode(claims, secret, algorithm="HS256")
    answer = mart.http.get(mart.root, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_an_unsigned_token_is_refused(mart):
    """A token with the algorithm none is 401."""
    token = jwt.encode({"kid": "k", "iat": 0, "exp": 9e9}, None, algorithm="none")
    answer = mart.http.get(mart.root, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_key_and_tokens_outlive_a_restart(tmp_path):
    """A second start makes no new key, and tokens of the first still open."""
    folder = tmp_path / "data"
    with open_mart(folder) as first:
        key = first.new_key
        key_id = first.mart.authority.key_id(key)
        from scorespan.mart.token_routes import KEY_LIFETIME

        token = first.mart.authority.issue(key_id, KEY_LIFETIME).text
    assert first.key_file.read_text().strip() == key
    with open_mart(folder) as second:
        assert second.new_key is None
        assert second.mart.authority.admits(token)
        assert second.mart.authority.key_id(key) == key_id


def test_a_start_that_broke_off_before_the_key_was_known_lets_it_in(tmp_path):
    """A key file without a key in the store becomes the admin key."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "admin.key").touch(mode=0o600)
    (folder / "admin.key").write_text("ssp-left-behind\n")
    with open_mart(folder) as opened:
        assert opened.mart.authority.key_id("ssp-left-behind") is not None


def test_secrets_are_readable_by_the_owner_only(tmp_path):
    """The data folder is 0700; keys and database are 0600, their side files too."""
    folder = tmp_path / "data"
    with open_mart(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert {"admin.key", "signing.key", "mart.sqlite3"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_the_store_holds_no_key_in_clear(mart):
    """Neither the admin key nor the signing secret is in the database."""
    secret = (mart.running.folder / "signing.key").read_bytes().strip()
    held = b"".join(file.read_bytes() for file in mart.running.folder.glob("mart.sqlite3*"))
    assert mart.running.api_key.encode() not in held
    assert secret not in held


def test_no_repr_shows_the_key(mart):
    """What a debugger or a log prints of a mart holds no key."""
    assert mart.running.api_key not in repr(mart.running)


def test_a_first_start_shows_its_key_to_its_caller_only(tmp_path):
    """What opens a data folder for the first time is given the key, and its repr has none."""
    with open_mart(tmp_path / "data") as opened:
        assert opened.new_key
        assert opened.new_key not in repr(opened)
