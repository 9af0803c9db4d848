"""Real collectors on one database: leaders are killed and frozen, and no snapshot is lost or doubled."""

import os
import random
import signal
import time
from itertools import pairwise

import pytest
from bucket_fixture import bucket_server
from machines_stage import Machine, Stage, all_killed, opened
from postgresql_fixture import postgresql

from devlib.model import EVERYTHING

__all__ = ["bucket_server", "postgresql"]

pytestmark = [pytest.mark.long, pytest.mark.torture, pytest.mark.timeout(900)]

SECONDS = max(float(os.environ.get("DEVLIB_TORTURE_SECONDS", "20")), 20.0)
EVERY = 2.0  # a turn; when exactly its asking begins depends on how busy the machine is
DEVICES = 50


@pytest.fixture(params=["one machine", pytest.param("several", marks=pytest.mark.bucket)])
def stage(request, tmp_path):
    if request.param == "one machine":
        made = Stage(tmp_path, f"sqlite:///{tmp_path}/inventory.db", str(tmp_path / "lake"), {})
    else:
        server = request.getfixturevalue("bucket_server")
        url = request.getfixturevalue("postgresql").new_database()
        for name, value in server.environment.items():
            request.getfixturevalue("monkeypatch").setenv(name, value)
        made = Stage(tmp_path, url, server.new_address(), server.environment)
    made.seed(DEVICES)
    return made


def collectors(stage, count):
    command = ["collect", "--every", f"{EVERY:.0f}s", "--json"]
    return [Machine(stage, f"collector-{number}", command) for number in range(count)]


def told(machines):
    return [each["snapshot"] for machine in machines for each in machine.records() if "snapshot" in each]


def wait_until(true, seconds=120.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def entered(stage):
    """Return the manifest's entries, oldest first, all of them readable and whole."""
    with opened(stage.settings()) as services:
        with services.inventory.read() as reader:
            found = sorted(reader.manifest(EVERYTHING), key=lambda each: each.observed_at)
        assert services.lake.present(found) == found
        with services.lake.connection() as cursor:
            sql = f"SELECT count(*) FROM {services.lake.relation(found)}"
            assert cursor.execute(sql).fetchall()[0][0] == 4 * DEVICES * len(found)
    return found


def leader_of(machines):
    """Return the one that told the newest snapshot."""
    said = {max(told([each]), default=0): each for each in machines}
    return said[max(said)]


def test_killed_leaders_are_replaced_and_no_snapshot_is_lost_or_doubled(stage):
    """Every snapshot that was told is there, no two tell of the same turn, and killing never stops them."""
    machines = collectors(stage, 3)
    chance = random.Random(5)
    with all_killed(machines):
        for each in machines:
            each.start()
        wait_until(lambda: told(machines))
        end = time.monotonic() + SECONDS
        kills = 0
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.5, 3.0))
            victim = leader_of(machines) if chance.random() < 0.8 else chance.choice(machines)
            before = len(told(machines))
            victim.kill()
            kills += 1
            if chance.random() < 0.7:
                wait_until(lambda before=before: len(told(machines)) > before)
            victim.start()
        before = len(told(machines))
        wait_until(lambda: len(told(machines)) > before)
    found = entered(stage)
    assert set(told(machines)) <= {each.id for each in found}
    assert len(set(told(machines))) == len(told(machines))
    # Whoever was killed between entering and telling told nothing; that may be one for each kill.
    assert len(found) <= len(told(machines)) + kills + 1
    gaps = [(late.observed_at - early.observed_at).total_seconds() for early, late in pairwise(found)]
    assert min(gaps) > EVERY / 2
    assert not any("Traceback" in line for machine in machines for line in machine.lines)


def test_a_frozen_leader_is_replaced_and_writes_nothing_when_it_wakes(stage):
    """SIGSTOP for longer than the patience: another one leads, and the old one stands by when it wakes."""
    machines = collectors(stage, 2)
    with all_killed(machines):
        for each in machines:
            each.start()
        wait_until(lambda: len(told(machines)) >= 2)
        old = leader_of(machines)
        new = next(each for each in machines if each is not old)
        old.signal(signal.SIGSTOP)
        before = len(told([new]))
        wait_until(lambda: len(told([new])) > before + 1)
        old.signal(signal.SIGCONT)
        wait_until(lambda: any("standing_by" in each for each in old.records()))
        count = len(told([old]))
        wait_until(lambda: len(told([new])) > before + 4)
        assert len(told([old])) == count
    found = entered(stage)
    gaps = [(late.observed_at - early.observed_at).total_seconds() for early, late in pairwise(found)]
    assert min(gaps) > EVERY / 2
