"""What only the coordinator of many machines must do: connections, notifications, its row."""

import os
import time

import psycopg
import pytest
from export.admission.conftest import request_of

from devlib.clock import SystemClock
from devlib.config import ExportPolicy
from devlib.errors import ConfigurationError, StorageUnavailable
from devlib.export.coordinator import open_coordinator

pytestmark = pytest.mark.postgresql


@pytest.fixture
def url(postgresql):
    """The URL of an empty database."""
    return postgresql.new_database()


@pytest.fixture
def queue(url, tmp_path):
    """A function that opens a coordinator on one database."""
    opened = []

    def open_another(**limits):
        opened.append(open_coordinator(url, tmp_path, ExportPolicy(**limits), SystemClock()))
        return opened[-1]

    yield open_another
    for coordinator in opened:
        coordinator.close()


def execute(url, sql):
    """Run one statement beside the coordinators."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql)


def test_a_lost_connection_is_503_and_then_a_new_process(queue, url):
    """What a broken connection held is lost: fail closed, then begin again under another name."""
    first, second = queue(), queue()
    running = first.submit(request_of("s1"), ticket="t1")
    before = first.owner
    execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                 "AND pid <> pg_backend_pid()")  # fmt: skip
    for coordinator in (first, second):
        with pytest.raises(StorageUnavailable, match="PostgreSQL cannot be reached"):
            coordinator.poll("t1")
    assert first.finish("t1", running.epoch, "17").http == 500
    assert first.owner != before
    assert first.submit(request_of("s2"), ticket="t2").state == "waiting"
    assert second.poll("t2").state == "waiting"


def test_a_server_that_is_not_there_is_503(tmp_path):
    """Nothing listens: an error with a remedy, without the server's words."""
    with pytest.raises(StorageUnavailable, match="DEVLIB_DATABASE"):
        open_coordinator("postgresql://nobody@127.0.0.1:1/none", tmp_path, ExportPolicy(), SystemClock())


def test_no_database_at_all_is_a_wrong_setting(tmp_path):
    """The URL must name SQLite or PostgreSQL."""
    with pytest.raises(ConfigurationError):
        open_coordinator("mysql://nobody@127.0.0.1/none", tmp_path, ExportPolicy(), SystemClock())


@pytest.mark.parametrize("change", ["version = 99", "doc = 'no json'"])
def test_a_row_that_cannot_be_read_counts_as_empty(queue, url, change):
    """A row of another version, or a broken one, is worth nothing."""
    coordinator = queue()
    coordinator.submit(request_of("s1"), ticket="t1")
    execute(url, f"UPDATE devlib_export.admission SET {change}")
    assert coordinator.poll("t1").why == "unknown"
    assert coordinator.submit(request_of("s2"), ticket="t2").state == "running"


def test_a_ring_reaches_all_who_wait_in_a_process(queue):
    """A notification read by one thread's step wakes the others' bells too."""
    first, second = queue(max_running=1), queue(max_running=1)
    running = first.submit(request_of("s1", "c1"), ticket="t1")
    with second.bell() as one, second.bell() as other:
        second.submit(request_of("s2", "c2"), ticket="t2", bell=one.address)
        first.finish("t1", running.epoch, "17")
        began = time.monotonic()
        one.wait(30.0)
        assert second.poll("t2").state == "running"
        other.wait(30.0)
        assert time.monotonic() - began < 15.0


def test_a_closed_coordinator_has_nothing_to_listen_to(queue):
    """Its bells still end by time; closing twice is no error."""
    coordinator = queue()
    with coordinator.bell() as bell:
        coordinator.close()
        coordinator.close()
        bell.wait(0.01)


def test_a_fork_is_a_process_of_its_own(queue):
    """The child of a fork opens its own connection; the parent's goes on."""
    coordinator = queue()
    coordinator.submit(request_of("s1"), ticket="t1")
    owner = coordinator.owner
    child = os.fork()
    if child == 0:
        code = 1
        try:
            coordinator.poll("t1")
            code = int(coordinator.owner == owner)
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert coordinator.poll("t1").state == "running"
