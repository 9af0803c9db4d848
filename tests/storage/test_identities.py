"""Identities and audit entries: the same answers from both databases."""

from devlib.clock import FakeClock
from devlib.model import Identity, Role, Scope
from devlib.storage import Inventory

LYON = Scope("Telecom", "Bakery", frozenset({"Lyon"}))


def test_identities_are_kept(inventory: Inventory) -> None:
    """An identity comes back as it was put, without its session, and can be replaced and removed."""
    narrow = Identity("bob", Role.VIEWER, LYON)
    with inventory.write() as writer:
        writer.put_identity(Identity("bob", Role.OPERATOR, session="s"))
        writer.put_identity(narrow)
        writer.put_identity(Identity("Ada", Role.SERVICE_PROVIDER, Scope("Telecom")))
        writer.remove_identity("nobody")
    with inventory.read() as reader:
        assert reader.identity("bob") == narrow
        assert reader.identity("BOB") is None
        assert [each.principal for each in reader.identities()] == ["Ada", "bob"]


def test_audit_is_read_newest_first(inventory: Inventory, clock: FakeClock) -> None:
    """Entries are dated by the clock and read newest first, from a moment on if wanted."""
    begin = clock.now()
    for number in range(3):
        with inventory.write() as writer:
            writer.audit(principal="bob", role="viewer", session="s", act=f"act {number}", outcome="done")
        clock.advance(60)
    with inventory.read() as reader:
        assert [each.act for each in reader.audit_entries(limit=2)] == ["act 2", "act 1"]
        assert [each.at for each in reader.audit_entries()][-1] == begin
        assert len(reader.audit_entries(since=clock.now())) == 0
