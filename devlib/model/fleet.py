"""What the inventory holds: providers, customers, sites, devices and their lines."""

from dataclasses import dataclass, field
from enum import StrEnum

from devlib.model.mac import Mac


class LineType(StrEnum):
    """How a user holds a line."""

    PRIMARY = "Primary"
    SHARED = "Shared"


@dataclass(frozen=True, slots=True)
class Provider:
    """A service provider; `line_state_export` is the switch of the article's Party Manager."""

    id: int
    name: str
    line_state_export: bool


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of a service provider."""

    id: int
    name: str
    provider: str


@dataclass(frozen=True, slots=True)
class Site:
    """A place of a customer, with the device types approved for it."""

    id: int
    name: str
    customer: str
    provider: str
    approved_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """The person or place that holds a line."""

    user_id: str
    first_name: str = ""
    last_name: str = ""
    phone_number: str = ""
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """An assigned line: a port of a device, held by a user.

    Args:
        key: integer key, never used again for another line.
        mac: the device.
        port: number of the port, from 1.
        line_port: SIP address `user@domain` under which it registers.
        line_type: primary or shared.
        user: who holds it.
    """

    key: int
    mac: Mac
    port: int
    line_port: str
    line_type: LineType
    user: User


@dataclass(frozen=True, slots=True)
class Device:
    """A phone, ATA or DECT base.

    Args:
        id: integer key.
        mac: its address; once in the whole inventory.
        device_type: name of the type in the catalogue.
        site: name of its site.
        customer: name of the site's customer.
        provider: name of the customer's service provider.
        name: what its keepers call it.
        description: free text.
        base_station_id: multicell station ID (DECT only).
        chain_id: ID of the multicell chain (DECT only).
        lines: its assigned lines by port; empty where they were not asked for.
    """

    id: int
    mac: Mac
    device_type: str
    site: str
    customer: str
    provider: str
    name: str = ""
    description: str = ""
    base_station_id: str = ""
    chain_id: str = ""
    lines: tuple[Line, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device that is to be added; `site` is the name within the customer."""

    mac: Mac
    device_type: str
    site: str
    name: str = ""
    description: str = ""
    base_station_id: str = ""
    chain_id: str = ""
