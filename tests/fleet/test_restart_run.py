"""A restart of a whole site: one outcome for each device, the pace kept, and rightly gone on with."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from fleet.restart_stage import BOOT, SCOPE, Stage, mac, port

from devlib.clock import FakeClock
from devlib.errors import Conflict, StorageUnavailable
from devlib.fleet import FAILURES, RestartResult
from devlib.language import message
from devlib.network import RestartOutcome
from devlib.storage import DeviceFilter, RunState, StepState, open_inventory, own_name

CONFIRMED, ACCEPTED = RestartResult.CONFIRMED, RestartResult.ACCEPTED


@pytest.fixture
def stage_of(request, tmp_path, catalogue, organise):
    """A function that makes a stage; what the databases differ in is tested with the ledger itself."""
    made = []

    def make(count, *, database="sqlite", **more):
        url = f"sqlite:///{tmp_path}/stage.db"
        if database == "postgresql":
            url = request.getfixturevalue("postgresql").new_database()
        with open_inventory(url, FakeClock()) as empty:
            organise(empty)
        made.append(Stage(url, catalogue, count, **more))
        return made[-1]

    yield make
    for each in made:
        each.inventory.close()


@pytest.fixture
def stage(stage_of):
    """Twelve devices."""
    return stage_of(12)


def keeps_pace(stage, rate=5.0):
    """Whether no two NOTIFYs were nearer to each other than the rate lets them."""
    return all(later[0] - earlier[0] >= 1 / rate - 1e-9 for earlier, later in pairwise(stage.network.sent))


@pytest.mark.parametrize(
    ("push", "database"),
    [(False, "sqlite"), pytest.param(True, "postgresql", marks=pytest.mark.postgresql)],
    ids=["polled", "fed"],
)
def test_each_device_has_its_outcome(stage_of, push, database):
    """Every way to end is told apart, no device is sent two NOTIFYs, and the ledger says the same."""
    stage = stage_of(12, push=push, database=database)
    stage.answers(1, RestartOutcome.REFUSED, 481)
    stage.answers(2, RestartOutcome.AUTH_NEEDED, 401)
    stage.answers(3, RestartOutcome.NO_ANSWER)
    stage.answers(4, RestartOutcome.UNROUTABLE, 480)
    stage.never_back(5)
    stage.leaves(6)
    number = stage.start(stop_after=0, stop_share=0)
    stage.leaves(7)  # after it was planned
    report = stage.run(number)
    expected = dict.fromkeys((0, 8, 9, 10, 11), "confirmed") | {
        1: "refused", 2: "refused", 3: "no answer", 4: "unroutable", 5: "accepted but unconfirmed",
        6: "not registered", 7: "not registered",
    }  # fmt: skip
    assert stage.outcomes(report) == expected
    assert report.run.state is RunState.DONE
    sent = stage.network.notified()
    assert set(sent) == {str(mac(n)) for n in range(12)} - {str(mac(6)), str(mac(7))}
    assert {len(times) for times in sent.values()} == {1}
    with stage.inventory.read() as reader:
        assert tuple(reader.restart_steps(number)) == report.steps
        assert reader.restart_run(number) == report.run
    by_number = {int(step.mac[-2:], 16): step for step in report.steps}
    assert "login" in str(by_number[2].reason)
    assert (by_number[1].code, by_number[2].code, by_number[5].code) == (481, 401, 200)


def test_the_event_is_the_vendors(stage):
    """A Cisco is sent a plain check-sync, a Yealink one with reboot=true."""
    stage.run(stage.start())
    events = {str(mac(int(line[:4]) - 2000)): event for _, line, event in stage.network.sent}
    assert events[str(mac(1))] == "check-sync"
    assert events[str(mac(0))] == events[str(mac(2))] == "check-sync;reboot=true"


def test_the_pace_is_kept_over_stops_and_runs(stage):
    """No two NOTIFYs are nearer than the rate lets them: over an interruption and over two runs."""
    number = stage.start(rate=2.0)
    report = stage.run(number, halted=lambda: len(stage.network.sent) >= 5)
    assert report.run.state is RunState.STOPPED
    assert report.left > 0
    stage.run(number)
    second = stage.start(rate=2.0, force=True)
    stage.run(second, force=True)
    assert len(stage.network.sent) == 24
    assert keeps_pace(stage, 2.0)


def test_the_canary_goes_first(stage):
    """Devices of different models go first, and nothing else before all of them are confirmed."""
    told = []
    number = stage.start(canary=3)
    report = stage.run(number, told.append)
    canaries = [step for step in report.steps if step.canary]
    assert {step.device_type for step in canaries} == {"Yealink T46S", "Cisco 8851", "Yealink W60B"}
    assert [step.position for step in canaries] == [0, 1, 2]
    back = max(step.ended_at for step in canaries)
    assert all(step.sent_at >= back for step in report.steps if not step.canary)
    assert report.outcomes[CONFIRMED] == 12
    assert told[-1].outcomes == {"confirmed": 12}


def test_a_canary_that_fails_stops_the_run(stage):
    """Nothing but the canaries was touched; resumed, other devices become canaries, and the rest follows."""
    stage.answers(0, RestartOutcome.REFUSED, 481)
    number = stage.start(canary=3)
    report = stage.run(number)
    assert report.run.state is RunState.STOPPED
    assert str(mac(0)) in str(report.run.reason)
    assert 1 <= len(stage.network.sent) <= 3
    report = stage.run(number)
    assert report.run.state is RunState.DONE
    assert report.outcomes[CONFIRMED] == 11
    assert sum(step.canary for step in report.steps) == 4
    assert {len(times) for times in stage.network.notified().values()} == {1}


def test_a_canary_that_signed_off_is_replaced(stage):
    """A canary without a registration is no failure: another device takes its place."""
    number = stage.start(canary=3)
    stage.leaves(0)
    report = stage.run(number)
    assert report.run.state is RunState.DONE
    confirmed = [step for step in report.steps if step.canary and step.outcome == CONFIRMED]
    assert len(confirmed) == 3


def test_too_many_failures_stop_the_run(stage):
    """The run stops at the number of failures; what was sent still gets its outcome; the rest can go on."""
    for number in range(12):
        stage.answers(number, RestartOutcome.REFUSED, 481)
    number = stage.start(stop_after=4, stop_share=0)
    report = stage.run(number)
    assert report.run.state is RunState.STOPPED
    assert 4 <= report.failed <= 5
    assert report.left == 12 - report.failed
    assert {step.state for step in report.steps} == {StepState.WAITING, StepState.ENDED}
    assert stage.run(number).left < report.left


def test_too_large_a_share_of_failures_stops_the_run(stage_of):
    """A quarter of failures is enough, once there are outcomes to judge by."""
    stage = stage_of(60)
    for number in range(0, 60, 2):
        stage.answers(number, RestartOutcome.REFUSED, 481)
    report = stage.run(stage.start(stop_after=0, stop_share=0.25))
    assert report.run.state is RunState.STOPPED
    assert report.left > 0


def leave_sending(stage, number, positions):
    """Write what a process that is killed leaves: these devices as `sending`, everything else waiting."""
    plan = stage.plan()
    changes = {
        step.position: {
            "state": StepState.SENDING, "line_port": step.line_port, "calls_before": step.calls_before,
            "sent_at": stage.clock.now(), "attempts": 1,
        }
        for step in plan.steps
        if step.position in positions
    }  # fmt: skip
    with stage.inventory.write() as writer:
        writer.note_restarts(number, changes)
        # The name of a process of this boot that is no more.
        dead = " ".join([*own_name().split(" ")[:-2], "4194304", "1"])
        writer.hold_restart_run(number, dead, stage.clock.now() + timedelta(seconds=30), lambda name: True)
    return {step.position: step for step in plan.steps}


async def test_what_a_killed_process_left(stage):
    """A device that was perhaps restarted is looked at; only if it was not, it is asked again after that."""
    number = stage.start()
    steps = leave_sending(stage, number, {0, 1})
    at = stage.clock.monotonic()
    await stage.network.restart(steps[0].line_port)  # this one had left
    report = stage.run(number)
    assert report.outcomes[CONFIRMED] == 12
    sent = stage.network.notified()
    assert len(sent[steps[0].mac]) == 1
    (again,) = sent[steps[1].mac]
    assert again - at >= BOOT
    assert report.steps[1].attempts == 2
    assert keeps_pace(stage)


def test_one_process_runs_a_run(stage):
    """A run that a living process holds is refused; one of a dead process is taken over at once."""
    number = stage.start()
    until = stage.clock.now() + timedelta(seconds=30)
    with stage.inventory.write() as writer:
        writer.hold_restart_run(number, "another machine", until, lambda name: False)
    with pytest.raises(Conflict, match="Another process"):
        stage.run(number)
    assert stage.network.sent == []
    stage.clock.advance(31)  # it has not prolonged
    assert stage.run(number).outcomes[CONFIRMED] == 12
    with pytest.raises(Conflict, match="done"):
        stage.run(number)


def test_a_run_that_was_taken_over_sends_no_more(stage):
    """A process that slept while another took its run over notices before its next NOTIFY."""
    number = stage.start()

    def take(count):
        if count == 4:
            with stage.inventory.write() as writer:
                later = stage.clock.now() + timedelta(seconds=60)
                writer.hold_restart_run(number, "other", later, lambda name: True)

    stage.network.on_send = take
    with pytest.raises(Conflict):
        stage.run(number)
    assert len(stage.network.sent) == 4
    with stage.inventory.read() as reader:
        assert reader.restart_run(number).holder == "other"


@pytest.mark.parametrize("push", [False, True], ids=["polled", "fed"])
def test_a_network_that_fails_in_the_middle(stage_of, push):
    """The run waits and goes on by itself; nothing is called refused, silent or gone that is not."""
    stage = stage_of(12, push=push)
    away = []

    def fail(count):
        if count == 4:
            stage.network.registrar_down()

    def back(progress):
        if progress.paused:
            away.append(stage.clock.monotonic())
            if away[-1] - away[0] > 100:
                stage.network.registrar_up()

    stage.network.on_send = fail
    report = stage.run(stage.start(rate=1.0), back)
    assert away
    assert report.run.state is RunState.DONE
    assert stage.outcomes(report) == dict.fromkeys(range(12), "confirmed")
    for times in stage.network.notified().values():
        assert all(later - earlier >= BOOT for earlier, later in pairwise(times))


def test_a_registrar_that_forgets_is_waited_for(stage):
    """A phone that a restarted registrar has forgotten is not called unregistered: it registers by itself."""
    lines = [port(n, line) for n in range(12) for line in (1, 2)]

    def forget(count):
        if count == 3:
            stage.network.forget(lines)

    stage.network.on_send = forget
    report = stage.run(stage.start())
    assert stage.outcomes(report) == dict.fromkeys(range(12), "confirmed")


def test_patience_ends_and_the_run_can_go_on(stage):
    """After its patience a run stops with the reason; the devices it did not reach have no outcome."""
    number = stage.start(patience=100.0)

    def fail(count):
        if count == 4:
            stage.network.registrar_down()

    stage.network.on_send = fail
    report = stage.run(number)
    assert report.run.state is RunState.STOPPED
    assert "stage" in str(report.run.reason)
    assert not {step.outcome for step in report.steps} & FAILURES
    assert report.left >= 8
    stage.network.registrar_up()
    report = stage.run(number)
    assert report.run.state is RunState.DONE
    assert report.outcomes[CONFIRMED] == 12


def test_never_twice_within_the_boot_time(stage):
    """A device that any run restarted a moment ago is skipped: when planned, and when it would be sent."""
    early = stage.start()
    stage.run(stage.start())
    report = stage.run(early)
    with stage.inventory.read() as reader:
        last = reader.last_restarts(
            [str(mac(n)) for n in range(12)], since=stage.clock.now() - timedelta(hours=1)
        )
    booting = {m for m, at in last.items() if at + timedelta(seconds=BOOT) > report.run.created_at}
    assert booting
    for times in stage.network.notified().values():
        assert all(later - earlier >= BOOT for earlier, later in pairwise(times))
    assert "skipped" in stage.outcomes(report).values()
    skipped = [step for step in stage.plan(boot_seconds=600.0).steps if step.outcome == "skipped"]
    assert len(skipped) == 12
    assert "s ago" in str(skipped[0].reason)
    assert len(stage.plan(boot_seconds=600.0, force=True).to_send) == 12


def test_a_refused_device_may_be_asked_again_at_once(stage):
    """What surely did not restart is not held to be booting: the operator corrects the login and repeats."""
    stage.answers(0, RestartOutcome.AUTH_NEEDED, 401)
    stage.run(stage.start(stop_after=0, stop_share=0))
    waiting = {step.mac for step in stage.plan(boot_seconds=3000.0).to_send}
    assert waiting == {str(mac(0))}


def test_an_interruption_leaves_everything_in_order(stage):
    """What is raised ends the run in order: noted, let go of, and gone on with by the next one."""

    def interrupt(progress):
        if len(stage.network.sent) >= 3:
            raise KeyboardInterrupt

    number = stage.start(rate=1.0)
    with pytest.raises(KeyboardInterrupt):
        stage.run(number, interrupt)
    with stage.inventory.read() as reader:
        run = reader.restart_run(number)
    assert (run.state, run.holder) == (RunState.STOPPED, None)
    report = stage.run(number)
    assert report.outcomes[CONFIRMED] == 12
    assert {len(times) for times in stage.network.notified().values()} == {1}


def test_without_its_ledger_a_run_sends_nothing(stage, monkeypatch):
    """While the ledger is away no NOTIFY goes, for it would not be known; then the run goes on."""
    number = stage.start()
    write, fails = stage.inventory.write, []

    @contextmanager
    def sometimes():
        if len(stage.network.sent) == 5 and len(fails) < 20:
            fails.append(stage.clock.monotonic())
            raise StorageUnavailable(message("The database cannot be reached."))
        with write() as writer:
            yield writer

    monkeypatch.setattr(stage.inventory, "write", sometimes)
    report = stage.run(number)
    assert len(fails) == 20
    assert not [at for at, *_ in stage.network.sent if fails[0] < at < fails[-1]]
    assert report.outcomes[CONFIRMED] == 12


def test_a_device_that_left_the_inventory_is_not_restarted(stage):
    """Lines are read anew when a run begins: a removed device is an outcome, and is sent nothing."""
    number = stage.start()
    with stage.inventory.write() as writer:
        writer.remove_device(SCOPE, mac(4))
    report = stage.run(number)
    assert stage.outcomes(report)[4] == "not registered"
    assert str(mac(4)) not in stage.network.notified()


def test_one_device_shares_the_ledger(stage):
    """A single restart is a run too: the next one within its boot time is skipped, unless it is forced."""
    (device,) = [
        each.device for each in stage.restarting._candidates(SCOPE, DeviceFilter()).values()
        if each.device.mac == mac(0)
    ]  # fmt: skip
    assert stage.restarting.one(device, "ann", wait=60).result is CONFIRMED
    again = stage.restarting.one(device, "ann", wait=60)
    assert again.result is RestartResult.SKIPPED
    assert stage.restarting.one(device, "ann", force=True).result is ACCEPTED
    assert len(stage.network.sent) == 2
    stage.network.registrar_down()
    assert stage.restarting.one(device, "ann", force=True).result is RestartResult.UNREACHABLE
    assert replace(device, lines=()).lines == ()


def test_a_network_that_fails_under_a_single_restart(stage):
    """Nobody waits for one device: its outcome is then that the network cannot be reached."""
    (device,) = [
        each.device for each in stage.restarting._candidates(SCOPE, DeviceFilter()).values()
        if each.device.mac == mac(0)
    ]  # fmt: skip
    stage.answers(0, RestartOutcome.UNREACHABLE)
    done = stage.restarting.one(device, "ann", wait=60)
    assert done.result is RestartResult.UNREACHABLE
