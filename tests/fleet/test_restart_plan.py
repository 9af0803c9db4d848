"""The plan of a restart: what holds for any fleet, whatever is registered and whatever went before."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devlib.clock import FakeClock
from devlib.errors import UsageError
from devlib.fleet import VENDOR_PROFILES, RestartOptions, RestartPlan, profile_of
from devlib.fleet.restart_pace import Pace, must_stop
from devlib.fleet.restart_plan import Candidate, choose_line, is_back, make_plan
from devlib.model import EVERYTHING, Binding, Device, Line, LineType, Mac, User, load_catalogue
from devlib.network import Answers
from devlib.storage import StepState

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
CATALOGUE = load_catalogue()
KINDS = ("Yealink T46S", "Cisco 8851", "Yealink W60B", "Unknown X1")


def mac(number):
    return Mac(0x805EC0 << 24 | number)


def candidate(number, kind=KINDS[0], lines=2):
    held = tuple(
        Line(number * 10 + n, mac(number), n, f"{number}{n}@x.example", LineType.PRIMARY, User("u"))
        for n in range(1, lines + 1)
    )
    device = Device(number, mac(number), kind, "Lyon", "Bakery", "Telecom", lines=held)
    return Candidate(device, CATALOGUE.find(kind), "net")


def binding(port, *, said=None, age=100, call="c1", expires=3600):
    agent = f"Yealink SIP-T46S 66.86.0.15 {said}" if said else None
    at = NOW - timedelta(seconds=age)
    return Binding(port, f"sip:{port}", at + timedelta(seconds=expires), at, agent, call_id=call)


@st.composite
def fleets(draw):
    """Devices (some twice), what is registered, and when each was restarted."""
    numbers = draw(st.lists(st.integers(0, 30), max_size=30))
    found = [candidate(n, KINDS[n % 4], n % 4) for n in numbers]
    ports = {line.line_port for each in found for line in each.device.lines}
    bindings = {
        port: tuple(
            binding(
                port, said=draw(st.sampled_from([None, *map(mac, range(5))])), age=draw(st.integers(0, 9_000))
            )
            for _ in range(draw(st.integers(0, 2)))
        )
        for port in sorted(ports)
    }
    last = {str(mac(n)): NOW - timedelta(seconds=draw(st.integers(0, 500))) for n in numbers if n % 3 == 0}
    return found, Answers(bindings), last


@given(fleets(), st.integers(0, 5), st.booleans())
def test_each_device_once_and_only_where_it_may_go(fleet, canary, force):
    """One step for each MAC; who waits is registered, on a line of no other device, and not booting."""
    found, answers, last = fleet
    known = {mac(n).value for n in range(5)}
    options = RestartOptions(canary=canary, force=force)
    steps = make_plan(found, {"net": answers}, options, now=NOW, last_restarts=last, known_macs=known)
    assert sorted(step.mac for step in steps) == sorted({str(each.device.mac) for each in found})
    assert [step.position for step in steps] == list(range(len(steps)))
    lines = {line.line_port: each for each in found for line in each.device.lines}
    waiting = [step for step in steps if step.state is StepState.WAITING]
    for step in waiting:
        assert str(lines[step.line_port].device.mac) == step.mac
        assert any(each.live(NOW) for each in answers.bindings[step.line_port])
        if not force and step.mac in last:
            assert last[step.mac] + timedelta(seconds=step.boot_seconds) <= NOW
    canaries = [step for step in steps if step.canary]
    assert len(canaries) == min(canary, len(waiting))
    assert canaries == steps[: len(canaries)]
    types = {step.device_type for step in waiting}
    assert len({step.device_type for step in canaries}) == min(len(canaries), len(types))
    assert all(step.outcome for step in steps if step.state is StepState.ENDED)


def test_the_best_line():
    """The line that says the own MAC, then the one that is registered once, then the newest."""
    one, two, three = (f"1{n}@x.example" for n in (1, 2, 3))
    of = candidate(1, lines=3)

    def best(bindings, known=()):
        chosen, *_ = choose_line(of, Answers(bindings), NOW, known)
        return chosen and chosen.line_port

    assert best({one: (binding(one),), two: (binding(two, age=50),)}) == two
    assert best({one: (binding(one),), two: (binding(two, age=50), binding(two))}) == one
    assert best({one: (binding(one, said=mac(1), age=900),), two: (binding(two),)}) == one
    assert best({one: (binding(one, age=9_000),), three: ()}) is None


def test_a_line_of_another_device_is_never_used():
    """A handset that roamed to another base would restart that one: then it is no way to its own base."""
    of = candidate(1, "Yealink W60B", lines=1)
    port = "11@x.example"
    foreign = Answers({port: (binding(port, said=mac(2)),)})
    chosen, outcome, reason = choose_line(of, foreign, NOW, {mac(2).value})
    assert (chosen, outcome.value) == (None, "not registered")
    assert "another device" in str(reason)
    chosen, *_ = choose_line(of, foreign, NOW, set())
    assert chosen is not None  # a MAC that the inventory does not know is no other device of it


def test_what_proves_a_restart():
    """A new Call-ID, not older than the NOTIFY, of the same phone."""
    port = "11@x.example"
    (step,) = make_plan(
        [candidate(1)], {"net": Answers({port: (binding(port, said=mac(1)),)})}, RestartOptions(),
        now=NOW, last_restarts={},
    )  # fmt: skip
    from dataclasses import replace

    sent = replace(step, sent_at=NOW + timedelta(seconds=0.7))
    assert not is_back(step, [binding(port, said=mac(1), age=-5, call="c2")])
    assert is_back(sent, [binding(port, said=mac(1), age=-5, call="c2")])
    assert is_back(sent, [binding(port, said=mac(1), age=0, call="c2")])  # whole seconds
    assert not is_back(sent, [binding(port, said=mac(1), age=1, call="c2")])
    assert not is_back(sent, [binding(port, said=mac(1), age=-5, call="c1")])
    assert not is_back(sent, [binding(port, said=mac(2), age=-5, call="c2")])  # it roamed to another base


@given(st.floats(0.1, 1000), st.lists(st.floats(0, 5), max_size=30))
async def test_the_pace_never_bursts(rate, pauses):
    """However long the pauses, two NOTIFYs are never nearer than the rate lets them."""
    clock = FakeClock()
    pace, sent = Pace(rate, clock), []
    for pause in pauses:
        clock.advance(pause)
        await pace.turn()
        sent.append(clock.monotonic())
    assert all(later - earlier >= 1 / rate - 1e-6 for earlier, later in pairwise(sent))


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 50), st.floats(0, 1))
def test_stopping_never_forgets_failures(failed, more, stop_after, share):
    """What stops a run stops it with one more failure too; zero limits never do."""
    ended = failed + more
    if must_stop(failed, ended, stop_after, share):
        assert must_stop(failed + 1, ended + 1, stop_after, share)
    assert not must_stop(failed, ended, 0, 0.0)
    assert stop_after == 0 or failed < stop_after or must_stop(failed, ended, stop_after, share)


def test_every_vendor_of_the_catalogue_has_a_profile_with_a_source():
    """No device that can be added is left to the default, and each profile says where it is from."""
    assert {kind.vendor for kind in CATALOGUE.types} <= set(VENDOR_PROFILES)
    assert all(profile.source for profile in VENDOR_PROFILES.values())
    assert profile_of(None).event == "check-sync;reboot=true"
    assert profile_of(CATALOGUE.get("Cisco 8851")).asks_login


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"canary": -1}, {"stop_share": 2}, {"boot_seconds": 0}])
def test_options_that_make_no_sense_are_refused(wrong):
    """A wrong limit is named before anything happens."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        RestartOptions(**wrong)


def test_the_duration_of_a_plan():
    """The canary's return, the others at the rate, and the last one's boot."""
    ports = [f"{n}1@x.example" for n in range(1, 12)]
    steps = make_plan(
        [candidate(n, lines=1) for n in range(1, 12)],
        {"net": Answers({port: (binding(port),) for port in ports})},
        RestartOptions(canary=1, boot_seconds=60),
        now=NOW,
        last_restarts={},
    )
    plan = RestartPlan(NOW, "all", EVERYTHING, 2.0, RestartOptions(), tuple(steps))
    assert plan.seconds == 60 + 10 / 2 + 60
    assert RestartPlan(NOW, "none", EVERYTHING, 2.0, RestartOptions(), ()).seconds == 0
