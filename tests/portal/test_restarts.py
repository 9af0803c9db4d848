"""Restarts through the portal and the command: who may, within which scope, and what the audit says."""

import json

import pytest
from portal_home import PROVIDER, mac_of

from devlib.cli import main
from devlib.errors import NotAllowed, NotFound
from devlib.fleet import RestartOptions, RestartResult, at_once
from devlib.model import Identity, Role, Scope
from devlib.portal import Portal
from devlib.portal.signing_in import SignIn
from devlib.storage import RunState

QUICK = RestartOptions(rate=5.0, canary=1, boot_seconds=60.0, grace=10.0)


@pytest.fixture
def registered(home):
    """The home, with all lines of Bakery in Lyon registered."""
    for number in (1, 2, 3):
        for port in (1, 2):
            home.simulator.register(f"{number}{port}@lyon.bakery.example", expires=3600)
    return home


def entries(home, limit=20):
    with home.services.inventory.read() as reader:
        return [each for each in reader.audit_entries(limit=limit) if each.act == "reboot"]


@pytest.mark.here
def test_a_site_is_planned_restarted_and_shown(registered):
    """A plan sends nothing; its run confirms each device, is listed, and is audited at both ends."""
    portal = registered.portal()
    plan = portal.plan_restart("Bakery", "Lyon", options=QUICK)
    assert [step.mac for step in plan.to_send] == [str(mac_of(n)) for n in (1, 2, 3)]
    assert portal.restarts().empty
    frame = portal.restart_devices(plan)
    assert frame["outcome"].tolist() == [""] * 3
    assert frame["event"].tolist() == ["check-sync;reboot=true"] * 3
    report = portal.restart(plan, beside=at_once)
    assert report.outcomes[RestartResult.CONFIRMED] == 3
    (listed,) = portal.restarts().to_dict("records")
    assert (listed["state"], listed["confirmed"], listed["principal"]) == ("done", 3, "service provider")
    assert portal.restart_run(1).steps == report.steps
    outcomes = [(each.outcome, each.target) for each in entries(registered)]
    assert ("started", "Bakery / Lyon") in outcomes
    assert "confirmed" in next(each.detail for each in entries(registered) if each.outcome == "done"
                               and each.target == "Bakery / Lyon")  # fmt: skip


@pytest.mark.here
def test_a_viewer_and_another_customer_never(registered):
    """A viewer may not even plan; another customer's runs, sites and plans are not there or refused."""
    plan = registered.portal().plan_restart("Bakery", "Lyon", options=QUICK)
    registered.portal().restart(plan, beside=at_once)
    viewer = registered.portal(Role.VIEWER)
    for act in (viewer.plan_restart, viewer.restarts, lambda: viewer.restart(plan)):
        with pytest.raises(NotAllowed):
            act()
    clinic = registered.portal(Role.CUSTOMER_ADMINISTRATOR, Scope(PROVIDER, "Clinic"))
    assert clinic.restarts().empty
    for act in (
        lambda: clinic.restart_run(1),
        lambda: clinic.resume_restart(1),
        lambda: clinic.plan_restart("Bakery"),
    ):
        with pytest.raises(NotFound):
            act()
    with pytest.raises(NotAllowed):
        clinic.restart(plan)
    lyon = registered.portal(Role.CUSTOMER_ADMINISTRATOR, Scope(PROVIDER, "Bakery", frozenset({"Nice"})))
    assert lyon.restarts().empty


@pytest.mark.here
def test_a_role_that_is_taken_away_ends_the_run(registered):
    """The identity is read again while the run goes on; without its role the run stops, to be resumed."""
    home = registered
    identity = Identity("ann", Role.OPERATOR, Scope(PROVIDER))
    home.portal().put_identity(identity)

    class Stored(SignIn):
        by = ""

        def __init__(self):
            pass

        def read(self):
            with home.services.inventory.read() as reader:
                return reader.identity("ann")

    portal = Portal(identity, home.services, Stored())
    plan = portal.plan_restart("Bakery", "Lyon", options=QUICK)

    def tell(progress):
        with home.services.inventory.write() as writer:
            writer.put_identity(Identity("ann", Role.VIEWER, Scope(PROVIDER)))

    with pytest.raises(NotAllowed):
        portal.restart(plan, tell, beside=at_once)
    assert home.portal().restart_run(1).run.state is RunState.STOPPED
    assert home.portal().resume_restart(1, beside=at_once).left == 0


def test_a_second_reboot_is_forced_or_skipped(registered):
    """One device shares the ledger with fleets; what is forced is in the audit."""
    portal = registered.portal()
    assert portal.reboot(mac_of(1)).result is RestartResult.ACCEPTED
    assert portal.reboot(mac_of(1)).result is RestartResult.SKIPPED
    assert portal.reboot(mac_of(1), force=True).result is RestartResult.ACCEPTED
    assert entries(registered)[0].detail == "forced; accepted but unconfirmed"
    skipped = [each for each in portal.plan_restart("Bakery", "Lyon").steps if each.outcome == "skipped"]
    assert [each.mac for each in skipped] == [str(mac_of(1))]


def test_the_command_plans_by_default(tmp_path, monkeypatch, capsys, home):
    """Without --yes nothing is sent; without a place nothing is planned; a run can be listed."""
    monkeypatch.setenv("DEVLIB_HOME", str(home.folder))
    (home.folder / "devlib.toml").write_text('[[networks]]\nkind = "simulator"\ngaps = false\n')
    assert main(["restart"]) == 2
    capsys.readouterr()
    assert main(["--json", "restart", "--customer", "Bakery", "--rate", "3"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["rate"], len(planned["devices"])) == (3.0, 6)
    assert main(["restart", "--customer", "Bakery", "--site", "Lyon", "--yes", "--dry-run"]) == 0
    assert "Nothing was sent" in capsys.readouterr().out
    assert main(["--json", "restarts"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["restarts", "7"]) == 1
    assert main(["restart", "--resume", "7"]) == 1
    assert main(["restart", "--customer", "Bakery", "--rate", "-1"]) == 2
