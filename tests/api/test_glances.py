"""What is looked up where the request arrives: audited before its answer leaves, and never in the way."""

import asyncio
import threading

import pytest
from portal_home import mac_of
from starlette.responses import Response

from devlib.api import glances
from devlib.api.glances import Scribe, glance
from devlib.errors import NotFound, StorageUnavailable
from devlib.language import message
from devlib.model import Role
from devlib.storage import MustWait, NewAuditEntry

PATH = f"/v1/devices/{mac_of(1)}"


def entry(home, target="device"):
    return NewAuditEntry(home.clock.now(), "reader", "viewer", "token x", "see", target, "done", "")


def entries(home, limit=100):
    with home.services.inventory.read() as reader:
        return reader.audit_entries(limit)


def unwritable(home, monkeypatch):
    """Let the audit refuse everything; the rest of the inventory goes on."""

    def refuse(_):
        raise StorageUnavailable(message("Not ready."))

    monkeypatch.setattr(home.services.inventory, "audit_all", refuse)


def test_an_answer_comes_after_its_entry(home, service):
    """A look is in the audit when it is answered: a good one, one in vain, and one under a used token."""
    with service.client(Role.VIEWER) as client:
        for number, status, outcome in ((1, 200, "done"), (1, 200, "done"), (99, 404, "failed")):
            assert client.get(f"/v1/devices/{mac_of(number)}").status_code == status
            newest = entries(home)[0]
            assert (newest.target, newest.outcome) == (f"device {mac_of(number)}", outcome)
        assert sum(each.act == "see" for each in entries(home)) == 3


def test_looking_needs_no_thread(home, service, monkeypatch):
    """Once the use of the token is noted, a look is answered by the event loop itself."""
    with service.client(Role.VIEWER) as client:
        client.get(PATH)
        seen = []
        real = type(home.services.inventory).read
        monkeypatch.setattr(
            type(home.services.inventory),
            "read",
            lambda self: seen.append(threading.current_thread().name) or real(self),
        )
        assert client.get(PATH).status_code == 200
        loop = set(seen)
        client.get("/v1/customers")
        assert len(loop) == 1
        assert loop.isdisjoint(seen[-1:])


def test_who_is_no_longer_known_is_refused_at_once(home, service):
    """A token that was revoked a moment ago looks nothing up, and its refusal is in the audit."""
    with service.client(Role.VIEWER) as client:
        assert client.get(PATH).status_code == 200
        with home.services.inventory.write() as writer:
            for each in writer.api_tokens():
                writer.revoke_api_token(each.id)
        assert client.get(PATH).status_code == 401
        assert (entries(home)[0].act, entries(home)[0].outcome) == ("sign in", "refused")


def test_without_its_entry_there_is_no_answer(home, service, monkeypatch):
    """Where the audit cannot be written nothing is told, but what was wrong with the request is."""
    with service.client(Role.VIEWER) as client:
        assert client.get(PATH).status_code == 200
        unwritable(home, monkeypatch)
        answer = client.get(PATH)
        assert (answer.status_code, "mac" in answer.text) == (503, False)
        assert client.get(f"{PATH[:-1]}f").status_code == 404


def test_writing_where_nothing_may_wait_is_refused_before_anything_is_done(home):
    """In a block without waiting reads answer, the audit is kept for later, and a write raises."""
    inventory = home.services.inventory
    before = len(entries(home))
    with inventory.without_waiting() as kept:
        inventory.audit(entry(home))
        with pytest.raises(MustWait), inventory.write():
            pass
    assert (len(kept), len(entries(home))) == (1, before)
    inventory.audit_all(kept)
    assert len(entries(home)) == before + 1


class Counting:
    """An inventory that counts transactions, is slow at the first, and refuses what is named bad."""

    def __init__(self):
        self.batches = []
        self.go = threading.Event()

    def audit_all(self, given):
        """Take a batch."""
        self.go.wait(30)
        self.batches.append([each.target for each in given])
        if "bad" in self.batches[-1]:
            raise StorageUnavailable(message("Not ready."))


async def test_many_entries_share_a_commit_and_a_bad_one_fails_alone(home):
    """While one is committed the others gather; the one that cannot be kept is refused, and no other."""
    inventory = Counting()
    scribe = Scribe(inventory)
    names = ["first", "second", "bad", "third"]
    waiting = [asyncio.create_task(scribe.write([entry(home, name)])) for name in names]
    gone = asyncio.create_task(scribe.write([entry(home, "gone")]))
    await asyncio.sleep(0)
    gone.cancel()
    inventory.go.set()
    done = await asyncio.gather(*waiting, gone, return_exceptions=True)
    assert [type(each) for each in done] == [
        type(None), type(None), StorageUnavailable, type(None), asyncio.CancelledError,
    ]  # fmt: skip
    kept = [name for batch in inventory.batches if "bad" not in batch for name in batch]
    assert sorted(kept) == ["first", "gone", "second", "third"]
    await scribe.write([])
    inventory.batches.clear()
    await asyncio.gather(*(scribe.write([entry(home, str(n))]) for n in range(50)))
    assert len(inventory.batches) < 5


async def test_without_any_thread_nobody_waits_for_ever(home, monkeypatch):
    """Where no thread can be started those who ask are told to try again, and the next ones are served."""
    real = glances.run_in_threadpool

    async def none_left(*_):
        raise RuntimeError("can't start new thread")

    inventory = Counting()
    inventory.go.set()
    scribe = Scribe(inventory)
    monkeypatch.setattr(glances, "run_in_threadpool", none_left)
    with pytest.raises(StorageUnavailable):
        await scribe.write([entry(home)])
    monkeypatch.setattr(glances, "run_in_threadpool", real)
    await scribe.write([entry(home, "next")])
    assert inventory.batches == [["next"]]


async def test_what_writes_is_done_anew_in_a_thread(home):
    """A look that turns out to write is done once more where it may wait, and is entered once."""
    inventory = home.services.inventory
    before, threads = len(entries(home)), []

    def look():
        threads.append(threading.current_thread())
        inventory.audit(entry(home))
        with inventory.write():
            return Response()

    await glance(inventory, Scribe(inventory), look)
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()
    assert len(entries(home)) == before + 1


async def test_an_error_keeps_its_entry(home):
    """What ended a look is told, and what it had entered is committed."""
    inventory = home.services.inventory
    before = len(entries(home))

    def look():
        inventory.audit(entry(home))
        raise NotFound(message("Not ready."))

    with pytest.raises(NotFound):
        await glance(inventory, Scribe(inventory), look)
    assert len(entries(home)) == before + 1


def test_the_short_way_is_the_same_address(service):
    """What the framework refuses stays refused, other methods are others', and the pattern is counted."""
    with service.client(Role.VIEWER) as client:
        assert client.get("/v1/devices/" + "x" * 501).status_code == 422
        assert client.get("/v1/devices/" + "x" * 500).status_code == 400  # no MAC address
        assert client.head(PATH).status_code == 405
        assert client.put(PATH).status_code == 405
        assert client.delete(PATH).status_code == 403
        assert client.get(PATH).status_code == 200
        counts = client.get("/metrics").text
    assert 'devlib_requests_total{method="GET",route="/v1/devices/{mac}",status="200"} 1.0' in counts
