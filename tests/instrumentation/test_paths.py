"""Scoring paths: which requests are captured, and what their paths say."""

from __future__ import annotations

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.instrumentation.paths import ScoringPath, scoring_path
from scorespan.settings import Settings


class Sent(str):
    """A text of which it is seen whether anybody holds it."""

    __slots__ = ("__weakref__",)


DEFAULT = Settings.load({}, {}).paths
EVERYTHING = ("*",)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/score", ScoringPath()),
        ("/score/", ScoringPath()),
        ("/invocations", ScoringPath()),
        ("/predict", ScoringPath()),
        ("/predictions/m1", ScoringPath("m1")),
        ("/predictions/m1/2.0", ScoringPath("m1", "2.0")),
        ("/v1/models/m1:predict", ScoringPath("m1")),
        ("/v1/models/m1/versions/3:predict", ScoringPath("m1", "3")),
        ("/v2/models/m1/infer", ScoringPath("m1")),
        ("/v2/models/m1/versions/3/infer", ScoringPath("m1", "3")),
        ("/scores", None),
        ("/", None),
        ("", None),
        ("/api/score", None),
        ("/v2/models/m1/ready", None),
        ("/v2/health/live", None),
        ("/predictions", None),
    ],
)
def test_the_usual_paths_score(path, found):
    """By default those that engines have, with the model that they name."""
    assert scoring_path(path, "", DEFAULT) == found


@pytest.mark.parametrize(
    "path",
    ["/ping", "/health", "/healthz", "/health/x/y", "/ready", "/readyz", "/readiness", "/live",
     "/livez", "/liveness", "/v2/health/live", "/metrics", "/metrics/", "/swagger.json", "/docs",
     "/docs/oauth2-redirect", "/redoc", "/openapi.json"],
)  # fmt: skip
def test_a_star_stands_for_no_route_of_health_docs_and_metrics(path):
    """Not even where a pattern says everything, and not within a mounted application."""
    assert scoring_path(path, "", EVERYTHING) is None
    assert scoring_path(f"/api{path}", "/api", EVERYTHING) is None
    assert scoring_path(path, "", ("/*", path)) is not None


@pytest.mark.parametrize(
    "path",
    ["/health-risk", "/livestock", "/ready-to-churn", "/healthcare/score", "/docs/classify",
     "/health/score", "/ping"],
)  # fmt: skip
def test_a_path_that_is_written_out_scores(path):
    """Health care has models, too; whoever names a path means it."""
    assert scoring_path(path, "", (path,)) is not None
    assert scoring_path(f"/api{path}", "/api", (path,)) is not None


def test_a_star_stands_for_what_only_begins_like_those():
    """The routes are whole ones."""
    for path in ("/health-risk", "/livestock", "/live/feed", "/pingpong", "/documents/classify"):
        assert scoring_path(path, "", EVERYTHING) is not None


def test_a_pattern_within_such_a_folder_names_what_is_there():
    """It is written out up to the star."""
    assert scoring_path("/docs/classify/m1", "", ("/docs/classify/*",)) is not None
    assert scoring_path("/docs/other", "", ("/docs/classify/*",)) is None


def test_a_mounted_application_is_found_by_the_whole_path_and_by_its_own():
    """A pattern may be of either."""
    assert scoring_path("/api/score", "/api", ("/api/score",)) is not None
    assert scoring_path("/api/score", "/api", ("/score",)) is not None
    assert scoring_path("/api/score", "/api", ("/api",)) is None


def test_what_is_kept_of_a_name_is_bounded_and_of_one_line():
    """Whoever asks has sent it; and no endless path is held on to."""
    sent = weakref.WeakSet()
    for number in range(3):
        path = Sent(f"/predictions/{number}\n\x1b[2J{'a' * 1_000_000}/{'7' * 1_000_000}")
        sent.add(path)
        found = scoring_path(path, "", DEFAULT)
        assert found == ScoringPath(f"{number}[2J{'a' * 250}", "7" * 256)
        del path
    assert not sent


@given(st.text(), st.text(), st.text())
def test_a_star_stands_for_any_text(before, between, after):
    """All else in a pattern stands for itself."""
    pattern = f"/score{before.replace('*', '')}*{after.replace('*', '')}"
    path = pattern.replace("*", between)
    assert scoring_path(path, "", (pattern,)) is not None
    assert scoring_path(f"x{path}", "", (pattern,)) is None


def test_no_pattern_matches_nothing():
    """An empty setting captures nothing."""
    assert scoring_path("/score", "", ()) is None
    assert scoring_path("", "", ()) is None
