"""Collecting and reports: the acts that ask whole sites or write files for people."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from devlib.analytics import device_list
from devlib.collect import Collection, Leadership, Progress, StandBy, beating, keep_collecting
from devlib.errors import ExportSwitchedOff, NotAllowed, NotFound, TryLater
from devlib.export import (
    DeviceListFile,
    ExportKey,
    ExportRequest,
    ExportRows,
    OnProgress,
    Overview,
    QueuedExport,
    ReportFile,
    ReportFormat,
    ReportRequest,
    obtain_rows,
    write_device_list,
    write_report,
)
from devlib.language import Language, message
from devlib.model import Customer, Scope
from devlib.portal.acts import Act
from devlib.portal.desk import Desk, Place, outside
from devlib.portal.keeping import DailyHousekeeping
from devlib.storage import DeviceFilter


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
            doing.detail = _ended(collection)[1]
            return collection

    def keep_collecting(
        self,
        every: timedelta,
        tell: Callable[[Collection | TryLater | StandBy], bool],
        customer: str | None = None,
        site: str | None = None,
    ) -> None:
        """Collect again and again until `tell` returns false; beginning, each one and end are audited.

        Of several that collect the same from the same network one leads, on whichever machine; the others
        stand by, and one of them takes over when it dies.

        Args:
            every: distance between two starts.
            tell: is given each collection, the passing error that stood in its place, or that another one
                leads.
            customer: only this one's lines.
            site: only this site's.

        Raises:
            NotAllowed: role or scope of the identity changed meanwhile.
        """
        target = f"{customer or '*'} / {site or '*'} every {every}"
        with self._gate.act(Act.COLLECT, target) as doing:
            scope = self._collected_scope(customer, site)
            self._gate.record(Act.COLLECT, target, "started")

            def note(result: Collection | TryLater | StandBy) -> bool:
                if isinstance(result, StandBy):
                    return tell(result)
                # A store that is away for a while must not end the collector.
                with suppress(TryLater):
                    self._gate.record(Act.COLLECT, target, *_ended(result))
                goes_on = tell(result)
                with suppress(TryLater):
                    self._require_same(scope, customer, site)
                daily.advance()
                return goes_on

            daily = DailyHousekeeping(self._services, self._gate)
            # A collector that was killed may have left a file that no manifest row names.
            self._services.lake.sweep()
            services = self._services
            leadership = Leadership(
                services.inventory,
                services.networks,
                scope,
                services.clock,
                patience=services.settings.takeover_seconds,
            )
            with beating(leadership):
                keep_collecting(services.collector, scope, every, services.clock, note, daily, leadership)
            doing.detail = "stopped"

    def export_line_states(
        self,
        request: ReportRequest,
        folder: Path,
        *,
        from_snapshot: bool = False,
        progress: Progress | None = None,
        waiting: OnProgress | None = None,
        idempotency: str = "",
    ) -> ReportFile:
        """Write the line-state report of one site, or of all sites of a customer.

        Args:
            request: customer, site, filter, language and columns.
            folder: where the file goes.
            from_snapshot: take the newest snapshots as they are, without asking the network.
            progress: called with lines asked and lines in all.
            waiting: told place in the queue and seconds to go while the export waits.
            idempotency: a key of one's own; a repetition within ten minutes is the same export.

        Returns:
            The file and what is in it.

        Raises:
            ExportSwitchedOff: the service provider has not enabled the report.
            NotFound: no such customer or site, or nothing was collected yet.
            ExportRejected: the queue is full (429); `retry_after` says when to try again.
            ExportQueueTimeout: the export waited for too long (408).
            ExportFailed: no network answered (500).
        """
        target = f"{request.customer} / {request.site or '*'}"
        with self._gate.act(Act.EXPORT, target) as doing:
            request = replace(request, line_filter=self._known_types(request.line_filter))
            place = self._authorised(request)
            services = self._services
            rows = None
            if from_snapshot:
                snapshots = services.lake.current(place.scope)
            else:
                rows = self._rows(request, place, progress, waiting or _say_nothing, idempotency)
                with services.inventory.read() as reader:
                    snapshots = [reader.snapshot(rows.snapshot)]
            # The scope is read again: it may have shrunk while the network was asked.
            scope = self._authorised(request).scope
            report = write_report(services.lake, snapshots, scope, request, folder, services.settings.query)
            doing.detail = f"{report.path.name}, {report.rows} lines"
            if rows is None:
                return report
            return replace(report, shared=rows.shared, age=rows.age, collapsed=rows.collapsed)

    def authorise_delivery(self, request: ReportRequest) -> Scope:
        """Return the scope to which a report would be cut now; asked before a kept file is handed out.

        Raises:
            NotAllowed, NotFound: the identity may not have the report (any more).
        """
        with self._gate.act(Act.EXPORT, f"fetch {request.customer} / {request.site or '*'}"):
            return self._authorised(request).scope

    def _authorised(self, request: ReportRequest) -> Place:
        self._gate.authorise(Act.EXPORT)
        place = self._place(request.customer, request.site)
        self._require_switch(place.customer)
        return place

    def _rows(
        self,
        request: ReportRequest,
        place: Place,
        progress: Progress | None,
        waiting: OnProgress,
        idempotency: str,
    ) -> ExportRows:
        customer = place.customer
        # The real run asks for the whole site or customer, not for what this reader may see of it.
        whole = Scope(customer.provider, customer.name, frozenset({place.site}) if place.site else None)

        def collect(alive: Callable[[], None]) -> Collection:
            def asked(done: int, total: int) -> None:
                alive()
                if progress is not None:
                    progress(done, total)

            return self._services.collector.collect(whole, asked)

        asked_for = ExportRequest.of(
            self.identity,
            ExportKey(customer.provider, customer.name, place.site),
            idempotency=idempotency,
            payload=_payload(request),
        )
        return obtain_rows(
            self._services.coordinator,
            asked_for,
            collect,
            authorise=lambda: _nothing(self._authorised(request)),
            on_progress=waiting,
        )

    def exports(self, recent: int = 50) -> Overview:
        """Return which exports run, wait and ended lately; of other principals only within one's scope.

        Args:
            recent: most ended ones.
        """
        with self._gate.act(Act.SEE, "exports"):
            found = self._services.coordinator.overview(recent)
            return Overview(
                running=self._seen(found.running),
                waiting=self._seen(found.waiting),
                following=self._seen(found.following),
                recent=tuple(each for each in found.recent if self._may_see(ExportKey.from_text(each.key))),
            )

    def _seen(self, queued: tuple[QueuedExport, ...]) -> tuple[QueuedExport, ...]:
        return tuple(each for each in queued if self._may_see(each.key))

    def release_export(self, ticket: str, *, force: bool = False) -> None:
        """Free the slot of an export whose holder is frozen, so that others can run.

        Args:
            ticket: its number, as `exports` tells.
            force: also where the holder showed a sign of life lately.

        Raises:
            NotFound: no export of that number is running in the scope.
            NotAllowed: it is for more sites than those of the scope.
            Conflict: the holder lives.
        """
        with self._gate.act(Act.RELEASE_EXPORT, ticket):
            coordinator = self._services.coordinator
            key = next((each.key for each in coordinator.overview(0).running if each.ticket == ticket), None)
            if key is None or not self._may_see(key):
                # The same as the coordinator's own answer: an export elsewhere is not there.
                raise NotFound(
                    message("No export with this number is running."),
                    where=ticket,
                    remedy=message("Take the number from `devlib exports`."),
                )
            sites = None if key.site is None else frozenset({key.site})
            if not Scope(key.provider, key.customer, sites).lies_within(self.identity.scope):
                raise outside()
            coordinator.release(ticket, force=force)

    def _may_see(self, key: ExportKey) -> bool:
        scope = self.identity.scope
        if key.site is None:
            return scope.covers_customer(key.provider, key.customer)
        return scope.covers_site(key.provider, key.customer, key.site)

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

    def _require_same(self, scope: Scope, customer: str | None, site: str | None) -> None:
        self._gate.authorise(Act.COLLECT)
        if self._collected_scope(customer, site) != scope:
            raise NotAllowed(
                message("The scope of {principal} has changed.", principal=self.identity.principal),
                remedy=message("Start collecting again."),
            )

    def _collected_scope(self, customer: str | None, site: str | None) -> Scope:
        if customer is not None or site is not None:
            return self._place(customer, site).scope
        return self.identity.scope


def _ended(result: Collection | TryLater) -> tuple[str, str]:
    """Return outcome and detail of one collection, for the audit."""
    if isinstance(result, TryLater):
        return "failed", f"{type(result).__name__}: {result.what}"
    # Why a network could not be asked is nowhere else: the snapshot only says that it was not.
    reasons = [f"{each.lines} unknown ({each.network or '-'}: {each.reason})" for each in result.failures]
    return "done", "; ".join([f"snapshot {result.snapshot.id}, {result.snapshot.rows} lines", *reasons])


def _payload(request: ReportRequest) -> str:
    """Return what else a repetition under an idempotency key must repeat."""
    return request.mark if request.format is ReportFormat.CSV else f"{request.mark} {request.format.value}"


def _say_nothing(_: object) -> None:
    """Tell nobody."""


def _nothing(_: object) -> None:
    """Drop a value where only the check behind it matters."""
