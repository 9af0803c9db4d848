"""Collecting and reports: the acts that ask whole sites or write files for people."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from devlib.analytics import device_list
from devlib.collect import Collection, Progress, keep_collecting
from devlib.errors import ExportSwitchedOff, NotFound, TryLater
from devlib.export import DeviceListFile, ReportFile, ReportRequest, write_device_list, write_report
from devlib.language import Language, message
from devlib.model import Customer, Scope
from devlib.portal.acts import Act
from devlib.portal.desk import Desk
from devlib.storage import DeviceFilter, Snapshot


class Reporting(Desk):
    """Collections and exports."""

    def collect(
        self,
        customer: str | None = None,
        site: str | None = None,
        *,
        progress: Progress | None = None,
    ) -> Collection:
        """Ask the networks now for all lines of the scope and keep one snapshot.

        Args:
            customer: only this one's lines.
            site: only this site's.
            progress: called with lines asked and lines in all.

        Returns:
            The snapshot, its counts, and which networks did not answer.
        """
        with self._gate.act(Act.COLLECT, f"{customer or '*'} / {site or '*'}") as doing:
            collection = self._services.collector.collect(self._collected_scope(customer, site), progress)
            doing.detail = f"snapshot {collection.snapshot.id}, {collection.snapshot.rows} lines"
            return collection

    def keep_collecting(
        self,
        every: timedelta,
        tell: Callable[[Collection | TryLater], bool],
        customer: str | None = None,
        site: str | None = None,
    ) -> None:
        """Collect again and again until `tell` returns false; audited once, at its end.

        Args:
            every: distance between two starts.
            tell: is given each collection, or the passing error that stood in its place.
            customer: only this one's lines.
            site: only this site's.
        """
        with self._gate.act(Act.COLLECT, f"{customer or '*'} / {site or '*'} every {every}"):
            scope = self._collected_scope(customer, site)
            keep_collecting(self._services.collector, scope, every, self._services.clock, tell)

    def export_line_states(
        self,
        request: ReportRequest,
        folder: Path,
        *,
        from_snapshot: bool = False,
        progress: Progress | None = None,
    ) -> ReportFile:
        """Write the line-state report of one site, or of all sites of a customer.

        Args:
            request: customer, site, filter, language and columns.
            folder: where the file goes.
            from_snapshot: take the newest snapshots as they are, without asking the network.
            progress: called with lines asked and lines in all.

        Returns:
            The file and what is in it.

        Raises:
            ExportSwitchedOff: the service provider has not enabled the report.
            NotFound: no such customer or site, or nothing was collected yet.
        """
        target = f"{request.customer} / {request.site or '*'}"
        with self._gate.act(Act.EXPORT, target) as doing:
            place = self._place(request.customer, request.site)
            self._require_switch(place.customer)
            services = self._services
            if from_snapshot:
                snapshots = services.lake.current(place.scope)
            else:
                snapshots = [self._real_rows(place.scope, progress)]
            # The scope is read again: it may have shrunk while the network was asked.
            scope = self._place(request.customer, request.site).scope
            report = write_report(services.lake, snapshots, scope, request, folder, services.settings.query)
            doing.detail = f"{report.path.name}, {report.rows} lines"
            return report

    def export_devices(
        self,
        folder: Path,
        customer: str | None = None,
        site: str | None = None,
        *,
        columns: tuple[str, ...] = (),
        language: Language | None = None,
    ) -> DeviceListFile:
        """Write the device list: the article's four columns, or the ones wanted.

        Args:
            folder: where the file goes.
            customer: whose devices.
            site: only this site's.
            columns: names of columns of `DEVICE_LIST`; empty for the article's four.
            language: of the headers; by default the one of the settings.
        """
        with self._gate.act(Act.EXPORT, f"devices {customer or '*'} / {site or '*'}") as doing:
            place = self._place(customer, site)
            services = self._services
            report = write_device_list(
                services.lake,
                device_list(
                    services.inventory, services.lake, services.catalogue, place.scope, DeviceFilter()
                ),
                folder,
                customer=place.customer.name,
                site=place.site,
                columns=columns,
                language=language or services.settings.language,
                now=services.clock.now(),
            )
            doing.detail = f"{report.path.name}, {report.rows} devices"
            return report

    def _real_rows(self, scope: Scope, progress: Progress | None) -> Snapshot:
        return self._services.collector.collect(scope, progress).snapshot

    def _require_switch(self, customer: Customer) -> None:
        with self._services.inventory.read() as reader:
            provider = next((p for p in reader.providers(Scope()) if p.name == customer.provider), None)
        if provider is None:
            raise NotFound(message("There is no service provider {name}.", name=customer.provider))
        if not provider.line_state_export:
            raise ExportSwitchedOff(
                message("The line-state report is not enabled for {provider}.", provider=provider.name),
                remedy=message(
                    "The service provider enables it: devlib provider {provider} --export on",
                    provider=provider.name,
                ),
            )

    def _collected_scope(self, customer: str | None, site: str | None) -> Scope:
        if customer is not None or site is not None:
            return self._place(customer, site).scope
        return self.identity.scope
