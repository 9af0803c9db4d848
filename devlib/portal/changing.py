"""The acts that change the fleet: add, remove, assign, release, import, templates, reboot."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from devlib.fleet import (
    ImportMode,
    ImportReport,
    Restart,
    add_device,
    assign_line,
    import_devices,
    release_line,
    remove_device,
    restart_device,
    write_templates,
)
from devlib.model import Device, Line, Mac
from devlib.portal.acts import Act
from devlib.portal.desk import Desk
from devlib.storage import NewLine


class Changing(Desk):
    """Changes of the fleet."""

    def add(
        self,
        mac: str | Mac,
        site: str,
        device_type: str,
        *,
        customer: str | None = None,
        name: str = "",
        description: str = "",
        base_station_id: str = "",
        chain_id: str = "",
    ) -> Device:
        """Add one device to a site.

        Args:
            mac: its address, as people write it.
            site: name of the site.
            device_type: one of the types approved for the site, by any name that people use for it.
            customer: whose site; needed where the scope has several customers.
            name: what its keepers call it.
            description: free text.
            base_station_id: multicell station ID (DECT only).
            chain_id: ID of the multicell chain (DECT only).

        Returns:
            The device, ready to have its lines assigned.

        Raises:
            UsageError: a rule is broken; the text names every one.
            Conflict: the MAC exists already.
        """
        with self._gate.act(Act.ADD, str(mac)):
            place = self._place(customer, site)
            added = add_device(
                self._services.inventory,
                self._services.catalogue,
                place.scope,
                place.customer.name,
                mac=str(mac),
                site=site,
                device_type=device_type,
                name=name,
                description=description,
                base_station_id=base_station_id,
                chain_id=chain_id,
            )
            self._changed(added)
            return added

    def remove(self, mac: str | Mac) -> Device:
        """Remove one device with its lines; return what it was."""
        with self._gate.act(Act.REMOVE, str(mac)):
            device = self._device(mac)
            remove_device(self._services.inventory, self.identity.scope, device.mac)
            self._changed(device)
            return device

    def assign(self, mac: str | Mac, line: NewLine) -> Line:
        """Assign a line of a device to a user.

        Args:
            mac: the device.
            line: user, line port, and the port where a certain one is wanted.

        Returns:
            The line as it is now.

        Raises:
            Conflict: the port or the line port is taken, or the device has no free line.
        """
        with self._gate.act(Act.ASSIGN, f"{mac} {line.line_port}"):
            device = self._device(mac)
            services = self._services
            found = assign_line(services.inventory, services.catalogue, self.identity.scope, device.mac, line)
            self._changed(device)
            return found

    def release(self, mac: str | Mac, port: int) -> Line:
        """Release a line, so that its port is free again; return what it was."""
        with self._gate.act(Act.RELEASE, f"{mac} port {port}"):
            device = self._device(mac)
            found = release_line(self._services.inventory, self.identity.scope, device.mac, port)
            self._changed(device)
            return found

    def import_devices(
        self,
        source: Path | BinaryIO,
        *,
        customer: str | None = None,
        mode: ImportMode = ImportMode.ALL_OR_NOTHING,
        result: Path | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> ImportReport:
        """Import devices from a bulk file, in one transaction.

        Args:
            source: a CSV file as people have it.
            customer: whose; needed where the scope has several customers.
            mode: check only, all or nothing, or valid rows only.
            result: where a file with one row per input row goes.
            progress: called with rows done.

        Returns:
            Counts by outcome and code, and the first problems.

        Raises:
            FileUnreadable: it is no such file; says why.
        """
        name = source.name if isinstance(source, Path) else "upload"
        with self._gate.act(Act.IMPORT, name) as doing:
            place = self._place(customer)
            services = self._services
            report = import_devices(
                services.inventory,
                services.catalogue,
                place.scope,
                place.customer.name,
                source,
                mode=mode,
                result=result,
                language=services.settings.language,
                progress=progress,
            )
            doing.detail = f"{mode.value}: {dict(report.outcomes)}"
            if mode is not ImportMode.CHECK:
                services.coordinator.invalidate(place.customer.provider, place.customer.name)
            return report

    def template(self, folder: Path, customer: str | None = None) -> list[Path]:
        """Write the bulk template, the supported devices, the sites and the instructions for the scope."""
        with self._gate.act(Act.SEE, "template"):
            scope = self.identity.scope if customer is None else self._place(customer).scope
            services = self._services
            return write_templates(
                services.inventory, services.catalogue, scope, folder, language=services.settings.language
            )

    def reboot(self, mac: str | Mac, *, wait: float = 0.0) -> Restart:
        """Restart one device through its registrar.

        Args:
            mac: the device.
            wait: seconds to wait for its new registration, which alone proves the restart; 0 for none.

        Returns:
            What became of it: confirmed, accepted but unconfirmed, refused, no answer, not registered, …
        """
        with self._gate.act(Act.REBOOT, str(mac)) as doing:
            device = self._device(mac)
            services = self._services
            outcome = restart_device(device, services.networks, services.catalogue, services.clock, wait=wait)
            doing.detail = outcome.result.value
            return outcome

    def _changed(self, device: Device) -> None:
        # Rows that were collected before the change must not answer an export after it.
        self._services.coordinator.invalidate(device.provider, device.customer)
