"""Entries that come at the same time share a transaction; nobody goes on before its own is committed."""

import threading

import pytest

from devlib.clock import FakeClock
from devlib.errors import StorageUnavailable
from devlib.language import message
from devlib.storage import NewAuditEntry
from devlib.storage.audit_group import AuditGroup

THREADS = 12


def entry(number):
    return NewAuditEntry(FakeClock().now(), f"p{number}", "", "", "see", "", "done", "")


def together(work):
    """Run `work(number)` in threads; return what each raised."""
    raised = {}

    def run(number):
        try:
            work(number)
        except StorageUnavailable as error:
            raised[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return raised


def test_many_entries_need_few_transactions():
    """While one transaction lasts, all others gather for the next: each entry once, none left waiting."""
    written, batches = [], []
    arrived = threading.Semaphore(0)

    def write(entries):
        if not batches:
            for _ in range(THREADS - 1):
                arrived.acquire(timeout=5)
        batches.append(len(entries))
        written.extend(each.principal for each in entries)

    group = AuditGroup(write)

    def add(number):
        arrived.release()
        group.add(entry(number))
        assert f"p{number}" in written

    assert together(add) == {}
    assert sorted(written) == sorted(f"p{number}" for number in range(THREADS))
    assert len(batches) < THREADS


def test_one_bad_entry_fails_alone():
    """Where a transaction fails, each tries alone: only the one whose entry is bad learns of it."""
    written = []

    def write(entries):
        if any(each.principal == "p3" for each in entries):
            raise StorageUnavailable(message("{error}", error="bad"))
        written.extend(each.principal for each in entries)

    group = AuditGroup(write)
    assert set(together(lambda number: group.add(entry(number)))) == {3}
    assert sorted(written) == sorted(f"p{number}" for number in range(THREADS) if number != 3)
    group.add(entry(99))
    assert written[-1] == "p99"


def test_an_interrupted_writer_leaves_nobody_waiting():
    """Ctrl+C in the thread that writes for all: the others write their own, and later ones go on."""
    written, first = [], threading.Event()

    def write(entries):
        if not first.is_set():
            first.set()
            raise KeyboardInterrupt
        written.extend(each.principal for each in entries)

    group = AuditGroup(write)
    with pytest.raises(KeyboardInterrupt):
        group.add(entry(0))
    assert together(lambda number: group.add(entry(number))) == {}
    assert len(written) == THREADS
