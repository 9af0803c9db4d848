"""Which part of the fleet is meant, as SQL: scopes, filters and orders of the device list."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Text,
    and_,
    case,
    false,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from devlib.model import Catalogue, Scope
from devlib.storage.schema import customers, devices, lines, providers, sites
from devlib.validation import site_key

PLACES: FromClause = sites.join(customers, sites.c.customer_id == customers.c.id).join(
    providers, customers.c.provider_id == providers.c.id
)
"""Each site with its customer and its service provider."""

_MAC_PART = re.compile(r"[0-9A-F]{1,12}")
_SEPARATORS = str.maketrans("", "", ":-. ")


class DeviceOrder(StrEnum):
    """How the device list may be sorted; by MAC within equal values."""

    MAC = "mac"
    DEVICE_TYPE = "device_type"
    AVAILABLE_LINES = "available_lines"
    SITE = "site"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """A filter of the device list; what is left out does not cut.

    Args:
        search: part of a MAC (any separators), of a device type or of a device name, in either case.
        device_type: name of the one type, as people write it.
        site: name of the one site, in either case.
        customer: name of the one customer.
        min_available: fewest available lines.
    """

    search: str = ""
    device_type: str | None = None
    site: str | None = None
    customer: str | None = None
    min_available: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a long list.

    Args:
        order: what to sort by.
        descending: whether the largest come first.
        limit: most rows; `None` for all.
        offset: rows to leave out first.
    """

    order: DeviceOrder = DeviceOrder.SITE
    descending: bool = False
    limit: int | None = None
    offset: int = 0


class MacDigits(FunctionElement[str]):
    """Twelve upper-case hexadecimal digits of a MAC number."""

    type = Text()
    inherit_cache = True


class MacText(FunctionElement[str]):
    """A MAC number as upper-case text with colons."""

    type = Text()
    inherit_cache = True


class ByCodePoint(FunctionElement[str]):
    """Text that sorts by code points on every database, whatever its locale."""

    type = Text()
    inherit_cache = True


@compiles(MacDigits)
def _digits(element: MacDigits, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    return f"printf('%012X', {compiler.process(element.clauses, **options)})"


@compiles(MacDigits, "postgresql")
def _digits_postgresql(element: MacDigits, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f"lpad(upper(to_hex({compiler.process(element.clauses, **options)})), 12, '0')"


@compiles(MacText)
def _text(element: MacText, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    mac = compiler.process(element.clauses, **options)
    pattern = ":".join(["%02X"] * 6)
    octets = ", ".join(f"({mac} >> {shift}) & 255" for shift in range(40, -1, -8))
    return f"printf('{pattern}', {octets})"


@compiles(MacText, "postgresql")
def _text_postgresql(element: MacText, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    mac = compiler.process(element.clauses, **options)
    return f"upper(encode(substring(int8send({mac}) from 3), 'hex')::macaddr::text)"


@compiles(ByCodePoint)
def _sorted(element: ByCodePoint, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return str(compiler.process(element.clauses, **options))


@compiles(ByCodePoint, "postgresql")
def _sorted_postgresql(element: ByCodePoint, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f'{compiler.process(element.clauses, **options)} COLLATE "C"'


def in_scope(scope: Scope) -> ColumnElement[bool]:
    """Return the condition, over `PLACES`, that a site lies in the scope."""
    conditions = [in_scope_customer(scope)]
    if scope.sites is not None:
        conditions.append(sites.c.name.in_(sorted(scope.sites)))
    return and_(*conditions)


def in_scope_customer(scope: Scope) -> ColumnElement[bool]:
    """Return the condition, over customers and providers, that at least a part lies in the scope."""
    conditions: list[ColumnElement[bool]] = [true()]
    if scope.provider is not None:
        conditions.append(providers.c.name == scope.provider)
    if scope.customer is not None:
        conditions.append(customers.c.name == scope.customer)
    return and_(*conditions)


def total_lines(catalogue: Catalogue) -> ColumnElement[int]:
    """Return the ports of a device by its type; 0 where the catalogue does not know the type."""
    counts = dict(catalogue.lines)
    return case(counts, value=devices.c.device_type, else_=0) if counts else literal(0, Integer)


def assigned_lines() -> ColumnElement[int]:
    """Return how many ports of a device users hold."""
    return select(func.count()).where(lines.c.device_id == devices.c.id).scalar_subquery()


def available_lines(catalogue: Catalogue) -> ColumnElement[int]:
    """Return how many ports of a device no user holds; below zero where the catalogue says too few."""
    return total_lines(catalogue) - assigned_lines()


def chosen(where: DeviceFilter, catalogue: Catalogue) -> ColumnElement[bool]:
    """Return the condition, over devices and `PLACES`, that a device passes the filter."""
    conditions: list[ColumnElement[bool]] = [true()]
    if where.search.strip():
        conditions.append(_found(where.search.strip()))
    if where.device_type is not None:
        known = catalogue.find(where.device_type)
        conditions.append(devices.c.device_type == (known.name if known else where.device_type))
    if where.site is not None:
        conditions.append(sites.c.folded_name == site_key(where.site))
    if where.customer is not None:
        conditions.append(customers.c.name == where.customer)
    if where.min_available is not None:
        conditions.append(available_lines(catalogue) >= where.min_available)
    return and_(*conditions)


def _found(search: str) -> ColumnElement[bool]:
    digits = search.translate(_SEPARATORS).upper()
    text = search.lower()
    return or_(
        MacDigits(devices.c.mac).contains(digits) if _MAC_PART.fullmatch(digits) else false(),
        func.lower(devices.c.device_type).contains(text, autoescape=True),
        func.lower(devices.c.name).contains(text, autoescape=True),
    )


def ordering(page: Page, catalogue: Catalogue) -> list[ColumnElement[Any]]:
    """Return what to sort the device list by; the MAC comes last, so that pages never overlap."""
    keys: dict[DeviceOrder, list[ColumnElement[Any]]] = {
        DeviceOrder.MAC: [],
        DeviceOrder.DEVICE_TYPE: [ByCodePoint(devices.c.device_type)],
        DeviceOrder.AVAILABLE_LINES: [available_lines(catalogue)],
        DeviceOrder.SITE: [ByCodePoint(each.c.name) for each in (providers, customers, sites)],
        DeviceOrder.NAME: [ByCodePoint(devices.c.name)],
    }
    wanted = [*keys[page.order], devices.c.mac]
    return [key.desc() for key in wanted] if page.descending else wanted
