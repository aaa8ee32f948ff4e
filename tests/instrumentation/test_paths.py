"""Scoring paths: which requests are captured, and what their paths say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.instrumentation.paths import ScoringPath, scoring_path
from scorespan.settings import Settings

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
    ["/ping", "/health", "/healthz", "/health/x/y", "/ready", "/readyz", "/live", "/livez",
     "/metrics", "/metrics/", "/swagger.json", "/docs", "/docs/oauth2-redirect", "/openapi.json"],
)  # fmt: skip
def test_health_docs_and_metrics_never_score(path):
    """Not even where a pattern says everything, and not within a mounted application."""
    assert scoring_path(path, "", EVERYTHING) is None
    assert scoring_path(f"/api{path}", "/api", EVERYTHING) is None


def test_a_path_that_only_begins_like_those_may_score():
    """Health care has models, too."""
    assert scoring_path("/healthcare/score", "", ("/healthcare/score",)) is not None


def test_a_mounted_application_is_found_by_the_whole_path_and_by_its_own():
    """A pattern may be of either."""
    assert scoring_path("/api/score", "/api", ("/api/score",)) is not None
    assert scoring_path("/api/score", "/api", ("/score",)) is not None
    assert scoring_path("/api/score", "/api", ("/api",)) is None


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
