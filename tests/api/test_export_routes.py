"""Export Device Line States over HTTP, as the admission study has it (§1.5)."""

import gzip
import io
import json
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from api_service import running
from held_collection import Held
from portal_home import PROVIDER, Home

from devlib.export import ExportKey, ExportRequest, MemoryCoordinator
from devlib.model import LINE_STATES, Identity, Role, Scope

WAIT = {"Prefer": "wait=60"}
BAKERY = {"customer": "Bakery"}


@pytest.fixture
def client(service):
    """A client for one who may do everything."""
    with service.client() as opened:
        yield opened


@pytest.fixture
def held(home, monkeypatch):
    """A network that is held."""
    made = Held(home, monkeypatch)
    yield made
    made.let.set()


def test_an_export_is_the_file(client):
    """With time to wait, the answer is the report itself, with where it came from and how old it is."""
    answer = client.post("/v1/exports", json=BAKERY, headers=WAIT)
    assert answer.status_code == 200
    lines = answer.text.splitlines()
    assert lines[0].split(",") == [column.english for column in LINE_STATES]
    assert len(lines) == 13
    given = answer.headers
    assert given["cache-status"] == "devlib; fwd=miss; stored"
    assert given["preference-applied"] == "wait=60"
    assert given["content-type"] == "text/csv; charset=utf-8"
    assert given["last-modified"] == "Mon, 02 Nov 2026 08:00:00 GMT"
    assert given["devlib-rows"] == "12"
    assert given["server-timing"].startswith("queue;dur=")
    assert given["ratelimit-policy"].startswith('"session";q=1;w=5, "customer";q=1;w=5, "parallel";q=3;')


def test_shared_rows_say_so(service, client):
    """Another reader within the period gets the same rows, told as a hit with its age; in its language."""
    client.post("/v1/exports", json=BAKERY, headers=WAIT)
    service.home.clock.advance(2)
    with service.client(Role.VIEWER, Scope(PROVIDER, "Bakery", frozenset({"Lyon"}))) as viewer:
        answer = viewer.post("/v1/exports", json={}, headers={**WAIT, "Accept-Language": "fr"})
    assert answer.headers["cache-status"].startswith("devlib; hit; ttl=")
    assert answer.headers["age"] == "2"
    assert answer.text.startswith("Site,Adresse MAC")
    assert len(answer.text.splitlines()) == 7
    assert "Nice" not in answer.text


def test_the_newest_snapshot_needs_no_network(home, client):
    """An export from the snapshot says so, and asks nobody."""
    client.post("/v1/collections", json=BAKERY)
    home.simulator.registrar_down()
    answer = client.post("/v1/exports", json={**BAKERY, "from_snapshot": True}, headers=WAIT)
    assert answer.headers["cache-status"] == 'devlib; hit; detail="snapshot"'


def test_without_patience_there_is_a_place_to_ask(client, held):
    """202 names where to ask; there one sees state and progress, waits, and fetches the file."""
    accepted = client.post("/v1/exports", json=BAKERY)
    assert accepted.status_code == 202
    place = accepted.headers["location"]
    assert accepted.json()["state"] in ("running", "waiting")
    assert client.get(f"{place}/file").status_code == 409
    now = client.get(place)
    assert (now.status_code, now.json()["state"], now.json()["total"]) == (202, "running", 12)
    held.let.set()
    done = client.get(place, params={"wait": 60})
    assert (done.status_code, done.json()["state"], done.json()["rows"]) == (200, "done", 12)
    assert len(client.get(done.json()["file"]).text.splitlines()) == 13
    assert client.delete(place).status_code == 204
    assert client.get(place).status_code == 404


def test_who_waits_sees_its_place(home, client, held, monkeypatch):
    """A request of the same session waits, delayed, at its place; a cancelled one is gone."""
    # Waiting would move the clock of the test, and its turn come before the answer is written.
    monkeypatch.setattr(home.clock, "sleep", lambda _: held.let.wait(0.01))
    client.post("/v1/exports", json=BAKERY)
    assert held.begun.wait(30)
    waiting = client.post("/v1/exports", json={"customer": "Clinic"})
    assert waiting.status_code == 202
    assert (waiting.json()["place"], waiting.json()["state"]) == (1, "waiting")
    assert client.delete(waiting.headers["location"]).status_code == 204
    held.let.set()


def test_a_cancelled_export_frees_its_slot(home, client, held):
    """DELETE ends a running export within a second or two; nothing of it is left in the queue."""
    accepted = client.post("/v1/exports", json=BAKERY)
    assert held.begun.wait(30)
    assert client.delete(accepted.headers["location"]).status_code == 204
    for _ in range(200):
        if not home.services.coordinator.overview().running:
            break
        threading.Event().wait(0.05)
    assert home.services.coordinator.overview().running == ()
    assert client.get(accepted.headers["location"]).status_code in (404, 410)


def test_a_full_queue_is_429_with_its_limits(home, client):
    """Three running and ten waiting: 429 with Retry-After, RateLimit and the limit that was met."""
    other = MemoryCoordinator(home.exports, home.settings.export)
    for number in range(13):
        key = ExportKey(PROVIDER, f"customer {number}")
        other.submit(ExportRequest(f"p{number}", f"s{number}", key), ticket=f"t{number}")
    answer = client.post("/v1/exports", json=BAKERY)
    assert answer.status_code == 429
    found = answer.json()
    assert found["type"].endswith("#quota-exceeded")
    assert (found["code"], found["violated-policies"]) == ("export-queue-full", ["queue"])
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["ratelimit"] == f'"queue";r=0;t={answer.headers["retry-after"]}'
    assert 'qu="concurrent-requests"' in answer.headers["ratelimit-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_waiting_too_long_is_408(home, client):
    """Who waits in the queue beyond its time gets 408 with Retry-After, at POST and at the place to ask."""
    other = MemoryCoordinator(home.exports, home.settings.export)
    for number in range(3):
        key = ExportKey(PROVIDER, f"customer {number}")
        other.submit(ExportRequest(f"p{number}", f"s{number}", key), ticket=f"t{number}")
    answer = client.post("/v1/exports", json=BAKERY, headers=WAIT)
    assert answer.status_code == 408
    assert answer.json()["type"] == "urn:devlib:problem:export-queue-timeout"
    assert int(answer.headers["retry-after"]) >= 1


def test_a_failed_export_is_500_and_can_be_tried_again(home, client):
    """No line could be asked: 500 that is not kept; the next one is a real export."""
    home.simulator.registrar_down()
    answer = client.post("/v1/exports", json=BAKERY, headers=WAIT)
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:devlib:problem:export-failed")
    assert "ratelimit" not in answer.headers
    home.simulator.registrar_up()
    assert client.post("/v1/exports", json=BAKERY, headers=WAIT).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [({"customer": "Clinic"}, 404), ({"customer": "Nobody"}, 404), ({"site": "Kiel"}, 404)],
)
def test_what_one_may_not_see_is_not_there(service, body, status):
    """Another customer is 404, with no field that tells of limits or of others' exports."""
    with service.client(Role.VIEWER, Scope(PROVIDER, "Bakery")) as viewer:
        answer = viewer.post("/v1/exports", json=body)
    assert answer.status_code == status
    assert not {"ratelimit", "ratelimit-policy", "retry-after"} & set(answer.headers)


def test_the_switch_of_the_service_provider_is_honoured(home, client):
    """Where the report is off, an export is 403; so is the file of one that was made before."""
    done = client.post("/v1/exports", json=BAKERY, headers=WAIT)
    home.portal().switch_export(PROVIDER, allowed=False)
    assert client.post("/v1/exports", json=BAKERY).status_code == 403
    again = client.get(done.headers["content-location"])
    assert (again.status_code, again.json()["error"]) == (403, "ExportSwitchedOff")


def test_an_export_belongs_to_whom_it_was_made_for(service, client):
    """Another identity, even one that may see more, does not find it; a narrowed one gets no file."""
    place = client.post("/v1/exports", json=BAKERY, headers=WAIT).headers["location"]
    with service.client(Role.OPERATOR) as other:
        for verb, path in (("GET", place), ("GET", f"{place}/file"), ("DELETE", place)):
            assert other.request(verb, path).status_code == 404
    with service.home.services.inventory.write() as writer:
        writer.put_identity(
            Identity(
                "service provider", Role.SERVICE_PROVIDER, Scope(PROVIDER, "Bakery", frozenset({"Lyon"}))
            )
        )
    assert client.get(f"{place}/file").status_code == 410


def test_a_repetition_with_a_key_is_the_same_export(home, client, held):
    """The same key and body attach to the living export and to the finished one; another body is 422."""
    key = {"Idempotency-Key": "k1"}
    first = client.post("/v1/exports", json=BAKERY, headers=key)
    again = client.post("/v1/exports", json=BAKERY, headers=key)
    assert first.headers["location"] == again.headers["location"]
    other = client.post("/v1/exports", json={"customer": "Clinic"}, headers=key)
    assert (other.status_code, other.json()["error"]) == (422, "IdempotencyMismatch")
    assert client.post("/v1/exports", json={**BAKERY, "format": "arrow"}, headers=key).status_code == 422
    held.let.set()
    done = client.post("/v1/exports", json=BAKERY, headers={**key, **WAIT})
    assert done.headers["location"] == first.headers["location"]
    assert held.runs == 1


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_files_are_compressed_on_the_way(client, coding):
    """What is wished for is sent compressed, under a tag of its own, and is the same after it."""
    place = client.post("/v1/exports", json=BAKERY, headers=WAIT).headers["content-location"]
    plain = client.get(place, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with client.stream("GET", place, headers={"Accept-Encoding": coding}) as packed:
        raw = b"".join(packed.iter_raw())
        assert packed.headers["content-encoding"] == coding
        assert packed.headers["etag"] != plain.headers["etag"]
    unpacked = (
        gzip.decompress(raw) if coding == "gzip" else zstandard.ZstdDecompressor().stream_reader(raw).read()
    )
    assert unpacked == plain.content


def test_a_part_of_a_file_can_be_fetched(client):
    """A download that broke off goes on where it was: ranges of the file as it is, checked by its tag."""
    place = client.post("/v1/exports", json=BAKERY, headers=WAIT).headers["content-location"]
    whole = client.get(place, headers={"Accept-Encoding": "identity"})
    size, tag = len(whole.content), whole.headers["etag"]
    for asked, start, end in (
        ("bytes=0-9", 0, 10),
        (f"bytes={size - 5}-", size - 5, size),
        ("bytes=-7", size - 7, size),
    ):
        part = client.get(place, headers={"Range": asked, "If-Range": tag})
        assert (part.status_code, part.content) == (206, whole.content[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert client.get(place, headers={"Range": f"bytes={size}-"}).status_code == 416
    assert client.get(place, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200
    assert client.get(place, headers={"Range": "pages=1"}).status_code == 200
    assert client.get(place, headers={"If-None-Match": tag, "Accept-Encoding": "identity"}).status_code == 304


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_programs_get_columns_with_types(client, form):
    """Parquet and Arrow hold the same rows as the CSV, under the names and types of the columns."""
    answer = client.post("/v1/exports", json={**BAKERY, "format": form}, headers=WAIT)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].endswith(f'.{form}"')
    table = (
        pq.read_table(io.BytesIO(answer.content))
        if form == "parquet"
        else pa.ipc.open_stream(answer.content).read_all()
    )
    assert (table.num_rows, table.column_names) == (12, list(LINE_STATES.names))
    assert str(table.schema.field("port").type) == "int64"
    assert str(table.schema.field("observed_at").type).startswith("timestamp")


def test_a_stop_loses_no_export(tmp_path, monkeypatch):
    """Exports under way when the service stops are finished, and can be fetched from the next one."""
    home = Home(tmp_path / "home")
    held = Held(home, monkeypatch)
    with running(home) as service:
        client = service.client()
        place = client.post("/v1/exports", json=BAKERY).headers["location"]
        assert held.begun.wait(30)
        threading.Timer(0.5, held.let.set).start()
    with running(home) as service:
        client.base_url = service.url
        done = client.get(place, params={"wait": 60})
        assert (done.status_code, done.json()["rows"]) == (200, 12)
        assert len(client.get(done.json()["file"]).text.splitlines()) == 13
    client.close()
    assert held.runs == 1
    home.services.close()


def test_an_export_that_outlasts_the_stop_goes_on_at_the_next_start(tmp_path, monkeypatch):
    """What had not ended when the service had to end is taken up again; so it is after a crash."""
    home = Home(tmp_path / "home")
    settings = home.settings.api.model_copy(update={"drain_seconds": 0.2})
    object.__setattr__(home.services, "settings", home.settings.model_copy(update={"api": settings}))
    held = Held(home, monkeypatch)
    with running(home) as service:
        client = service.client()
        place = client.post("/v1/exports", json=BAKERY).headers["location"]
        assert held.begun.wait(30)
    assert json.loads(next(home.folder.glob("service-exports/*/export.json")).read_text())["state"] != "done"
    held.let.set()
    with running(home) as service:
        client.base_url = service.url
        assert client.get(place, params={"wait": 60}).json()["state"] == "done"
    client.close()
    assert held.runs == 2
    home.services.close()


def test_finished_exports_are_forgotten(home, client):
    """After its time an export is gone with its file."""
    place = client.post("/v1/exports", json=BAKERY, headers=WAIT).headers["location"]
    assert list(home.folder.glob("service-exports/*/*.csv"))
    home.clock.advance(home.settings.api.keep_seconds + 1)
    assert client.get(place).status_code == 404
    assert not list(home.folder.glob("service-exports/*/*"))


def test_a_service_looks_after_so_many_exports(tmp_path, monkeypatch):
    """Beyond its own bound a service refuses, like a full queue; when one has ended there is room again."""
    home = Home(tmp_path / "home")
    settings = home.settings.api.model_copy(update={"exports": 1})
    object.__setattr__(home.services, "settings", home.settings.model_copy(update={"api": settings}))
    held = Held(home, monkeypatch)
    with running(home) as service, service.client() as client, service.client(name="other") as other:
        place = client.post("/v1/exports", json=BAKERY).headers["location"]
        refused = other.post("/v1/exports", json={"customer": "Clinic"})
        assert (refused.status_code, refused.json()["error"]) == (429, "ExportRejected")
        assert int(refused.headers["retry-after"]) > 0
        held.let.set()
        assert client.get(place, params={"wait": 60}).json()["state"] == "done"
        assert other.post("/v1/exports", json={"customer": "Clinic"}, headers=WAIT).status_code == 200
    home.services.close()
