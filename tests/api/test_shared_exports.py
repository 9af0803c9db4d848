"""Exports of several workers over one home: any of them tells, hands out, gives up, and goes on."""

import secrets
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from api_service import running
from held_collection import Held
from portal_home import Home

from devlib.api.export_folder import ExportFolder
from devlib.api.export_record import ExportRecord
from devlib.errors import StorageUnavailable
from devlib.export import ReportRequest
from devlib.model import Identity, Role

WAIT = {"Prefer": "wait=60"}
BAKERY = {"customer": "Bakery"}


@contextmanager
def two(tmp_path):
    """Two workers over one home, and a client of each with the same token."""
    home = Home(tmp_path / "home")
    with running(home) as one, running(home) as other, one.client() as first, other.client() as second:
        second.headers = first.headers
        yield home, first, second
    home.services.close()


def soon(condition):
    """Wait until something holds; a quarter of a minute at most."""
    until = time.monotonic() + 15
    while not (found := condition()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def test_any_worker_tells_and_hands_out(tmp_path, monkeypatch):
    """Whoever did not take an export in says where it stands, waits for it, and has its file."""
    with two(tmp_path) as (home, first, second):
        held = Held(home, monkeypatch)
        place = first.post("/v1/exports", json=BAKERY, headers={"Idempotency-Key": "k"}).headers["location"]
        assert held.begun.wait(30)
        told = soon(lambda: (answer := second.get(place)).json()["state"] == "running" and answer)
        assert (told.status_code, told.json()["done"], told.json()["total"]) == (202, 1, 12)
        assert second.get(f"{place}/file").status_code == 409
        again = second.post("/v1/exports", json=BAKERY, headers={"Idempotency-Key": "k"})
        assert again.headers["location"] == place
        other = second.post("/v1/exports", json={"customer": "Clinic"}, headers={"Idempotency-Key": "k"})
        assert other.status_code == 422
        held.let.set()
        done = second.get(place, params={"wait": 60})
        assert (done.status_code, done.json()["rows"]) == (200, 12)
        assert done.headers["server-timing"] == first.get(place).headers["server-timing"]
        files = [each.get(f"{place}/file") for each in (first, second)]
        assert files[0].content == files[1].content
        assert files[0].headers["etag"] == files[1].headers["etag"]
        assert held.runs == 1
        counts = [each.get("/metrics").text for each in (first, second)]
        assert all("devlib_exports_done 1.0" in text for text in counts)


def test_another_worker_gives_it_up(tmp_path, monkeypatch):
    """What one worker cancels ends at the one that runs it, and nothing is left of it."""
    with two(tmp_path) as (home, first, second):
        held = Held(home, monkeypatch)
        place = first.post("/v1/exports", json=BAKERY).headers["location"]
        assert held.begun.wait(30)
        assert second.delete(place).status_code == 204
        assert [each.get(place).status_code for each in (first, second)] == [404, 404]
        assert soon(lambda: not list(home.folder.glob("service-exports/[0-9a-f]*")))
        held.let.set()


def test_a_finished_one_is_forgotten_by_any(tmp_path):
    """Any worker removes an export that has ended, with its file."""
    with two(tmp_path) as (home, first, second):
        place = first.post("/v1/exports", json=BAKERY, headers=WAIT).headers["location"]
        assert second.delete(place).status_code == 204
        assert [each.get(place).status_code for each in (first, second)] == [404, 404]
        assert not list(home.folder.glob("service-exports/[0-9a-f]*"))


def test_a_worker_that_starts_leaves_running_exports_alone(tmp_path, monkeypatch):
    """What another living worker runs is not begun a second time."""
    home = Home(tmp_path / "home")
    held = Held(home, monkeypatch)
    with running(home) as one, one.client() as client:
        place = client.post("/v1/exports", json=BAKERY).headers["location"]
        assert held.begun.wait(30)
        with running(home):
            held.let.set()
            assert client.get(place, params={"wait": 60}).json()["state"] == "done"
    assert held.runs == 1
    home.services.close()


def left_behind(home, principal, key=""):
    """Leave an export as a worker does that was killed: written down, not ended, owned by nobody."""
    identity = Identity(principal, Role.SERVICE_PROVIDER)
    request = ReportRequest("Bakery")
    now = home.clock.now()
    record = ExportRecord(secrets.token_hex(16), identity, "token x", True, request, False, key, now)
    ExportFolder.make(home.folder / "service-exports", record).free()
    return record


def test_the_next_worker_goes_on_with_what_a_killed_one_left(tmp_path):
    """Whoever asks for an export of a worker that died gets it from any other one."""
    with two(tmp_path) as (home, first, second):
        record = left_behind(home, Role.SERVICE_PROVIDER.value)
        done = second.get(f"/v1/exports/{record.id}", params={"wait": 60})
        assert (done.status_code, done.json()["state"], done.json()["rows"]) == (200, "done", 12)
        assert first.get(done.json()["file"]).status_code == 200
        stranger = left_behind(home, "stranger")
        assert first.get(f"/v1/exports/{stranger.id}").status_code == 404
        given_up = left_behind(home, Role.SERVICE_PROVIDER.value)
        ExportFolder(home.folder / "service-exports" / given_up.id).give_up()
        assert first.get(f"/v1/exports/{given_up.id}").status_code == 404


_OWNER = """
import sys, time
from pathlib import Path
from devlib.api.export_folder import ExportFolder
print(ExportFolder(Path(sys.argv[1])).take(), flush=True)
time.sleep(600)
"""


def test_a_killed_worker_is_seen_by_the_kernel(tmp_path):
    """While the process that runs an export lives nobody takes it; killed with -9, the next one goes on."""
    with two(tmp_path) as (home, first, _):
        record = left_behind(home, Role.SERVICE_PROVIDER.value)
        folder = home.folder / "service-exports" / record.id
        with subprocess.Popen(
            [sys.executable, "-c", _OWNER, str(folder)], stdout=subprocess.PIPE, text=True
        ) as owner:
            assert owner.stdout.readline() == "True\n"
            waiting = first.get(f"/v1/exports/{record.id}", params={"wait": 1})
            assert (waiting.status_code, waiting.json()["state"]) == (202, "waiting")
            owner.kill()
        done = first.get(f"/v1/exports/{record.id}", params={"wait": 60})
        assert (done.status_code, done.json()["state"]) == (200, "done")


def test_any_traffic_goes_on_with_what_was_left(tmp_path):
    """Nobody has to ask for an export of a worker that ended: the next request of anybody takes it up."""
    with two(tmp_path) as (home, _first, second):
        left = left_behind(home, "somebody else")
        home.clock.advance(6)
        assert second.get(f"/v1/exports/{'0' * 32}").status_code == 404
        folder = ExportFolder(home.folder / "service-exports" / left.id)
        assert soon(lambda: folder.record().state.ended)


def test_a_repetition_of_what_was_left_goes_on_with_it(tmp_path):
    """Under the same idempotency key the export of a killed worker is finished, not begun anew."""
    with two(tmp_path) as (home, first, _):
        left = left_behind(home, Role.SERVICE_PROVIDER.value, key="k")
        done = first.post("/v1/exports", json=BAKERY, headers={**WAIT, "Idempotency-Key": "k"})
        assert (done.status_code, done.headers["location"]) == (200, f"/v1/exports/{left.id}")
        home.clock.advance(home.settings.api.keep_seconds + 1)
        anew = first.post("/v1/exports", json=BAKERY, headers={**WAIT, "Idempotency-Key": "k"})
        assert anew.status_code == 200
        assert anew.headers["location"] != done.headers["location"]


def test_a_folder_is_gone_at_once(tmp_path):
    """What is removed is never seen without a part of it, and a lock on what is gone is none."""
    home = Home(tmp_path / "home")
    place = home.folder / "service-exports"
    record = left_behind(home, "x")
    one, other = ExportFolder(place / record.id), ExportFolder(place / record.id)
    assert one.take()
    assert not other.take()
    one.remove()
    assert (other.record(), other.take(), other.standing()) == (None, False, None)
    assert ExportFolder.every(place) == []
    assert list(place.iterdir()) == []
    home.services.close()


def test_who_cancels_where_nothing_can_be_written_is_told(tmp_path, monkeypatch):
    """A mark that cannot be made is an error that says so, not a promise."""
    home = Home(tmp_path / "home")
    folder = ExportFolder(home.folder / "service-exports" / left_behind(home, "x").id)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.touch", full)
    with pytest.raises(StorageUnavailable):
        folder.give_up()
    home.services.close()


def test_halves_and_strange_folders_are_swept(tmp_path):
    """What was never whole is removed at the start, and what is no export of ours is not told of."""
    home = Home(tmp_path / "home")
    folder = home.folder / "service-exports"
    (folder / ".new-half").mkdir(parents=True)
    (folder / ".gone-half").mkdir()
    (folder / "strange").mkdir()
    (folder / "strange" / "export.json").write_text("[]")
    with running(home) as service, service.client() as client:
        assert sorted(each.name for each in folder.iterdir()) == [".lock"]
        assert client.get(f"/v1/exports/{'0' * 32}").status_code == 404
    home.services.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    """An export that cannot be written down is refused, and nothing of it stays."""
    home = Home(tmp_path / "home")
    place = home.folder / "service-exports"
    place.write_text("in the way")
    identity = Identity("x", Role.VIEWER)
    record = ExportRecord("0" * 32, identity, "", False, ReportRequest("Bakery"), False, "", home.clock.now())
    with pytest.raises(StorageUnavailable):
        ExportFolder.make(place, record)
    home.services.close()
