"""Following through the portal: authorised, audited, within the scope."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from devlib.cli import main
from devlib.collect import FlushKind, Leadership, Networks, Served, StandBy
from devlib.errors import CapabilityMissing, NotAllowed, NotFound
from devlib.model import Role, Scope
from devlib.storage import FREE

PORT = "11@lyon.bakery.example"


async def without_a_thread(work):
    """Do the work at once: the clock that the feeds move stands still meanwhile."""
    return work()


@pytest.mark.here
def test_following_is_audited(home):
    """Beginning, each whole collection and the end stand in the audit, with the sum of the changes."""
    home.simulator.register(PORT)
    done = []

    def tell(flush):
        done.append(flush)
        if len(done) == 1:
            home.simulator.sign_off(PORT)
        return len(done) < 2

    home.portal().follow(tell, "Bakery", "Lyon", beside=without_a_thread)
    assert [each.kind for each in done] == [FlushKind.RECONCILED, FlushKind.CHANGED]
    assert done[0].rows == 6
    mine = [each for each in home.portal().audit() if each.target == "Bakery / Lyon followed"]
    told = {(each.outcome, each.detail) for each in mine}
    assert told == {("started", ""), ("done", "snapshot 1, 6 lines"), ("done", "1 changes; stopped")}


@pytest.mark.here
def test_following_needs_the_right_to_collect(home):
    """A viewer may not follow, and nobody may follow what is outside of the scope."""
    with pytest.raises(NotAllowed):
        home.portal(Role.VIEWER).follow(lambda _: False)
    portal = home.portal(Role.CUSTOMER_ADMINISTRATOR, Scope("Test Telecom", "Bakery"))
    with pytest.raises(NotFound):
        portal.follow(lambda _: False, "Clinic")


@pytest.mark.here
def test_a_scope_that_shrinks_ends_the_following(home):
    """When the identity's scope is another one than at the start, following ends."""
    portal = home.portal()

    def tell(_):
        portal._gate.identity = home.portal(Role.OPERATOR, Scope("Test Telecom", "Clinic")).identity
        return True

    with pytest.raises(NotAllowed):
        portal.follow(tell, beside=without_a_thread)


@pytest.mark.here
def test_the_command_prints_one_line_for_each_flush(home, monkeypatch, capsys):
    """`devlib follow` says what was done, and ends in order."""
    from devlib.cli import following
    from devlib.collect import Flush
    from devlib.model import LineState

    flushes = [
        Flush(FlushKind.LOST, home.clock.now(), "lab", reason=None),
        Flush(FlushKind.RECONCILED, home.clock.now(), snapshot=1, rows=6, states={LineState.AGED: 6}),
        Flush(FlushKind.CHANGED, home.clock.now(), "lab", 2, 3, put_off=4, unknown=5),
    ]

    def follow(self, tell, customer, site):
        assert (customer, site) == ("Bakery", None)
        for each in flushes:
            assert tell(each)
        raise KeyboardInterrupt

    monkeypatch.setattr("devlib.portal.Portal.follow", follow)
    monkeypatch.setenv("DEVLIB_HOME", str(home.folder))
    assert following.COMMANDS[0].name == "follow"
    assert main(["follow", "--customer", "Bakery"]) == 0
    said = capsys.readouterr().out
    assert "the feed is lost" in said
    assert "all 6 lines read: 6 aged" in said
    assert "3 lines changed, 4 refreshed, 5 events of unknown line ports" in said


LEASE = "simulator\n* / *\nfollow"


def lead_elsewhere(home):
    """Let a follower of another machine lead; return since when."""
    with home.services.inventory.write() as writer:
        return writer.take_lease(LEASE, "another boot 1 2", None, "far:7").since


@pytest.mark.here
def test_a_follower_gives_its_lease_back(home):
    """When following ends, another one may lead at once; until then the lease is held."""
    holders = []

    def tell(_):
        with home.services.inventory.write() as writer:
            holders.append(writer.lease(LEASE).holder)
        return False

    home.portal().follow(tell, beside=without_a_thread)
    with home.services.inventory.write() as writer:
        holders.append(writer.lease(LEASE).holder)
    assert holders[0] != FREE
    assert holders[1:] == [FREE]


@pytest.mark.here
def test_whoever_stands_by_writes_no_snapshot_and_keeps_no_house(home, monkeypatch):
    """While another machine follows, this one says so, and leaves lake and closed days to the other one."""
    monkeypatch.setattr("devlib.portal.following._LOOK_SECONDS", 0.001)
    since = lead_elsewhere(home)
    looks, kept = threading.Semaphore(0), []
    real = Leadership.fences

    def fences(self):
        looks.release()
        return real.fget(self)

    monkeypatch.setattr(Leadership, "fences", property(fences))
    monkeypatch.setattr("devlib.portal.following.DailyHousekeeping.look", kept.append)
    told = []

    def tell(result):
        told.append(result)
        return not all(looks.acquire(timeout=10) for _ in range(3))

    home.portal().follow(tell)
    assert told == [StandBy("simulator", "far:7", since)]
    assert kept == []
    with home.services.inventory.read() as reader:
        assert list(reader.manifest(Scope())) == []


@pytest.mark.here
def test_without_a_feed_nobody_stands_by(home):
    """Where no network tells of its changes, that is said at once, whoever leads."""

    class Mute:
        capabilities = type(home.simulator.capabilities)()

        async def close(self):
            """Have nothing to give back."""

    lead_elsewhere(home)
    networks = Networks([Served("simulator", frozenset(), Mute)])
    home.services = replace(home.services, networks=networks)
    with pytest.raises(CapabilityMissing):
        home.portal().follow(lambda _: False)


@pytest.mark.here
@pytest.mark.parametrize("command", ["follow", "collect --every 5m"])
def test_the_commands_say_once_who_leads(home, monkeypatch, capsys, command):
    """Whoever stands by prints one line, and one more only when the leader has changed."""
    since = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
    seen = [StandBy("lab", "far:7", since)] * 3 + [StandBy("lab", "near:8", since)] * 2 + [StandBy("lab")]

    def stand_by(_, tell):
        assert all(tell(each) for each in seen)
        raise KeyboardInterrupt

    monkeypatch.setattr("devlib.portal.Portal.follow", lambda self, tell, *_: stand_by(self, tell))
    monkeypatch.setattr(
        "devlib.portal.Portal.keep_collecting", lambda self, _, tell, *__: stand_by(self, tell)
    )
    monkeypatch.setenv("DEVLIB_HOME", str(home.folder))
    assert main(["--language", "en", *command.split()]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "standing by" in line]
    verb = "followed" if command == "follow" else "asked"
    local = since.astimezone()
    assert lines == [
        f"lab is {verb} by far:7 since {local:%Y-%m-%d %H:%M:%S}; standing by.",
        f"lab is {verb} by near:8 since {local:%Y-%m-%d %H:%M:%S}; standing by.",
        f"lab is {verb} by – since –; standing by.",
    ]
    assert main(["--json", *command.split()]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "standing_by" in line]
    assert records[0] == {"standing_by": "lab", "leader": "far:7", "since": "2026-11-02T08:00:00Z"}
    assert len(records) == 3
