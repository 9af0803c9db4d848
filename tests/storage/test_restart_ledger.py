"""The ledger of restarts, on both databases: what is kept comes back, and one process holds a run."""

from datetime import timedelta

import pytest

from devlib.clock import FakeClock
from devlib.errors import Conflict, NotFound
from devlib.language import message
from devlib.model import Scope
from devlib.storage import Inventory, RestartRun, RestartStep, RunState, StepState, ended, own_name

RUN = {
    "principal": "ann", "target": "Bakery / Lyon", "scope": Scope("Telecom", "Bakery", frozenset({"Lyon"})),
    "state": RunState.OPEN, "rate": 2.5, "canary": 3, "stop_after": 20, "stop_share": 0.25,
    "patience": 1800.0, "answer_seconds": 8.0, "window": 64,
}  # fmt: skip


def step(position, **more):
    """Return a step."""
    place = ("Yealink T46S", "Telecom", "Bakery", "Lyon", "net", f"{position}@x.example", "check-sync")
    return RestartStep(position, f"80:5E:C0:00:00:{position:02X}", *place, 120.0, 180.0, **more)


def start(inventory: Inventory, clock: FakeClock, count=3) -> int:
    """Keep a run of some devices; return its number."""
    with inventory.write() as writer:
        return writer.start_restart_run(
            RestartRun(0, clock.now(), **RUN), [step(n, canary=n == 0) for n in range(count)]
        )


def test_runs_and_steps_come_back(inventory: Inventory, clock: FakeClock) -> None:
    """Scope, reasons with their values, Call-IDs and moments are what they were."""
    number = start(inventory, clock)
    changed = {
        "state": StepState.SENT, "code": 200, "attempts": 1, "sent_at": clock.now(),
        "calls_before": ("a", "b"),
        "phone_before": "80:5E:C0:00:00:01",
        "reason": message("No line of it is assigned. {n}", n=3),
    }  # fmt: skip
    with inventory.write() as writer:
        writer.note_restarts(number, {1: changed})
        writer.change_restart_run(number, state=RunState.STOPPED, reason=message("It was interrupted."))
    with inventory.read() as reader:
        run, steps = reader.restart_run(number), reader.restart_steps(number)
        assert reader.restart_runs() == [run]
        assert reader.restart_totals([number]) == {number: {"": 3}}
        with pytest.raises(NotFound):
            reader.restart_run(number + 1)
    assert (run.scope, run.state, str(run.reason)) == (RUN["scope"], RunState.STOPPED, "It was interrupted.")
    assert steps == [step(0, canary=True), step(1, **changed), step(2)]


def test_last_restarts_know_what_surely_did_not_restart(inventory: Inventory, clock: FakeClock) -> None:
    """The newest NOTIFY counts, of any other run, unless its outcome says that the device did not restart."""
    first, second = start(inventory, clock), start(inventory, clock)
    early = clock.now()
    late = early + timedelta(seconds=50)
    with inventory.write() as writer:
        writer.note_restarts(first, {0: {"sent_at": early}, 1: {"sent_at": late, "outcome": "refused"}})
        writer.note_restarts(second, {0: {"sent_at": late}})
    macs = [step(n).mac for n in range(3)]
    since = early - timedelta(seconds=1)
    with inventory.read() as reader:
        assert reader.last_restarts(macs, since=since, untouched=["refused"]) == {macs[0]: late}
        assert reader.last_restarts(macs, since=since) == {macs[0]: late, macs[1]: late}
        assert reader.last_restarts(macs, since=since, without=second) == {macs[0]: early, macs[1]: late}
        assert reader.last_restarts(macs, since=late + timedelta(seconds=1)) == {}
        assert reader.last_sent(["net"], since=since, without=second) == {"net": late}
        assert reader.last_sent(["other"], since=since, without=second) == {}


def test_one_holder_at_a_time(inventory: Inventory, clock: FakeClock) -> None:
    """A run is held until its time is over or its holder has ended for sure; who lost it cannot go on."""
    number = start(inventory, clock)
    until = clock.now() + timedelta(seconds=30)

    def hold(name, gone=lambda holder: False):
        with inventory.write() as writer:
            writer.take_turn_in_restarts()
            writer.hold_restart_run(number, name, until, gone)

    hold("one")
    hold("one", None)
    with pytest.raises(Conflict):
        hold("two")
    hold("two", lambda holder: holder == "one")
    with pytest.raises(Conflict):
        hold("one", None)
    clock.advance(31)
    hold("three")


def test_a_process_is_gone_only_when_it_is_for_sure() -> None:
    """Our own name is alive, a dead pid or one with another start is gone, another machine's is not known."""
    name = own_name()
    place, pid, start_ticks = name.rsplit(" ", 2)
    assert not ended(name)
    assert ended(f"{place} {pid} {int(start_ticks) + 1}")
    assert ended(f"{place} 4194304 1")
    assert not ended(f"elsewhere pid:[1] {pid} 1")
    assert not ended("nonsense")
    assert not ended("")
