"""The authority: who may talk to the mart, and the secrets that it keeps for others."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, NamedTuple

import jwt
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scorespan.errors import SettingsError
from scorespan.mart.place import ADMIN_KEY_FILE
from scorespan.mart.store import ApiKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from pathlib import Path

    from scorespan.mart.store import Store

SIGNING_FILE = "signing.key"
_ALGORITHM = "HS256"
_SECRET_BYTES = 32


class Token(NamedTuple):
    """A signed token; times in seconds since the epoch."""

    text: str
    lifetime: int
    expiration: int


class Authority:
    """Issues and checks tokens, and encrypts what must not lie in clear. Threads may share it.

    A token names the key it was given for and holds only as long as that key is in the store.
    """

    def __init__(self, secret: bytes, store: Store, clock: Callable[[], datetime]) -> None:
        self._secret = secret
        self._store = store
        self._clock = clock
        derived = HKDF(SHA256(), _SECRET_BYTES, salt=None, info=b"stored credentials")
        self._fernet = Fernet(urlsafe_b64encode(derived.derive(secret)))

    def key_id(self, api_key: str) -> str | None:
        """The id of a key that is let in, or None. Takes the same time for every wrong key."""
        offered = _hash(api_key)
        found = None
        with self._store.reading() as reader:
            for key in reader.api_keys():
                if hmac.compare_digest(key.key_hash, offered):
                    found = key.key_id
        return found

    def issue(self, key_id: str, lifetime: timedelta) -> Token:
        """A token for a key."""
        now = int(self._clock().timestamp())
        seconds = int(lifetime.total_seconds())
        claims = {"sub": key_id, "kid": key_id, "iat": now, "exp": now + seconds}
        text = jwt.encode(claims, self._secret, algorithm=_ALGORITHM)
        return Token(text, seconds, now + seconds)

    def admits(self, token: str) -> bool:
        """Whether a token is ours, still good, and its key still let in."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                # The clock is ours to read: see below.
                options={
                    "require": ["iat", "exp", "kid"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            good = float(claims["exp"]) > self._clock().timestamp()
        except (jwt.InvalidTokenError, TypeError, ValueError):
            return False
        if not good:
            return False
        with self._store.reading() as reader:
            return any(key.key_id == claims["kid"] for key in reader.api_keys())

    def encrypt(self, text: bytes) -> bytes:
        """Text that only this data folder can read."""
        return self._fernet.encrypt(text)

    def decrypt(self, text: bytes) -> bytes:
        """What `encrypt` was given."""
        return self._fernet.decrypt(text)


def open_authority(folder: Path, store: Store, clock: Callable[[], datetime]) -> Authority:
    """The authority of a data folder, with the signing secret that lies there or a new one."""
    secret = _read_or_make(folder / SIGNING_FILE, secrets.token_hex(_SECRET_BYTES))
    return Authority(secret.encode(), store, clock)


def first_key(folder: Path, store: Store, now: datetime) -> str | None:
    """Make the admin key where the store has no key yet; the key, or None where there is one.

    The file is written before the store knows the key, so a crash between leaves a key that the
    next start lets in, never one that nobody has.
    """
    with store.writing() as writer:
        if writer.api_keys():
            return None
        key = _read_or_make(folder / ADMIN_KEY_FILE, f"ssp-{secrets.token_urlsafe(_SECRET_BYTES)}")
        writer.add_api_key(ApiKey(secrets.token_hex(8), _hash(key)), now)
    return key


def _hash(api_key: str) -> str:
    # The key is random and long: a plain hash cannot be searched, and it costs no request much.
    return hashlib.sha256(api_key.encode(errors="surrogatepass")).hexdigest()


def _check_private(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise SettingsError(path.name, f"{path} belongs to another user (uid {found.st_uid})")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise SettingsError(path.name, f"{path} is open to others; chmod 600, or remove it")


def _read_or_make(path: Path, fresh: str) -> str:
    """The text of a file of ours, written and synced with mode 0600 where there is none.

    Raises:
        SettingsError: somebody else may have written or read the file that is there.
    """
    if path.exists():
        _check_private(path)
    if path.exists() and (text := path.read_text(encoding="ascii").strip()):
        return text
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{fresh}\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return fresh
