"""Settings: one frozen table of variables, types and defaults.

Keyword arguments win over `SCORESPAN_*` environment variables, and those over the defaults. The
README's list is generated from this table.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from scorespan import setting_values as kind
from scorespan.errors import SettingsError

PREFIX = "SCORESPAN_"
_T = TypeVar("_T")
_SCORING_PATHS = (
    "/score",
    "/invocations",
    "/predict",
    "/predictions/*",
    "/v1/models/*:predict",
    "/v2/models/*/infer",
)
_AZURE_ADDRESSES = (
    "*.inference.ml.azure.com/*",
    "*.services.azureml.net/*",
    "*.azurecontainer.io/*score",
    "*.cloudapp.azure.com/*score",
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Secret:
    """A text that never shows itself; `reveal` it where it is sent, and only there."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "'***'"

    __str__ = __repr__

    def __format__(self, form: str) -> str:
        return format(repr(self), form)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def _setting(parse: Callable[[str], _T], default: Any, doc: str) -> Any:
    return dataclasses.field(default=default, metadata={"parse": parse, "doc": doc})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, already checked; build it with `Settings.load`.

    Times are seconds unless the name ends in `_ms`. Secrets are masked in `repr`.
    """

    data_mart_url: str | None = _setting(kind.url, None, "address of the data mart")
    data_mart_id: str | None = _setting(kind.text, None, "id of the data mart")
    data_mart_kind: str | None = _setting(
        kind.one_of("scorespan", "openscale"),
        None,
        "`scorespan` or `openscale`; unset: asked once of the data mart",
    )
    api_key: Secret | None = _setting(
        lambda value: Secret(kind.text(value)), None, "API key, exchanged for a token"
    )
    username: str | None = _setting(
        kind.text, None, "user name, with the password instead of a key"
    )
    password: Secret | None = _setting(
        lambda value: Secret(kind.text(value)), None, "password of that user"
    )
    token: Secret | None = _setting(
        lambda value: Secret(kind.ascii_text(value)), None, "ready-made bearer token, never renewed"
    )
    token_url: str | None = _setting(
        kind.url, None, "where tokens come from; unset: by the data mart's address"
    )
    api_version: str = _setting(kind.one_of("v1"), "v1", "version of the data mart's API: `v1`")
    binding_id: str | None = _setting(kind.text, None, "service binding of spans that name none")
    subscription_id: str | None = _setting(kind.text, None, "subscription of spans that name none")
    deployment_id: str = _setting(
        kind.text, "generic_deployment", "deployment of spans that name none"
    )
    spool_dir: Path | None = _setting(
        kind.path,
        None,
        "spool root; unset: `$XDG_STATE_HOME/scorespan`, else `~/.local/state/scorespan`, "
        "for root `/var/lib/scorespan`",
    )
    spool_max_bytes: int = _setting(
        kind.byte_count,
        4 * 1024**3,
        "bound of the spool, in bytes; for `scorespan receive` 536870912 or more",
    )
    spool_min_free_bytes: int | None = _setting(
        kind.count,
        None,
        "free space of the disk below which new records are refused; "
        "unset: the smaller of 1 GiB and 5 % of the disk",
    )
    sync: str = _setting(
        kind.one_of("written", "durable"),
        "written",
        "`written`: a scoring returns when its record is written, which is synced within 50 ms; "
        "`durable`: it returns when the record is synced",
    )
    full_wait_ms: int = _setting(
        kind.count, 0, "how long a scoring may wait for room in a full spool, in ms"
    )
    shutdown_seconds: float = _setting(
        kind.seconds, 2.0, "how long shutdown drains; the rest stays on disk for the next start"
    )
    timeout_seconds: float = _setting(
        kind.some_seconds, 30.0, "how long one answer of the mart may take"
    )
    allow_http: bool = _setting(
        kind.flag, False, "1: send credentials over plain http to other hosts than this one"
    )
    receiver_token: Secret | None = _setting(
        lambda value: Secret(kind.tokens(value)),
        None,
        "bearer token that senders to `scorespan receive` must show; of several, with commas "
        "between, any",
    )
    enable: bool = _setting(
        kind.flag, False, "1: capture the scorings of this service, whose code says nothing of it"
    )
    strict: bool = _setting(
        kind.flag, False, "1: end the service where its capture cannot be switched on"
    )
    export: str = _setting(
        kind.one_of("mart", "otlp"),
        "mart",
        "`mart`: to the data mart; `otlp`: as spans to where the `OTEL_EXPORTER_OTLP_*` variables "
        "say, such as a Collector",
    )
    paths: tuple[str, ...] = _setting(
        kind.paths,
        _SCORING_PATHS,
        "captured: POST requests to these paths; `*` stands for any text, but not for routes of "
        "health, metrics and documentation: one that scores has to be written out",
    )
    client_urls: tuple[str, ...] = _setting(
        kind.patterns,
        _AZURE_ADDRESSES,
        "captured: POST requests from this process to these addresses, without the scheme",
    )
    body_max_bytes: int = _setting(
        kind.count,
        8 * 1024**2,
        "captured: bytes of a body that are kept; a longer one keeps its size and a mark",
    )
    binary_bodies: str = _setting(
        kind.one_of("base64", "digest"),
        "base64",
        "captured: what is kept of a body that is no text: `base64`, or its SHA-256 as `digest`",
    )
    keep_prints: bool = _setting(
        kind.flag, True, "captured: 0: lines that a scoring prints are not kept with its record"
    )
    follow_subscription: bool = _setting(
        kind.flag,
        True,
        "0: go on while the subscription's payload logging is switched off in the data mart",
    )
    dialect: str | None = _setting(
        kind.text, None, "dialect of bodies whose span names none; unset: detected"
    )
    feature_names: tuple[str, ...] | None = _setting(
        kind.different_names, None, "columns of requests that name none, with commas between"
    )
    prediction_fields: tuple[str, ...] | None = _setting(
        kind.different_names,
        None,
        "columns of responses that name none, those to keep of others, with commas between",
    )
    ca_file: Path | None = _setting(
        kind.path, None, "certificates to trust instead of the system's"
    )

    @classmethod
    def load(
        cls, arguments: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None
    ) -> Settings:
        """Settings from keyword arguments, then the environment, then the defaults.

        An argument that is None counts as not given; an empty variable as unset.

        Raises:
            SettingsError: a value is wrong, or an argument has no such name.
        """
        environ = os.environ if environ is None else environ
        given = {key: value for key, value in (arguments or {}).items() if value is not None}
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            variable = variable_name(field.name)
            raw = given.pop(field.name, environ.get(variable) or None)
            if raw is None:
                continue
            text = _as_text(raw)
            try:
                values[field.name] = field.metadata["parse"](text)
            except ValueError as error:
                # An address with credentials or a query may hold a secret as well.
                secret = "Secret" in str(field.type) or "@" in text or "?" in text
                shown = "" if secret else f" (it is {text!r})"
                raise SettingsError(variable, f"{error}{shown}") from None
        if given:
            name = next(iter(given))
            raise SettingsError(variable_name(name), "there is no such setting")
        return cls(**values)

    def check_delivery(self) -> None:
        """Check that these settings are enough to reach a data mart.

        Raises:
            SettingsError: names the first variable that is missing or contradicts another.
        """
        for name, needed in (
            ("data_mart_url", self.data_mart_url),
            ("data_mart_id", self.data_mart_id),
        ):
            if needed is None:
                raise SettingsError(variable_name(name), "is required to deliver to a data mart")
        if (self.username is None) != (self.password is None):
            missing = "username" if self.username is None else "password"
            raise SettingsError(variable_name(missing), "user name and password go together")
        ways = [
            name
            for name, value in (
                ("api_key", self.api_key),
                ("password", self.password),
                ("token", self.token),
            )
            if value is not None
        ]
        if not ways:
            raise SettingsError(
                "SCORESPAN_API_KEY",
                "no credentials; set it, or SCORESPAN_USERNAME and SCORESPAN_PASSWORD, "
                "or SCORESPAN_TOKEN",
            )
        if len(ways) > 1:
            both = " and ".join(variable_name(name) for name in ways)
            raise SettingsError(variable_name(ways[0]), f"{both} are set; only one may be")
        for name, url in (("data_mart_url", self.data_mart_url), ("token_url", self.token_url)):
            if url is not None and not self.allow_http and not _private(url):
                raise SettingsError(
                    variable_name(name),
                    f"credentials would travel unencrypted to {url}; use https, "
                    "or set SCORESPAN_ALLOW_HTTP=1",
                )
        if self.ca_file is not None and not self.ca_file.is_file():
            raise SettingsError("SCORESPAN_CA_FILE", f"there is no file {self.ca_file}")


def _as_text(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, (list, tuple)):
        return json.dumps(value) if all(isinstance(part, str) for part in value) else str(value)
    return str(int(value)) if isinstance(value, bool) else str(value)


def on_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def _private(url: str) -> bool:
    return url.startswith("https:") or on_loopback(url)


def variable_name(name: str) -> str:
    """Name of the environment variable of a setting."""
    return PREFIX + name.upper()


def variable_names() -> list[str]:
    """Names of the environment variables of all settings."""
    return [variable_name(field.name) for field in dataclasses.fields(Settings)]


def markdown_table() -> str:
    """The README's settings table."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for field in dataclasses.fields(Settings):
        default = "" if field.default is None else f"`{field.default}`"
        if isinstance(field.default, tuple):
            default = f"`{','.join(field.default)}`"
        if isinstance(field.default, bool):
            default = f"`{int(field.default)}`"
        lines.append(f"| `{variable_name(field.name)}` | {default} | {field.metadata['doc']} |")
    return "\n".join(lines)
