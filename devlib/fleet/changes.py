"""Changes of one device or line: checked by the same rules as a bulk file, inside one short transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce

from devlib.errors import Conflict, UsageError
from devlib.fleet.known import ScopedFleet
from devlib.language import Message, message, visible
from devlib.model import Catalogue, Device, DeviceKind, Line, Mac, Scope
from devlib.storage import Inventory, NewLine
from devlib.validation import (
    Code,
    Problem,
    Severity,
    WrittenDevice,
    WrittenLine,
    check_assignment,
    check_one,
)

_LONGEST_TEXT = 80
_EXISTS = frozenset({Code.ALREADY_EXISTS, Code.ALREADY_EXISTS_OTHER_SITE, Code.ALREADY_PRESENT})


def add_device(  # noqa: PLR0913 - the fields of the form
    inventory: Inventory,
    catalogue: Catalogue,
    scope: Scope,
    customer: str,
    *,
    mac: str,
    site: str,
    device_type: str,
    name: str = "",
    description: str = "",
    base_station_id: str = "",
    chain_id: str = "",
) -> Device:
    """Add one device to a site (article, "Ajout manuel").

    Args:
        inventory: where to.
        catalogue: the device types.
        scope: what the asker may change.
        customer: name of the customer.
        mac: its address, as people write it.
        site: name of the site, in any case.
        device_type: one of the types approved for the site, by any name that people use for it.
        name: what its keepers call it.
        description: free text.
        base_station_id: multicell station ID (DECT only).
        chain_id: ID of the multicell chain (DECT only).

    Returns:
        The device, ready to have its lines assigned.

    Raises:
        UsageError: a rule is broken; the text names every one.
        Conflict: the MAC is in the inventory already.
        NotFound: the scope has no such customer.
    """
    written = WrittenDevice(mac, device_type, site, name, description)
    with inventory.write() as writer:
        known = ScopedFleet(writer, scope, customer)
        row = check_one(written, known, catalogue)
        faults = [each.message for each in row.problems if each.severity is Severity.ERROR]
        faults += _dect_faults(catalogue, device_type, base_station_id, chain_id)
        if row.device is None or faults:
            raise _refusal(row.problems, faults)
        device = replace(row.device, base_station_id=base_station_id, chain_id=chain_id)
        return writer.add_device(known.target, known.target.customer or customer, device)


def remove_device(inventory: Inventory, scope: Scope, mac: Mac) -> Device:
    """Remove one device with its lines, and return what it was.

    Raises:
        NotFound: the scope has no such device.
    """
    with inventory.write() as writer:
        return writer.remove_device(scope, mac)


def assign_line(inventory: Inventory, catalogue: Catalogue, scope: Scope, mac: Mac, line: NewLine) -> Line:
    """Give a line of a device to a user.

    Args:
        inventory: where the device is.
        catalogue: knows how many lines it has.
        scope: what the asker may change.
        mac: the device.
        line: line port and user; without a port, the lowest free one is taken.

    Returns:
        The line as it is now.

    Raises:
        NotFound: the scope has no such device.
        UsageError: a rule is broken; the text names every one.
        Conflict: the port or the line port is taken, or no port is free.
    """
    with inventory.write() as writer:
        kind = catalogue.get(writer.device(scope, mac).device_type)
        user = line.user
        # Without a port the lowest free one is taken, which the device has; 1 stands for it here.
        port = 1 if line.port is None else line.port
        written = WrittenLine(port, line.line_port, user.user_id, user.phone_number, user.extension)
        faults = [each.message for each in check_assignment(written, kind)]
        faults += _text_faults((user.first_name, user.last_name))
        if faults:
            raise UsageError(_joined(faults))
        return writer.assign_line(scope, catalogue, mac, line)


def release_line(inventory: Inventory, scope: Scope, mac: Mac, port: int) -> Line:
    """Release a line, so that its port is free again, and return what it was.

    Raises:
        NotFound: the scope has no such device, or the port is free.
    """
    with inventory.write() as writer:
        return writer.release_line(scope, mac, port)


def _dect_faults(catalogue: Catalogue, device_type: str, *ids: str) -> list[Message]:
    kind = catalogue.find(device_type)
    if any(ids) and kind is not None and kind.kind is not DeviceKind.DECT_BASE:
        return [message("{type} is no DECT base: it has no station ID and no chain ID.", type=kind.name)]
    return _text_faults(ids)


def _text_faults(texts: Iterable[str]) -> list[Message]:
    return [
        message("“{text}” is too long, or holds characters that cannot be printed.", text=visible(text))
        for text in texts
        if len(text) > _LONGEST_TEXT or not text.isprintable()
    ]


def _refusal(problems: Sequence[Problem], faults: list[Message]) -> Conflict | UsageError:
    existing = [each.message for each in problems if each.code in _EXISTS]
    others = [
        each.message for each in problems if each.severity is Severity.ERROR and each.code not in _EXISTS
    ]
    if existing and not others:
        return Conflict(
            _joined(existing), remedy=message("Remove it there first, or check the address on its label.")
        )
    return UsageError(_joined(faults), remedy=message("Correct this, then add the device again."))


def _joined(texts: Sequence[Message]) -> Message:
    return reduce(lambda first, second: message("{first} {second}", first=first, second=second), texts)
