"""The manifest of snapshots in the database."""

from datetime import timedelta

import pytest

from devlib.clock import FakeClock
from devlib.errors import Conflict, NotFound, UsageError
from devlib.model import EVERYTHING, Scope
from devlib.storage import Collected, Inventory, Snapshot


@pytest.fixture
def organised(inventory: Inventory) -> Inventory:
    """Two providers, three customers, two sites."""
    with inventory.write() as writer:
        for provider, customer in (("P", "A"), ("P", "B"), ("Q", "C"), ("Q", "B")):
            if provider not in [each.name for each in writer.providers(EVERYTHING)]:
                writer.add_provider(provider)
            writer.add_customer(provider, customer)
        writer.add_site(Scope("P"), "A", "North")
        writer.add_site(Scope("P"), "A", "South")
    return inventory


def _add(inventory: Inventory, clock: FakeClock, *where: str | None) -> Snapshot:
    clock.advance(60)
    provider, customer, site = (*where, None, None, None)[:3]
    collected = Collected(provider, customer, site, clock.now())
    path = f"{clock.now():%H%M%S}.parquet"
    finished = clock.now() + timedelta(seconds=1)
    with inventory.write() as writer:
        return writer.add_snapshot(collected, path=path, rows=5, bytes=6, finished_at=finished)


def test_entry_comes_back_as_it_was_given(organised: Inventory, clock: FakeClock) -> None:
    """What was entered is read back equal, newest first."""
    entered = [
        _add(organised, clock),
        _add(organised, clock, "P", "A", "North"),
        _add(organised, clock, None, "C"),
    ]
    with organised.read() as reader:
        assert list(reader.manifest(EVERYTHING)) == entered[::-1]
        assert reader.snapshot_paths() == {each.path for each in entered}


def test_only_what_touches_the_scope(organised: Inventory, clock: FakeClock) -> None:
    """A scope sees the snapshots of itself, of what it is in, and of what is in it; no others."""
    whole, p, a = _add(organised, clock), _add(organised, clock, "P"), _add(organised, clock, "P", "A")
    north, q_b = _add(organised, clock, "P", "A", "North"), _add(organised, clock, "Q", "B")

    def seen(scope: Scope) -> list[Snapshot]:
        with organised.read() as reader:
            return list(reader.manifest(scope))[::-1]

    assert seen(Scope("P")) == [whole, p, a, north]
    assert seen(Scope("P", "A")) == [whole, p, a, north]
    assert seen(Scope("P", "A", frozenset({"South"}))) == [whole, p, a]
    assert seen(Scope("P", "B")) == [whole, p]
    assert seen(Scope(None, "B")) == [whole, p, q_b]
    assert seen(Scope("Q")) == [whole, q_b]
    assert seen(Scope("Nobody")) == [whole]


def test_times_cut(organised: Inventory, clock: FakeClock) -> None:
    """Both ends of a span of time belong to it."""
    entered = [_add(organised, clock) for _ in range(4)]
    with organised.read() as reader:
        since, until = entered[1].observed_at, entered[2].observed_at
        assert list(reader.manifest(EVERYTHING, since=since, until=until)) == [entered[2], entered[1]]


def test_long_manifest_is_read_whole(organised: Inventory, clock: FakeClock) -> None:
    """Many entries, some of the same moment, are read page by page without one lost or twice."""
    with organised.write() as writer:
        for number in range(350):
            collected = Collected(None, None, None, clock.now() + timedelta(seconds=number // 7))
            writer.add_snapshot(collected, path=str(number), rows=0, bytes=0, finished_at=clock.now())
    with organised.read() as reader:
        assert [each.path for each in reader.manifest(EVERYTHING)] == [str(n) for n in range(349, -1, -1)]


def test_retired_and_forgotten(organised: Inventory, clock: FakeClock) -> None:
    """A retired snapshot is not read but its file is known; a forgotten one's number is not used again."""
    first, second = _add(organised, clock), _add(organised, clock)
    with organised.write() as writer:
        writer.retire_snapshots([second.id], clock.now())
        writer.retire_snapshots([second.id], clock.now() + timedelta(hours=9))
    with organised.read() as reader:
        assert list(reader.manifest(EVERYTHING)) == [first]
        assert len(reader.snapshot_paths()) == 2
        assert reader.retired_snapshots(before=clock.now()) == []
        assert reader.retired_snapshots(before=clock.now() + timedelta(seconds=1)) == [second]
    with organised.write() as writer:
        writer.forget_snapshots([second.id])
    assert _add(organised, clock).id > second.id


def test_wrong_entries_are_refused(organised: Inventory, clock: FakeClock) -> None:
    """A file can be entered once, and only for a scope that exists and is one."""
    entered = _add(organised, clock)
    with pytest.raises(Conflict), organised.write() as writer:
        writer.add_snapshot(entered.collected, path=entered.path, rows=0, bytes=0, finished_at=clock.now())
    with pytest.raises(NotFound):
        _add(organised, clock, "P", "Nobody")
    with pytest.raises(UsageError, match="B"):
        _add(organised, clock, None, "B")
