"""Changes to the fleet, each inside the transaction of a block of `write()`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from devlib.errors import Conflict, NotFound, UsageError
from devlib.language import Message, message, visible
from devlib.model import Customer, Device, Mac, NewDevice, Provider, Scope, Site
from devlib.storage.audit_ledger import AuditWriter
from devlib.storage.connected import in_batches
from devlib.storage.filters import PLACES, in_scope
from devlib.storage.lease_ledger import LeaseWriter
from devlib.storage.ledger import LedgerWriter
from devlib.storage.line_keeper import LineKeeper
from devlib.storage.reader import Reader
from devlib.storage.restart_ledger import RestartWriter
from devlib.storage.schema import approved_types, customers, devices, lines, providers, sites
from devlib.storage.token_ledger import TokenWriter
from devlib.validation import site_key

_BATCH = 5_000
# Any number besides that of the migrations.
_TURNS = 0x696D706F7274


class Writer(LineKeeper, LedgerWriter, AuditWriter, TokenWriter, RestartWriter, LeaseWriter, Reader):
    """Changes the inventory, and answers questions from inside the same transaction."""

    def add_provider(self, name: str, *, line_state_export: bool = False) -> Provider:
        """Add a service provider.

        Raises:
            Conflict: there is one of that name.
        """
        name = _name(name)
        exists = message("There is a service provider {name} already.", name=visible(name))
        if site_key(name) in {site_key(each) for each in self.connection.scalars(select(providers.c.name))}:
            raise Conflict(exists)
        key = self._add(providers, {"name": name, "line_state_export": line_state_export}, exists)
        return Provider(key, name, line_state_export)

    def set_line_state_export(self, provider: str, *, enabled: bool) -> None:
        """Switch the line-state report of a service provider on or off (article, Party Manager).

        Raises:
            NotFound: there is no such service provider.
        """
        change = update(providers).where(providers.c.name == provider).values(line_state_export=enabled)
        if self.connection.execute(change).rowcount == 0:
            raise _no_provider(provider)

    def add_customer(self, provider: str, name: str) -> Customer:
        """Add a customer to a service provider.

        Raises:
            NotFound: there is no such service provider.
            Conflict: it has a customer of that name; case and white space do not tell names apart.
        """
        # The provider is held, so that on PostgreSQL nobody adds a customer of this name meanwhile.
        found = select(providers.c.id).where(providers.c.name == provider).with_for_update()
        key = self.connection.scalar(found)
        if key is None:
            raise _no_provider(provider)
        name = _name(name)
        exists = message("There is a customer {name} already.", name=visible(name))
        theirs = self.connection.scalars(select(customers.c.name).where(customers.c.provider_id == key))
        if site_key(name) in {site_key(each) for each in theirs}:
            raise _taken(exists)
        return Customer(self._add(customers, {"provider_id": key, "name": name}, exists), name, provider)

    def add_site(self, scope: Scope, customer: str, name: str, device_types: Iterable[str] = ()) -> Site:
        """Add a site to a customer.

        Args:
            scope: what the asker may change.
            customer: name of the customer.
            name: of the site; differs from the customer's others by more than case and white space.
            device_types: names of the types approved for it.

        Raises:
            NotFound: the scope has no such customer.
            Conflict: the customer has a site of that name.
        """
        owner = self.customer(scope, customer)
        name = _name(name)
        exists = message("There is a site {name} already.", name=visible(name))
        values = {"customer_id": owner.id, "name": name, "folded_name": site_key(name)}
        key = self._add(sites, values, exists)
        types = tuple(sorted(set(device_types)))
        self._approve(key, types)
        return Site(key, name, owner.name, owner.provider, types)

    def approve_types(self, scope: Scope, customer: str, site: str, device_types: Iterable[str]) -> None:
        """Let these device types be added at a site too.

        Raises:
            NotFound: the scope has no such site.
        """
        found = self.site(scope, customer, site)
        self._approve(found.id, tuple(sorted(set(device_types) - set(found.approved_types))))

    def withdraw_types(self, scope: Scope, customer: str, site: str, device_types: Iterable[str]) -> None:
        """Let these device types no longer be added at a site; devices that are there stay.

        Raises:
            NotFound: the scope has no such site.
        """
        key = self.site(scope, customer, site).id
        theirs = approved_types.c.device_type.in_(list(device_types))
        self.connection.execute(delete(approved_types).where(approved_types.c.site_id == key, theirs))

    def add_device(self, scope: Scope, customer: str, device: NewDevice) -> Device:
        """Add one device; whether its type is approved is for the caller to check.

        Raises:
            NotFound: the scope has no such site.
            Conflict: its MAC is in the inventory; says where only if the scope has it.
        """
        self.add_devices(scope, customer, [device])
        return self.device(scope, device.mac)

    def add_devices(self, scope: Scope, customer: str, new: Iterable[NewDevice]) -> int:
        """Add many devices of one customer; whether their types are approved is for the caller to check.

        Args:
            scope: what the asker may change.
            customer: name of the customer.
            new: the devices; taken in batches, so they may be more than memory holds.

        Returns:
            How many were added.

        Raises:
            NotFound: the scope has no such customer or site.
            Conflict: a MAC is in the inventory, or twice among these; says which.
        """
        condition = in_scope(scope) & (sites.c.customer_id == self.customer(scope, customer).id)
        found = select(sites.c.folded_name, sites.c.id).select_from(PLACES).where(condition)
        keys = {row.folded_name: row.id for row in self.connection.execute(found)}
        added = 0
        for batch in in_batches(new, _BATCH):
            now = self._clock.now()
            rows = [_device_values(each, keys, customer, now) for each in batch]
            try:
                with self.connection.begin_nested():
                    self.connection.execute(insert(devices), rows)
            except IntegrityError:
                raise self._present([each.mac for each in batch], scope) from None
            added += len(rows)
        return added

    def take_turns(self) -> None:
        """Wait until no other block that called this is running; the next ones wait until this one ends.

        Two blocks that insert many of the same rows in different orders would deadlock on PostgreSQL; SQLite
        runs one block at a time anyway.
        """
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(select(func.pg_advisory_xact_lock(_TURNS)))

    def remove_device(self, scope: Scope, mac: Mac) -> Device:
        """Remove a device with its lines, and return what it was.

        Raises:
            NotFound: the scope has no such device.
        """
        self._hold(scope, mac)
        device = self.device(scope, mac)
        self.connection.execute(delete(lines).where(lines.c.device_id == device.id))
        self.connection.execute(delete(devices).where(devices.c.id == device.id))
        return device

    def _add(self, table: Table, values: Mapping[str, Any], exists: Message) -> int:
        try:
            with self.connection.begin_nested():
                return int(
                    self.connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one()
                )
        except IntegrityError:
            raise _taken(exists) from None

    def _approve(self, site_id: int, device_types: tuple[str, ...]) -> None:
        if device_types:
            rows = [{"site_id": site_id, "device_type": each} for each in device_types]
            self.connection.execute(insert(approved_types), rows)

    def _present(self, macs: list[Mac], scope: Scope) -> Conflict:
        places = self.locate(mac.value for mac in macs)
        for mac in macs:
            if (place := places.get(mac.value)) is not None:
                seen = scope.covers_site(place.provider, place.customer, place.site)
                where = (
                    message("The device {mac} is at the site {site} already.", mac=mac, site=place.site)
                    if seen
                    else message("The device {mac} is in the inventory already, outside your sites.", mac=mac)
                )
                return Conflict(
                    where, remedy=message("Remove it there first, or check the address on its label.")
                )
        twice = next((mac for mac in macs if macs.count(mac) > 1), macs[0])
        return Conflict(message("The device {mac} is given twice.", mac=twice))


def _device_values(
    device: NewDevice, keys: Mapping[str, int], customer: str, now: datetime
) -> dict[str, object]:
    if (site_id := keys.get(site_key(device.site))) is None:
        raise NotFound(
            message(
                "There is no site {site} at the customer {customer}.",
                site=visible(device.site),
                customer=customer,
            ),
            remedy=message("Choose one of the sites in sites.csv of the import templates."),
        )
    return {
        "site_id": site_id,
        "mac": device.mac.value,
        "device_type": device.device_type,
        "name": device.name,
        "description": device.description,
        "base_station_id": device.base_station_id,
        "chain_id": device.chain_id,
        "created_at": now,
    }


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not name or not name.isprintable():
        raise UsageError(message("“{text}” cannot be a name.", text=visible(text)))
    return name


def _taken(exists: Message) -> Conflict:
    return Conflict(exists, remedy=message("Use that one, or choose another name."))


def _no_provider(name: str) -> NotFound:
    return NotFound(message("There is no service provider {name}.", name=visible(name)))
