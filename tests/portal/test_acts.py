"""Every act is authorised and audited, for every role and scope."""

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from portal_home import PROVIDER, mac_of

from devlib.errors import ExportSwitchedOff, NotAllowed, NotFound, UsageError
from devlib.export import ExportKey, ExportRequest, ReportRequest
from devlib.fleet import RestartResult
from devlib.model import Identity, LineState, Role, Scope, User
from devlib.portal import ROLE_ACTS, Act
from devlib.storage import LineFilter, NewLine


def release_somebody(portal):
    """Enter an export of somebody else, and free its slot."""
    key = ExportKey(PROVIDER, "Bakery")
    portal.services.coordinator.submit(ExportRequest("other", "other", key), ticket="t1")
    portal.release_export("t1", force=True)


def make_a_token(portal):
    """Make a token for a stored viewer."""
    with portal.services.inventory.write() as writer:
        writer.put_identity(Identity("ann", Role.VIEWER, Scope(PROVIDER, "Bakery")))
    portal.new_token("ann")


def run_nothing(portal, folder):
    """Run a runbook that does nothing."""
    cell = {"cell_type": "code", "id": "a", "source": "days = 7", "outputs": [], "execution_count": None}
    cells = [
        {"cell_type": "markdown", "id": "t", "source": "# Nothing", "metadata": {}},
        cell | {"metadata": {"tags": ["parameters"]}},
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "nothing.ipynb").write_text(json.dumps(book), encoding="utf-8")
    assert portal.run_runbook("nothing", folder=folder).passed


CHANGES = {
    Act.ADD: lambda p, f: p.add("00:15:65:00:00:01", "Lyon", "Cisco 8851", customer="Bakery"),
    Act.REMOVE: lambda p, f: p.remove(mac_of(1)),
    Act.ASSIGN: lambda p, f: p.assign(mac_of(1), NewLine("9@lyon.bakery.example", User("u9"))),
    Act.RELEASE: lambda p, f: p.release(mac_of(1), 1),
    Act.IMPORT: lambda p, f: p.import_devices(f, customer="Bakery"),
    Act.REBOOT: lambda p, f: p.reboot(mac_of(1)),
    Act.PROBE: lambda p, f: p.probe(mac=mac_of(1)),
    Act.COLLECT: lambda p, f: p.collect("Bakery"),
    Act.SEE: lambda p, f: p.devices(),
    Act.QUERY: lambda p, f: p.sql("SELECT 1 AS one"),
    Act.EXPORT: lambda p, f: p.export_devices(f.parent, "Bakery"),
    Act.ORGANISE: lambda p, f: p.add_site("Paris", "Bakery"),
    Act.SWITCH_EXPORT: lambda p, f: p.switch_export(PROVIDER, allowed=False),
    Act.RELEASE_EXPORT: lambda p, f: release_somebody(p),
    Act.SEE_AUDIT: lambda p, f: p.audit(),
    Act.MANAGE_TOKENS: lambda p, f: make_a_token(p),
    Act.COMPACT: lambda p, f: p.compact(),
}


# Anybody may start a runbook; copies are in test_copying.py.
ELSEWHERE = (Act.RUNBOOK, Act.COPY)


@pytest.fixture
def bulk_file(tmp_path: Path) -> Path:
    """A bulk file of one right row."""
    path = tmp_path / "devices.csv"
    path.write_text("Site,Device Type,MAC Address\nLyon,CP-8851,0015651234aa\n", encoding="utf-8")
    return path


def last_entry(home):
    with home.services.inventory.read() as reader:
        return reader.audit_entries(limit=1)[0]


@pytest.mark.here
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_anybody_may_start_a_runbook(home, tmp_path, role):
    """A runbook runs beside its notebook, for every role, and is audited; each of its acts is authorised."""
    run_nothing(home.portal(role), tmp_path)
    entry = last_entry(home)
    assert (entry.act, entry.target, entry.outcome) == ("runbook", "nothing", "done")


@pytest.mark.parametrize("act", [each for each in Act if each not in ELSEWHERE], ids=lambda act: act.value)
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_each_act_is_allowed_to_its_roles_and_audited(home, bulk_file, act, role):
    """What a role may do is done; what it may not do is refused and changes nothing; both are audited."""
    portal = home.portal(role)
    if act in ROLE_ACTS[role]:
        CHANGES[act](portal, bulk_file)
        expected = "done"
    else:
        before = len(home.portal().devices())
        with pytest.raises(NotAllowed) as caught:
            CHANGES[act](portal, bulk_file)
        assert caught.value.http_status == 403
        assert caught.value.exit_code == 3
        assert len(home.portal(name="counter").devices()) == before
        expected = "refused"
    with home.services.inventory.read() as reader:
        entries = [each for each in reader.audit_entries(limit=5) if each.principal == role.value]
    assert (entries[0].act, entries[0].outcome, entries[0].role) == (act.value, expected, role.value)


def test_a_failed_act_is_audited_with_its_reason(home):
    """An act that ends with an error is in the audit as failed, with the error."""
    with pytest.raises(NotFound):
        home.portal().remove("00:15:65:00:00:99")
    entry = last_entry(home)
    assert (entry.act, entry.outcome) == ("remove", "failed")
    assert "NotFound" in entry.detail


ELSEWHERE = [
    lambda p: p.status(mac_of(7)),
    lambda p: p.remove(mac_of(7)),
    lambda p: p.reboot(mac_of(7)),
    lambda p: p.release(mac_of(7), 1),
    lambda p: p.assign(mac_of(7), NewLine("9@x.example", User("u"))),
    lambda p: p.add("00:15:65:00:00:01", "Kiel", "Cisco 8851", customer="Clinic"),
    lambda p: p.devices("Clinic"),
    lambda p: p.devices("Bakery", "Nice"),
    lambda p: p.sites("Clinic"),
    lambda p: p.line_states("Clinic"),
    lambda p: p.collect("Clinic"),
    lambda p: p.export_line_states(ReportRequest("Clinic"), Path()),
    lambda p: p.export_devices(Path(), "Clinic"),
]


@pytest.mark.parametrize("act", ELSEWHERE, ids=range(len(ELSEWHERE)))
def test_what_is_outside_of_the_scope_is_not_there(home, act):
    """Another customer's things are answered as things that do not exist: no other text, no other code."""
    scope = Scope(PROVIDER, "Bakery", frozenset({"Lyon"}))
    portal = home.portal(Role.CUSTOMER_ADMINISTRATOR, scope)
    with pytest.raises(NotFound) as caught:
        act(portal)
    assert "Kiel" not in str(caught.value)


def test_lists_show_only_the_scope(home):
    """Devices, lines, SQL and summary of a viewer hold nothing of other customers or sites."""
    home.portal().collect()
    viewer = home.portal(Role.VIEWER, Scope(PROVIDER, "Clinic", frozenset({"Lyon"})))
    assert len(viewer.devices()) == 3
    assert set(viewer.line_states()["customer"]) == {"Clinic"}
    assert viewer.sql("SELECT DISTINCT customer, site FROM observations").values.tolist() == [
        ["Clinic", "Lyon"]
    ]
    assert viewer.sql("SELECT DISTINCT site FROM devices")["site"].tolist() == ["Lyon"]
    assert viewer.sql("SELECT DISTINCT customer FROM sites")["customer"].tolist() == ["Clinic"]
    assert viewer.summary()[["customer", "site", "lines"]].values.tolist() == [["Clinic", "Lyon", 6]]
    assert [each.name for each in viewer.customers()] == ["Clinic"]


def test_a_site_name_of_two_customers_needs_the_customer(home):
    """A site name that two customers have is not guessed; one that a single customer has is enough."""
    with pytest.raises(UsageError, match="Several customers"):
        home.portal().devices(site="Lyon")
    assert len(home.portal().devices(site="Kiel")) == 3


def test_the_switch_of_the_service_provider_closes_the_report(home, tmp_path):
    """Where the service provider has not enabled the report, it is refused with the way to enable it."""
    home.portal().switch_export(PROVIDER, allowed=False)
    with pytest.raises(ExportSwitchedOff) as caught:
        home.portal().export_line_states(ReportRequest("Bakery"), tmp_path / "out")
    assert "--export on" in str(caught.value)
    assert not (tmp_path / "out").exists()
    home.portal().switch_export(PROVIDER, allowed=True)
    assert home.portal().export_line_states(ReportRequest("Bakery"), tmp_path / "out").rows == 12


def test_status_of_a_dect_base_names_its_station(home):
    """A DECT device carries the multicell station ID and chain ID; the state is asked of the network now."""
    status = home.portal().status(mac_of(3))
    assert status.device.base_station_id == "RPN3"
    assert status.device.chain_id == "1356802345"
    assert len(status.lines) == 2
    assert status.observed_at == home.clock.now()


def test_status_of_an_unreachable_network_keeps_what_was_known(home):
    """A registrar that does not answer gives unknown with the last known state, never unregistered."""
    port = "11@lyon.bakery.example"
    home.simulator.register(port, expires=3600)
    home.portal().collect()
    known_at = home.clock.now()
    home.clock.advance(60)
    home.simulator.registrar_down()
    status = home.portal().status(mac_of(1))
    line = next(each for each in status.lines if each.line.line_port == port)
    assert (line.state, line.state_before, line.state_known_at) == (
        LineState.UNKNOWN,
        LineState.REGISTERED,
        known_at,
    )
    assert line.reason is not None


def test_reboot_is_confirmed_by_the_new_registration(home):
    """A restarted phone counts as confirmed only when it registered again with a new Call-ID."""
    for port in (1, 2):
        home.simulator.register(f"1{port}@lyon.bakery.example", expires=3600)
    outcome = home.portal().reboot(mac_of(1), wait=300)
    assert outcome.result is RestartResult.CONFIRMED


def test_reboot_of_an_unregistered_device_is_an_outcome(home):
    """A phone that is not registered cannot be restarted through the network, and the outcome says so."""
    for port in (1, 2):
        home.simulator.register(f"1{port}@lyon.bakery.example", expires=3600)
        home.simulator.sign_off(f"1{port}@lyon.bakery.example")
    assert home.portal().reboot(mac_of(1)).result is RestartResult.NOT_REGISTERED


def test_identities_cannot_be_stored_beyond_ones_own(home):
    """An operator stores identities within its own role and scope, and none beyond."""
    operator = home.portal(Role.OPERATOR, Scope(PROVIDER, "Bakery"))
    operator.put_identity(Identity("ann", Role.VIEWER, Scope(PROVIDER, "Bakery", frozenset({"Lyon"}))))
    for beyond in (
        Identity("bob", Role.VIEWER, Scope(PROVIDER, "Clinic")),
        Identity("bob", Role.VIEWER, Scope(PROVIDER)),
        Identity("bob", Role.SERVICE_PROVIDER, Scope(PROVIDER, "Bakery")),
    ):
        with pytest.raises(NotAllowed):
            operator.put_identity(beyond)
    with home.services.inventory.read() as reader:
        assert reader.identity("bob") is None
        assert reader.identity("ann").scope.sites == frozenset({"Lyon"})


def test_arrangements_beyond_the_scope_are_refused(home):
    """Providers, customers and the audit belong to those whose scope covers them."""
    operator = home.portal(Role.OPERATOR, Scope(PROVIDER, "Bakery"))
    for act in (
        lambda: operator.add_provider("Other"),
        lambda: operator.add_customer("Other", PROVIDER),
        operator.audit,
    ):
        with pytest.raises(NotAllowed):
            act()


@pytest.mark.here
def test_collecting_goes_on_until_told_to_stop(home):
    """`keep_collecting` collects at fixed distances of the clock and is audited once."""
    seen = []

    def tell(result):
        seen.append(result.snapshot.observed_at)
        return len(seen) < 3

    home.portal().keep_collecting(timedelta(minutes=5), tell, "Bakery")
    assert [second - first for first, second in pairwise(seen)] == [timedelta(minutes=5)] * 2
    assert last_entry(home).act == "collect"


def test_line_states_can_be_filtered(home):
    """State, type, text and SQL condition cut the lines, alone and together."""
    home.portal().collect()
    portal = home.portal()
    assert len(portal.line_states(line_filter=LineFilter(device_types=("Snom M700",)))) == 8
    assert len(portal.line_states(line_filter=LineFilter(search="o'hara"))) == 24
    assert len(portal.line_states(line_filter=LineFilter(search="80-5e-c0-00-00-01"))) == 2
    assert len(portal.line_states(line_filter=LineFilter(condition="port = 2 -- only these"))) == 12
    both = LineFilter(device_types=("Snom M700",), condition="port = 2", search="lyon")
    assert set(portal.line_states(line_filter=both)["site"]) == {"Lyon"}
    nothing = portal.line_states(line_filter=LineFilter(search="no such text"))
    assert len(nothing) == 0
    assert len(nothing.columns) == 43
