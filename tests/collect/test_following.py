"""Following a feed: exact evidence at once, honest where nothing was heard, and on again by itself."""

from datetime import timedelta

import pytest

from devlib.collect import FlushKind, Follower, Networks, following
from devlib.collect.networks import Served
from devlib.errors import CapabilityMissing, StorageUnavailable
from devlib.language import message
from devlib.model import EVERYTHING, Binding, Scope
from devlib.network import Change, ChangeKind, FeedBack, FeedLost

PORT, OTHER, THIRD = "11@lyon.bakery.example", "12@lyon.bakery.example", "21@lyon.bakery.example"


def row(home, line_port=PORT):
    sql = f"SELECT * FROM line_states WHERE line_port = '{line_port}'"
    return home.portal().sql(sql).iloc[0]


def follower(home, scope=EVERYTHING):
    services = home.services
    return Follower(
        services.collector, services.lake, services.networks, scope, home.clock, beside=without_a_thread
    )


async def without_a_thread(work):
    """Do the work at once: the clock that the feeds move stands still meanwhile."""
    return work()


class Played:
    """Follows the simulator; between two things done, the next step of a play happens."""

    def __init__(self, home, *steps):
        self.home = home
        self.steps = list(steps)
        self.done = []
        self.seen = []
        self.wanted = None

    def __call__(self, flush):
        """Take what was done, look at the lines, and go one step further."""
        self.done.append(flush)
        self.seen.append((flush.kind, row(self.home)["state"], row(self.home)["evidence"]))
        if not self.steps or self.seen[-1][2] == self.wanted:
            return False
        self.steps.pop(0)()
        return len(self.done) < 40

    def until(self, evidence):
        """Follow until the line has this evidence."""
        self.steps += [lambda: None] * 40
        self.wanted = evidence
        return self.run()

    def run(self):
        """Follow until the play is over."""
        follower(self.home).follow(self)
        return self.seen


def hold(*_):
    """Let one more thing be done."""


def test_a_sign_off_and_a_new_phone_are_exact(home):
    """A line that signs off is unregistered because the feed said so; it is registered when it is back."""
    home.simulator.register(PORT)
    seen = Played(
        home, lambda: home.simulator.sign_off(PORT), lambda: home.simulator.register(PORT), hold
    ).run()
    assert [each[1:] for each in seen[:3]] == [
        ("registered", "live"),
        ("unregistered", "signed off"),
        ("registered", "live"),
    ]
    assert [each[0] for each in seen[:2]] == [FlushKind.RECONCILED, FlushKind.CHANGED]


def test_an_expiry_is_exact_and_stays_so(home):
    """The feed's expiry is the evidence, also in later collections, until the retention is over."""
    home.simulator.register(PORT, expires=20)
    seen = Played(home, lambda: home.simulator.fall_silent(PORT)).until("expiry reported")
    assert seen[-1][1:] == ("aged", "expiry reported")
    for seconds, expected in (
        (60, ("aged", "expiry reported")),
        (90_000, ("unregistered", "retention over")),
    ):
        home.clock.advance(seconds)
        home.services.collector.collect(EVERYTHING)
        assert tuple(row(home)[["state", "evidence"]]) == expected


def test_a_sign_off_stays_exact_through_an_outage(home):
    """What the feed told of a line is carried through collections that could not ask."""
    home.simulator.register(PORT)
    Played(home, lambda: home.simulator.sign_off(PORT)).run()
    assert row(home)["evidence"] == "signed off"
    home.simulator.registrar_down()
    home.clock.advance(60)
    home.services.collector.collect(EVERYTHING)
    assert tuple(row(home)[["state", "state_before", "evidence_before"]]) == (
        "unknown",
        "unregistered",
        "signed off",
    )
    assert "does not answer" in row(home)["reason"]
    home.simulator.registrar_up()
    home.clock.advance(60)
    home.services.collector.collect(EVERYTHING)
    assert tuple(row(home)[["state", "evidence"]]) == ("unregistered", "signed off")


def test_a_lost_feed_makes_unknown_and_never_gone(home):
    """While the registrar is away its lines are unknown; when it is back the follower goes on by itself."""
    home.simulator.register(PORT)
    seen = Played(home, home.simulator.registrar_down, hold, home.simulator.registrar_up, hold).run()
    kinds = [each[0] for each in seen]
    assert FlushKind.LOST in kinds
    assert ("unknown", "not asked") in [each[1:] for each in seen]
    assert "unregistered" not in {each[1] for each in seen}
    assert seen[-1][1:] == ("registered", "live")


def by_hand(home, *events, scope=EVERYTHING):
    """Return a follower that has heard these events, and its network."""
    served = home.services.networks.served[0]
    made = follower(home, scope)
    for event in events:
        made.hear(served, event)
    return made, served


def turn(made):
    """Let a follower do what is due."""
    made._take()
    return made._work()


def signed_off(home, line_port, seconds=0.0):
    at = home.clock.now() + timedelta(seconds=seconds)
    return Change(ChangeKind.SIGNED_OFF, line_port, at, Binding(line_port, "*", at))


def refreshed(home, line_port, expires=3600):
    served = home.services.networks.served[0]
    held = served.open()._world.binding(
        line_port, served.open()._world.line(line_port), home.clock.now().timestamp()
    )
    return Change(ChangeKind.REFRESHED, line_port, home.clock.now(), held)


def test_events_that_arrive_while_all_is_read_come_after_it(home):
    """A collection reconciles first; then the event of meanwhile counts, and one from before it does not."""
    home.simulator.register(PORT)
    home.simulator.register(OTHER)
    made, _ = by_hand(
        home, FeedBack(home.clock.now()), signed_off(home, PORT), signed_off(home, OTHER, seconds=-60)
    )
    done = turn(made)
    assert [each.kind for each in done] == [FlushKind.RECONCILED, FlushKind.CHANGED]
    assert row(home)["evidence"] == "signed off"
    assert row(home, OTHER)["state"] == "registered"


def test_domains_are_matched_without_regard_to_case(home):
    """An event's line port may spell the domain otherwise than the inventory."""
    made, _ = by_hand(home, FeedBack(home.clock.now()), signed_off(home, "11@LYON.bakery.EXAMPLE"))
    turn(made)
    assert row(home)["evidence"] == "signed off"


def test_line_ports_of_nobody_are_counted(home):
    """Events of line ports outside of inventory or scope write nothing and are told."""
    scope = Scope("Test Telecom", "Clinic")
    made, _ = by_hand(
        home, FeedBack(home.clock.now()), signed_off(home, PORT), signed_off(home, "9@x.example"), scope=scope
    )
    assert [(each.rows, each.unknown) for each in turn(made)] == [(12, 0), (0, 2)]


def test_what_another_network_tells_does_not_count(home):
    """Only the network that answers for a customer can tell of its lines."""
    from devlib.portal import Services

    alive, before = home.simulator, home.services
    first = Served("first", frozenset({"Bakery"}), lambda: alive)
    second = Served("second", frozenset(), lambda: alive)
    home.services = Services(
        before.settings,
        before.clock,
        before.catalogue,
        before.inventory,
        before.lake,
        Networks([first, second]),
    )
    made = follower(home)
    made.hear(second, FeedBack(home.clock.now()))
    made.hear(second, signed_off(home, PORT))
    assert [(each.kind, each.unknown) for each in turn(made)][-1] == (FlushKind.CHANGED, 1)
    assert row(home)["evidence"] != "signed off"
    made.hear(first, signed_off(home, PORT))
    turn(made)
    assert row(home)["evidence"] == "signed off"


def test_a_refresh_is_written_later(home):
    """A mere refresh waits for half a minute, and is written at the end at the latest."""
    home.simulator.register(PORT, expires=3600)
    made, served = by_hand(home, FeedBack(home.clock.now()))
    turn(made)
    before = row(home)["expires_at"]
    home.clock.advance(1800)
    made.hear(served, refreshed(home, PORT))
    made._refreshed = home.clock.monotonic()
    assert turn(made) == []
    assert row(home)["expires_at"] == before
    home.clock.advance(31)
    assert [each.rows for each in turn(made)] == [1]
    assert row(home)["expires_at"] - before == timedelta(seconds=1800)
    # Its phone signs off while nobody listens, after the expiry that was known first: it is not aged.
    home.clock.advance(1790)
    home.simulator.sign_off(PORT)
    home.services.collector.collect(EVERYTHING)
    assert tuple(row(home)[["state", "evidence"]]) == ("unregistered", "vanished")


def test_a_refresh_just_before_the_end_is_written_at_once(home):
    """Where readers' expiry is about to pass, the new one is written with the next turn."""
    home.simulator.register(PORT, expires=100)
    made, served = by_hand(home, FeedBack(home.clock.now()))
    turn(made)
    home.clock.advance(50)
    made.hear(served, refreshed(home, PORT))
    assert [each.rows for each in turn(made)] == [1]


def test_too_many_events_are_replaced_by_a_collection(home, monkeypatch):
    """Where the lake is slower than the feed, all lines are read instead; nothing is lost."""
    monkeypatch.setattr(following, "MOST_WAITING", 3)
    home.simulator.register(PORT)
    made, served = by_hand(home, FeedBack(home.clock.now()))
    turn(made)
    home.simulator.sign_off(PORT)
    for _ in range(7):
        made.hear(served, signed_off(home, PORT))
    assert len(made._heard) <= 3
    assert turn(made)[0].kind is FlushKind.RECONCILED
    assert row(home)["state"] == "unregistered"


def test_a_lake_that_cannot_be_written_keeps_the_events(home, monkeypatch):
    """What could not be written is told and written later, with its exact evidence."""
    home.simulator.register(PORT)
    made, served = by_hand(home, FeedBack(home.clock.now()))
    turn(made)
    real = home.services.lake.append
    monkeypatch.setattr(home.services.lake, "append", _full)
    made.hear(served, signed_off(home, PORT))
    assert [type(each) for each in turn(made)] == [StorageUnavailable]
    monkeypatch.setattr(home.services.lake, "append", real)
    assert turn(made) == []
    home.clock.advance(3)
    assert [each.rows for each in turn(made)] == [1]
    assert row(home)["evidence"] == "signed off"


def _full(*_):
    raise StorageUnavailable(message("no room"))


def test_a_collection_without_whole_answer_is_repeated(home):
    """As long as a registrar does not answer, the collection comes again, at growing distances."""
    home.simulator.registrar_down()
    made, served = by_hand(home, FeedLost(home.clock.now(), message("gone")))
    assert [each.kind for each in turn(made)] == [FlushKind.LOST, FlushKind.RECONCILED]
    times = []
    for _ in range(40):
        home.clock.advance(1)
        times.extend(home.clock.monotonic() for _ in turn(made))
    assert times == [2, 6, 14, 30]
    home.simulator.registrar_up()
    made.hear(served, FeedBack(home.clock.now()))
    assert not turn(made)[0].failures


def test_a_line_added_meanwhile_is_followed(home):
    """Events of a line that the inventory got after the start are written."""
    from devlib.model import User
    from devlib.storage import NewLine

    made, served = by_hand(home, FeedBack(home.clock.now()))
    turn(made)
    with home.services.inventory.write() as writer:
        mac = next(writer.devices(EVERYTHING, home.services.catalogue)).mac
        line = NewLine("new@lyon.bakery.example", User("new"), port=3)
        writer.assign_lines(EVERYTHING, home.services.catalogue, [(mac, line)])
    home.clock.advance(31)
    made.hear(served, signed_off(home, "new@lyon.bakery.example"))
    assert [each.rows for each in turn(made)] == [1]


def test_without_any_feed_following_is_refused(home):
    """Networks that tell nothing by themselves cannot be followed; the error says what can be done."""

    class Mute:
        capabilities = type(home.simulator.capabilities)()

        async def close(self):
            """Have nothing to give back."""

    services = home.services
    networks = Networks([Served("mute", frozenset(), Mute)])
    with pytest.raises(CapabilityMissing, match="No network"):
        Follower(services.collector, services.lake, networks, EVERYTHING, home.clock).follow(hold)


@pytest.mark.parametrize("after", [5.0, 0.0])
def test_a_collection_does_not_undo_what_the_feed_told_meanwhile(home, after):
    """A phone that signs off between the answer and its writing stays signed off for good."""
    home.simulator.register(PORT)
    home.services.collector.collect(EVERYTHING)
    home.clock.advance(60)
    told = []

    def sign_off(done, of):
        if done < of or told:
            return
        home.clock.advance(after)
        home.simulator.sign_off(PORT)
        made, _ = by_hand(home, signed_off(home, PORT))
        told.extend(turn(made))

    home.services.collector.collect(EVERYTHING, sign_off)
    assert [each.kind for each in told] == [FlushKind.CHANGED]
    assert tuple(row(home)[["state", "evidence", "bindings"]]) == ("unregistered", "signed off", 0)
    home.clock.advance(60)
    home.services.collector.collect(EVERYTHING)
    assert tuple(row(home)[["state", "evidence"]]) == ("unregistered", "signed off")
    home.simulator.register(PORT)
    home.services.collector.collect(EVERYTHING)
    assert row(home)["state"] == "registered"
