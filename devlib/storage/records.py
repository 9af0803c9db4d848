"""What the inventory gives and takes besides the values of `model`: rows, places and entries."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from devlib.model import Identity, LineType, Mac, Role, Scope, User


class LineRow(NamedTuple):
    """An assigned line with everything around it, as a collection needs it; texts are never `None`."""

    line_key: int
    provider: str
    customer: str
    site: str
    mac: str
    device_name: str
    device_type: str
    port: int
    line_port: str
    line_type: str
    user_id: str
    first_name: str
    last_name: str
    phone_number: str
    extension: str
    base_station_id: str
    chain_id: str


class DeviceRow(NamedTuple):
    """A device of the device list, with its line counts.

    Args:
        mac: its address.
        device_type: name of the type.
        site: name of its site.
        customer: name of the site's customer.
        provider: name of the customer's service provider.
        name: what its keepers call it.
        description: free text.
        base_station_id: multicell station ID (DECT only).
        chain_id: ID of the multicell chain (DECT only).
        total_lines: ports of the device; 0 where the catalogue does not know the type.
        assigned_lines: ports that users hold.
        available_lines: ports that no user holds.
    """

    mac: Mac
    device_type: str
    site: str
    customer: str
    provider: str
    name: str
    description: str
    base_station_id: str
    chain_id: str
    total_lines: int
    assigned_lines: int
    available_lines: int


class Place(NamedTuple):
    """Where a MAC is in the whole inventory, whoever may see it.

    Args:
        site_id: key of its site.
        site: name of its site.
        customer: name of the site's customer.
        provider: name of the customer's service provider.
        device_type: name of its type.
    """

    site_id: int
    site: str
    customer: str
    provider: str
    device_type: str


Places = Mapping[int, Place]


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line that is to be assigned.

    Args:
        line_port: SIP address `user@domain`; its domain is kept in lower case.
        user: who will hold it.
        line_type: primary or shared.
        port: number of the port, from 1; `None` for the lowest free one.
    """

    line_port: str
    user: User
    line_type: LineType = LineType.PRIMARY
    port: int | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act as the audit keeps it; `at` is UTC, `digest` chains it to the entry before."""

    id: int
    at: datetime
    principal: str
    role: str
    session: str
    act: str
    target: str
    outcome: str
    detail: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class NewAuditEntry:
    """One act that the audit is to keep; `at` is UTC."""

    at: datetime
    principal: str
    role: str
    session: str
    act: str
    target: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token of the HTTP service, without its secret, which is stored nowhere.

    Args:
        id: the part of the token that names it; no secret.
        principal: the stored identity for whom it speaks.
        digest: SHA-256 of its secret, in hexadecimal digits.
        label: what it is for.
        created_by: who made it.
        created_at: when, UTC.
        expires_at: from when on it is worth nothing, UTC.
        revoked_at: when it was revoked, UTC.
        last_used_at: when it was last used, UTC, to the minute.
    """

    id: str
    principal: str
    digest: str
    label: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


def identity_of(
    principal: str, role: str, provider: str | None, customer: str | None, sites: str | None
) -> Identity:
    """Return the identity of a stored row; `sites` is a JSON list of names, `None` for all sites."""
    names = None if sites is None else frozenset(json.loads(sites))
    return Identity(principal, Role(role), Scope(provider, customer, names))
