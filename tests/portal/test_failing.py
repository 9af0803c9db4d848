"""What becomes of an act when something around it fails."""

from datetime import timedelta

import pytest
from portal_home import PROVIDER, mac_of

from devlib.errors import ExportFailed, NotAllowed, NotFound, StorageUnavailable, UsageError
from devlib.export import ReportRequest
from devlib.fleet import ImportMode
from devlib.language import message
from devlib.model import Identity, Role, Scope
from devlib.portal import connect
from devlib.storage import LineFilter

AWAY = StorageUnavailable(message("{error}", error="away"))


class Failing:
    """A coordinator that cannot be asked."""

    def __init__(self):
        self.invalidated = []

    def invalidate(self, provider=None, customer=None):
        """Fail, and keep for whom."""
        self.invalidated.append(customer)
        raise AWAY

    def close(self):
        """Nothing is open."""


def audited(home, count=1):
    with home.services.inventory.read() as reader:
        return reader.audit_entries(limit=count)


def test_a_change_is_done_although_the_queue_does_not_answer(home):
    """A committed removal is reported as done, with a warning and a note in the audit."""
    home.services.coordinators[:] = [Failing()]
    portal = home.portal()
    assert portal.remove(mac_of(1)).mac == mac_of(1)
    assert "export queue" in str(portal.warnings[0])
    assert audited(home)[0].outcome == "done"
    assert "away" in audited(home)[0].detail


def test_nothing_changes_where_the_queue_cannot_be_opened(home):
    """An export folder that is no folder refuses the change before it happens."""
    (home.folder / "exports").write_text("no folder")
    home.services.coordinators.clear()
    with pytest.raises(StorageUnavailable):
        home.portal().remove(mac_of(1))
    assert len(home.portal().devices()) == 12


@pytest.mark.here
@pytest.mark.parametrize("mode", list(ImportMode))
def test_an_import_ends_sharing_also_when_it_fails(home, tmp_path, mode):
    """Whatever became of an import, cached rows are dropped, but not for a mere check."""
    failing = Failing()
    home.services.coordinators[:] = [failing]
    with pytest.raises(UsageError, match="result file"):
        home.portal().import_devices(
            bulk(tmp_path), customer="Bakery", mode=mode, result=bulk(tmp_path) / "x" / "r.csv"
        )
    assert failing.invalidated == ([] if mode is ImportMode.CHECK else ["Bakery"])


def bulk(folder):
    path = folder / "devices.csv"
    path.write_text("Site,Device Type,MAC Address\nLyon,CP-8851,0015651234aa\n", encoding="utf-8")
    return path


def test_the_source_of_an_import_is_not_overwritten(home, tmp_path):
    """A result file that is the source is refused before anything happens."""
    path = bulk(tmp_path)
    before = path.read_text(encoding="utf-8")
    (tmp_path / "link.csv").symlink_to(path)
    for result in (path, tmp_path / "link.csv"):
        with pytest.raises(UsageError, match="imported"):
            home.portal().import_devices(path, customer="Bakery", result=result)
    assert path.read_text(encoding="utf-8") == before
    assert len(home.portal().devices()) == 12


@pytest.mark.here
def test_a_failing_audit_does_not_hide_the_error(home, monkeypatch):
    """Where the audit cannot be written either, people still read why the act failed."""
    portal = home.portal()
    monkeypatch.setattr(portal._gate, "record", lambda *_: (_ for _ in ()).throw(AWAY))
    with pytest.raises(NotFound, match="no device"):
        portal.remove("00:15:65:00:00:99")


def test_the_audit_holds_the_cause_of_a_failed_export(home, tmp_path, monkeypatch):
    """What the collection died of is in the audit, though not in what people are told."""
    monkeypatch.setattr(
        "devlib.collect.Collector.collect", lambda *_: (_ for _ in ()).throw(OSError("disk is full"))
    )
    with pytest.raises(ExportFailed) as caught:
        home.portal().export_line_states(ReportRequest("Bakery"), tmp_path)
    assert "disk is full" not in str(caught.value)
    assert "disk is full" in audited(home)[0].detail


@pytest.mark.here
def test_a_collector_leaves_traces_from_its_beginning(home):
    """Started, each collection, and how it ended are in the audit, also when it is killed by Ctrl+C."""
    seen = []

    def tell(result):
        seen.append(result)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        home.portal().keep_collecting(timedelta(minutes=5), tell, "Bakery")
    outcomes = [each.outcome for each in audited(home, 4)]
    assert outcomes == ["stopped", "done", "done", "started"]


@pytest.mark.here
def test_a_collector_ends_when_its_scope_changes(home):
    """A collector whose identity lost something does not go on with what it had."""
    bakery = Scope(PROVIDER, "Bakery")
    with home.services.inventory.write() as writer:
        writer.put_identity(Identity("tester", Role.OPERATOR, bakery))

    def tell(_):
        with home.services.inventory.write() as writer:
            narrow = Scope(PROVIDER, "Bakery", frozenset({"Lyon"}))
            writer.put_identity(Identity("tester", Role.OPERATOR, narrow))
        return True

    portal = connect(settings=home.settings, clock=home.clock)
    with portal, pytest.raises(NotAllowed, match="changed"):
        portal.keep_collecting(timedelta(minutes=5), tell)


def test_types_in_a_filter_are_known_by_any_name(home, tmp_path):
    """A filter takes the names that people use, and refuses a type that nobody knows."""
    portal = home.portal()
    portal.collect()
    assert len(portal.line_states(line_filter=LineFilter(device_types=("m700",)))) == 8
    request = ReportRequest("Bakery", line_filter=LineFilter(device_types=("SIP-T46S",)))
    assert portal.export_line_states(request, tmp_path, from_snapshot=True).rows == 8
    for act in (
        lambda wrong: portal.line_states(line_filter=wrong),
        lambda wrong: portal.export_line_states(ReportRequest("Bakery", line_filter=wrong), tmp_path),
    ):
        with pytest.raises(NotFound, match="catalogue"):
            act(LineFilter(device_types=("Snom 9999",)))


def test_approving_nothing_is_refused(home):
    """An empty list does not approve the whole catalogue."""
    with pytest.raises(UsageError):
        home.portal().approve_types("Kiel", [])
    assert len(home.portal().types("Clinic", "Kiel")) == 3


def test_the_audit_says_why_a_network_was_not_asked(home):
    """The reason of unknown lines is in the audit of the collection."""
    home.simulator.registrar_down()
    home.portal().collect()
    with home.services.inventory.read() as reader:
        detail = reader.audit_entries(limit=1)[0].detail
    assert "24 unknown (simulator: " in detail
    assert "does not answer" in detail
