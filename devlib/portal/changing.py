"""The acts that change the fleet: add, remove, assign, release, import, templates."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from devlib.errors import StorageUnavailable, UsageError
from devlib.fleet import (
    ImportMode,
    ImportReport,
    add_device,
    assign_line,
    import_devices,
    release_line,
    remove_device,
    write_templates,
)
from devlib.language import message
from devlib.model import Device, Line, Mac
from devlib.portal.acts import Act, Doing
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
        with self._change(Act.ADD, str(mac)) as doing:
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
            self._changed(doing, added.provider, added.customer)
            return added

    def remove(self, mac: str | Mac) -> Device:
        """Remove one device with its lines; return what it was."""
        with self._change(Act.REMOVE, str(mac)) as doing:
            device = self._device(mac)
            remove_device(self._services.inventory, self.identity.scope, device.mac)
            self._changed(doing, device.provider, device.customer)
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
        with self._change(Act.ASSIGN, f"{mac} {line.line_port}") as doing:
            device = self._device(mac)
            services = self._services
            found = assign_line(services.inventory, services.catalogue, self.identity.scope, device.mac, line)
            self._changed(doing, device.provider, device.customer)
            return found

    def release(self, mac: str | Mac, port: int) -> Line:
        """Release a line, so that its port is free again; return what it was."""
        with self._change(Act.RELEASE, f"{mac} port {port}") as doing:
            device = self._device(mac)
            found = release_line(self._services.inventory, self.identity.scope, device.mac, port)
            self._changed(doing, device.provider, device.customer)
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
            UsageError: the result file is the source, or cannot be written.
        """
        name = source.name if isinstance(source, Path) else "upload"
        checked = mode is ImportMode.CHECK
        with self._gate.act(Act.IMPORT, name) if checked else self._change(Act.IMPORT, name) as doing:
            refuse_overwriting(source, result)
            place = self._place(customer)
            services = self._services
            try:
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
                doing.note(f"{mode.value}: {dict(report.outcomes)}")
            finally:
                # Also after an error: the devices may be in, and only the result file not written.
                if not checked:
                    self._changed(doing, place.customer.provider, place.customer.name)
            return report

    def template(self, folder: Path, customer: str | None = None) -> list[Path]:
        """Write the bulk template, the supported devices, the sites and the instructions for the scope."""
        with self._gate.act(Act.SEE, "template"):
            scope = self.identity.scope if customer is None else self._place(customer).scope
            services = self._services
            return write_templates(
                services.inventory, services.catalogue, scope, folder, language=services.settings.language
            )

    @contextmanager
    def _change(self, act: Act, target: str) -> Iterator[Doing]:
        with self._gate.act(act, target) as doing:
            # Opened before the change: where it cannot be, nothing has happened yet.
            self._services.open_coordinator()
            yield doing

    def _changed(self, doing: Doing, provider: str, customer: str) -> None:
        """Make rows that were collected before the change answer no export after it.

        The change is done and stays: where the export queue does not answer, that is a warning.
        """
        try:
            self._services.coordinator.invalidate(provider, customer)
        except StorageUnavailable as error:
            doing.note(f"not invalidated: {error.what}")
            self.warnings.append(
                message(
                    "This is done, but the export queue does not answer: for {seconds} s, exports may show "
                    "the time before.",
                    seconds=round(self._services.settings.export.cache_ttl),
                )
            )


def refuse_overwriting(source: Path | BinaryIO, result: Path | None) -> None:
    """Refuse a result file that is the file which is imported.

    Raises:
        UsageError: it is.
    """
    if result is not None and isinstance(source, Path) and source.resolve() == result.resolve():
        raise UsageError(
            message("The result file is the file that is imported."),
            where=str(result),
            remedy=message("Give the result another name: the file would be overwritten."),
        )
