"""Following through the portal: authorised, audited, within the scope."""

import pytest

from devlib.cli import main
from devlib.collect import FlushKind
from devlib.errors import NotAllowed, NotFound
from devlib.model import Role, Scope

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
