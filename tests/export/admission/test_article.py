"""The sentences of the article, one example each, with its figures; times are the judge's clock."""

import pytest
from export.admission.world import World, policy_with

from devlib.export import admission
from devlib.export.admission import from_json


@pytest.fixture
def world():
    """A world with the article's limits."""
    return World(admission)


def test_s1_the_second_export_of_a_session_is_delayed_five_seconds(world):
    """« Deux exportations parallèles par session seront retardées de 5 secondes »."""
    world.submit("s1", "c1")
    second = world.submit("s1", "c2")
    assert (second.state, second.delayed, second.wake_in) == ("waiting", True, 1.0)
    world.advance(4.75)
    assert world.poll("t1").state == "waiting"
    world.advance(0.25)
    assert world.poll("t1").state == "running"


def test_s1_the_third_is_delayed_five_more(world):
    """Spacing counts from start to start, so the third starts at ten seconds."""
    for customer in ("c1", "c2", "c3"):
        world.submit("s1", customer)
    world.advance(5.0)
    assert (world.poll("t1").state, world.poll("t2").state) == ("running", "waiting")
    world.advance(5.0)
    assert world.poll("t2").state == "running"


def test_s1_holds_for_the_same_export_too(world):
    """The same export of the same session waits five seconds, then comes from the cache."""
    world.submit("s1", "c1")
    assert world.submit("s1", "c1").state == "waiting"
    world.advance(1.0)
    world.finish("t0")
    world.advance(4.0)
    assert world.poll("t1").why == "hit"


def test_s1_a_delayed_request_follows_what_still_runs(world):
    """When the delay is over and the same export of the session still runs, it is shared."""
    world.submit("s1", "c1")
    world.submit("s1", "c1")
    world.advance(5.0)
    assert world.poll("t1").state == "following"


def test_a_waiting_request_keeps_its_seat_when_too_many_follow(world):
    """The bound of followers holds also for those that come from the queue."""
    world.policy = policy_with(max_followers=1)
    world.submit("s1", "c1")
    world.submit("s2", "c1")
    world.submit("s1", "c1")
    world.advance(5.0)
    assert world.poll("t2").state == "waiting"
    world.finish("t0")
    assert world.poll("t2").state == "cached"


def test_s2_one_export_of_a_customer_in_the_period(world):
    """« une seule demande sera autorisée par session ou pour le client »."""
    world.submit("s1", "c1", "north")
    assert world.submit("s2", "c1", "south").state == "waiting"
    world.advance(5.0)
    assert world.poll("t1").state == "running"


def test_s3_the_second_user_gets_the_cache(world):
    """« le premier lancera une exportation réelle tandis que le second obtiendra des données … du cache »."""
    world.submit("provider", "c1", "north")
    assert world.submit("operator", "c1", "north").state == "following"
    world.advance(2.0)
    done = world.finish("t0")
    assert world.poll("t1").ref == done.ref
    world.advance(4.75)
    late = world.submit("third", "c1", "north")
    assert (late.why, late.age) == ("hit", 4.75)
    world.advance(0.25)
    assert world.submit("fourth", "c1", "north").state == "running"


def test_s3_all_sites_and_one_site_are_two_exports(world):
    """The result of all sites does not answer for one (§1.4)."""
    world.submit("s1", "c1", None)
    assert world.submit("s2", "c1", "north").state == "waiting"


def test_s4_and_s5_three_run_ten_wait_seven_are_rejected(world):
    """« un maximum de 2 à 3 … Dix demandes … Si … supérieur à 10, les autres seront rejetées »."""
    answers = [world.submit(f"s{n}", f"c{n}") for n in range(20)]
    assert [a.state for a in answers] == ["running"] * 3 + ["waiting"] * 10 + ["rejected"] * 7
    # ten waiting × 5 s ÷ 3 slots = 17 s, and up to two more, so that they do not come back as one herd
    assert all(17 <= a.retry_after <= 19 for a in answers[13:])


def test_a_delayed_request_does_not_block_those_behind(world):
    """First come, first served among those that may start."""
    world.submit("s1", "c1")
    assert world.submit("s1", "c2").state == "waiting"
    assert world.submit("s2", "c3").state == "running"


def test_408_after_sixty_seconds(world):
    """« la demande est restée en attente dans la file d’attente »."""
    for n in range(4):
        world.submit(f"s{n}", f"c{n}")
    world.advance(59.75)
    assert world.poll("t3").state == "waiting"
    world.advance(0.25)
    late = world.poll("t3")
    assert (late.http, late.retry_after) == (408, 5.0)


def test_408_the_clock_stands_behind_a_running_export(world):
    """A follower does not expire while its leader runs, and gets that time back if the leader is lost."""
    world.submit("s1", "c1")
    world.submit("s2", "c1")
    world.advance(100.0)
    assert world.poll("t1").state == "following"
    world.kill("ot0")
    assert world.poll("t1").state == "running"


def test_500_for_all_who_waited_and_the_next_is_real(world):
    """« L’exportation a échoué au niveau du serveur »."""
    world.submit("s1", "c1")
    world.submit("s2", "c1")
    assert world.fail("t0").http == 500
    assert world.poll("t1").http == 500
    world.advance(5.0)
    assert world.submit("s3", "c1").state == "running"


def test_a_second_crash_ends_the_export_for_all(world):
    """Two starts, then 500: an export that kills its process must not kill a third one (§1.4)."""
    for n in range(3):
        world.submit(f"s{n}", "c1")
    world.kill("ot0")
    world.advance(5.0)
    assert world.poll("t1").state == "running"
    world.kill("ot1")
    assert (world.poll("t2").why, world.ended["t2"]) == ("export-attempts", "failed")


def test_place_and_seconds_to_go_of_a_queue(world):
    """The estimate plays the queue forward: mean run 5 s before any is known, three slots."""
    answers = [world.submit(f"s{n}", f"c{n}") for n in range(8)]
    assert [a.place for a in answers] == [0, 0, 0, 1, 2, 3, 4, 5]
    assert [a.seconds_to_go for a in answers] == [5, 5, 5, 10, 10, 10, 15, 15]
    assert world.submit("s9", "c0").seconds_to_go == 5


def test_the_mean_run_follows_the_exports(world):
    """The first export sets the mean, later ones move it by three tenths."""
    for n, seconds in enumerate((2.0, 12.0)):
        world.submit(f"s{n}", f"c{n}")
        world.advance(seconds)
        world.finish(f"t{n}")
    assert world.state.mean_run == pytest.approx(0.7 * 2 + 0.3 * 12)


def test_a_session_with_its_seats_taken_may_come_back_when_one_starts(world):
    """429 of the session's own bound tells when its next request may start."""
    world.policy = policy_with(max_waiting_per_session=1)
    world.submit("s1", "c1")
    world.submit("s1", "c2")
    world.advance(1.5)
    refused = world.submit("s1", "c3")
    assert (refused.why, refused.retry_after) == ("session-queue-full", 4.0)


def test_the_stored_clock_never_runs_backwards(world):
    """A step with an earlier time counts as the last step's time."""
    world.submit("s1", "c1")
    world.step(admission.Look(), at=world.now - 50)
    assert world.state.now == 100.0


def test_answers_that_nobody_fetches_are_forgotten(world):
    """After ten minutes; the state must not grow."""
    for n in range(2):
        world.submit(f"s{n}", "c1")
    world.finish("t0")
    assert "t1" in world.state.tickets
    world.advance(600.0)
    world.step(admission.Look())
    assert world.state.tickets == {}
    assert world.poll("t1").why == "unknown"


@pytest.mark.parametrize(
    "text", ["no json", "[]", "{}", '{"tickets": 1}', '{"tickets": [[1]], "results": {}}']
)
def test_what_is_no_document_is_refused(text):
    """A store can tell a broken document from an empty one."""
    with pytest.raises(ValueError, match=r".*"):
        from_json(text)
