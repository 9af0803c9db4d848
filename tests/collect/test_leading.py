"""Of several collectors one leads: whoever dies is replaced, and whoever was replaced writes nothing."""

import os
import platform
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise

import pytest

from devlib.clock import FakeClock
from devlib.collect import Collection, Leadership, Networks, Served, StandBy, keep_collecting
from devlib.errors import LeadLost
from devlib.model import EVERYTHING, Scope
from devlib.storage import open_inventory

PATIENCE = 15.0
TYPE = "Yealink T46S"


def network(name, *customers):
    return Served(name, frozenset(customers), lambda: None)


ONE = (network("one"),)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def inventory(request, tmp_path):
    url = f"sqlite:///{tmp_path}/inventory.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    with open_inventory(url, FakeClock()) as opened:
        with opened.write() as writer:
            writer.add_provider("P")
            for customer in ("A", "B"):
                writer.add_customer("P", customer)
        yield opened


@pytest.fixture
def collector(inventory):
    """A function that gives the leadership of a collector on a machine of its own."""

    def made(name, scope=EVERYTHING, networks=ONE):
        clock = FakeClock()
        found = Leadership(inventory, Networks(networks), scope, clock, patience=PATIENCE, holder=name)
        found.clock = clock
        return found

    return made


def test_one_leads_and_the_others_stand_by(collector):
    """The first gets the leases and keeps them; another one is told who leads which network, since when."""
    first, second = collector("a"), collector("b")
    assert first.lead() is None
    assert second.lead() == StandBy("one", f"{platform.node()}:{os.getpid()}", FakeClock().now())
    assert first.lead() is None
    assert not first.inherited
    assert second.inherited
    assert second.fences == {}


def test_whoever_is_silent_for_too_long_is_replaced(collector):
    """As long as the leader beats it stays, whatever its clock says; a silent one is replaced."""
    first, second = collector("a"), collector("b")
    first.lead()
    for _ in range(5):
        assert second.lead() is not None
        second.clock.advance(PATIENCE + 1)
        first.beat()
    assert second.lead() is not None
    second.clock.advance(PATIENCE - 1)
    assert second.lead() is not None
    second.clock.advance(1)
    assert second.lead() is None
    assert first.lead().network == "one"


def test_whoever_was_replaced_writes_nothing(collector, inventory):
    """A leader that was frozen while another one took over cannot enter a snapshot."""
    first, second = collector("a"), collector("b")
    first.lead()
    with inventory.write() as writer:
        writer.require_fences(first.fences)
    second.lead()
    second.clock.advance(PATIENCE)
    assert second.lead() is None
    with pytest.raises(LeadLost), inventory.write() as writer:
        writer.require_fences(first.fences)
    with inventory.write() as writer:
        writer.require_fences(second.fences)


def test_a_lease_that_is_given_back_is_free_at_once(collector, inventory):
    """Nobody waits for a leader that stopped in order, and that one writes nothing more."""
    first, second = collector("a"), collector("b")
    first.lead()
    fences = first.fences
    first.give_back()
    assert second.lead() is None
    assert not second.inherited
    with pytest.raises(LeadLost), inventory.write() as writer:
        writer.require_fences(fences)


def test_a_leader_of_this_machine_that_ended_is_replaced_at_once(collector):
    """Where the kernel tells that a process is gone, nobody waits."""
    script = "from devlib.storage import own_name; print(own_name())"
    command = [sys.executable, "-c", script]
    gone = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    first, second = collector(gone.stdout.strip()), collector("b")
    first.lead()
    assert second.lead() is None
    assert second.inherited


def test_different_scopes_and_networks_do_not_hinder_each_other(collector):
    """Each network is led for itself; a collector that needs two gets both or none."""
    networks = (network("one", "A"), network("two", "B"))
    of_a, of_both = collector("a", Scope("P", "A"), networks), collector("b", EVERYTHING, networks)
    other = collector("c", EVERYTHING, networks)
    assert of_a.lead() is None
    assert of_both.lead() is None
    assert len(of_both.fences) == 2
    assert other.lead().network == "one"
    only_two = collector("d", EVERYTHING, (network("two"),))
    assert only_two.lead().network == "two"


def test_what_could_not_be_seen_says_nothing_about_the_leader(collector, monkeypatch):
    """While the database was away no beat could come: the patience begins anew."""
    first, second = collector("a"), collector("b")
    first.lead()
    assert second.lead() is not None
    second.clock.advance(PATIENCE)

    def away():
        raise LeadLost(StandBy("x"))  # any error that passes

    with monkeypatch.context() as patch:
        patch.setattr(second._inventory, "write", away)
        with pytest.raises(LeadLost):
            second.lead()
    assert second.lead() is not None


def test_the_next_leader_goes_on_with_the_distances_of_the_last(home):
    """A collector that takes over waits until the next snapshot is due: none is missing, none is doubled."""
    services = home.services
    every = timedelta(minutes=5)

    def leadership(name, patience=PATIENCE):
        return Leadership(
            services.inventory, services.networks, EVERYTHING, home.clock, patience=patience, holder=name
        )

    first = leadership("a")
    told = []
    keep_collecting(services.collector, EVERYTHING, every, home.clock, told.append, None, first)
    home.clock.advance(60)
    looks = []

    def tell(result):
        looks.append(result)
        return sum(isinstance(each, Collection) for each in looks) < 2

    keep_collecting(services.collector, EVERYTHING, every, home.clock, tell, None, leadership("b"))
    moments = [each.snapshot.observed_at for each in (*told, *looks) if isinstance(each, Collection)]
    assert [late - early for early, late in pairwise(moments)] == [every, every]
    assert isinstance(looks[0], StandBy)
