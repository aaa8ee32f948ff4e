"""The names of the attributes: a contract with producers in every language."""

from __future__ import annotations

from scorespan import attributes

NAMES = {
    "scoring.request",
    "scoring.response",
    "scoring.request.content_type",
    "scoring.response.content_type",
    "scoring.dialect",
    "scoring.id",
    "scoring.binding.id",
    "scoring.subscription.id",
    "scoring.deployment.id",
    "scoring.feature.names",
    "scoring.response_time",
    "scoring.timestamp",
    "scoring.model.name",
    "scoring.model.version",
    "scoring.client.id",
    "scoring.producer.id",
    "scoring.sequence",
    "scoring.notes",
    "scoring.problem",
    "scoring.prediction.fields",
    "scoring.request.encoding",
    "scoring.response.encoding",
    "scoring.request.size",
    "scoring.response.size",
    "scoring.request.id",
    "scoring.http.status_code",
    "scoring.hook",
    "scoring.response.chunks",
    "scoring.response.first_byte_time",
    "scoring.prints",
    "scoring.dependencies.count",
    "scoring.dependencies.time",
    "scoring.dependencies.failures",
    "scoring.error.stacktrace",
    "service.name",
    "service.instance.id",
}


def test_the_names_are_the_agreed_ones():
    """Renaming an attribute breaks every producer; adding one is written down here."""
    found = {value for name, value in vars(attributes).items() if name.isupper()}
    assert found == NAMES
