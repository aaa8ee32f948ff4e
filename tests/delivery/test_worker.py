"""Delivery: every entry ends in exactly one way, whatever the mart answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from delivery.bench import Bench, refusal, span
from running import wait_until
from scorespan.conversion.span import encode
from scorespan.delivery.batch import ledger_item
from scorespan.delivery.settle import read_status
from scorespan.reconcile import read_account
from scorespan.spool.dead import read_letters
from scorespan.testing import Answer, ScriptedMart


def test_a_batch_goes_in_one_post_and_is_stored(bench: Bench):
    """All that waits within the bounds is one list, in order, and ends as stored."""
    bench.deliver(*map(span, range(1, 51)))
    (post,) = bench.mart.posts
    assert [record["scoring_id"] for record in orjson.loads(post)] == [
        f"s{n}" for n in range(1, 51)
    ]
    assert set(bench.outcomes().values()) == {"stored"}


def test_bodies_arrive_byte_for_byte(bench: Bench):
    """White space and number texts of a body are those of the span."""
    request = b'{ "fields":["a"],\n"values":[[123456789012345678901234567890.10]]}'
    bench.deliver(span(1, request=request))
    assert request in bench.mart.posts[0]


def test_named_records_are_dead_letters_and_the_rest_is_resent_once(bench: Bench):
    """The mart's reason stands on the dead letter; two posts settle the batch."""
    bench.mart.answers.append(
        refusal(
            400,
            {
                "code": "row_width_mismatch",
                "message": "too wide",
                "index": 1,
                "field": "request.values",
            },
            {"code": "row_count_mismatch", "message": "too few", "index": 3},
        )
    )
    bench.deliver(*map(span, range(1, 6)))
    assert len(bench.mart.posts) == 2
    assert set(bench.mart.stored) == {"s1", "s3", "s5"}
    assert bench.letters() == {
        "s2": ("row_width_mismatch", "too wide", 400),
        "s4": ("row_count_mismatch", "too few", 400),
    }
    assert bench.outcomes() == {
        "s1": "stored", "s2": "dead-lettered", "s3": "stored", "s4": "dead-lettered",
        "s5": "stored",
    }  # fmt: skip


def test_one_bad_record_in_a_thousand_is_found_where_none_is_named(bench: Bench):
    """Halving takes at most 21 posts, and everything else is delivered."""
    numbers = range(1, 1001)

    def answer(body: bytes) -> Answer:
        bad = b'"s700"' in body
        return Answer(400, b"something is wrong") if bad else Answer()

    original = bench.mart.answer_post

    def answer_post(body: bytes) -> Answer:
        bench.mart.answers.append(answer(body))
        return original(body)

    bench.mart.answer_post = answer_post
    bench.deliver(*map(span, numbers))
    assert len(bench.mart.posts) <= 21
    assert len(bench.mart.stored) == 999
    assert bench.letters() == {"s700": ("refused", "HTTP 400", 400)}


def test_a_mart_that_names_one_bad_record_at_a_time_is_followed_to_the_end(bench: Bench):
    """However many posts it takes, every record is settled."""
    first = {"code": "bad", "message": "bad", "index": 0}
    bench.mart.answers.extend([refusal(400, first)] * 1200)
    bench.deliver(*map(span, range(1, 1301)))
    outcomes = list(bench.outcomes().values())
    assert outcomes.count("dead-lettered") == 1200
    assert outcomes.count("stored") == 100


def test_a_record_that_is_too_large_alone_is_a_dead_letter_with_its_size(bench: Bench):
    """413 halves; what is refused alone is kept whole, with its size in the reason."""
    bench.mart.answers.extend([Answer(413, b""), Answer(413, b""), Answer()])
    bench.deliver(span(1), span(2))
    ((code, reason, status),) = bench.letters().values()
    assert (code, status) == ("refused", 413)
    assert "bytes" in reason
    assert set(bench.mart.stored) == {"s2"}


def test_switched_off_payload_logging_is_a_term_of_its_own(bench: Bench):
    """No dead letter: the subscription wants no records, and the account says so."""
    off = {"code": "payload_logging_disabled", "message": "off", "index": 0}
    unknown = {"code": "unknown_subscription", "message": "unknown", "index": 1}
    bench.mart.answers.append(refusal(422, off, unknown))
    bench.deliver(span(1), span(2), span(3))
    assert bench.outcomes() == {"s1": "switched off", "s2": "dead-lettered", "s3": "stored"}
    assert list(bench.letters()) == ["s2"]


@pytest.mark.parametrize("status", [425, 429, 503])
def test_a_route_that_is_not_ready_gets_the_same_list_again(bench: Bench, status: int):
    """The same list is posted again; every record is stored once."""
    bench.mart.answers.extend([Answer(status)] * 4)
    bench.deliver(span(1), span(2))
    assert len(bench.mart.posts) == 5
    assert len(set(bench.mart.posts)) == 1
    assert set(bench.outcomes().values()) == {"stored"}
    assert bench.worker.sender.posts == {"accepted": 1, "rejected": 0, "retryable": 4, "blocked": 0}
    assert bench.worker.sender.resent == 8


@pytest.mark.parametrize("status", [200, 302, 403, 404])
def test_a_blocked_route_keeps_everything_and_resumes(
    bench: Bench, status: int, caplog: pytest.LogCaptureFixture
):
    """Nothing is dropped while the address is wrong; one line says so, and one that it goes on."""
    bench.mart.answers.extend([Answer(status, b"<html>")] * 5)
    with caplog.at_level(logging.WARNING, "scorespan"):
        bench.deliver(span(1))
    assert bench.outcomes() == {"s1": "stored"}
    said = [record.getMessage() for record in caplog.records]
    assert sum("paused" in line for line in said) == 1
    assert sum("goes on" in line for line in said) == 1


def test_a_refused_token_is_renewed_at_once(bench: Bench):
    """One 401 costs one new token and one more post, and no pause."""
    bench.mart.answers.append(Answer(401))
    bench.deliver(span(1))
    assert bench.mart.tokens_given == 2
    assert len(set(bench.mart.authorizations)) == 2
    assert bench.outcomes() == {"s1": "stored"}


def test_refused_credentials_pause_and_resume_when_mended(bench: Bench):
    """While the key is refused nothing is posted; afterwards everything is."""
    bench.mart.token_answers.extend([Answer(401)] * 5)
    bench.deliver(span(1))
    assert len(bench.mart.posts) == 1
    assert bench.outcomes() == {"s1": "stored"}


def test_a_span_that_does_not_convert_does_not_hold_up_the_rest(bench: Bench):
    """It is a dead letter with its reason and its entry; the others are posted."""
    bad = span(2, response=b'{"fields": ["p"], "values": [[0]')
    bench.deliver(span(1), bad, span(3))
    ((code, reason, _),) = bench.letters().values()
    assert code == "invalid_json"
    assert "response" in reason
    (letter,) = read_letters(bench.root / "dead")
    assert letter.entry == b"".join(encode(bad))
    assert set(bench.mart.stored) == {"s1", "s3"}


def test_an_entry_that_is_no_span_is_a_dead_letter(bench: Bench):
    """Rubbish in the spool is kept with the reason, counted, and delivery goes on."""
    bench.spool.put([b"rubbish"])
    bench.spool.put([b"more rubbish"])
    bench.deliver(span(1))
    assert [letter.code for letter in read_letters(bench.root / "dead")] == ["damaged"] * 2
    assert read_account(bench.root).nameless == {"dead-lettered": 2}
    assert read_account(bench.root).missing == []
    assert set(bench.mart.stored) == {"s1"}


def test_towards_openscale_failed_scorings_are_withheld(make_bench: Callable[..., Bench]):
    """The hosted mart gets records without extras; failed ones are kept here and counted."""
    bench = make_bench(data_mart_kind="openscale", binding_id="binding")
    failed = span(2, response=None, failed=True, error_type="ValueError", binding_id="binding")
    unbound = span(3)
    bench.deliver(span(1, binding_id="binding"), failed, unbound)
    (record,) = bench.mart.stored.values()
    assert "scorespan" not in record
    assert bench.outcomes() == {"s1": "stored", "s2": "withheld", "s3": "dead-lettered"}
    assert list(bench.letters("withheld")) == ["s2"]
    assert bench.letters()["s3"][0] == "no_binding"


def test_the_kind_is_asked_of_the_mart_once(make_bench: Callable[..., Bench]):
    """Without the setting, our own mart is known by its answer to GET."""
    bench = make_bench(data_mart_kind=None)
    bench.deliver(span(1))
    assert "scorespan" in bench.mart.stored["s1"]


def test_the_mart_going_away_for_a_while_loses_nothing(tmp_path: Path):
    """No connection at all is waited out; shutdown leaves the rest for the next start."""
    with ScriptedMart() as mart:
        address = mart.url
        settings = mart.settings
    bench = Bench(tmp_path / "root", mart)
    bench.put(span(1), span(2))
    bench.worker.start()
    assert not bench.worker.flush(0.2)
    bench.close()
    assert bench.outcomes() == {"s1": "waiting", "s2": "waiting"}
    assert settings["data_mart_url"] == address


def test_what_a_dead_process_left_is_delivered_by_the_next(bench: Bench, make_bench):
    """The heir adopts, delivers, and the account names every record of both."""
    bench.put(span(1), span(2))
    bench.settler.write_status(blocked=None, force=True)
    bench.spool.abandon()
    heir = make_bench()
    heir.deliver(span(3))
    assert heir.outcomes() == {"s1": "stored", "s2": "stored", "s3": "stored"}


def test_a_disk_that_takes_no_ledger_line_does_not_load_the_mart(bench: Bench):
    """What the mart has answered is not asked again; it is written down once that can be done."""
    bench.put(span(1), span(2, response=b"cut"))
    descriptor, bench.settler._ledger._fd = bench.settler._ledger._fd, -1
    bench.worker.start()
    assert not bench.worker.flush(0.2)
    assert bench.outcomes() == {"s1": "waiting", "s2": "waiting"}
    bench.settler._ledger._fd = descriptor
    assert bench.worker.flush(30)
    assert bench.outcomes() == {"s1": "stored", "s2": "dead-lettered"}
    assert len(bench.mart.posts) == 1


def test_the_status_file_tells_counts_and_what_blocks(bench: Bench):
    """Anyone can read how it stands without asking the process."""
    bench.deliver(span(1), span(2, response=b"cut"))
    bench.settler.write_status(blocked="why", force=True)
    status = read_status(bench.spool.path)
    assert status is not None
    assert status["outcomes"]["stored"] == 1
    assert status["outcomes"]["dead-lettered"] == 1
    assert status["blocked"] == "why"


def test_refusals_that_cannot_be_written_do_not_end_delivery(bench: Bench):
    """A full disk that takes neither ledger nor status leaves the thread alive, and resumes."""
    bench.put(span(1))
    bench.settler.refuse(ledger_item(span(9), "refused"))
    descriptor, bench.settler._ledger._fd = bench.settler._ledger._fd, -1
    bench.worker.start()
    assert not bench.worker.flush(0.2)
    bench.settler._ledger._fd = descriptor
    assert bench.worker.flush(30)
    assert bench.outcomes() == {"s1": "stored", "s9": "refused"}


@pytest.mark.parametrize("answer", [b"{}", b"null", b'{"error": "maintenance"}', b"<html>"])
def test_an_answer_of_somebody_else_does_not_tell_the_kind(
    make_bench: Callable[..., Bench], answer: bytes
):
    """Only a data mart's own answer says which kind it is; anything else pauses the route."""
    bench = make_bench(data_mart_kind=None)
    bench.mart.data_mart_answers.append(Answer(200, answer))
    bench.deliver(span(1, response=None, failed=True))
    assert bench.outcomes() == {"s1": "stored"}


def test_the_hosted_mart_is_known_by_its_answer(make_bench: Callable[..., Bench]):
    """Towards it a failed scoring is withheld."""
    bench = make_bench(data_mart_kind=None)
    bench.mart.data_mart_answers.append(Answer(200, b'{"internal_database": true}'))
    bench.deliver(span(1, response=None, failed=True))
    assert bench.outcomes() == {"s1": "withheld"}


def test_a_flush_waits_for_what_was_put_before_it_however_much_comes_behind(bench: Bench):
    """Somebody who scores without a pause does not keep a flush from its end."""
    bench.put(*map(span, range(1, 101)))
    ended = threading.Event()
    numbers = iter(range(101, 10_000_000))

    def score() -> None:
        while not ended.is_set():
            bench.put(span(next(numbers)))

    scorer = threading.Thread(target=score)
    bench.worker.start()
    scorer.start()
    try:
        assert bench.worker.flush(30)
    finally:
        ended.set()
        scorer.join()
    assert {f"s{number}" for number in range(1, 101)} <= set(bench.mart.stored)


def test_what_dead_processes_left_is_adopted_while_new_records_keep_coming(
    bench: Bench, make_bench: Callable[..., Bench]
):
    """A claim that is always full keeps nobody waiting: neither orphans, nor status, nor a stop."""
    bench.put(span(1), span(2))
    bench.spool.abandon()
    heir = make_bench()
    ended = threading.Event()
    numbers = iter(range(3, 10_000_000))

    def score() -> None:
        while not ended.is_set():
            heir.put(span(next(numbers)))

    scorer = threading.Thread(target=score)
    heir.worker.start()
    scorer.start()
    try:
        wait_until(lambda: {"s1", "s2"} <= set(heir.mart.stored), "the orphans are delivered")
        wait_until(lambda: read_status(heir.spool.path) is not None, "there is a status")
        assert heir.worker.stop(0.1)
    finally:
        ended.set()
        scorer.join()


def test_after_a_fault_of_ours_what_was_in_hand_comes_again(bench: Bench):
    """Set aside or not: it is claimed anew, and stored once."""
    bench.mart.judge = lambda records: Answer(500) if "s1" in str(records) else None
    settle, faults = bench.settler.settle, []

    def fail_once(items, outcome):
        if not faults and bench.worker.sender.set_aside:
            faults.append(outcome)
            raise RuntimeError("a fault of ours")
        settle(items, outcome)

    bench.settler.settle = fail_once
    bench.put(span(1), span(2), span(3))
    bench.worker.start()
    wait_until(lambda: faults and {"s2", "s3"} <= set(bench.mart.stored), "others are stored")
    bench.mart.judge = None
    assert bench.worker.flush(60)
    assert bench.outcomes() == {"s1": "stored", "s2": "stored", "s3": "stored"}
    assert bench.worker.sender.set_aside == 0


def test_a_flush_after_the_end_says_no(bench: Bench):
    """Nobody delivers any more; it neither waits nor raises."""
    bench.deliver(span(1))
    bench.close()
    assert not bench.worker.flush(30)
