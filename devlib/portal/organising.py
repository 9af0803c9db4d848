"""The acts that arrange the house: providers, customers, sites, approved types, identities, audit."""

from collections.abc import Iterable, Sequence

from devlib.errors import NotAllowed
from devlib.language import message
from devlib.model import Customer, Identity, Provider, Scope, Site
from devlib.portal.acts import ROLE_ACTS, Act
from devlib.portal.desk import Desk
from devlib.storage import AuditEntry


class Organising(Desk):
    """Arrangements above the fleet itself."""

    def add_provider(self, name: str) -> Provider:
        """Add a service provider; only an identity that may see all providers can."""
        with self._gate.act(Act.ORGANISE, f"provider {name}"):
            if self.identity.scope != Scope():
                raise _outside()
            with self._services.inventory.write() as writer:
                return writer.add_provider(name)

    def switch_export(self, provider: str, *, allowed: bool) -> None:
        """Enable or disable the line-state report of a service provider (article: Party Manager)."""
        with self._gate.act(Act.SWITCH_EXPORT, f"{provider} {'on' if allowed else 'off'}"):
            if self.identity.scope.provider not in (None, provider):
                raise _outside()
            with self._services.inventory.write() as writer:
                writer.set_line_state_export(provider, enabled=allowed)

    def add_customer(self, name: str, provider: str) -> Customer:
        """Add a customer of a service provider."""
        with self._gate.act(Act.ORGANISE, f"customer {name}"):
            scope = self.identity.scope
            if scope.provider not in (None, provider) or scope.customer is not None:
                raise _outside()
            with self._services.inventory.write() as writer:
                return writer.add_customer(provider, name)

    def add_site(self, name: str, customer: str | None = None, approve: Iterable[str] = ()) -> Site:
        """Add a site of a customer, with the device types approved for it.

        Args:
            name: of the site.
            customer: whose; needed where the scope has several customers.
            approve: types, by any name that people use for them; none approves all of the catalogue.
        """
        with self._gate.act(Act.ORGANISE, f"site {name}"):
            place = self._place(customer)
            if self.identity.scope.sites is not None:
                raise _outside()
            types = self._type_names(approve)
            with self._services.inventory.write() as writer:
                return writer.add_site(place.scope, place.customer.name, name, types)

    def approve_types(self, site: str, approve: Iterable[str], customer: str | None = None) -> None:
        """Approve more device types for a site."""
        with self._gate.act(Act.ORGANISE, f"approve {site}"):
            place = self._place(customer, site)
            types = self._type_names(approve)
            with self._services.inventory.write() as writer:
                writer.approve_types(place.scope, place.customer.name, site, types)

    def put_identity(self, identity: Identity) -> None:
        """Store an identity; its role and scope must lie within one's own."""
        with self._gate.act(Act.ORGANISE, f"identity {identity.principal}"):
            stronger = not ROLE_ACTS[identity.role] <= ROLE_ACTS[self.identity.role]
            if stronger or not _within(identity.scope, self.identity.scope):
                raise _outside()
            with self._services.inventory.write() as writer:
                writer.put_identity(identity)

    def audit(self, limit: int = 100) -> Sequence[AuditEntry]:
        """Return the newest audit entries, newest first."""
        with self._gate.act(Act.SEE_AUDIT, f"last {limit}"):
            # An entry does not say whose customer it was about, so only who sees everything may read them.
            if self.identity.scope != Scope():
                raise _outside()
            with self._services.inventory.read() as reader:
                return reader.audit_entries(limit=limit)

    def _type_names(self, wanted: Iterable[str]) -> tuple[str, ...]:
        names = [self._services.catalogue.get(name).name for name in wanted]
        return tuple(names) or tuple(kind.name for kind in self._services.catalogue.types)


def _within(inner: Scope, outer: Scope) -> bool:
    return (
        outer.provider in (None, inner.provider)
        and outer.customer in (None, inner.customer)
        and (outer.sites is None or (inner.sites is not None and inner.sites <= outer.sites))
    )


def _outside() -> NotAllowed:
    return NotAllowed(
        message("This reaches beyond your scope."),
        remedy=message("Ask someone whose scope covers it."),
    )
