"""One collection: one snapshot, honest about networks that do not answer, and history that holds."""

import asyncio
from datetime import timedelta

import pandas as pd
import pytest

from devlib.collect import Networks, Served, asking, keep_collecting, parse_distance, run_blocking
from devlib.config import SimulatorSettings
from devlib.errors import StorageUnavailable, UsageError
from devlib.model import EVERYTHING, LineState, Role, Scope
from devlib.network import Simulator
from devlib.portal import Services

PORT = "11@lyon.bakery.example"


def states(home):
    frame = home.portal().line_states()
    return dict(zip(frame["line_port"], frame["state"], strict=True))


def row(home, line_port=PORT):
    frame = home.portal().line_states()
    return frame[frame["line_port"] == line_port].iloc[0]


def with_networks(home, networks):
    before = home.services
    home.services = Services(
        before.settings, before.clock, before.catalogue, before.inventory, before.lake, networks
    )


def test_a_line_ages_and_then_is_given_up(home):
    """Silence: registered, aged once its expiry passed, unregistered once the retention is over."""
    home.simulator.register(PORT, expires=60)
    home.services.collector.collect(EVERYTHING)
    assert states(home)[PORT] == "registered"
    home.simulator.fall_silent(PORT)
    home.clock.advance(120)
    home.services.collector.collect(EVERYTHING)
    aged = row(home)
    assert (aged["state"], aged["evidence"], aged["state_before"]) == ("aged", "expired", "registered")
    assert aged["contact"]
    home.clock.advance(86_500)
    home.services.collector.collect(EVERYTHING)
    assert (row(home)["state"], row(home)["evidence"]) == ("unregistered", "retention over")


@pytest.mark.parametrize("compacted", [False, True])
def test_the_past_may_lie_in_a_day_file(home, compacted):
    """What was known counts wherever it is kept: a snapshot's own file, or that of its day."""
    home.simulator.register(PORT, expires=60)
    for _ in range(3):
        home.clock.advance(10)
        home.services.collector.collect(EVERYTHING)
    home.simulator.fall_silent(PORT)
    home.clock.advance(70_000)
    if compacted:
        home.portal().compact()
        assert home.services.lake.current(EVERYTHING)[0].in_day_file
    home.services.collector.collect(EVERYTHING)
    found = row(home)
    assert (found["state"], found["state_before"], found["said_vendor"]) == ("aged", "registered", "Yealink")


def test_a_line_that_signs_off_is_unregistered_for_good(home):
    """Sign-off: unregistered at once, and still so when its old expiry has passed."""
    home.simulator.register(PORT, expires=3600)
    home.services.collector.collect(EVERYTHING)
    home.simulator.sign_off(PORT)
    for seconds in (60, 3600, 7200):
        home.clock.advance(seconds)
        home.services.collector.collect(EVERYTHING)
        assert (row(home)["state"], row(home)["evidence"]) == ("unregistered", "vanished")


def test_an_unreachable_registrar_gives_unknown_and_loses_nothing(home):
    """While a registrar is down its lines are unknown with their last state; ageing goes on from before."""
    home.simulator.register(PORT, expires=60)
    home.services.collector.collect(EVERYTHING)
    seen_at = home.clock.now()
    home.simulator.fall_silent(PORT)
    home.simulator.registrar_down()
    for _ in range(2):
        home.clock.advance(300)
        collection = home.services.collector.collect(EVERYTHING)
    assert collection.states[LineState.UNKNOWN] == 24
    assert collection.failures[0].lines == 24
    unknown = row(home)
    assert (unknown["state"], unknown["state_before"], unknown["bindings"] is None) == (
        "unknown",
        "registered",
        False,
    )
    assert unknown["state_known_at"].to_pydatetime() == seen_at.replace(tzinfo=None)
    home.simulator.registrar_up()
    home.services.collector.collect(EVERYTHING)
    assert row(home)["state"] == "aged"


def test_one_dead_network_does_not_stop_the_others(home):
    """Each customer's network answers for it; a dead one leaves only its own lines unknown."""
    dead = Simulator(SimulatorSettings(name="dead", seed=7, registrars=1), home.clock)
    dead.registrar_down()
    alive = home.simulator
    with_networks(
        home,
        Networks(
            [Served("dead", frozenset({"Clinic"}), lambda: dead), Served("alive", frozenset(), lambda: alive)]
        ),
    )
    collection = home.services.collector.collect(EVERYTHING)
    frame = home.portal().line_states()
    assert set(frame[frame["customer"] == "Clinic"]["state"]) == {"unknown"}
    assert "unknown" not in set(frame[frame["customer"] == "Bakery"]["state"])
    assert [(each.network, each.lines) for each in collection.failures] == [("dead", 12)]


def test_a_customer_that_no_network_serves_is_told(home):
    """Lines of a customer without a network are unknown, and the failure says what is missing."""
    alive = home.simulator
    with_networks(home, Networks([Served("one", frozenset({"Bakery"}), lambda: alive)]))
    collection = home.services.collector.collect(EVERYTHING)
    assert collection.states[LineState.UNKNOWN] == 12
    assert "Clinic" in str(collection.failures[0].reason)


def test_a_site_can_be_collected_alone(home):
    """A collection of one site changes only that site's rows in the newest view."""
    home.services.collector.collect(EVERYTHING)
    first = home.clock.now()
    home.clock.advance(600)
    scope = Scope("Test Telecom", "Bakery", frozenset({"Lyon"}))
    assert home.services.collector.collect(scope).snapshot.rows == 6
    frame = home.portal().line_states()
    assert len(frame) == 24
    ages = {(r.customer, r.site): r.observed_at.to_pydatetime() for r in frame.itertuples()}
    newer = {place for place, at in ages.items() if at != first.replace(tzinfo=None)}
    assert newer == {("Bakery", "Lyon")}


def test_the_counts_of_wider_snapshots_are_not_told(home):
    """Who may see one customer learns how many lines that one has, not how many all have together."""
    bakery = Scope("Test Telecom", "Bakery")
    home.services.collector.collect(EVERYTHING)
    home.clock.advance(60)
    home.services.collector.collect(bakery)
    sql = "SELECT rows FROM snapshots ORDER BY observed_at DESC"
    narrow = home.portal(Role.CUSTOMER_ADMINISTRATOR, bakery).sql(sql)
    assert [None if each is pd.NA else each for each in narrow["rows"]] == [12, None]
    assert home.portal().sql(sql)["rows"].tolist() == [12, 24]


def test_several_sites_are_asked_at_once_and_kept_one_by_one(home):
    """A scope of several sites gives one snapshot for each, and the counts of all."""
    scope = Scope("Test Telecom", "Bakery", frozenset({"Lyon", "Nice"}))
    calls = []
    collection = home.services.collector.collect(scope, lambda *counted: calls.append(counted))
    assert calls[-1] == (12, 12)
    assert (collection.snapshot.collected.site, sum(collection.states.values())) == ("Nice", 12)
    assert [each.collected.site for each in home.services.lake.current(scope)] == ["Nice", "Lyon"]


def test_a_scope_without_any_site_is_refused_before_asking(home):
    """An empty list of sites is wrong usage."""
    with pytest.raises(UsageError, match="no site"):
        home.services.collector.collect(Scope("Test Telecom", "Bakery", frozenset()))


class Slow:
    """A network behind another one whose answers take time, or do not come."""

    def __init__(self, home, seconds=0.0, error=None):
        self.network = home.simulator
        self.clock = home.clock
        self.seconds = seconds
        self.error = error

    async def lookup(self, line_ports):
        """Answer late, or fail."""
        self.clock.advance(self.seconds)
        if self.error is not None:
            raise self.error
        return await self.network.lookup(line_ports)

    async def close(self):
        """Have nothing to give back."""


def test_a_binding_that_ends_while_others_are_asked_has_expired(home):
    """Expiries are compared with the moment of the answer: a slow collection gives `aged`, not `vanished`."""
    home.simulator.register(PORT, expires=60)
    home.services.collector.collect(EVERYTHING)
    home.simulator.fall_silent(PORT)
    home.clock.advance(30)
    slow = Slow(home, seconds=60)
    with_networks(home, Networks([Served("slow", frozenset(), lambda: slow)]))
    home.services.collector.collect(EVERYTHING)
    assert (row(home)["state"], row(home)["evidence"]) == ("aged", "expired")


@pytest.mark.parametrize("where", ["open", "lookup"])
def test_an_unexpected_error_of_one_network_is_its_own(home, where):
    """A fault in one network's code leaves its lines unknown, with the reason; the others are asked."""
    broken = Slow(home, error=ZeroDivisionError("odd") if where == "lookup" else None)
    alive = home.simulator

    def opened():
        if where == "open":
            raise ZeroDivisionError("odd")
        return broken

    served = [Served("broken", frozenset({"Clinic"}), opened), Served("alive", frozenset(), lambda: alive)]
    with_networks(home, Networks(served))
    collection = home.services.collector.collect(EVERYTHING)
    assert [(each.network, each.lines) for each in collection.failures] == [("broken", 12)]
    assert "odd" in str(collection.failures[0].reason)
    assert collection.states[LineState.UNKNOWN] == 12


def test_networks_are_chosen_by_provider_too():
    """Customers of the same name at two service providers can have a network each."""
    first = Served("first", frozenset({"ACME"}), NotImplemented, frozenset({"North"}))
    second = Served("second", frozenset({"ACME"}), NotImplemented)
    networks = Networks([first, second])
    assert networks.for_customer("North", "ACME") is first
    assert networks.for_customer("South", "ACME") is second
    assert networks.for_customer("South", "Other") is None


def test_a_clock_that_went_back_hides_no_snapshot(home):
    """A collection after the clock was set back is still the newest."""
    home.services.collector.collect(EVERYTHING)
    home.clock.advance(-3600)
    again = home.services.collector.collect(EVERYTHING).snapshot
    assert home.services.lake.current(EVERYTHING) == [again]


def test_progress_is_told_while_no_answer_comes(home, monkeypatch):
    """A network that keeps silent does not silence the progress: it is the export's sign of life."""
    monkeypatch.setattr(asking, "HEARTBEAT", 0.001)
    ticked = asyncio.Event()

    class Silent(Slow):
        async def lookup(self, line_ports):
            """Answer once progress was told."""
            await asyncio.wait_for(ticked.wait(), 20)
            return await self.network.lookup(line_ports)

    silent = Silent(home)
    with_networks(home, Networks([Served("silent", frozenset(), lambda: silent)]))
    calls = []

    def progress(done, total):
        calls.append((done, total))
        ticked.set()

    home.services.collector.collect(EVERYTHING, progress)
    assert (calls[0], calls[-1]) == ((0, 24), (24, 24))


def test_an_error_of_progress_ends_the_collection(home):
    """What `progress` raises (the export was released) is not mistaken for a network's failure."""

    def progress(done, total):
        raise StorageUnavailable(_no_room())

    with pytest.raises(StorageUnavailable):
        home.services.collector.collect(EVERYTHING, progress)
    assert home.services.lake.current(EVERYTHING) == []


def test_an_empty_scope_gives_an_empty_snapshot(home):
    """A customer without lines can be collected; the snapshot has no rows."""
    home.portal().add_customer("Empty", "Test Telecom")
    assert home.services.collector.collect(Scope("Test Telecom", "Empty")).snapshot.rows == 0


def test_the_past_follows_a_line_that_moved(home):
    """What a site's collection must know of a line may stand in another site's snapshot."""
    home.simulator.register(PORT, expires=60)
    lake = home.services.lake
    for site in ("Lyon", "Nice"):
        home.services.collector.collect(Scope("Test Telecom", "Bakery", frozenset({site})))
    with lake.connection() as cursor:
        rows = lake.last_relation(Scope("Test Telecom", "Bakery", frozenset({"Nice"})))
        found = cursor.execute(f"SELECT state FROM {rows} WHERE line_port = '{PORT}'").fetchall()
    assert found == [("registered",)]


def test_a_collection_recovers_from_missing_files(home):
    """With all files gone a collection still works; what was known is lost, and nothing else."""
    lake = home.services.lake
    lake.path(home.services.collector.collect(EVERYTHING).snapshot).unlink()
    home.clock.advance(60)
    again = home.services.collector.collect(EVERYTHING).snapshot
    assert (again.rows, lake.current(EVERYTHING)) == (24, [again])


def test_progress_reaches_the_end(home):
    """Progress is called with lines asked and lines in all."""
    calls = []
    home.services.collector.collect(EVERYTHING, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (24, 24)


def test_collecting_goes_on_after_a_passing_failure(home, monkeypatch):
    """A failure that may pass is told, and the next collection starts at its time."""
    collector = home.services.collector
    told = []
    outcomes = iter([StorageUnavailable(_no_room()), None, None])
    real = collector.collect

    def collect(scope):
        home.clock.advance(70)  # each collection takes 70 s
        if (error := next(outcomes)) is not None:
            raise error
        return real(scope)

    monkeypatch.setattr(collector, "collect", collect)

    def tell(result):
        told.append((type(result).__name__, home.clock.monotonic()))
        return len(told) < 3

    keep_collecting(collector, EVERYTHING, timedelta(minutes=5), home.clock, tell)
    assert told == [("StorageUnavailable", 70.0), ("Collection", 370.0), ("Collection", 670.0)]


def _no_room():
    from devlib.language import message

    return message("no room")


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("1.5h", 5400), (" 2 M ", 120)])
def test_distances_as_people_write_them(text, seconds):
    """30s, 5m and 1h mean what they say."""
    assert parse_distance(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "0s", "-5m", "5 days", "0.1s"])
def test_wrong_distances_are_refused(text):
    """What is no distance in time, or less than a second, is wrong usage."""
    with pytest.raises(UsageError):
        parse_distance(text)


async def _answer():
    await asyncio.sleep(0)
    return 42


async def _fail():
    raise ZeroDivisionError


def test_blocking_works_outside_of_a_loop():
    """Without an event loop the work simply runs."""
    assert run_blocking(_answer()) == 42


async def test_blocking_works_inside_of_a_loop():
    """Inside a running loop (a notebook's kernel) the work runs all the same, and its errors come out."""
    assert run_blocking(_answer()) == 42
    with pytest.raises(ZeroDivisionError):
        run_blocking(_fail())


def test_each_day_that_ended_is_told_once(home):
    """After the first collection of a new day, what has to be done once a day is done for the old one."""
    days, results = [], []

    def tell(result):
        results.append(result)
        return len(results) < 5

    keep_collecting(home.services.collector, EVERYTHING, timedelta(hours=12), home.clock, tell, days.append)
    assert [str(each) for each in days] == ["2026-11-02", "2026-11-03"]
