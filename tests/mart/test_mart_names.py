"""Names of records: what reconcile reads, without the bodies."""

from __future__ import annotations

import pytest


def names(mart, **query):
    """Every name, page after page."""
    found, after = [], None
    while True:
        page = mart.get("scoring_payloads", fields="ids", after=after or "", **query)
        found += page["records"]
        after = page["after"]
        if after is None:
            return found


def test_a_name_has_ids_time_status_and_number_and_nothing_else(mart, mart_record):
    """All that tells one record from another; a record without a producer has null there."""
    numbered = {"v": 1, "status": "ok", "producer": "p", "sequence": 7}
    mart.stored(mart_record("one", scorespan=numbered), mart_record("two"))
    first, second = names(mart)
    assert first == {
        "subscription_id": "sub",
        "deployment_id": "dep",
        "scoring_id": "one",
        "scoring_timestamp": "2026-01-31T12:00:00.000000Z",
        "status": "ok",
        "producer": "p",
        "sequence": 7,
    }
    assert (second["scoring_id"], second["producer"], second["sequence"]) == ("two", None, None)


def test_names_are_paged_like_whole_records(mart, mart_record):
    """In the order they were stored, every one once, whatever the size of a page."""
    mart.stored(*(mart_record(f"r{number}") for number in range(7)))
    for limit in (1, 3, 7, 100):
        assert [one["scoring_id"] for one in names(mart, limit=limit)] == [
            f"r{number}" for number in range(7)
        ]


def test_names_of_one_subscription_or_all(mart, mart_record):
    """The same choice as for whole records."""
    mart.running.prepare("dm", "other", binding_id="binding")
    mart.stored(mart_record("a"), mart_record("b", subscription_id="other"))
    assert [one["scoring_id"] for one in names(mart, subscription_id="other")] == ["b"]
    assert len(names(mart)) == 2


def test_conflicts_come_without_their_records_where_ids_are_asked_for(mart, mart_record):
    """The key and both hashes are enough to list them."""
    mart.stored(mart_record("one", rows=1))
    mart.stored(mart_record("one", rows=2))
    (conflict,) = mart.get("scoring_conflicts", fields="ids")["conflicts"]
    assert conflict["scoring_id"] == "one"
    assert conflict["hash"] != conflict["stored_hash"]
    assert "record" not in conflict
    assert "record" in mart.get("scoring_conflicts")["conflicts"][0]


@pytest.mark.parametrize("path", ["scoring_payloads", "scoring_conflicts"])
def test_other_fields_are_refused(mart, path):
    """Whoever asks for what is not there is told so, not given something else."""
    answer = mart.http.get(f"{mart.root}/{path}", params={"fields": "bodies"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "fields"
