"""Of several followers one leads: who stops or dies is replaced, and who was replaced writes nothing."""

from dataclasses import dataclass, field

import pytest
from portal_home import Home

from devlib.clock import FakeClock
from devlib.collect import (
    Flush,
    FlushKind,
    Follower,
    Leadership,
    Networks,
    Served,
    StandBy,
    keep_following,
)
from devlib.errors import LeadLost, StorageUnavailable
from devlib.language import message
from devlib.model import EVERYTHING

PATIENCE = 15.0
PORT = "11@lyon.bakery.example"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def home(request, tmp_path):
    """The home of all collection tests, on both kinds of database."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    made = Home(tmp_path / "home", url)
    yield made
    made.services.close()


def at_once():
    """Return what does the work at once, in a test that would else go on for ever not for too long."""
    left = iter(range(TURNS))

    async def without_a_thread(work):
        assert next(left, None) is not None, "nothing more is told"
        return work()

    return without_a_thread


TURNS = 2_000  # of half a second: no test needs nearly as many


@dataclass
class Machine:
    """A follower on a machine of its own; between two things told, the next step of a play happens."""

    home: Home
    name: str
    clock: FakeClock
    networks: Networks
    told: list = field(default_factory=list)

    def __post_init__(self):
        """Be a candidate for the lead."""
        self.leadership = Leadership(
            self.home.services.inventory, self.networks, EVERYTHING, self.clock,
            patience=PATIENCE, holder=self.name, purpose="follow",
        )  # fmt: skip

    def follow(self, *steps):
        """Follow until the steps are over; return what was told."""
        left = list(steps)
        told = []

        def tell(result):
            told.append(result)
            self.told.append(result)
            if left:
                left.pop(0)()
            return bool(left)

        keep_following(self._follower, self.leadership, self.clock, tell)
        return told

    def _follower(self, tenure):
        services = self.home.services
        return Follower(
            services.collector, services.lake, self.networks, EVERYTHING, self.home.clock,
            beside=at_once(), tenure=tenure,
        )  # fmt: skip

    def take_over(self):
        """Lead, as if nothing had been heard of the leader for the patience."""
        assert self.leadership.lead() is not None
        self.clock.advance(PATIENCE)
        assert self.leadership.lead() is None


@pytest.fixture
def machine(home):
    """A function that makes a follower; without a clock of its own it has that of the feeds."""

    def made(name, clock=None, networks=None):
        return Machine(home, name, clock or home.clock, networks or home.services.networks)

    return made


def nothing():
    """Let one more thing happen."""


def entries(home):
    with home.services.inventory.read() as reader:
        return [each.id for each in reader.manifest(EVERYTHING)]


def kinds(told):
    return [each.kind if isinstance(each, Flush) else type(each) for each in told]


def evidence(home):
    sql = f"SELECT evidence FROM line_states WHERE line_port = '{PORT}'"
    return home.portal().sql(sql).iloc[0]["evidence"]


def test_one_follows_and_the_other_is_told_who(home, machine):
    """While one follows another one writes nothing and is told who leads; after a stop it leads at once."""
    first, second = machine("a"), machine("b", FakeClock())
    began = home.clock.now()
    first.follow(lambda: second.follow(nothing, nothing))
    place = second.told[0].place
    assert place
    assert second.told == [StandBy("simulator", place, began)] * 2
    assert len(entries(home)) == 1
    first.leadership.give_back()
    waited = second.clock.monotonic()
    assert kinds(second.follow()) == [FlushKind.RECONCILED]
    assert second.clock.monotonic() == waited


def test_a_silent_leader_is_replaced_and_a_living_one_is_not(machine):
    """Only when nothing was heard of the leader for the patience does another one follow, then at once."""
    first, second = machine("a"), machine("b", FakeClock())
    assert first.leadership.lead() is None
    assert kinds(second.follow(*[first.leadership.beat] * 20)) == [StandBy] * 20
    began = second.clock.monotonic()
    told = second.follow(*[nothing] * 6)
    assert kinds(told).index(FlushKind.RECONCILED) == 5
    assert set(kinds(told[:5])) == {StandBy}
    assert second.clock.monotonic() - began == PATIENCE
    assert first.leadership.lead().network == "simulator"


def test_a_leader_that_was_replaced_writes_nothing(home, machine):
    """What a follower hears after it was replaced is refused by the fence; then it waits for its turn."""
    home.simulator.register(PORT)
    first, second = machine("a"), machine("b", FakeClock())
    told_at = []

    def freeze():
        second.take_over()
        home.simulator.sign_off(PORT)
        told_at.append(home.clock.monotonic())

    def woken():
        told_at.append(home.clock.monotonic())
        assert len(entries(home)) == 1

    told = first.follow(freeze, woken, second.leadership.give_back, nothing)
    assert kinds(told[:4]) == [FlushKind.RECONCILED, LeadLost, StandBy, FlushKind.RECONCILED]
    assert told_at[1] - told_at[0] < first.leadership.pause  # the write was refused, before any look
    assert FlushKind.CHANGED not in kinds(told)
    # It listened to nobody meanwhile: that the phone signed off is inferred from the new collection.
    assert evidence(home) == "vanished"


def test_a_leader_that_hears_nothing_notices_that_it_was_replaced(home, machine):
    """Where no line changes, a follower that was replaced stands by within a fifth of the patience."""
    first, second = machine("a"), machine("b", FakeClock())
    moments = []

    def note():
        moments.append(home.clock.monotonic())

    told = first.follow(lambda: (second.take_over(), note()), note, nothing, nothing)
    assert kinds(told) == [FlushKind.RECONCILED, LeadLost, StandBy, StandBy]
    assert moments[1] - moments[0] <= first.leadership.pause + 1


def test_whoever_led_again_meanwhile_begins_anew(home, machine):
    """A leader that was replaced by one that is gone again does not go on with what it heard before."""
    home.simulator.register(PORT)
    first, second = machine("a"), machine("b", FakeClock())

    def replaced_for_a_while():
        second.take_over()
        second.leadership.give_back()

    told = first.follow(replaced_for_a_while, nothing, nothing)
    assert kinds(told[:3]) == [FlushKind.RECONCILED, LeadLost, FlushKind.RECONCILED]
    assert "led for a while" in str(told[1].what)


def test_another_network_in_the_scope_needs_its_lease_too(home, machine):
    """When a customer of another network is added, the follower takes that lease before it goes on."""
    networks = Networks(
        [
            Served("first", frozenset({"Bakery", "Clinic"}), lambda: home.simulator),
            Served("second", frozenset(), lambda: home.simulator),
        ]
    )
    first, second = machine("a", networks=networks), machine("b", FakeClock(), networks)

    def grow():
        with home.services.inventory.write() as writer:
            writer.add_customer("Test Telecom", "Depot")

    told = first.follow(grow, nothing, nothing)
    assert kinds(told[:2]) == [FlushKind.RECONCILED, LeadLost]
    assert "have changed" in str(told[1].what)
    assert kinds(told)[2:] == [FlushKind.RECONCILED] * len(told[2:])
    assert sorted(name.partition("\n")[0] for name in first.leadership.fences) == ["first", "second"]
    assert second.leadership.lead() is not None


def test_collectors_and_followers_do_not_hinder_each_other(home, machine):
    """A collector leads beside a follower of the same network: each has leases of its own."""
    first = machine("a")
    collector = Leadership(
        home.services.inventory, home.services.networks, EVERYTHING, home.clock, patience=PATIENCE, holder="c"
    )
    assert first.leadership.lead() is None
    assert collector.lead() is None
    assert first.leadership.lead() is None
    assert not set(first.leadership.fences) & set(collector.fences)


def test_a_database_that_is_away_ends_no_tenure(home, machine, monkeypatch):
    """While no look is possible a follower neither ends nor complains; when it is back, it leads on."""
    first = machine("a")
    real = home.services.inventory.write
    seconds = []

    def away():
        seconds.append(home.clock.monotonic())
        if len(seconds) > 3:
            monkeypatch.setattr(home.services.inventory, "write", real)
            home.simulator.sign_off(PORT)
        raise StorageUnavailable(message("no route"))

    home.simulator.register(PORT)
    told = first.follow(lambda: monkeypatch.setattr(home.services.inventory, "write", away), nothing)
    assert kinds(told) == [FlushKind.RECONCILED, FlushKind.CHANGED]
    assert len(seconds) == 4


def test_what_was_put_together_is_written_under_the_lease_too(home, machine, monkeypatch):
    """A leader that is replaced between an entry and putting entries together leaves the entries alone."""
    from devlib.storage import lake

    monkeypatch.setattr(lake, "_MOST_CHANGES", 0)
    home.simulator.register(PORT)
    first, second = machine("a"), machine("b", FakeClock())
    real = home.services.lake._put_together

    def late(*given):
        second.take_over()
        return real(*given)

    monkeypatch.setattr(home.services.lake, "_put_together", late)
    told = first.follow(lambda: home.simulator.sign_off(PORT), nothing, nothing)
    assert kinds(told[:3]) == [FlushKind.RECONCILED, FlushKind.CHANGED, LeadLost]
    assert len(entries(home)) == 2
    assert evidence(home) == "signed off"
    assert len(list(home.services.lake.folder.rglob("*.parquet"))) == 2
