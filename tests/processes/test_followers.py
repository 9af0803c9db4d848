"""Real followers of one network: leaders are frozen, killed and stopped, and only one of them ever writes."""

import signal
import time

import pytest
from machines_stage import Machine, Stage, all_killed, opened

from devlib.model import EVERYTHING
from devlib.storage import FREE

pytestmark = pytest.mark.timeout(240)

LEASE = "simulator\n* / *\nfollow"
DEVICES = 10


def wait_until(true, what, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def collections(machine):
    return [each["snapshot"] for each in machine.records() if each.get("kind") == "reconciled"]


def waits(machine):
    return [each for each in machine.records() if "standing_by" in each]


def test_followers_take_over_from_each_other(tmp_path):
    """A frozen leader is replaced and then writes nothing, a killed one too; a stopped one gives back."""
    stage = Stage(tmp_path, f"sqlite:///{tmp_path}/inventory.db", str(tmp_path / "lake"), {})
    stage.seed(DEVICES)
    one, two = (Machine(stage, name, ["follow", "--json"]) for name in ("one", "two"))
    with all_killed([one, two]):
        one.start()
        wait_until(lambda: collections(one), "the first one follows")
        two.start()
        wait_until(lambda: waits(two), "the second one stands by")
        one.signal(signal.SIGSTOP)
        wait_until(lambda: collections(two), "a frozen leader is replaced")
        one.signal(signal.SIGCONT)
        wait_until(lambda: waits(one), "the old leader stands by when it wakes")
        assert len(collections(one)) == 1
        two.kill()
        wait_until(lambda: len(collections(one)) == 2, "a killed leader is replaced")
        one.signal(signal.SIGTERM)
        wait_until(lambda: not one.is_running, "a follower ends in order")
    written = sorted(collections(one) + collections(two))
    with opened(stage.settings()) as services:
        with services.inventory.read() as reader:
            entered = sorted(each.id for each in reader.manifest(EVERYTHING) if not each.collected.changes)
        with services.inventory.write() as writer:
            assert writer.lease(LEASE).holder == FREE
    assert entered == written
    assert waits(two)[0]["leader"] != waits(one)[0]["leader"]
    assert not any("Traceback" in line for each in (one, two) for line in each.lines)
