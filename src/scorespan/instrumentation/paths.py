"""Scoring paths: which requests are scorings, and which model a path names."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from scorespan.instrumentation.headers import plain

_LONGEST_HELD = 1024  # anybody may send others, and each another one
_FOLDERS = ("/docs/", "/health/", "/v2/health/")
# Somebody asks for these every few seconds, or reads them: a `*` does not stand for them.
_UNNAMED = re.compile(
    r"/(?:ping|health|healthz|healthcheck|ready|readyz|readiness|live|livez|liveness|metrics"
    r"|docs|redoc|openapi\.json|swagger\.json)/?"
    rf"|(?:{'|'.join(_FOLDERS)}).*",
    re.DOTALL,
)
_MODEL = re.compile(
    r"/v[12]/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+))?(?::predict|/infer)/?\Z"
    r"|/predictions/(?P<served>[^/]+)(?:/(?P<served_version>[^/]+))?/?\Z"
)


class ScoringPath(NamedTuple):
    """A path that scores, and the model that it names, if it does."""

    model: str | None = None
    version: str | None = None


def scoring_path(path: str, root: str, patterns: tuple[str, ...]) -> ScoringPath | None:
    """What a path says; None where it is no scoring.

    Args:
        path: of the request, as the client sent it, without the query.
        root: what the application is mounted at, with which the path begins; a pattern may be that
            of the whole path, or of the path within the application.
        patterns: `*` stands for any text, but not for the routes of health, metrics and
            documentation, which have to be written out; so does what is in a folder of such, to
            where the pattern begins with that. A slash at the end of the path does not count.
    """
    if len(path) > _LONGEST_HELD:
        return _read.__wrapped__(path, root, patterns)
    return _read(path, root, patterns)


@functools.lru_cache(maxsize=128)
def _read(path: str, root: str, patterns: tuple[str, ...]) -> ScoringPath | None:
    inner = path.removeprefix(root) if root else path
    named = _compiled(tuple(filter(_names, patterns)))
    if not named.fullmatch(path) and not named.fullmatch(inner):
        if _UNNAMED.fullmatch(path) or _UNNAMED.fullmatch(inner):
            return None
        pattern = _compiled(patterns)
        if not pattern.fullmatch(path) and not pattern.fullmatch(inner):
            return None
    found = _MODEL.search(path)
    if found is None:
        return ScoringPath()
    return ScoringPath(
        plain(found["model"] or found["served"]),
        plain(found["version"] or found["served_version"]),
    )


def _names(pattern: str) -> bool:
    """Whether a pattern names what it captures, so that it may be a route of any kind."""
    return "*" not in pattern or pattern.startswith(_FOLDERS)


@functools.lru_cache(maxsize=8)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    texts = (".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns)
    return re.compile(f"(?:{'|'.join(texts)})/?" if patterns else r"(?!)", re.DOTALL)
