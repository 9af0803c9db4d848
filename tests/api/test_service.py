"""The service as a program meets it: problems, limits, languages, numbers, health, documentation."""

import json
import logging
import threading

import httpx
import pytest
from portal_home import PROVIDER, mac_of

from devlib.model import Role, Scope
from devlib.portal import Portal
from devlib.portal.routes import FILE_ACTS, NOT_OVER_HTTP, ROUTES

MAC = str(mac_of(1))


@pytest.fixture
def client(service):
    """A client for one who may do everything."""
    with service.client() as opened:
        yield opened


def test_every_public_act_has_an_address_or_a_reason():
    """No public name of the portal is forgotten by the service, and none is declared twice."""
    public = {name for name in dir(Portal) if not name.startswith("_")}
    declared = [route.act for route in ROUTES] + list(FILE_ACTS) + list(NOT_OVER_HTTP)
    assert set(declared) == public
    assert len(declared) == len(set(declared))
    addresses = [(route.verb, route.path) for route in ROUTES]
    assert len(set(addresses)) == len(addresses)


def test_the_remote_portal_does_everything_itself():
    """No method of the local portal shines through in the remote one, where there is nothing behind it."""
    from devlib.portal.remote import remote_names

    public = {name for name in dir(Portal) if not name.startswith("_")}
    assert public <= set(remote_names())


def test_an_error_says_what_where_and_what_to_do(client):
    """A problem names kind, status, text, remedy and request, in the reader's language, as problem+json."""
    answer = client.get("/v1/devices/00:15:65:00:00:99")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    found = answer.json()
    assert (found["type"], found["error"], found["status"]) == (
        "urn:devlib:problem:not-found",
        "NotFound",
        404,
    )
    assert found["instance"] == f"urn:devlib:request:{answer.headers['x-request-id']}"
    assert answer.headers["cache-control"] == "no-store"
    french = client.get("/v1/devices/zz", headers={"Accept-Language": "de;q=0.9, fr-CA;q=0.8, en;q=0.1"})
    assert french.headers["content-language"] == "fr"
    assert "hexadécimaux" in french.json()["title"]
    assert french.json()["code"] == "MAC_INVALID"
    assert (
        client.get("/v1/devices/zz", headers={"Accept-Language": "fr;q=0, en"}).headers["content-language"]
        == "en"
    )


@pytest.mark.parametrize(
    ("verb", "path", "sent", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/v1/devices/", {}, 404),
        ("PATCH", "/v1/devices", {}, 405),
        ("GET", "/v1/devices", {"params": {"colour": "red"}}, 422),
        ("GET", "/v1/devices", {"params": {"columns": "colour"}}, 400),
        ("GET", "/v1/audit", {"params": {"limit": 10**9}}, 422),
        ("POST", "/v1/devices", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 422),
        ("POST", "/v1/devices", {"json": {"mac": MAC}}, 422),
        ("POST", "/v1/sql", {"json": {"text": "SELECT " + "1" * 20_000}}, 422),
        ("POST", "/v1/sql", {"json": {"text": "SELECT * FROM '/etc/passwd'"}}, 400),
        ("POST", "/v1/sql", {"json": {"text": "\x00"}}, 400),
        (
            "POST",
            "/v1/sql",
            {"content": b'{"text":"\\ud800"}', "headers": {"Content-Type": "application/json"}},
            422,
        ),
        ("POST", "/v1/imports", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ("DELETE", f"/v1/devices/{MAC}/lines/99999999999999999999", {}, 422),
        ("GET", "/v1/exports/../../etc", {}, 404),
        ("GET", "/v1/exports/" + "a" * 32, {}, 404),
        ("POST", "/v1/exports", {"json": {"format": "xls"}}, 422),
    ],
)
def test_wrong_requests_are_refused(client, verb, path, sent, status):
    """What is not as the interface says is a 4xx problem that says where it is wrong, and nothing is done."""
    answer = client.request(verb, path, **sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 405:
        assert answer.headers["allow"] == "GET, POST"


def test_who_has_no_token_learns_nothing(service):
    """Without a token every address of the portal is 401 with the way to sign in, whatever else is wrong."""
    with httpx.Client(base_url=service.url, trust_env=False) as nobody:
        for headers in (
            {},
            {"Authorization": "Basic eDp5"},
            {"Authorization": "Bearer devlib_aaaaaaaa_" + "A" * 43},
        ):
            for path in ("/v1/devices", f"/v1/devices/{MAC}", "/v1/identity", "/v1/exports/" + "a" * 32):
                answer = nobody.get(path, headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert nobody.get("/health").json() == {"status": "alive"}


def test_a_body_beyond_the_limit_is_refused_while_it_comes(home, service, client):
    """A body that is announced or turns out larger than allowed is 413, and its rest is not read."""
    limit = home.settings.api.body_bytes
    big = client.post("/v1/sql", json={"text": "x" * limit})
    assert big.status_code == 413

    def pieces():
        for _ in range(100):
            yield b" " * (limit // 10)

    endless = client.post("/v1/sql", content=pieces(), headers={"Content-Type": "application/json"})
    assert endless.status_code == 413


def test_each_request_has_a_number(client):
    """The number of the asker is kept where it is one, and made where it is none or no safe text."""
    assert client.get("/health", headers={"X-Request-ID": "night-1"}).headers["x-request-id"] == "night-1"
    for odd in ("a b", "x" * 65, "<script>"):
        assert client.get("/health", headers={"X-Request-ID": odd}).headers["x-request-id"] != odd


def logged(caplog, count):
    """The lines of the service, once there are so many: each is written after its answer was sent."""
    for _ in range(200):
        found = [json.loads(each.message) for each in caplog.records if each.name == "devlib.api"]
        if len(found) >= count:
            return found
        threading.Event().wait(0.05)
    raise AssertionError(f"no {count} lines in the log")


def test_the_log_has_one_line_for_each_request_and_no_secret(service, caplog):
    """A line tells number, address pattern, status, who and how long; neither token nor query nor MAC."""
    caplog.set_level(logging.INFO, logger="devlib.api")
    with service.client() as client:
        secret = client.headers["authorization"].split()[1]
        client.get(f"/v1/devices/{MAC}", params={}, headers={"X-Request-ID": "n1"})
        client.get("/v1/devices", params={"search": "hush"})
        client.get("/v1/devices", headers={"Authorization": f"Bearer {secret[:-2]}xx"})
    entries = logged(caplog, 3)
    first = next(each for each in entries if each["id"] == "n1")
    assert (first["route"], first["status"], first["principal"]) == (
        "/v1/devices/{mac}",
        200,
        "service provider",
    )
    assert [each["status"] for each in entries][-1] == 401
    for hidden in (secret, secret[16:], "hush", MAC):
        assert hidden not in caplog.text


def test_an_accident_is_a_500_without_its_reason(home, service, client, monkeypatch):
    """An error that nobody foresaw is a problem with the number of the request; its text stays in the log."""

    def break_down(*_, **__):
        raise RuntimeError("secret reason")

    monkeypatch.setattr("devlib.portal.Portal.summary", break_down)
    answer = client.get("/v1/summary")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret reason" not in answer.text


def test_ready_tells_when_it_is_not(home, service):
    """`/ready` is 503 while the export queue does not answer, without telling strangers why; health stays."""
    with httpx.Client(base_url=service.url, trust_env=False) as watcher:
        assert watcher.get("/ready").json() == {"status": "ready"}
        home.services.coordinators.clear()
        (home.folder / "exports").write_text("in the way")
        answer = watcher.get("/ready")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert str(home.folder) not in answer.text
        assert watcher.get("/health").status_code == 200


def test_metrics_count_by_pattern(service, client):
    """Counts are kept by pattern, so that nobody can fill the memory with made-up addresses."""
    for number in range(1, 4):
        client.get(f"/v1/devices/{mac_of(number)}")
    for odd in ("/x1", "/x2", "/x3"):
        client.request("PROPFIND", odd)
    text = client.get("/metrics").text
    assert 'devlib_requests_total{method="GET",route="/v1/devices/{mac}",status="200"} 3.0' in text
    assert 'devlib_requests_total{method="other",route="-",status="404"} 3.0' in text
    assert "devlib_exports_waiting 0.0" in text
    assert "805EC" not in text.replace(":", "")


def test_frames_travel_as_records_and_as_arrow(home, client):
    """A frame is a list of records with all its columns, or an Arrow stream with them also when empty."""
    import pyarrow as pa

    from devlib.model import OBSERVATIONS

    client.post("/v1/collections")
    records = client.get("/v1/line-states", params={"search": "kiel"}).json()
    assert len(records) == 6
    assert list(records[0]) == list(OBSERVATIONS.names)
    assert records[0]["observed_at"].endswith("Z")
    arrow = {"Accept": "application/vnd.apache.arrow.stream"}
    empty = client.get("/v1/line-states", params={"search": "no such"}, headers=arrow)
    table = pa.ipc.open_stream(empty.content).read_all()
    assert (table.num_rows, table.column_names) == (0, list(OBSERVATIONS.names))
    twice = client.post("/v1/sql", json={"text": "SELECT 1 AS a, 2 AS a, 0.0/0 AS b, DATE '2026-01-01' AS d"})
    assert twice.json() == [{"a": 1, "a_1": 2, "b": None, "d": "2026-01-01"}]


def test_two_words_for_the_same_name_are_kept_apart_by_scope(service):
    """A customer's own script sees its customer's devices only, and cannot tell that there are others."""
    with service.client(Role.VIEWER, Scope(PROVIDER, "Clinic")) as viewer:
        assert {each["site"] for each in viewer.get("/v1/devices").json()} == {"Kiel", "Lyon"}
        hidden, missing = viewer.get(f"/v1/devices/{MAC}"), viewer.get("/v1/devices/00:15:65:00:00:99")
        assert hidden.status_code == missing.status_code == 404
        assert hidden.json()["title"].replace(MAC, "?") == missing.json()["title"].replace(
            "00:15:65:00:00:99", "?"
        )


def test_warnings_travel_beside_the_result(home, service, client):
    """What people should know of an act that was done all the same comes in a header, as texts."""
    from urllib.parse import unquote

    from devlib.errors import StorageUnavailable
    from devlib.language import message

    def fail(*_):
        raise StorageUnavailable(message("{error}", error="away"))

    home.services.coordinator.invalidate = fail
    answer = client.delete(f"/v1/devices/{MAC}")
    assert answer.status_code == 200
    noted = json.loads(unquote(answer.headers["devlib-warnings"]))
    assert "export queue" in noted[0]["shown"]


def test_the_document_describes_every_address(client):
    """`/openapi.json` names each address with its parameters, answers, problems and the way to sign in."""
    found = client.get("/openapi.json").json()
    assert found["openapi"].startswith("3.1")
    for route in ROUTES:
        operation = found["paths"][route.path][route.verb.lower()]
        assert operation["operationId"] == route.act
        assert operation["security"] == [{"bearer": []}]
        assert {"401", "403", "404", "422", str(route.status)} <= set(operation["responses"])
    text = json.dumps(found)
    named = set(found["components"]["schemas"])
    import re

    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= named
