"""To wait for an export and to hold it, on every coordinator."""

import asyncio
import threading
import time

import pytest
from export.admission.conftest import House, request_of

from devlib.errors import ExportFailed, ExportQueueTimeout, ExportRejected, NotAllowed, UsageError
from devlib.export.admission import ExportKey, Why
from devlib.export.coordinator_errors import failure
from devlib.export.coordinator_values import ExportRequest
from devlib.export.coordinator_waiting import acquire, acquire_async
from devlib.language import message
from devlib.model.identity import Identity, Role


def allowed() -> None:
    """Allow everything."""


class Permission:
    """An authorisation that ends after so many questions."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> None:
        """Raise when the scope has shrunk."""
        self.left -= 1
        if self.left < 0:
            raise NotAllowed(message("No longer yours."))


def export(process, session, ref="17", customer="Mairie"):
    """Make a real export, or read the shared one."""
    with acquire(process, request_of(session, customer), authorise=allowed) as grant:
        if grant.real:
            grant.check()
            grant.finish(ref)
        return grant.real, grant.result


def test_the_first_is_real_and_the_second_cached(house: House):
    """The rows of the first export answer the second reader."""
    assert export(house.process(), "provider") == (True, "17")
    assert export(house.process(), "operator", "18") == (False, "17")


def test_the_second_export_of_a_session_starts_a_period_later(house: House):
    """A session's second export waits, is told its place and time, and then runs (S1)."""
    process = house.process(period=0.3)
    export(process, "s1", customer="c1")
    told = []
    with acquire(process, request_of("s1", "c2"), authorise=allowed, on_progress=told.append) as grant:
        grant.finish("18")
    assert (told[0].place, told[0].delayed) == (1, True)
    assert told[0].seconds_to_go > 0


def test_an_interrupted_wait_leaves_the_queue(house: House):
    """Ctrl-C, or an error in the callback, while waiting gives the seat back."""
    process = house.process(max_running=1)
    with acquire(process, request_of("s1", "c1"), authorise=allowed) as grant:

        def interrupt(_):
            raise KeyboardInterrupt

        with (
            pytest.raises(KeyboardInterrupt),
            acquire(process, request_of("s2", "c2"), authorise=allowed, on_progress=interrupt),
        ):
            pass
        assert process.overview().waiting == ()
        grant.finish("17")


def test_an_interrupted_export_is_taken_over(house: House):
    """Ctrl-C in the real export gives it up without a failure: a follower inherits it."""
    process = house.process()
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        acquire(process, request_of("s1"), authorise=allowed),
    ):
        assert process.submit(request_of("s2"), ticket="heir").state == "following"
        raise KeyboardInterrupt
    house.next_period()
    assert process.poll("heir").state == "running"


def test_an_export_that_is_not_finished_is_given_up(house: House):
    """Leaving without `finish` frees the slot."""
    process = house.process()
    with acquire(process, request_of("s1"), authorise=allowed) as grant, pytest.raises(RuntimeError):
        _ = grant.result
    assert process.overview().running == ()


def test_an_error_in_the_export_is_500_for_all(house: House):
    """The one who ran it and those who followed get `ExportFailed`, without the text of the backend."""
    process = house.process()
    with (  # noqa: PT012
        pytest.raises(ExportFailed) as failed,
        acquire(process, request_of("s1"), authorise=allowed) as grant,
    ):
        process.submit(request_of("s2"), ticket="follower")
        raise ConnectionError("secret of the backend")
    assert failed.value.where == grant.ticket
    assert "secret" not in str(failed.value)
    assert isinstance(failed.value.__cause__, ConnectionError)
    assert process.poll("follower").http == 500


def test_a_refused_request_costs_and_tells_nothing(house: House):
    """Authorisation comes first: it reaches no queue (§1.3)."""
    process = house.process()
    with pytest.raises(NotAllowed), acquire(process, request_of("s1"), authorise=Permission(0)):
        pass
    assert process.overview().recent == ()


def test_the_right_is_checked_when_the_wait_is_over(house: House):
    """Who lost the right while waiting does not start, and his slot is free."""
    process = house.process()
    with pytest.raises(NotAllowed), acquire(process, request_of("s1"), authorise=Permission(1)):
        pass
    assert process.overview().running == ()


def test_the_right_is_checked_at_delivery(house: House):
    """Who lost the right during the export does not get the rows; others do (I14)."""
    process = house.process()
    with (  # noqa: PT012
        pytest.raises(NotAllowed),
        acquire(process, request_of("s1"), authorise=Permission(2)) as grant,
    ):
        grant.finish("17")
        _ = grant.result
    assert export(process, "s2") == (False, "17")


def test_lost_rights_during_a_run_do_not_fail_the_followers(house: House):
    """`NotAllowed` inside the run concerns the one who runs it: his follower takes over."""
    process = house.process()
    with (  # noqa: PT012
        pytest.raises(NotAllowed),
        acquire(process, request_of("s1"), authorise=allowed),
    ):
        process.submit(request_of("s2"), ticket="heir")
        raise NotAllowed(message("No longer yours."))
    house.next_period()
    assert process.poll("heir").state == "running"


def test_a_full_queue_is_429_with_a_time_to_come_back(house: House):
    """The error says what happened, what to do and when to try again (RFC 6585, RFC 9110)."""
    process = house.process(max_running=1, max_waiting=0)
    with acquire(process, request_of("s1", "c1"), authorise=allowed) as grant:
        with (
            pytest.raises(ExportRejected) as refused,
            acquire(process, request_of("s2", "c2"), authorise=allowed),
        ):
            pass
        grant.finish("17")
    assert refused.value.retry_after >= 1
    assert "Try again in" in str(refused.value)


def test_a_full_session_and_full_following_have_their_own_words(house: House):
    """Each bound names itself."""
    process = house.process(max_running=1, max_waiting_per_session=1, max_followers=0)
    with acquire(process, request_of("s1", "c1"), authorise=allowed) as grant:
        process.submit(request_of("s2", "c2"), ticket="t2")
        for other, words in [
            (request_of("s2", "c3"), "Too many exports of your session"),
            (request_of("s3", "c1"), "Too many requests share"),
        ]:
            with pytest.raises(ExportRejected, match=words), acquire(process, other, authorise=allowed):
                pass
        grant.finish("17")


def test_a_long_wait_is_408(house: House):
    """Who waited for `queue_timeout` gets 408 and a time to come back."""
    process = house.process(max_running=1, queue_timeout=0.4)
    process.submit(request_of("s1", "c1"), ticket="t1")
    with (
        pytest.raises(ExportQueueTimeout) as late,
        acquire(process, request_of("s2", "c2"), authorise=allowed, on_progress=lambda _: house.later(0.1)),
    ):
        pass
    assert late.value.retry_after >= 1


def test_a_released_holder_learns_it_at_its_next_check(house: House):
    """The old holder is stopped by `check` and does not fail the export of its heir (I15)."""
    process = house.process()
    with (  # noqa: PT012
        pytest.raises(ExportFailed, match="given to another"),
        acquire(process, request_of("s1"), authorise=allowed) as grant,
    ):
        process.submit(request_of("s2"), ticket="heir")
        process.release(grant.ticket, force=True)
        grant.check()
    house.next_period()
    assert process.poll("heir").state == "running"


def test_a_forgotten_ticket_is_an_error(house: House, monkeypatch):
    """Whom the coordinator no longer knows gets an answer, not an endless wait."""
    process = house.process(max_running=1)
    process.submit(request_of("s1", "c1"), ticket="t1")

    def forget(_):
        for each in process.overview().waiting:
            process.cancel(each.ticket)

    with (
        pytest.raises(ExportFailed, match="does not know"),
        acquire(process, request_of("s2", "c2"), authorise=allowed, on_progress=forget),
    ):
        pass


def test_a_replay_waits_for_the_first_and_never_runs(house: House):
    """An attached replay gets the outcome of the first request and cancels nothing (I16)."""
    process, gateway = house.process(), house.process()
    ask = request_of("s1", idempotency="k")
    running = process.submit(ask, ticket="first")
    steps = iter([lambda: None, lambda: process.finish("first", running.epoch, "17")])
    with acquire(gateway, ask, authorise=allowed, on_progress=lambda _: next(steps)()) as grant:
        assert (grant.real, grant.result, grant.ticket) == (False, "17", "first")


def test_another_payload_is_422(house: House):
    """A used key with another payload is a wrong call, not a second export."""
    process = house.process()
    process.submit(request_of("s1", idempotency="k"), ticket="first")
    with (
        pytest.raises(UsageError, match="idempotency key") as wrong,
        acquire(process, request_of("s1", "other", idempotency="k"), authorise=allowed),
    ):
        pass
    assert wrong.value.http_status == 422


async def test_an_async_wait_leaves_the_loop_alive(house: House):
    """While a request waits, other tasks of the kernel go on."""
    process = house.process(max_running=1)
    running = process.submit(request_of("s1", "c1"), ticket="t1")
    told = asyncio.Event()

    async def wait():
        async with acquire_async(
            process, request_of("s2", "c2"), authorise=allowed, on_progress=lambda _: told.set()
        ) as grant:
            grant.finish("18")
            return grant.result

    task = asyncio.create_task(wait())
    await told.wait()
    process.finish("t1", running.epoch, "17")
    assert await task == "18"


async def test_an_async_wait_can_be_cancelled(house: House):
    """A cancelled task gives its seat back before it ends."""
    process = house.process(max_running=1)
    process.submit(request_of("s1", "c1"), ticket="t1")
    told = asyncio.Event()

    async def wait():
        async with acquire_async(
            process, request_of("s2", "c2"), authorise=allowed, on_progress=lambda _: told.set()
        ):
            pass

    task = asyncio.create_task(wait())
    await told.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert process.overview().waiting == ()


def test_threads_of_one_process_share_its_coordinator(house: House):
    """Several threads may wait at once; each gets its own turn."""
    process = house.process(max_running=2)
    done = []

    def work(number):
        done.append(export(process, f"s{number}", str(number), f"c{number}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(done) == [(True, str(number)) for number in range(6)]
    assert time.monotonic() - began < 25


def test_a_request_is_made_of_an_identity():
    """The session is the login session, or the principal in its place (§1.2)."""
    key = ExportKey("Opale", "Mairie", None)
    asked = ExportRequest.of(Identity("ana", Role.OPERATOR), key)
    assert (asked.principal, asked.session, asked.key.label) == ("ana", "ana", "*ALL*")
    assert ExportRequest.of(Identity("ana", Role.OPERATOR, session="tab"), key).session == "tab"


def test_a_given_up_export_has_its_own_words():
    """500 after the last attempt says that nobody was left to run it."""
    assert "those who ran it went away" in str(failure("t1", Why.ATTEMPTS))
    assert failure("t1", Why.ATTEMPTS).retry_after == 1.0
    assert failure("t1", Why.EXPORT_FAILED).retry_after is None
