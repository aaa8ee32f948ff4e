"""The SQLite store: its schema, its promises to writers and readers, its passing faults."""

from __future__ import annotations

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from scorespan.errors import SettingsError
from scorespan.mart.server import open_mart
from scorespan.mart.sqlite import SqliteStore
from scorespan.mart.tables import metadata


@pytest.fixture
def mart_store(tmp_path):
    """An empty store."""
    store = SqliteStore(tmp_path / "mart.sqlite3")
    yield store
    store.close()


def test_the_steps_make_the_tables_that_queries_use(mart_store):
    """After all steps the database has exactly the tables, columns and indexes of the queries."""
    with mart_store._readers.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_opening_again_takes_no_step_twice(tmp_path, mart_clock):
    """A store is opened as often as one likes and keeps what it has."""
    for _ in range(2):
        store = SqliteStore(tmp_path / "mart.sqlite3")
        with store.writing() as writer:
            writer.put_data_mart("dm", mart_clock())
        store.close()
        store.close()
    store = SqliteStore(tmp_path / "mart.sqlite3")
    with store.reading() as reader:
        assert reader.data_mart("dm")
    store.close()


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    """A schema step that is not known stops the start."""
    SqliteStore(tmp_path / "mart.sqlite3").close()
    database = sqlite3.connect(tmp_path / "mart.sqlite3")
    with database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(SettingsError, match="newer version"):
        SqliteStore(tmp_path / "mart.sqlite3")


def test_commits_are_synced(mart_store):
    """The writer's connection is in WAL mode and syncs at each commit."""
    with mart_store.writing() as writer:
        ask = writer._connection.exec_driver_sql
        assert ask("PRAGMA journal_mode").scalar() == "wal"
        assert ask("PRAGMA synchronous").scalar() == 2
        assert ask("PRAGMA foreign_keys").scalar() == 1


def test_an_exception_undoes_all_of_a_transaction(mart_store, mart_clock):
    """What was written before an exception is gone, and the next writer can write."""

    def fail():
        with mart_store.writing() as writer:
            writer.put_data_mart("dm", mart_clock())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with mart_store.writing() as writer:
        assert writer.data_mart("dm") is None
        writer.put_data_mart("dm", mart_clock())


def test_readers_see_committed_states_only(mart_store, mart_clock):
    """While a writer is at work readers see what was before, without waiting."""
    with mart_store.writing() as writer:
        writer.put_data_mart("dm", mart_clock())
        with mart_store.reading() as reader:
            assert reader.data_mart("dm") is None
    with mart_store.reading() as reader:
        assert reader.data_mart("dm") is not None


def test_a_closed_store_takes_nothing(mart_store):
    """Writing after close fails at once."""
    mart_store.close()
    with pytest.raises(RuntimeError), mart_store.writing():
        pass


def test_concurrent_posts_store_each_record_once(mart, mart_record):
    """Many clients with overlapping records leave each key once and number without a gap."""
    barrier = threading.Barrier(8)

    def post(client):
        barrier.wait()
        for start in range(0, 100, 10):
            body = [mart_record(f"r{at + client % 2}") for at in range(start, start + 10)]
            assert mart.store(body).status_code == 204

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(post, range(8)))
    assert {record["scoring_id"] for record in mart.records()} == {f"r{at}" for at in range(101)}
    assert len(mart.records()) == 101
    assert mart.get("scoring_conflicts") == {"conflicts": []}


def test_a_locked_store_is_a_passing_fault(mart, mart_record, caplog):
    """While another process holds the database the answer is 503 with Retry-After."""
    with mart.running.mart.store.writing() as writer:
        writer._connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(mart.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = mart.store([mart_record(note="geheim")])
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json()["errors"][0]["code"] == "store_unavailable"
    other.execute("ROLLBACK")
    other.close()
    mart.stored(mart_record())
    assert "geheim" not in caplog.text


def test_nothing_of_a_body_is_logged(mart, mart_record, caplog):
    """Refused or stored, no value of a payload, no key and no token reaches a log."""
    caplog.set_level("DEBUG")
    secret = mart_record(
        "geheim-id", request={"fields": ["age"], "values": [["geheim"]]}, note="geheim"
    )
    assert mart.store([secret]).status_code == 204
    assert mart.store([secret, {**secret, "response": 5}]).status_code == 400
    broken = json.dumps([secret]).encode()[:-3]
    assert mart.store(broken).status_code == 400
    assert "geheim" not in caplog.text
    assert mart.running.api_key not in caplog.text
    assert mart.http.headers["Authorization"] not in caplog.text


def test_strings_with_nul_are_stored_whole(mart, mart_record):
    """A NUL in an id, a cell or an extra cuts nothing."""
    record = mart_record("a\0b", note="c\0d")
    record["request"]["values"][0][1] = "e\0f"
    mart.stored(record)
    assert mart.records() == [record]
    mart.stored(record)
    assert len(mart.records()) == 1
    assert mart.rows()["values"][0][0] == "a\0b-1"


def test_a_folder_with_odd_characters_is_opened(tmp_path):
    """Percent signs, question marks and spaces in a path do not matter."""
    with open_mart(tmp_path / "a %41?b #c") as opened:
        assert opened.new_key
        assert (opened.folder / "mart.sqlite3").stat().st_size > 0
