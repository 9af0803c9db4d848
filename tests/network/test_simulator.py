"""The simulated network: the same at every moment, wherever the clock comes from, and varied enough."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from devlib.clock import FakeClock
from devlib.config import SimulatorSettings
from devlib.errors import NetworkUnreachable
from devlib.model import Catalogue, load_catalogue
from devlib.network import ChangeKind, RestartOutcome, Simulator
from devlib.network.simulator_behaviour import Habit, Temper, Weather, roll
from devlib.network.simulator_devices import identify

MONDAY = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
LINES = [f"{2001 + number}@site{number // 25}.alpha.example" for number in range(2_000)]


def simulator(moment=MONDAY, seed=1, **more):
    """A simulator and the clock that moves it."""
    clock = FakeClock(moment)
    return Simulator(SimulatorSettings(seed=seed), clock, **more), clock


async def states(network, lines=LINES):
    """Look up lines, leaving out what is unanswered."""
    return (await network.lookup(lines)).bindings


def line_with(habit, seed=1):
    """Return the first line of that habit."""
    return next(line for line in LINES if Temper.of(roll(seed, "device", line)).habit is habit)


async def test_every_moment_is_found_again():
    """Two simulators that come to a moment on different ways hold the same bindings there."""
    slow, clock = simulator()
    for _ in range(30):
        clock.advance(8 * 3600)
        await states(slow)
    fast, _ = simulator(clock.now())
    assert await slow.lookup(LINES) == await fast.lookup(LINES)


async def test_another_seed_is_another_network():
    """The seed decides who is registered."""
    one, _ = simulator(seed=1)
    two, _ = simulator(seed=2)
    assert await states(one) != await states(two)


async def test_most_lines_are_registered_and_some_are_not():
    """On a working day about nineteen lines of twenty are registered."""
    network, _ = simulator()
    found = await states(network)
    share = sum(map(bool, found.values())) / len(found)
    assert 0.90 < share < 0.99


def test_habits_have_their_shares():
    """Nine devices of ten are healthy; each other habit exists."""
    count = Counter(Temper.of(roll(1, "device", number)).habit for number in range(20_000))
    assert 0.88 < count[Habit.STEADY] / 20_000 < 0.92
    assert set(count) == set(Habit)


async def test_healthy_bindings_are_refreshed_at_half_of_their_time():
    """A healthy line has at least half an hour left at any moment."""
    line = line_with(Habit.STEADY)
    network, clock = simulator()
    for _ in range(60):
        clock.advance(1_000)
        for binding in (await states(network, [line])).get(line, ()):
            assert binding.expires_at - binding.registered_at == timedelta(hours=1)
            assert binding.registered_at <= clock.now() < binding.expires_at


async def test_all_bindings_are_live():
    """As with Kamailio, what has expired is gone."""
    network, clock = simulator()
    for _ in range(20):
        clock.advance(5 * 3600 + 77)
        for bindings in (await states(network)).values():
            assert all(binding.live(clock.now()) for binding in bindings)


async def test_a_leaving_line_vanishes_before_its_expiry():
    """A sign-off in the evening takes a binding that had time left; in the morning it is back."""
    line = line_with(Habit.LEAVING)
    network, clock = simulator(MONDAY.replace(hour=16))
    last = None
    while found := (await states(network, [line]))[line]:
        last, before = found[0], clock.now()
        clock.advance(60)
    assert last.expires_at > before + timedelta(minutes=5)
    clock.advance(14 * 3600)
    assert (await states(network, [line]))[line]


async def test_a_dying_line_ages_for_a_day_or_more():
    """A dead phone is away for more than 25 hours at a stretch, after its binding has expired by itself."""
    line = line_with(Habit.DYING)
    network, clock = simulator()
    away, longest = 0, 0
    for _ in range(24 * 20):
        clock.advance(3600)
        answers = await network.lookup([line])
        if line in answers.unanswered:
            continue
        away = 0 if answers.bindings[line] else away + 1
        longest = max(longest, away)
    assert longest >= 25


async def test_a_site_outage_takes_all_steady_lines_and_returns_them():
    """In an outage every steady line of the site ages within the hour; afterwards all come back."""
    weather = Weather(1, 4)
    start = int(MONDAY.timestamp())
    site, (begin, end) = next(
        (f"site{number}.alpha.example", outage)
        for number in range(200)
        if (outage := weather.outage(f"site{number}.alpha.example", start)) and outage[0] > start
    )
    lines = [
        line
        for line in (f"{number}@{site}" for number in range(100))
        if Temper.of(roll(1, "device", line)).habit is Habit.STEADY
    ]
    for moment, registered in ((begin - 60, True), (begin + 3700, False), (end + 1900, True)):
        network = simulator(datetime.fromtimestamp(moment, UTC))[0]
        network.registrar_up()
        answers = await network.lookup(lines)
        assert set(map(bool, answers.bindings.values())) <= {registered}


def test_registrars_have_gaps_of_twenty_to_forty_minutes():
    """A registrar is now and then unreachable, never for long."""
    weather = Weather(1, 4)
    start = int(MONDAY.timestamp())
    minutes = Counter(each for step in range(14 * 24 * 60) for each in weather.unreachable(start + 60 * step))
    assert minutes
    assert all(count >= 19 for count in minutes.values())
    assert sum(minutes.values()) < 0.02 * 4 * 14 * 24 * 60


async def test_a_registrar_gap_leaves_its_lines_unanswered():
    """The lines of an unreachable registrar are unanswered, those of the others are not."""
    network, _ = simulator()
    network.registrar_down(LINES[0])
    answers = await network.lookup(LINES)
    assert LINES[0] in answers.unanswered
    assert 0 < len(answers.unanswered) < len(LINES)
    network.registrar_up(LINES[0])
    assert LINES[0] in (await network.lookup(LINES)).bindings


async def test_lines_of_one_device_share_its_fate_and_its_words():
    """User agent, instance and times belong to the device, not to the line."""
    network, clock = simulator(device_of=lambda _: ("Yealink T46S", "80:5E:C0:12:34:56"))
    one, two = "2001@lyon.example", "2002@lyon.example"
    for _ in range(20):
        clock.advance(7_000)
        found = (await network.lookup([one, two])).bindings
        assert [b.expires_at for b in found[one]] == [b.expires_at for b in found[two]]
        assert [b.instance for b in found[one]] == [b.instance for b in found[two]]


def test_every_device_type_has_a_fitting_user_agent():
    """The user agent names the vendor or the model, and hostile ones are bounded and printable."""
    catalogue: Catalogue = load_catalogue()
    for kind in catalogue.types:
        said = identify(kind.name, "80:5E:C0:12:34:56", roll=1)
        assert kind.vendor.lower() in said.user_agent.lower()
        assert len(said.user_agent) <= 255
    for number in range(0, 20_000, 200):
        said = identify("Yealink T46S", "805ec0123456", roll=number)
        assert said.user_agent is None or (said.user_agent.isprintable() and len(said.user_agent) <= 255)


async def test_changes_tell_what_happened_to_each_line():
    """Registered, refreshed, signed off and expired are told apart."""
    network, clock = simulator()
    for name in ("stays", "leaves", "dies"):
        network.register(f"{name}@lyon.example", expires=600)
    clock.advance(10)
    since = clock.now()
    clock.advance(5)
    network.register("new@lyon.example")
    network.fall_silent("dies@lyon.example")
    network.sign_off("leaves@lyon.example")
    clock.advance(700)
    kinds = {change.line_port.partition("@")[0]: change.kind async for change in network.changes(since)}
    assert kinds == {
        "stays": ChangeKind.REFRESHED,
        "leaves": ChangeKind.SIGNED_OFF,
        "dies": ChangeKind.EXPIRED,
        "new": ChangeKind.REGISTERED,
    }


async def test_restarts_of_chance_end_in_every_common_way():
    """Most phones accept; some want credentials or refuse; those without binding are told so."""
    network, _ = simulator()
    count = Counter([(await network.restart(line, limit_seconds=0.001)).outcome for line in LINES])
    assert count[RestartOutcome.ACCEPTED] > 0.8 * len(LINES)
    assert {RestartOutcome.AUTH_NEEDED, RestartOutcome.REFUSED, RestartOutcome.NOT_REGISTERED} <= set(count)


async def test_a_restart_of_chance_gives_a_new_call_id():
    """The device comes back with another Call-ID within half a minute."""
    network, clock = simulator()
    line = line_with(Habit.STEADY)
    network.answer_restart(line, RestartOutcome.ACCEPTED, 200)
    ((before,),) = (await states(network, [line])).values()
    await network.restart(line)
    clock.advance(31)
    ((after,),) = (await states(network, [line])).values()
    assert after.call_id != before.call_id
    assert after.registered_at > before.registered_at


async def test_changes_of_chance_tell_an_evening_from_a_failure():
    """A line that leaves in the evening signs off; one that dies expires."""
    leaving, dying = line_with(Habit.LEAVING), line_with(Habit.DYING)
    network, clock = simulator(known=[leaving, dying])
    kinds = {leaving: set(), dying: set()}
    for _ in range(24 * 15):
        since = clock.now()
        clock.advance(3600)
        if (await network.check()).answers:
            async for change in network.changes(since):
                kinds[change.line_port].add(change.kind)
                assert change.at <= clock.now()
    assert ChangeKind.SIGNED_OFF in kinds[leaving]
    assert ChangeKind.SIGNED_OFF not in kinds[dying]
    assert ChangeKind.EXPIRED in kinds[dying]


async def test_a_snapshot_of_a_part_is_refused():
    """With one registrar unreachable there is no snapshot, and no list of changes."""
    network, clock = simulator(known=LINES)
    assert len([binding async for binding in network.snapshot()]) > 1_500
    network.registrar_down(LINES[0])
    with pytest.raises(NetworkUnreachable):
        [_ async for _ in network.snapshot()]
    with pytest.raises(NetworkUnreachable):
        [_ async for _ in network.changes(clock.now())]
