"""Changes of one device or line."""

import pytest

from devlib.errors import Conflict, NotFound, UsageError
from devlib.fleet import add_device, assign_line, release_line, remove_device
from devlib.model import Catalogue, Device, LineType, Mac, Scope, User
from devlib.storage import Inventory, NewLine

MAC = Mac(0x001565000001)


def _add(inventory: Inventory, catalogue: Catalogue, scope: Scope, **changed: str) -> Device:
    form = {"mac": str(MAC), "site": "Lyon", "device_type": "Yealink T46S"} | changed
    return add_device(inventory, catalogue, scope, "Bakery", **form)


def test_device_is_added(inventory: Inventory, catalogue: Catalogue, scope: Scope) -> None:
    """The three fields of the form are enough; names of site and type are understood in any case."""
    device = _add(inventory, catalogue, scope, mac="00-15-65-00-00-01", site=" lyon ", device_type="t46s")
    assert (device.mac, device.site, device.device_type) == (MAC, "Lyon", "Yealink T46S")
    assert (device.customer, device.provider, device.lines) == ("Bakery", "Telecom", ())


def test_texts_are_kept_as_typed(inventory: Inventory, catalogue: Catalogue, scope: Scope) -> None:
    """What a person types into the form is no exported cell: an apostrophe in front of it stays."""
    assert _add(inventory, catalogue, scope, name="'=1+1").name == "'=1+1"


def test_every_fault_is_named(inventory: Inventory, catalogue: Catalogue, scope: Scope) -> None:
    """All broken rules stand in one error, in both languages."""
    with pytest.raises(UsageError) as caught:
        _add(inventory, catalogue, scope, mac="12", site="Paris", device_type="Toaster")
    text = caught.value.in_language("en")
    assert all(part in text for part in ("12", "Paris", "Toaster"))
    assert caught.value.in_language("fr")


@pytest.mark.parametrize("site", ["Lyon", "Chambéry"])
def test_mac_that_exists_is_a_conflict(
    inventory: Inventory, catalogue: Catalogue, scope: Scope, site: str
) -> None:
    """A MAC that is in the inventory cannot be added again, at the same site or another."""
    _add(inventory, catalogue, scope)
    with pytest.raises(Conflict, match="00:15:65:00:00:01"):
        _add(inventory, catalogue, scope, site=site)


def test_foreign_device_is_not_told_of(inventory: Inventory, catalogue: Catalogue, scope: Scope) -> None:
    """A MAC of another customer is a conflict that does not say whose."""
    with pytest.raises(Conflict) as caught:
        _add(inventory, catalogue, scope, mac="001565FFFFFF")
    assert "Kiel" not in str(caught.value)
    with pytest.raises(NotFound):
        remove_device(inventory, scope, Mac(0x001565FFFFFF))


def test_station_ids_are_for_dect(inventory: Inventory, catalogue: Catalogue, scope: Scope) -> None:
    """Only a DECT base has a multicell station ID."""
    with pytest.raises(UsageError, match="DECT"):
        _add(inventory, catalogue, scope, base_station_id="3")
    base = _add(inventory, catalogue, scope, device_type="Yealink W60B", base_station_id="3", chain_id="9")
    assert (base.base_station_id, base.chain_id) == ("3", "9")
    with pytest.raises(UsageError):
        _add(inventory, catalogue, scope, device_type="Yealink W60B", mac="001565000002", chain_id="a\nb")


def test_line_is_assigned_and_released(inventory: Inventory, catalogue: Catalogue, scope: Scope) -> None:
    """A line goes to a user and comes back; its key is not used again."""
    _add(inventory, catalogue, scope)
    user = User("anna", "Anna", "Lund", "+33412345678", "2001")
    line = assign_line(
        inventory, catalogue, scope, MAC, NewLine("2001@Example.ORG", user, LineType.SHARED, 3)
    )
    assert (line.port, line.line_port, line.line_type) == (3, "2001@example.org", LineType.SHARED)
    assert release_line(inventory, scope, MAC, 3) == line
    again = assign_line(inventory, catalogue, scope, MAC, NewLine("2001@example.org", user))
    assert (again.port, again.key > line.key) == (1, True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (NewLine("nobody", User("anna")), "nobody"),
        (NewLine("a@example.org", User("")), "user ID"),
        (NewLine("a@example.org", User("anna", phone_number="0412345678")), "0412345678"),
        (NewLine("a@example.org", User("anna", extension="x")), "extension"),
        (NewLine("a@example.org", User("anna"), port=17), "17"),
        (NewLine("a@example.org", User("anna", first_name="A\x00")), "printed"),
    ],
)
def test_wrong_assignments_are_refused(
    inventory: Inventory, catalogue: Catalogue, scope: Scope, line: NewLine, said: str
) -> None:
    """An assignment that breaks a rule is refused with what is wrong, and assigns nothing."""
    _add(inventory, catalogue, scope)
    with pytest.raises(UsageError, match=said):
        assign_line(inventory, catalogue, scope, MAC, line)
    assert remove_device(inventory, scope, MAC).lines == ()


def test_removed_device_takes_its_lines_along(
    inventory: Inventory, catalogue: Catalogue, scope: Scope
) -> None:
    """Removing a device returns it with its lines, and frees its MAC and its line ports."""
    _add(inventory, catalogue, scope)
    assign_line(inventory, catalogue, scope, MAC, NewLine("2001@example.org", User("anna")))
    removed = remove_device(inventory, scope, MAC)
    assert [line.line_port for line in removed.lines] == ["2001@example.org"]
    _add(inventory, catalogue, scope)
    assign_line(inventory, catalogue, scope, MAC, NewLine("2001@example.org", User("anna")))
