"""The dashboards' server, asked by a good browser's requests and by an attacker's, with real kernels."""

import json
import re
import time

import pytest
import requests
import websocket
from dashboards_fixture import ALICE, BOB, OF_ALICE, OF_BOB, OLGA, PROXY_SECRET

PROXY = {"X-Remote-User": ALICE, "X-Devlib-Proxy": PROXY_SECRET}


@pytest.fixture(scope="module")
def alice(served):
    """An HTTP session of Alice."""
    return served.signed_in(ALICE)


@pytest.fixture(scope="module")
def bob(served):
    """An HTTP session of Bob."""
    return served.signed_in(BOB)


@pytest.fixture(scope="module")
def hers(served, alice):
    """A page of Alice that has not been greeted yet when the first test gets it."""
    return served.page(alice, "lines")


@pytest.fixture(scope="module")
def his(served, bob):
    """A page of Bob."""
    return served.page(bob, "lines")


@pytest.fixture(scope="module")
def channel(hers):
    """The channel to the kernel of Alice's page."""
    with hers.channel() as opened:
        yield opened


@pytest.fixture(scope="module")
def states(channel, hers):
    """The states of all widgets of Alice's page, after its greeting."""
    return greeted(channel, hers)


def comm_of(states, script):
    """Return the widget whose script is this one."""
    return next(comm for comm, state in states.items() if state.get("_anywidget_id", "").endswith(script))


def greeted(channel, page, link=""):
    """Say hello, and return the states of all widgets after."""
    door = comm_of(channel.states(), ".Door")
    channel.custom(door, {"kind": "hello", "session": page.word, "link": link})
    assert next(each for each in channel.told(door) if each["kind"] in ("ready", "error"))["kind"] == "ready"
    return channel.states()


def test_nobody_sees_a_page_without_signing_in(served):
    """Every page and every channel needs a signed-in identity; only look and scripts are public."""
    for path in ("overview", "lines", "devices", "exports", "outages"):
        answer = requests.get(f"{served.base}{path}", allow_redirects=False, timeout=20)
        assert answer.status_code == 302
        assert "sign-in-first" in answer.headers["Location"]
    assert requests.get(f"{served.base}sign-in-first", timeout=20).status_code == 401
    assert requests.get(f"{served.base}exports/api/{'0' * 32}", timeout=20).status_code in (401, 403)
    assert requests.get(f"{served.base}assets/devlib.css", timeout=20).status_code == 200


def test_a_link_signs_in_once(served):
    """A link works one time; its ticket is in no later address; a made-up one does nothing."""
    link = served.link(ALICE)
    first = requests.get(link, allow_redirects=False, timeout=20)
    assert first.status_code == 302
    assert first.headers["Location"] == "/overview"
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert requests.get(link, allow_redirects=False, timeout=20).status_code == 403
    forged = link[:-3] + ("AAA" if not link.endswith("AAA") else "BBB")
    assert requests.get(forged, allow_redirects=False, timeout=20).status_code == 403


def test_the_header_of_a_proxy_needs_its_secret(served):
    """X-Remote-User names the identity only beside the proxy's secret, and for a stored identity."""
    api = f"{served.base}exports/api/{'0' * 32}"

    def known(headers):
        return requests.get(api, headers=headers, allow_redirects=False, timeout=20).status_code == 404

    assert known(PROXY)
    assert not known({"X-Remote-User": ALICE})
    assert not known({**PROXY, "X-Devlib-Proxy": "guessed"})
    assert not known({**PROXY, "X-Remote-User": ""})
    stranger = {**PROXY, "X-Remote-User": "mallory"}
    answer = requests.get(f"{served.base}lines", headers=stranger, allow_redirects=False, timeout=20)
    assert answer.status_code == 403
    assert "mallory" not in answer.text or "&" not in answer.text


def test_the_page_holds_the_first_numbers_and_its_headers(served):
    """Before any script runs, the page has the visitor's own numbers; it may load nothing from elsewhere.

    `?template=` and `?theme=`, which Voila would follow, change nothing.
    """
    session = served.signed_in(ALICE)
    with served.portal(ALICE) as portal:
        lines = int(portal.summary()["lines"].sum())
    answer = session.get(f"{served.base}overview?lang=en&template=classic&theme=dark", timeout=60)
    assert f"of {lines} lines registered" in answer.text
    assert OF_BOB not in answer.text
    assert "devlib-session" in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not [each for each in re.findall(r"https?://[^\"' <]+", answer.text) if "127.0.0.1" not in each]


@pytest.mark.parametrize(
    "path",
    [
        "voila/files/overview.ipynb",
        "voila/tree",
        "voila/render/overview.ipynb",
        "voila/api/contents",
        "voila/query/00000000-0000-0000-0000-000000000000",
        "voila/static/../../devlib.toml",
        "api/kernels",
        "nothing",
    ],
)
def test_nothing_else_is_there(served, path):
    """Voila's trees, files, contents and queries are not reachable, also for who is signed in."""
    answer = served.signed_in(OLGA).get(f"{served.base}{path}", allow_redirects=False, timeout=20)
    assert answer.status_code in (403, 404)


def test_a_warm_kernel_knows_nobody_and_then_one(channel, hers, his, request):
    """Before the handshake no widget holds anything of a customer; after it, only the visitor's.

    A word for another kernel, of another identity or without a right signature opens nothing.
    """
    before = channel.states()
    assert OF_ALICE not in json.dumps(before)
    assert OF_BOB not in json.dumps(before)
    door = comm_of(before, ".Door")
    for word in (his.word, hers.word[:-4] + "AAAA", "", "a.b"):
        channel.custom(door, {"kind": "hello", "session": word, "link": ""})
        assert next(channel.told(door))["kind"] == "error"
    assert set(channel.states()) == set(before)
    after = json.dumps(request.getfixturevalue("states"))
    assert OF_ALICE in after
    assert OF_BOB not in after
    channel.custom(door, {"kind": "hello", "session": his.word, "link": ""})
    assert next(channel.told(door))["kind"] == "error"


def test_nobody_reaches_the_kernel_of_another(served, alice, bob, hers):
    """Channel, model and shutdown of a kernel answer its owner only; for others it does not exist."""
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        hers.channel(bob)
    assert refused.value.status_code in (403, 404)
    with pytest.raises(websocket.WebSocketBadStatusException):
        hers.channel(requests.Session())
    assert bob.get(f"{served.base}api/kernels/{hers.kernel}", timeout=20).status_code == 404
    token = {"X-XSRFToken": bob.cookies["_xsrf"]}
    answer = bob.post(f"{served.base}voila/api/shutdown/{hers.kernel}", headers=token, timeout=20)
    assert answer.status_code == 404
    assert alice.get(f"{served.base}api/kernels/{hers.kernel}", timeout=20).status_code == 200


def test_a_viewer_cannot_run_code(channel, tmp_path):
    """execute_request and its kin do nothing on any channel."""
    target = tmp_path / "run"
    code = f"open({str(target)!r}, 'w').write('x')"
    sent = set()
    for where in ("shell", "control"):
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}}
        sent.add(channel.send("execute_request", {**content, "allow_stdin": False}, where))
        sent.add(channel.send("inspect_request", {"code": "open", "cursor_pos": 4, "detail_level": 1}, where))
    assert channel.states()  # answered after them, on the same channel
    assert not [each for each in channel.receive(0.5) if each["parent_header"].get("msg_id") in sent]
    assert not target.exists()


def test_foreign_traits_and_widgets_change_nothing(channel, states):
    """A browser can set no trait of any widget, and can make no widget of its own."""
    stack = next(comm for comm, state in states.items() if state.get("_model_name") == "VBoxModel")
    forged = {
        "view": {"version": 1, "total": 10**9},
        "columns": [],
        "_esm": "evil",
        "values": {},
        "children": [],
    }
    for comm in (comm_of(states, ".Grid"), comm_of(states, ".Filters"), stack):
        update = {"method": "update", "state": forged, "buffer_paths": []}
        channel.send("comm_msg", {"comm_id": comm, "data": update})
    made = {"state": {"_model_name": "AudioModel", "_model_module": "@jupyter-widgets/controls",
                      "_view_name": "AudioView", "_view_module": "@jupyter-widgets/controls",
                      "_model_module_version": "2.0.0", "_view_module_version": "2.0.0"}}  # fmt: skip
    opening = {"comm_id": "0" * 32, "target_name": "jupyter.widget", "data": made | {"buffer_paths": []}}
    channel.send("comm_open", opening, version="2.1.0")
    after = channel.states()
    assert set(after) == set(states)
    for comm, state in states.items():
        assert after[comm] == state


def test_a_filter_shows_nothing_of_another_customer(channel, states):
    """Whatever a page sends as a filter, the rows are those of the identity's scope."""
    filters, grid = comm_of(states, ".Filters"), comm_of(states, ".Grid")
    for values in (
        {"customer": [OF_BOB]},
        {"customer": ["x' OR 1=1 --"]},
        {"search": ["') OR true --"]},
        {"site": ["Kiel"]},
        {"states": "aged"},
        {"firmware": [{"$ne": ""}], "unseen": ["1 OR 1"]},
        [1, 2],
    ):
        channel.custom(filters, {"kind": "filter", "values": values})
    found = channel.states()
    view = found[grid]["view"]
    channel.custom(grid, {"kind": "rows", "version": view["version"], "first": 0, "count": 100})
    told = next(e for e in channel.told(grid) if e["kind"] == "rows" and e["version"] == view["version"])
    shown = json.dumps(told["rows"]) + json.dumps([found[c] for c in found if c != filters])
    assert OF_BOB not in re.sub(r'"customer": \["[^"]*"\]', "", shown)
    assert "kiel." not in shown


@pytest.mark.parametrize(
    "sent",
    [
        {"kind": "rows", "version": 1, "first": -1, "count": 100},
        {"kind": "rows", "version": 1, "first": 0, "count": 10**9},
        {"kind": "rows", "version": "1", "first": 0, "count": 1},
        {"kind": "sort", "column": "state; DROP TABLE x", "descending": True},
        {"kind": "sort", "column": ["state"], "descending": "yes"},
        {"kind": "search", "text": 5},
        {"kind": "search", "text": "x" * 10_000},
    ],
)
def test_wrong_messages_are_told_not_done(channel, states, sent):
    """A message that cannot be is answered with an error in words, and the widget goes on working."""
    grid = comm_of(states, ".Grid")
    channel.custom(grid, sent)
    assert next(each for each in channel.told(grid) if each["kind"] != "rows")["kind"] == "error"


def test_the_kernel_has_a_scrubbed_environment(served):
    """What the server's environment holds is not in the environment of its kernels."""
    import psutil

    kernels = [each for each in psutil.Process(served.process.pid).children(recursive=True)
               if "ipykernel_launcher" in " ".join(each.cmdline())]  # fmt: skip
    assert kernels
    for kernel in kernels:
        environment = kernel.environ()
        assert "SECRET_OF_SERVER" not in environment
        assert environment["DEVLIB_HOME"] == str(served.home)


def test_changing_requests_need_the_xsrf_token(served, alice, hers):
    """A request that changes something needs the token that the page has; without it nothing happens."""
    body = json.dumps({"query": {}, "language": "en"})
    assert alice.post(f"{served.base}exports/api", data=body, timeout=20).status_code == 403
    assert alice.post(f"{served.base}voila/api/shutdown/{hers.kernel}", timeout=20).status_code == 403
    assert alice.delete(f"{served.base}api/kernels/{hers.kernel}", timeout=20).status_code == 403


def test_closing_a_page_ends_its_kernel(served, bob, his):
    """What a page sends when it is closed ends its kernel at once."""
    # navigator.sendBeacon sends the token in the body, as Voila's page does.
    body = {"_xsrf": bob.cookies["_xsrf"]}
    answer = bob.post(f"{served.base}voila/api/shutdown/{his.kernel}", data=body, timeout=30)
    assert answer.status_code == 204
    assert bob.get(f"{served.base}api/kernels/{his.kernel}", timeout=20).status_code == 404


def export(served, principal, query):
    """Export through the server; return the state at its end and the session."""
    session = served.signed_in(principal)
    headers = {"X-XSRFToken": session.cookies["_xsrf"], "Content-Type": "application/json"}
    api = f"{served.base}exports/api"
    begun = session.post(
        api, data=json.dumps({"query": query, "language": "en"}), headers=headers, timeout=20
    )
    number = begun.json()["id"]
    for _ in range(300):
        state = session.get(f"{api}/{number}", timeout=20).json()
        if state["kind"] in ("done", "error", "cancelled"):
            return session, f"{api}/{number}", state
        time.sleep(0.1)
    raise AssertionError(state)


def test_the_download_equals_the_command(served, tmp_path):
    """The bytes of the download are those of `devlib export` with the same filter over the same rows."""
    query = {"customer": [OF_ALICE], "states": ["registered"], "search": ["yealink"]}
    session, job, state = export(served, OLGA, query)
    assert state["kind"] == "done", state
    answer = session.get(f"{job}/file", timeout=30)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{state["name"]}"'
    chosen = ("--customer", OF_ALICE, "--state", "registered", "--search", "yealink")
    written = served.exported(tmp_path, *chosen)
    assert written.read_bytes() == answer.content
    assert answer.content.count(b"\n") == state["rows"] + 1
    # It is nobody else's.
    other = served.signed_in(BOB)
    assert other.get(f"{job}/file", timeout=20).status_code == 404
    assert other.get(job, timeout=20).status_code == 404


def test_an_export_of_another_customer_is_refused_in_words(served):
    """A viewer's export reaches its own customer only."""
    _, _, state = export(served, ALICE, {"customer": [OF_BOB]})
    assert state["kind"] == "error"
    assert state["status"] == 404
    assert OF_BOB in state["text"]
