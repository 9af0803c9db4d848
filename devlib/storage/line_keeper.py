"""Assigning and releasing lines."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from devlib.errors import Conflict, NotFound, UsageError
from devlib.language import message, visible
from devlib.model import Catalogue, Line, Mac, Scope
from devlib.storage.connected import Connected, in_batches
from devlib.storage.filters import PLACES, in_scope
from devlib.storage.reader import line_of, no_device
from devlib.storage.records import NewLine
from devlib.storage.schema import devices, lines, sites

_BATCH = 5_000


class LineKeeper(Connected):
    """The part of a `Writer` that gives lines to users and takes them back."""

    def assign_line(self, scope: Scope, catalogue: Catalogue, mac: Mac, new: NewLine) -> Line:
        """Give a port of a device to a user.

        Args:
            scope: what the asker may change.
            catalogue: knows how many lines the device has.
            mac: the device.
            new: line port, user, and which port.

        Returns:
            The line, with a key that no line had before.

        Raises:
            NotFound: the scope has no such device, or the catalogue does not know its type.
            Conflict: the port or the line port is taken, or no port is free.
            UsageError: the line port is no `user@domain`, or the device has no such port.
        """
        device = self._hold(scope, mac)
        taken = set(self.connection.scalars(select(lines.c.port).where(lines.c.device_id == device.id)))
        port = _free_port(mac, new.port, catalogue.get(device.device_type).lines, taken)
        values = _line_values(device.id, new, port)
        try:
            with self.connection.begin_nested():
                key = self.connection.execute(insert(lines).values(values).returning(lines.c.id)).scalar_one()
        except IntegrityError:
            raise _line_port_taken(str(values["line_port"])) from None
        return Line(key, mac, port, str(values["line_port"]), new.line_type, new.user)

    def assign_lines(self, scope: Scope, catalogue: Catalogue, new: Iterable[tuple[Mac, NewLine]]) -> int:
        """Give many ports to users; each line must name its port.

        Args:
            scope: what the asker may change.
            catalogue: knows how many lines each device has.
            new: devices and lines; taken in batches, so they may be more than memory holds.

        Returns:
            How many were assigned.

        Raises:
            NotFound: the scope has no such device.
            Conflict: a port or a line port is taken.
            UsageError: a line port is no `user@domain`, or a device has no such port.
        """
        added = 0
        for batch in in_batches(new, _BATCH):
            held = self._devices_of(scope, {mac.value for mac, _ in batch})
            rows = []
            for mac, line in batch:
                if mac.value not in held:
                    raise no_device(mac)
                device_id, device_type = held[mac.value]
                port = _free_port(mac, line.port or 0, catalogue.get(device_type).lines, set())
                rows.append(_line_values(device_id, line, port))
            try:
                with self.connection.begin_nested():
                    self.connection.execute(insert(lines), rows)
            except IntegrityError:
                raise self._line_conflict(rows) from None
            added += len(rows)
        return added

    def release_line(self, scope: Scope, mac: Mac, port: int) -> Line:
        """Take a line back from its user, and return what it was; its key is never used again.

        Raises:
            NotFound: the scope has no such device, or the port is free.
        """
        device = self._hold(scope, mac)
        gone = delete(lines).where(lines.c.device_id == device.id, lines.c.port == port).returning(lines)
        if (row := self.connection.execute(gone).one_or_none()) is None:
            raise NotFound(message("Port {port} of {mac} is free already.", port=port, mac=mac))
        return line_of(row, mac)

    def _hold(self, scope: Scope, mac: Mac) -> Row[Any]:
        """Lock a device of the scope until the transaction ends; its new version tells others of it."""
        theirs = select(sites.c.id).select_from(PLACES).where(in_scope(scope))
        change = (
            update(devices)
            .where(devices.c.mac == mac.value, devices.c.site_id.in_(theirs))
            .values(version=devices.c.version + 1)
            .returning(devices.c.id, devices.c.device_type)
        )
        if (row := self.connection.execute(change).one_or_none()) is None:
            raise no_device(mac)
        return row

    def _devices_of(self, scope: Scope, macs: set[int]) -> dict[int, tuple[int, str]]:
        found = (
            select(devices.c.mac, devices.c.id, devices.c.device_type)
            .select_from(devices.join(PLACES, devices.c.site_id == sites.c.id))
            .where(devices.c.mac.in_(sorted(macs)), in_scope(scope))
        )
        return {mac: (key, device_type) for mac, key, device_type in self.connection.execute(found)}

    def _line_conflict(self, rows: list[dict[str, Any]]) -> Conflict:
        wanted = [row["line_port"] for row in rows]
        taken = set(self.connection.scalars(select(lines.c.line_port).where(lines.c.line_port.in_(wanted))))
        refused = taken or {each for each in wanted if wanted.count(each) > 1}
        if refused:
            return _line_port_taken(min(refused))
        return Conflict(message("A port of these devices is taken, or is given twice."))


def _line_values(device_id: int, new: NewLine, port: int) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "port": port,
        "line_port": normal_line_port(new.line_port),
        "line_type": new.line_type.value,
        "user_id": new.user.user_id,
        "first_name": new.user.first_name,
        "last_name": new.user.last_name,
        "phone_number": new.user.phone_number,
        "extension": new.user.extension,
    }


def normal_line_port(text: str) -> str:
    """Return a line port as it is kept: its domain, which has no case (RFC 3261, 19.1.4), in lower case.

    Raises:
        UsageError: it is no `user@domain`.
    """
    user, _, domain = text.rpartition("@")
    if not user or not domain:
        raise UsageError(
            message("{text} is no line port.", text=visible(text)),
            remedy=message("Give the SIP address under which the line registers, as user@domain."),
        )
    return f"{user}@{domain.lower()}"


def _free_port(mac: Mac, wanted: int | None, total: int, taken: set[int]) -> int:
    if wanted is None:
        wanted = next((port for port in range(1, total + 1) if port not in taken), None)
        if wanted is None:
            raise Conflict(
                message("All {total} lines of {mac} are taken.", total=total, mac=mac),
                remedy=message("Release one first, or choose another device."),
            )
    if not 1 <= wanted <= total:
        raise UsageError(
            message("{mac} has the ports 1 to {total}, no port {port}.", mac=mac, total=total, port=wanted)
        )
    if wanted in taken:
        raise Conflict(
            message("Port {port} of {mac} is taken.", port=wanted, mac=mac),
            remedy=message("Leave the port out, and the lowest free one is chosen."),
        )
    return wanted


def _line_port_taken(line_port: str) -> Conflict:
    return Conflict(
        message("The line port {line_port} is assigned already.", line_port=line_port),
        remedy=message("Release it where it is, or give this line another one."),
    )
