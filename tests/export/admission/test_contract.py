"""What every coordinator must do, whatever it keeps its state in."""

import time

import pytest
from export.admission.conftest import House, request_of

from devlib.errors import Conflict, NotFound
from devlib.export.admission import TicketState


def submit(process, name, session, *args, bell="", **more):
    """Submit under `name`."""
    return process.submit(request_of(session, *args, **more), ticket=name, bell=bell)


def test_three_run_ten_wait_and_the_rest_is_refused(house: House):
    """Of 20 sessions of 20 customers at once, 13 are admitted and 7 get 429, over all processes (S4, S5)."""
    processes = [house.process() for _ in range(4)]
    answers = [submit(processes[n % 4], f"t{n}", f"s{n}", f"c{n}") for n in range(20)]
    states = [answer.state for answer in answers]
    assert states == ["running"] * 3 + ["waiting"] * 10 + ["rejected"] * 7
    assert [a.place for a in answers[3:13]] == list(range(1, 11))
    assert all(a.http == 429 and a.retry_after >= 1 for a in answers[13:])


def test_the_end_of_one_export_wakes_the_next(house: House):
    """A finished export gives its slot to the oldest that waits, and rings that one's bell."""
    first, second = house.process(max_running=1), house.process(max_running=1)
    running = submit(first, "t1", "s1", "c1")
    with second.bell() as bell:
        assert submit(second, "t2", "s2", "c2", bell=bell.address).state == "waiting"
        assert first.finish("t1", running.epoch, "r1").state == "done"
        began = time.monotonic()
        bell.wait(20.0)
        assert time.monotonic() - began < 15.0
    assert second.poll("t2").state == "running"


def test_the_second_reader_of_the_same_export_gets_the_rows_of_the_first(house: House):
    """While it runs he follows; afterwards he is answered from the cache until its time is over (S3)."""
    provider, operator = house.process(), house.process()
    running = submit(provider, "t1", "provider")
    assert submit(operator, "t2", "operator").state == "following"
    provider.finish("t1", running.epoch, "17")
    shared = operator.poll("t2")
    assert (shared.state, shared.ref, shared.why) == ("cached", "17", "collapsed")
    hit = submit(operator, "t3", "third")
    assert (hit.state, hit.ref, hit.why) == ("cached", "17", "hit")
    house.next_period()
    assert submit(operator, "t4", "fourth").state == "running"


def test_the_slot_of_a_dead_process_is_free(house: House):
    """When a process goes, its export ends, and the oldest follower takes over (§1.3)."""
    doomed, other = house.process(max_running=1), house.process(max_running=1)
    submit(doomed, "t1", "s1")
    assert submit(other, "t2", "s2").state == "following"
    assert submit(other, "t3", "s3").state == "following"
    doomed.close()
    house.next_period()
    assert other.poll("t2").state == "running"
    assert other.poll("t3").state == "following"


def test_a_failure_is_shared_and_not_kept(house: House):
    """All that followed get the same 500; the next request is a real export (article: 500)."""
    process = house.process()
    running = submit(process, "t1", "s1")
    submit(process, "t2", "s2")
    assert process.fail("t1", running.epoch).http == 500
    assert process.poll("t2").http == 500
    house.next_period()
    assert submit(process, "t3", "s3").state == "running"


def test_a_cancelled_request_leaves_the_queue(house: House):
    """A cancellation frees the seat or slot, and may come twice or for an unknown ticket."""
    process = house.process(max_running=1)
    submit(process, "t1", "s1", "c1")
    submit(process, "t2", "s2", "c2")
    assert process.cancel("t1").state == "cancelled"
    assert process.poll("t2").state == "running"
    assert process.cancel("t1").why == "unknown"


def test_an_operator_frees_a_frozen_holder(house: House):
    """A silent holder is released only by force or after `hard_ttl`, and can then no longer finish (I15)."""
    process = house.process(max_running=1)
    running = submit(process, "t1", "s1", "c1")
    assert submit(process, "t2", "s2", "c2").state == "waiting"
    with pytest.raises(Conflict) as refused:
        process.release("t1")
    assert refused.value.retry_after > 100
    with pytest.raises(NotFound):
        process.release("t2")
    assert process.release("t1", force=True).why == "released"
    assert process.poll("t2").state == "running"
    assert process.check("t1", running.epoch).why == "lost"
    assert process.finish("t1", running.epoch, "17").why == "lost"


def test_a_sign_of_life_is_kept(house: House):
    """The overview tells how long a holder has been silent, counted from its last check."""
    process = house.process()
    running = submit(process, "t1", "s1")
    house.later(0.2)
    assert process.overview().running[0].silent_for >= 0.2
    assert process.check("t1", running.epoch).state == "running"
    assert process.overview().running[0].silent_for < 0.2


def test_a_replay_is_one_ticket(house: House):
    """A repeated idempotency key attaches to the live request, then gets its outcome."""
    process, gateway = house.process(), house.process()
    running = submit(process, "t1", "s1", idempotency="k")
    assert submit(gateway, "t2", "s1", idempotency="k").ticket == "t1"
    assert submit(gateway, "t3", "s1", idempotency="k", payload="other").http == 422
    process.finish("t1", running.epoch, "17")
    replay = submit(gateway, "t4", "s1", idempotency="k")
    assert (replay.ticket, replay.state, replay.ref) == ("t1", "done", "17")
    assert submit(gateway, "t5", "s1", "other", idempotency="k").http == 422


def test_a_change_of_the_fleet_empties_the_cache(house: House):
    """After a change, neither a stored result nor one that was under way answers a new request (§1.6)."""
    process = house.process()
    running = submit(process, "t1", "s1")
    process.finish("t1", running.epoch, "17")
    process.invalidate("Opale", "Mairie")
    house.next_period()
    again = submit(process, "t2", "s2")
    assert again.state == "running"
    process.invalidate("Opale", "Mairie")
    assert submit(process, "t3", "s3").state == "waiting"
    assert process.finish("t2", again.epoch, "18").state == "done"
    house.next_period()
    assert process.poll("t3").state == "running"


def test_the_overview_shows_who_runs_waits_and_what_happened(house: House):
    """Running, waiting and following requests are listed, and the newest events first."""
    process = house.process(max_running=1)
    submit(process, "t1", "s1", "c1", "north")
    submit(process, "t2", "s2", "c2")
    submit(process, "t3", "s3", "c1", "north")
    overview = process.overview()
    assert [each.ticket for each in overview.running] == ["t1"]
    assert [(each.ticket, each.place) for each in overview.waiting] == [("t2", 1)]
    assert [each.ticket for each in overview.following] == ["t3"]
    assert overview.running[0].key.site == "north"
    assert [(e.ticket, e.event) for e in overview.recent] == [
        ("t3", "following"),
        ("t2", "waiting"),
        ("t1", "started"),
    ]
    assert overview.recent[0].principal == "user of s3"
    assert overview.recent[0].at.tzinfo is not None


def test_the_event_of_an_end_tells_its_status_and_times(house: House):
    """The list of recent exports holds status, waiting time and run time of each end."""
    process = house.process()
    running = submit(process, "t1", "s1")
    house.later(0.2)
    process.finish("t1", running.epoch, "17")
    done = process.overview(recent=1).recent[0]
    assert (done.event, done.http, done.wait_ms) == (TicketState.DONE, 200, 0)
    assert done.run_ms >= 200
