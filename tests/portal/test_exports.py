"""Exports through the portal: shared rows, honest refusals, nothing beyond one's scope."""

import threading

import pytest
from portal_home import PROVIDER, SITES, mac_of

from devlib.errors import ExportFailed, ExportRejected, ExportSwitchedOff, NotFound
from devlib.export import ExportKey, ExportRequest, MemoryCoordinator, ReportRequest
from devlib.model import Role, Scope
from devlib.storage import LineFilter


def export(home, portal, tmp_path, **request):
    return portal.export_line_states(ReportRequest(**{"customer": "Bakery"} | request), tmp_path)


def collections(home):
    with home.services.inventory.read() as reader:
        return len(list(reader.manifest(Scope())))


def test_two_readers_share_one_real_run_each_with_its_own_filter(home, tmp_path):
    """Two who ask for the same: one collection; filter, columns and language are each one's own."""
    first = export(home, home.portal(Role.SERVICE_PROVIDER), tmp_path)
    home.clock.advance(2)
    second = export(
        home,
        home.portal(Role.OPERATOR),
        tmp_path,
        language="fr",
        columns=("line_port",),
        line_filter=LineFilter(search="lyon"),
    )
    assert collections(home) == 1
    assert first.observed_at == second.observed_at
    assert (first.rows, second.rows) == (12, 6)
    assert second.path.read_text(encoding="utf-8").splitlines()[0] == "Port de ligne"


def test_shared_rows_are_cut_to_the_scope_of_each_reader(home, tmp_path):
    """A viewer of one site who shares the rows of all sites gets that site's only."""
    export(home, home.portal(Role.SERVICE_PROVIDER), tmp_path / "a")
    viewer = home.portal(Role.VIEWER, Scope(PROVIDER, "Bakery", frozenset({"Lyon"})))
    report = export(home, viewer, tmp_path / "b")
    assert collections(home) == 1
    assert report.rows == 6
    assert "Nice" not in report.path.read_text(encoding="utf-8")


def test_the_real_run_of_a_narrow_reader_is_whole(home, tmp_path):
    """A viewer of one site who asks first makes the network be asked for the whole customer."""
    viewer = home.portal(Role.VIEWER, Scope(PROVIDER, "Bakery", frozenset({"Lyon"})))
    assert export(home, viewer, tmp_path / "a").rows == 6
    assert export(home, home.portal(Role.SERVICE_PROVIDER), tmp_path / "b").rows == 12
    assert collections(home) == 1


def test_a_change_of_the_fleet_ends_sharing(home, tmp_path):
    """After a device was removed, the next export asks the network again and does not show it."""
    portal = home.portal()
    export(home, portal, tmp_path / "a")
    portal.remove(mac_of(1))
    report = export(home, home.portal(Role.OPERATOR), tmp_path / "b")
    assert collections(home) == 2
    assert str(mac_of(1)) not in report.path.read_text(encoding="utf-8")


@pytest.mark.here
def test_a_second_export_of_a_session_waits_five_seconds(home, tmp_path):
    """One start per session in the period (article): the clock moves on by the rest of five seconds."""
    portal = home.portal()
    export(home, portal, tmp_path)
    started = home.clock.monotonic()
    seen = []
    portal.export_line_states(ReportRequest("Clinic"), tmp_path, waiting=seen.append)
    assert 5.0 <= home.clock.monotonic() - started < 5.3
    assert seen[0].delayed
    assert seen[0].seconds_to_go == pytest.approx(5.0, abs=0.1)


def test_a_dead_network_fails_all_and_caches_nothing(home, tmp_path):
    """No line could be asked: 500 with what to do; nothing is written; the next export is a real one."""
    home.simulator.registrar_down()
    with pytest.raises(ExportFailed) as caught:
        export(home, home.portal(), tmp_path / "out")
    assert caught.value.http_status == 500
    assert "devlib doctor" in str(caught.value)
    assert not (tmp_path / "out").exists()
    home.simulator.registrar_up()
    report = export(home, home.portal(Role.OPERATOR), tmp_path / "out")
    assert sum(report.states.values()) == 12
    assert collections(home) == 2


def test_a_full_queue_is_a_429_that_says_when_to_try_again(home, tmp_path):
    """With three running and ten waiting the next one is refused, with seconds to wait."""
    other = MemoryCoordinator(home.exports, home.settings.export)
    for number in range(13):
        key = ExportKey(PROVIDER, f"customer {number}")
        other.submit(ExportRequest(f"p{number}", f"s{number}", key), ticket=f"t{number}")
    with pytest.raises(ExportRejected) as caught:
        export(home, home.portal(), tmp_path)
    assert caught.value.http_status == 429
    assert caught.value.retry_after >= 1
    overview = home.portal(name="looker").exports()
    assert (len(overview.running), len(overview.waiting)) == (3, 10)


def test_the_list_of_exports_shows_only_the_scope(home, tmp_path):
    """An identity sees exports of its own customer, and not that others exist."""
    export(home, home.portal(), tmp_path)
    home.portal(Role.OPERATOR).export_line_states(ReportRequest("Clinic"), tmp_path)
    viewer = home.portal(Role.VIEWER, Scope(PROVIDER, "Clinic"))
    assert {ExportKey.from_text(each.key).customer for each in viewer.exports().recent} == {"Clinic"}
    narrow = home.portal(Role.VIEWER, Scope(PROVIDER, "Clinic", frozenset({"Kiel"})))
    narrow_keys = {ExportKey.from_text(each.key).site for each in narrow.exports().recent}
    assert narrow_keys <= {None, "Kiel"}


@pytest.mark.here
def test_the_scope_is_read_again_at_delivery(home, tmp_path):
    """Where the switch is turned off while the network is asked, nothing is delivered."""
    portal = home.portal()

    def turn_off(done, total):
        with home.services.inventory.write() as writer:
            writer.set_line_state_export(PROVIDER, enabled=False)

    with pytest.raises(ExportSwitchedOff):
        portal.export_line_states(ReportRequest("Bakery"), tmp_path / "out", progress=turn_off)
    assert not (tmp_path / "out").exists()


def test_releasing_what_does_not_run_says_so(home):
    """A number that no running export has is not found."""
    with pytest.raises(NotFound):
        home.portal().release_export("nonsense")


def test_many_readers_at_once_make_one_real_run(home, tmp_path):
    """Eight threads ask for the same rows at once: one collection, eight whole reports."""
    reports = []

    def ask(number):
        portal = home.portal(Role.OPERATOR, name=f"reader {number}")
        reports.append(export(home, portal, tmp_path / str(number)))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.rows for report in reports] == [12] * 8
    assert collections(home) == 1
    assert len(SITES) == 2
