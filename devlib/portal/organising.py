"""The acts that arrange the house: providers, customers, sites, approved types, identities, audit."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from devlib.errors import NotFound, UsageError
from devlib.language import message
from devlib.model import Customer, Identity, Provider, Scope, Site
from devlib.portal.acts import Act, may_stand_for
from devlib.portal.desk import Desk, outside
from devlib.portal.signing_in import known_identity
from devlib.storage import AuditCheck, AuditEntry, Reader


class Organising(Desk):
    """Arrangements above the fleet itself."""

    def add_provider(self, name: str) -> Provider:
        """Add a service provider; only an identity that may see all providers can."""
        with self._gate.act(Act.ORGANISE, f"provider {name}"):
            if self.identity.scope != Scope():
                raise outside()
            with self._services.inventory.write() as writer:
                return writer.add_provider(name)

    def switch_export(self, provider: str, *, allowed: bool) -> None:
        """Enable or disable the line-state report of a service provider (article: Party Manager)."""
        with self._gate.act(Act.SWITCH_EXPORT, f"{provider} {'on' if allowed else 'off'}"):
            if not Scope(provider).lies_within(self.identity.scope):
                raise outside()
            with self._services.inventory.write() as writer:
                writer.set_line_state_export(provider, enabled=allowed)

    def add_customer(self, name: str, provider: str) -> Customer:
        """Add a customer of a service provider."""
        with self._gate.act(Act.ORGANISE, f"customer {name}"):
            if not Scope(provider).lies_within(self.identity.scope):
                raise outside()
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
                raise outside()
            types = self._type_names(approve)
            with self._services.inventory.write() as writer:
                return writer.add_site(place.scope, place.customer.name, name, types)

    def approve_types(self, site: str, approve: Iterable[str], customer: str | None = None) -> None:
        """Approve more device types for a site."""
        with self._gate.act(Act.ORGANISE, f"approve {site}"):
            place = self._place(customer, site)
            wanted = tuple(approve)
            if not wanted:
                raise UsageError(
                    message("No device type is named."),
                    remedy=message("Name the types to approve; see them with `devlib types`."),
                )
            types = self._type_names(wanted)
            with self._services.inventory.write() as writer:
                writer.approve_types(place.scope, place.customer.name, site, types)

    def put_identity(self, identity: Identity) -> None:
        """Store an identity; its role and scope must lie within one's own.

        Args:
            identity: the names of its scope are taken as people write them; a customer's service provider
                may be left out where only one has such a customer.

        Raises:
            NotAllowed: it reaches beyond one's own, or the identity of that name that it would replace does.
            NotFound: there is no such service provider, customer or site.
            UsageError: several service providers have a customer of that name.
        """
        with self._gate.act(Act.ORGANISE, f"identity {identity.principal}"):
            own = self.identity
            given = identity.scope
            if given.provider is None and given.customer is not None:
                given = replace(given, provider=own.scope.provider)
            if not may_stand_for(own, replace(identity, scope=given)):
                raise outside()
            with self._services.inventory.write() as writer:
                stored = known_identity(writer, self._services.settings, identity.principal)
                wanted = replace(identity, scope=self._resolved(writer, given))
                if not may_stand_for(own, wanted) or (stored is not None and not may_stand_for(own, stored)):
                    raise outside()
                writer.put_identity(wanted)

    def _resolved(self, reader: Reader, given: Scope) -> Scope:
        """Return the scope with the names as the inventory has them, and a customer with its provider."""
        if given == Scope():
            return given
        own = self.identity.scope
        seen = reader.customers(own if given.provider is None else replace(own, provider=given.provider))
        if given.customer is None:
            if not any(each.name == given.provider for each in reader.providers(own)):
                raise NotFound(
                    message("There is no service provider {name}.", name=(given.provider or "")[:80])
                )
            return given
        customer = self._customer(seen, given.customer)
        scope = Scope(customer.provider, customer.name)
        if given.sites is None:
            return scope
        names = frozenset(reader.site(scope, customer.name, each).name for each in given.sites)
        return replace(scope, sites=names)

    def audit(self, limit: int = 100) -> Sequence[AuditEntry]:
        """Return the newest audit entries, newest first."""
        with self._gate.act(Act.SEE_AUDIT, f"last {limit}"):
            # An entry does not say whose customer it was about, so only who sees everything may read them.
            if self.identity.scope != Scope():
                raise outside()
            with self._services.inventory.read() as reader:
                return reader.audit_entries(limit=limit)

    def verify_audit(self, digest: str = "") -> AuditCheck:
        """Compute the chain of the audit anew, and tell whether every entry is as it was written.

        Args:
            digest: the end of the chain as it was noted earlier; tells too whether that is still in it.

        Returns:
            How many entries there are, the end of the chain, and the first entry that does not fit.
        """
        with self._gate.act(Act.SEE_AUDIT, "verify") as doing:
            if self.identity.scope != Scope():
                raise outside()
            with self._services.inventory.read() as reader:
                check = reader.check_audit(digest.strip().lower())
            doing.detail = f"{check.entries} entries, {'whole' if check.whole else 'broken'}"
            return check

    def _type_names(self, wanted: Iterable[str]) -> tuple[str, ...]:
        names = [self._services.catalogue.get(name).name for name in wanted]
        return tuple(names) or tuple(kind.name for kind in self._services.catalogue.types)
