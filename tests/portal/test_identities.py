"""Stored identities: read again at every act, never beyond their keeper's own, names resolved."""

import pytest
from portal_home import PROVIDER, mac_of

from devlib.errors import Conflict, NotAllowed, NotFound, UsageError
from devlib.export import ExportKey, ExportRequest, ReportRequest
from devlib.model import EVERYTHING, Identity, Role, Scope
from devlib.portal import connect

LYON = Scope(PROVIDER, "Bakery", frozenset({"Lyon"}))
OTHER = "Other Telecom"


def store(home, principal, role=Role.VIEWER, scope=LYON):
    with home.services.inventory.write() as writer:
        writer.put_identity(Identity(principal, role, scope))


def forget(home, principal):
    with home.services.inventory.write() as writer:
        writer.remove_identity(principal)


def audited(home, count=1):
    with home.services.inventory.read() as reader:
        return reader.audit_entries(limit=count)


@pytest.fixture
def second_bakery(home):
    """A second service provider with a customer Bakery of its own."""
    with home.services.inventory.write() as writer:
        writer.add_provider(OTHER, line_state_export=True)
        writer.add_customer(OTHER, "Bakery")
        writer.add_site(Scope(OTHER), "Bakery", "Lyon", ("Cisco 8851",))


@pytest.mark.here
def test_a_narrowed_identity_sees_less_at_once(home):
    """A scope that shrinks counts from the next act on, in a portal that is open already."""
    store(home, "tester", scope=Scope(PROVIDER, "Bakery"))
    with connect(settings=home.settings, clock=home.clock) as portal:
        assert len(portal.devices()) == 6
        store(home, "tester")
        assert len(portal.devices()) == 3
        store(home, "tester", Role.CUSTOMER_ADMINISTRATOR)
        assert portal.remove(mac_of(1)).mac == mac_of(1)


@pytest.mark.here
def test_an_identity_that_is_gone_may_nothing(home):
    """Whose identity is removed is refused at the next act, which is audited; so is the implicit account."""
    store(home, "tester")
    with connect(settings=home.settings, clock=home.clock) as portal:
        forget(home, "tester")
        with pytest.raises(NotAllowed, match="No identity"):
            portal.devices()
    assert (audited(home)[0].principal, audited(home)[0].outcome) == ("tester", "refused")


@pytest.mark.here
@pytest.mark.parametrize(
    "change", [forget, lambda home, name: store(home, name, scope=Scope(PROVIDER, "Clinic"))]
)
def test_an_export_is_not_delivered_to_whom_it_was_taken_from(home, tmp_path, change):
    """Who loses identity or scope while the network is asked gets no file."""
    store(home, "tester")
    portal = connect(settings=home.settings, clock=home.clock)
    with portal, pytest.raises((NotAllowed, NotFound)):
        portal.export_line_states(
            ReportRequest("Bakery"), tmp_path / "out", progress=lambda *_: change(home, "tester")
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.here
def test_a_scope_that_shrank_cuts_the_report(home, tmp_path):
    """Rows that left the scope while the network was asked are not in the file."""
    store(home, "tester", scope=Scope(PROVIDER, "Bakery"))
    with connect(settings=home.settings, clock=home.clock) as portal:
        report = portal.export_line_states(
            ReportRequest("Bakery"), tmp_path, progress=lambda *_: store(home, "tester")
        )
    assert report.rows == 6


@pytest.mark.here
def test_an_identity_given_explicitly_stays(home):
    """What is given to `connect` is not looked up."""
    with connect(Identity("nobody", Role.VIEWER, LYON), settings=home.settings, clock=home.clock) as portal:
        assert len(portal.devices()) == 3


@pytest.mark.here
def test_the_account_may_everything_only_over_its_own_files(home, tmp_path, monkeypatch):
    """Another database, or a home of somebody else, needs a stored identity; the remedy says how."""
    elsewhere = home.settings.model_copy(update={"database": f"sqlite:///{tmp_path / 'shared.db'}"})
    with pytest.raises(NotAllowed, match="put_identity"):
        connect(settings=elsewhere, clock=home.clock)
    me = Identity("tester", Role.SERVICE_PROVIDER)
    with connect(me, settings=elsewhere, clock=home.clock) as portal:
        portal.put_identity(Identity("ann", Role.VIEWER))
    with pytest.raises(NotAllowed, match="devlib identity tester"):
        connect(settings=elsewhere, clock=home.clock)
    with pytest.raises(NotAllowed):
        connect(principal="ann", settings=elsewhere, clock=home.clock)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with pytest.raises(NotAllowed):
        connect(settings=home.settings, clock=home.clock)


@pytest.mark.here
def test_acting_as_another_one_is_audited_with_both_names(home):
    """`principal` gives the other's scope; the audit names who acted."""
    store(home, "alice")
    with connect(principal="alice", settings=home.settings, clock=home.clock) as portal:
        assert len(portal.devices()) == 3
    assert audited(home)[0].principal == "alice (by tester)"


@pytest.mark.here
def test_nobody_acts_as_one_with_more(home):
    """A stored viewer cannot borrow an operator's identity, nor learn which identities there are."""
    store(home, "tester")
    store(home, "boss", Role.OPERATOR, EVERYTHING)
    store(home, "peer")
    for name in ("boss", "nobody"):
        with pytest.raises(NotAllowed, match="may not act as"):
            connect(principal=name, settings=home.settings, clock=home.clock)
    connect(principal="peer", settings=home.settings, clock=home.clock).close()


def test_an_identity_beyond_ones_own_is_not_overwritten(home):
    """An operator of one customer cannot replace anybody above, nor the account that owns the home."""
    store(home, "boss", Role.SERVICE_PROVIDER, EVERYTHING)
    store(home, "neighbour", scope=Scope(PROVIDER, "Clinic"))
    operator = home.portal(Role.OPERATOR, Scope(PROVIDER, "Bakery"))
    for name in ("boss", "neighbour", "tester"):
        with pytest.raises(NotAllowed):
            operator.put_identity(Identity(name, Role.VIEWER, LYON))
    with home.services.inventory.read() as reader:
        assert reader.identity("boss").role is Role.SERVICE_PROVIDER
        assert reader.identity("neighbour").scope.customer == "Clinic"
        assert reader.identity("tester") is None


def test_stored_scopes_hold_the_names_of_the_inventory(home):
    """The provider of a customer is filled in, names are found but for case, unknown ones are refused."""
    portal = home.portal()
    portal.put_identity(Identity("ann", Role.VIEWER, Scope(customer="bakery", sites=frozenset({"lyon"}))))
    with home.services.inventory.read() as reader:
        assert reader.identity("ann").scope == LYON
    for unknown in (
        Scope("Nobody"),
        Scope("Nobody", "Bakery"),
        Scope(PROVIDER, "Nobody"),
        Scope(PROVIDER, "Bakery", frozenset({"Kiel"})),
    ):
        with pytest.raises(NotFound):
            portal.put_identity(Identity("bob", Role.VIEWER, unknown))


@pytest.mark.usefixtures("second_bakery")
def test_a_customer_of_two_providers_is_named_with_its_provider(home):
    """A name that two providers use is refused with the choices, which are accepted everywhere."""
    portal = home.portal()
    bob = Identity("bob", Role.VIEWER, Scope(customer="Bakery"))
    for act in (lambda: portal.put_identity(bob), lambda: portal.devices("Bakery")):
        with pytest.raises(UsageError, match=f"{OTHER}/Bakery, {PROVIDER}/Bakery"):
            act()
    assert len(portal.devices(f"{PROVIDER}/Bakery")) == 6
    assert len(portal.devices(f"{OTHER}/bakery")) == 0
    portal.add("00:15:65:00:00:01", "Lyon", "Cisco 8851", customer=f"{OTHER}/Bakery")
    portal.put_identity(Identity("bob", Role.VIEWER, Scope(customer=f"{OTHER}/Bakery")))
    with home.services.inventory.read() as reader:
        assert reader.identity("bob").scope == Scope(OTHER, "Bakery")


@pytest.mark.here
def test_an_old_scope_without_provider_reaches_one_customer_only(home, request):
    """A stored scope that names only a customer gets its provider, and nothing where that is not clear."""
    store(home, "tester", scope=Scope(customer="Bakery"))
    with connect(settings=home.settings, clock=home.clock) as portal:
        assert len(portal.devices()) == 6
        assert portal.identity.scope == Scope(PROVIDER, "Bakery")
        request.getfixturevalue("second_bakery")
        with pytest.raises(NotAllowed, match="several providers"):
            portal.devices()
    boss = home.portal()
    boss.put_identity(Identity("other", Role.VIEWER, Scope(PROVIDER, "Bakery")))


def test_an_exact_name_wins(home):
    """Of two customers whose names differ in case, the one that is written so is meant."""
    with home.services.inventory.write() as writer:
        writer.add_provider(OTHER)
        writer.add_customer(OTHER, "BAKERY")
    assert len(home.portal().devices("BAKERY")) == 0
    assert len(home.portal().devices("Bakery")) == 6
    with pytest.raises(UsageError, match=f"{OTHER}/BAKERY"):
        home.portal().devices("bakery")


def test_customers_of_one_provider_differ_by_more_than_case(home):
    """A name that another customer of the provider has but for case is a conflict."""
    with pytest.raises(Conflict):
        home.portal().add_customer(" BAKERY", PROVIDER)
    assert len(home.portal().customers()) == 2


def test_a_customer_is_no_place_to_arrange_its_provider(home):
    """Switch and customers belong to identities that have the whole service provider."""
    portal = home.portal(Role.SERVICE_PROVIDER, Scope(PROVIDER, "Bakery"))
    for act in (
        lambda: portal.switch_export(PROVIDER, allowed=False),
        lambda: portal.add_customer("New", PROVIDER),
        lambda: portal.add_provider("New"),
    ):
        with pytest.raises(NotAllowed):
            act()
    home.portal(Role.SERVICE_PROVIDER, Scope(PROVIDER)).switch_export(PROVIDER, allowed=False)


def test_an_export_elsewhere_cannot_be_released(home):
    """A ticket outside of the scope is answered as one that does not exist, and goes on running."""
    coordinator = home.services.coordinator
    coordinator.submit(ExportRequest("x", "x", ExportKey(PROVIDER, "Clinic")), ticket="t1")
    operator = home.portal(Role.OPERATOR, Scope(PROVIDER, "Bakery"))
    texts = set()
    for ticket in ("t1", "t2"):
        with pytest.raises(NotFound) as caught:
            operator.release_export(ticket, force=True)
        texts.add(str(caught.value).replace(ticket, "?"))
    with pytest.raises(NotFound) as caught:
        coordinator.release("t2")
    assert texts == {str(caught.value).replace("t2", "?")}
    one_site = home.portal(Role.OPERATOR, Scope(PROVIDER, "Clinic", frozenset({"Kiel"})))
    with pytest.raises(NotAllowed):
        one_site.release_export("t1", force=True)
    assert len(coordinator.overview().running) == 1
    home.portal(Role.OPERATOR, Scope(PROVIDER, "Clinic")).release_export("t1", force=True)
