"""The whole way: services, the real Collector with `agent.yaml`, `scorespan receive`, the mart."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import requests

from collector.hop import killed
from collector.pipeline import pipeline
from collector.replaying import node_service, python_service, timestamp_of
from examples.payloads import read_payloads
from faults.disks import fill, small_disk
from faults.oracle import pause
from faults.size import sized

PYTHON, NODE = "python-service", "node-service"

pytestmark = pytest.mark.timeout(sized(120, 900))


@pytest.fixture(scope="module")
def payloads():
    """The real records."""
    return read_payloads()


@contextmanager
def services(folder, whole, *, rate):
    """Both services while the block runs, sending to the pipeline's Collector."""
    with (
        python_service(folder / PYTHON, whole.collector.http_url, PYTHON, rate=rate) as numbered,
        node_service(folder / NODE, whole.collector.http_url, NODE, rate=rate) as plain,
    ):
        yield numbered, plain


def check(whole, both, payloads):
    """All records of both services are in the mart, once and byte for byte; reconcile agrees."""
    for service in both:
        whole.wait_for_all(service)
        mart = whole.of(service.subscription_id)
        stored = mart.records()
        assert len(stored) == mart.row_count() == len(payloads)
        assert {record.scoring_id for record in stored} == set(payloads)
        assert mart.conflicts() == []
        for record in stored:
            payload = payloads[record.scoring_id]
            assert record.request_text == bytes(payload.request)
            assert record.response_text == bytes(payload.response)
            assert record.response_time == payload.response_time
            if service.subscription_id == NODE:
                assert record.scoring_timestamp == timestamp_of(payload)
    assert whole.named() == set()


def test_real_records_arrive_byte_equal_from_python_and_node(tmp_path, payloads):
    """All 2,880 records of either service must be stored once, as the file has them."""
    with pipeline(tmp_path, (PYTHON, NODE)) as whole:
        with services(tmp_path, whole, rate=1000) as both:
            for service in both:
                service.feed(payloads.values())
            for service in both:
                service.finish()
        check(whole, both, payloads)


def test_each_hop_is_killed_while_records_flow(tmp_path, payloads):
    """Collector, receiver and mart killed in turn, each for a moment: nothing missing or double."""
    records = [*payloads.values()]
    share = len(records) // 4
    with pipeline(tmp_path, (PYTHON, NODE), workers=2) as whole:
        with services(tmp_path, whole, rate=200) as both:
            scored = 0
            for hop in (whole.collector, whole.receiver, whole.mart):
                for service in both:
                    service.feed(records[scored : scored + share])
                scored += share
                for service in both:
                    service.wait_for(scored - share + 100)
                with killed(hop):
                    # The services go on meanwhile.
                    for service in both:
                        service.wait_for(scored - share + 250)
            for service in both:
                service.feed(records[scored:])
                service.finish()
        check(whole, both, payloads)


def test_mart_is_down_for_long(tmp_path, payloads):
    """While the mart is down the receiver takes everything, and delivers it afterwards."""
    with pipeline(tmp_path, (PYTHON, NODE)) as whole:
        with services(tmp_path, whole, rate=1000) as both, killed(whole.mart):
            for service in both:
                service.feed(payloads.values())
            for service in both:
                service.finish()
            pause(sized(1, 60))
        check(whole, both, payloads)


def test_full_disk_of_the_receiver(tmp_path, payloads):
    """A receiver whose disk is full refuses for now: the Collector keeps the records for it."""
    with (
        small_disk(tmp_path / "disk", 64, kind="tmpfs") as disk,
        pipeline(tmp_path, (PYTHON, NODE), spool_dir=str(disk / "spool")) as whole,
    ):
        with services(tmp_path, whole, rate=1000) as both:
            pad = fill(disk)
            for service in both:
                service.feed(payloads.values())
            for service in both:
                service.finish()
            ready = requests.get(f"http://127.0.0.1:{whole.receiver.port}/readyz", timeout=60)
            assert ready.status_code == 503
            assert whole.ids(PYTHON) == whole.ids(NODE) == []
            pad.unlink()
        check(whole, both, payloads)
