"""What every part of the portal shares: the identity, the services, the gate, and finding things in scope."""

from dataclasses import dataclass

from devlib.errors import NotFound, UsageError
from devlib.language import message
from devlib.model import Customer, Device, Identity, Mac, Scope, Site
from devlib.portal.acts import Gate
from devlib.portal.services import Services


@dataclass(frozen=True, slots=True)
class Place:
    """A customer, and maybe one of its sites, that the identity may see."""

    customer: Customer
    site: str | None
    scope: Scope

    @property
    def text(self) -> str:
        """For the audit and for people."""
        return f"{self.customer.name} / {self.site or '*'}"


class Desk:
    """Base of the portal's parts.

    Args:
        identity: who acts.
        services: with what.
    """

    def __init__(self, identity: Identity, services: Services) -> None:
        self.identity = identity
        self._services = services
        self._gate = Gate(services.inventory, identity)

    def _place(self, customer: str | None, site: str | None = None) -> Place:
        """Return the customer and site that the names mean in the identity's scope.

        Raises:
            NotFound: the scope has no such customer or site; says the same where it exists elsewhere.
            UsageError: no customer was named and the scope has several.
        """
        with self._services.inventory.read() as reader:
            seen = reader.customers(self.identity.scope)
            if customer is None and site is not None:
                seen = self._with_site(reader.sites(self.identity.scope), site, seen)
            found = self._customer(seen, customer)
            provider_scope = Scope(found.provider, self.identity.scope.customer, self.identity.scope.sites)
            scope = provider_scope.narrowed(found.name)
            if site is None:
                return Place(found, None, scope)
            name = reader.site(scope, found.name, site).name
        return Place(found, name, scope.narrowed(site=name))

    @staticmethod
    def _with_site(sites: list[Site], name: str, seen: list[Customer]) -> list[Customer]:
        """Return the customers that have a site of that name; all of them where none has."""
        wanted = name.strip().casefold()
        theirs = {(each.provider, each.customer) for each in sites if each.name.casefold() == wanted}
        return [each for each in seen if (each.provider, each.name) in theirs] or seen

    @staticmethod
    def _customer(seen: list[Customer], name: str | None) -> Customer:
        wanted = None if name is None else name.strip().casefold()
        fitting = [each for each in seen if wanted in (None, each.name.casefold())]
        if len(fitting) == 1:
            return fitting[0]
        known = ", ".join(sorted({each.name for each in seen})[:20])
        if not fitting:
            raise NotFound(
                message("There is no customer {name} here.", name=(name or "")[:80])
                if name
                else message("There is no customer yet."),
                remedy=message("Customers that you may see: {known}", known=known or "–"),
            )
        raise UsageError(
            message("Several customers are meant; name one of them."),
            remedy=message("Customers that you may see: {known}", known=known),
        )

    def _device(self, mac: str | Mac) -> Device:
        """Return a device of the scope, with its lines.

        Raises:
            MacInvalid: the text is no MAC address.
            NotFound: the scope has no such device.
        """
        address = mac if isinstance(mac, Mac) else Mac.parse(mac)
        with self._services.inventory.read() as reader:
            return reader.device(self.identity.scope, address)
