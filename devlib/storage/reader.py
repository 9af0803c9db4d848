"""Questions to the inventory about the fleet."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, select

from devlib.errors import NotFound, UsageError
from devlib.language import message, visible
from devlib.model import Catalogue, Customer, Device, Line, LineType, Mac, Provider, Scope, Site, User
from devlib.storage.audit_ledger import AuditReader
from devlib.storage.connected import in_batches
from devlib.storage.filters import (
    PLACES,
    ByCodePoint,
    DeviceFilter,
    MacText,
    Page,
    assigned_lines,
    chosen,
    in_scope,
    in_scope_customer,
    ordering,
    total_lines,
)
from devlib.storage.ledger import LedgerReader
from devlib.storage.records import DeviceRow, LineRow, Place
from devlib.storage.restart_ledger import RestartReader
from devlib.storage.schema import approved_types, customers, devices, lines, providers, sites
from devlib.storage.token_ledger import TokenReader
from devlib.validation import site_key

_BATCH = 5_000
_ANYWHERE = DeviceFilter()
_WHOLE = Page()
_DEVICES = devices.join(PLACES, devices.c.site_id == sites.c.id)
_LINES = lines.join(_DEVICES, lines.c.device_id == devices.c.id)
_PLACE_NAMES = (sites.c.name, customers.c.name, providers.c.name)
_NOTES = (devices.c.name, devices.c.description, devices.c.base_station_id, devices.c.chain_id)
_USER = (lines.c.user_id, lines.c.first_name, lines.c.last_name, lines.c.phone_number, lines.c.extension)

_DEVICE = (devices.c.id, devices.c.device_type, *_PLACE_NAMES, *_NOTES)
_HELD = (lines.c.id, lines.c.port, lines.c.line_port, lines.c.line_type, *_USER)


@lru_cache(maxsize=1024)
def _device_in(scope: Scope) -> Select[Any]:
    """Return the statement of the question that programs ask most: making it costs more than its answer."""
    return (
        select(*_DEVICE, *_HELD)
        .select_from(_DEVICES.outerjoin(lines, lines.c.device_id == devices.c.id))
        .where(devices.c.mac == bindparam("mac", required=False), in_scope(scope))
        .order_by(lines.c.port)
    )


class Reader(LedgerReader, AuditReader, TokenReader, RestartReader):
    """Answers questions, each from the committed state of that moment and within a scope."""

    def providers(self, scope: Scope) -> list[Provider]:
        """Return the service providers of the scope, by name."""
        found = select(providers).order_by(ByCodePoint(providers.c.name))
        if scope.provider is not None:
            found = found.where(providers.c.name == scope.provider)
        if scope.customer is not None:
            theirs = select(customers.c.provider_id).where(customers.c.name == scope.customer)
            found = found.where(providers.c.id.in_(theirs))
        return [Provider(row.id, row.name, row.line_state_export) for row in self.connection.execute(found)]

    def customers(self, scope: Scope) -> list[Customer]:
        """Return the customers of the scope, by provider and name."""
        found = (
            select(customers.c.id, customers.c.name, providers.c.name)
            .select_from(customers.join(providers))
            .where(in_scope_customer(scope))
            .order_by(ByCodePoint(providers.c.name), ByCodePoint(customers.c.name))
        )
        return [Customer(*row) for row in self.connection.execute(found)]

    def customer(self, scope: Scope, name: str) -> Customer:
        """Return one customer of the scope.

        Raises:
            NotFound: the scope has no such customer.
            UsageError: two service providers have one of that name, and the scope is not one provider's.
        """
        found = (
            select(customers.c.id, customers.c.name, providers.c.name)
            .select_from(customers.join(providers))
            .where(in_scope_customer(scope), customers.c.name == name)
        )
        rows = self.connection.execute(found).all()
        if not rows:
            raise NotFound(message("There is no customer {name}.", name=visible(name)))
        if len(rows) > 1:
            raise UsageError(
                message("Several service providers have a customer {name}.", name=visible(name)),
                remedy=message("Name the service provider too."),
            )
        return Customer(*rows[0])

    def sites(self, scope: Scope, customer: str | None = None) -> list[Site]:
        """Return the sites of the scope with their approved types, by provider, customer and name.

        Args:
            scope: what the asker may see.
            customer: name of the one customer whose sites are wanted; `None` for all.
        """
        condition = in_scope(scope)
        if customer is not None:
            condition = condition & (customers.c.name == customer)
        order = [ByCodePoint(each.c.name) for each in (providers, customers, sites)]
        found = select(sites.c.id, *_PLACE_NAMES).select_from(PLACES).where(condition).order_by(*order)
        places = self.connection.execute(found).all()
        approved = (
            select(approved_types)
            .select_from(approved_types.join(PLACES, approved_types.c.site_id == sites.c.id))
            .where(condition)
            .order_by(ByCodePoint(approved_types.c.device_type))
        )
        types: dict[int, list[str]] = defaultdict(list)
        for site_id, device_type in self.connection.execute(approved):
            types[site_id].append(device_type)
        return [Site(*row, tuple(types[row.id])) for row in places]

    def site(self, scope: Scope, customer: str, name: str) -> Site:
        """Return one site of a customer; case and white space of its name do not count.

        Raises:
            NotFound: the scope has no such site; says the same when it is elsewhere.
        """
        found = [each for each in self.sites(scope, customer) if site_key(each.name) == site_key(name)]
        if len(found) != 1:
            raise NotFound(
                message(
                    "There is no site {site} at the customer {customer}.",
                    site=visible(name),
                    customer=customer,
                ),
                remedy=message("Choose one of the sites in sites.csv of the import templates."),
            )
        return found[0]

    def device(self, scope: Scope, mac: Mac) -> Device:
        """Return one device with its lines.

        Raises:
            NotFound: the scope has no such device; says the same when it is elsewhere.
        """
        rows = self._kept_question(_device_in(scope), {"mac": mac.value})
        if not rows:
            raise no_device(mac)
        key, kind, site, customer, provider, name, description, station, chain = rows[0][: len(_DEVICE)]
        held = tuple(_line(mac, *row[len(_DEVICE) :]) for row in rows if row[len(_DEVICE)] is not None)
        place = (kind, site, customer, provider)
        return Device(key, mac, *place, name, description, station, chain, lines=held)

    def devices(
        self, scope: Scope, catalogue: Catalogue, where: DeviceFilter = _ANYWHERE, page: Page = _WHOLE
    ) -> Iterator[DeviceRow]:
        """Yield the devices that pass the filter, with their line counts; filtered and paged in the database.

        Args:
            scope: what the asker may see.
            catalogue: knows how many lines each type has.
            where: the filter.
            page: order, limit and offset.
        """
        counts = (total_lines(catalogue), assigned_lines())
        columns = (devices.c.mac, devices.c.device_type, *_PLACE_NAMES, *_NOTES, *counts)
        found = _of(scope, where, catalogue, *columns).order_by(*ordering(page, catalogue))
        found = found.limit(page.limit).offset(page.offset or None)
        for rows in self._stream(_named(found), _BATCH):
            for mac, *texts, total, assigned in rows:
                yield DeviceRow._make((Mac(mac), *texts, total, assigned, max(total - assigned, 0)))

    def count(self, scope: Scope, catalogue: Catalogue, where: DeviceFilter = _ANYWHERE) -> int:
        """Return how many devices pass the filter."""
        return int(self.connection.execute(_of(scope, where, catalogue, func.count())).scalar_one())

    def locate(self, macs: Iterable[int]) -> dict[int, Place]:
        """Return where each of these MAC numbers is in the whole inventory; unknown ones are left out."""
        places: dict[int, Place] = {}
        columns = (devices.c.mac, sites.c.id, *_PLACE_NAMES, devices.c.device_type)
        for batch in in_batches(macs, _BATCH):
            found = select(*columns).select_from(_DEVICES).where(devices.c.mac.in_(batch))
            places.update((row[0], Place(*row[1:])) for row in self.connection.execute(found))
        return places

    def line_batches(self, scope: Scope, size: int = _BATCH) -> Iterator[list[LineRow]]:
        """Yield every assigned line of the scope, sorted by provider, customer, site, MAC and port.

        Args:
            scope: which lines.
            size: most lines in one batch.
        """
        found = (
            select(
                lines.c.id, providers.c.name, customers.c.name, sites.c.name, MacText(devices.c.mac),
                devices.c.name, devices.c.device_type, lines.c.port, lines.c.line_port, lines.c.line_type,
                *_USER, devices.c.base_station_id, devices.c.chain_id,
            )
            .select_from(_LINES)
            .where(in_scope(scope))
            .order_by(*(ByCodePoint(each.c.name) for each in (providers, customers, sites)))
            .order_by(devices.c.mac, lines.c.port)
        )  # fmt: skip
        for rows in self._stream(_named(found), size):
            yield [LineRow._make(row) for row in rows]


def no_device(mac: Mac) -> NotFound:
    """Return the error for a device that the scope does not have."""
    return NotFound(
        message("There is no device {mac}.", mac=mac),
        remedy=message("Search the device list for a part of the address."),
    )


def _of(scope: Scope, where: DeviceFilter, catalogue: Catalogue, *columns: Any) -> Select[Any]:  # noqa: ANN401
    return select(*columns).select_from(_DEVICES).where(in_scope(scope), chosen(where, catalogue))


def _named(found: Select[Any]) -> Select[Any]:
    # A temporary table needs a name for each column.
    return found.with_only_columns(
        *(c.label(f"c{i}") for i, c in enumerate(found.selected_columns)), maintain_column_froms=True
    )


def line_of(row: Row[Any], mac: Mac) -> Line:
    """Return the line that a row of the table says."""
    user = (row.user_id, row.first_name, row.last_name, row.phone_number, row.extension)
    return _line(mac, row.id, row.port, row.line_port, row.line_type, *user)


def _line(mac: Mac, key: int, port: int, line_port: str, line_type: str, *user: str) -> Line:
    return Line(key, mac, port, line_port, LineType(line_type), User(*user))
