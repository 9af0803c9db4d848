"""Probing: which phones answer now."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from devlib.collect import ProbedLine, probe_lines, run_blocking
from devlib.errors import UsageError
from devlib.language import message
from devlib.model import Mac
from devlib.network import ReachOutcome
from devlib.portal.acts import Act
from devlib.portal.desk import Desk


class Probing(Desk):
    """The act that asks phones whether they answer."""

    def probe(
        self,
        customer: str | None = None,
        site: str | None = None,
        mac: str | Mac | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[ProbedLine]:
        """Ask the phones of a device, or of all assigned lines of the scope, whether they answer.

        Args:
            customer: only this one's lines.
            site: only this site's.
            mac: only this device's; then neither customer nor site is given.
            progress: called with lines probed and lines in all.

        Returns:
            One outcome for each line, sorted by customer, site, device and port; what fails is an outcome.

        Raises:
            NotFound: the scope has no such customer, site or device.
            UsageError: a device and a place were given.
        """
        target = str(mac) if mac is not None else f"{customer or '*'} / {site or '*'}"
        with self._gate.act(Act.PROBE, target) as doing:
            if mac is not None and (customer is not None or site is not None):
                raise UsageError(
                    message("A probe is of one device, or of a customer or site."),
                    remedy=message("Leave the device or the place out."),
                )
            lines = self._lines_of(mac) if mac is not None else self._lines_at(customer, site)
            found = run_blocking(probe_lines(self._services.networks, lines, progress))
            networks = self._services.networks
            probed = [
                replace(line, reach=reach, network=served.name if served else "")
                for line, reach in zip(lines, found, strict=True)
                for served in (networks.for_customer(line.provider, line.customer),)
            ]
            counts = reach_counts(probed)
            doing.detail = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items())
            return probed

    def _lines_of(self, mac: str | Mac) -> list[ProbedLine]:
        device = self._device(mac)
        return [
            ProbedLine(
                device.provider, device.customer, device.site, str(device.mac), device.device_type,
                line.port, line.line_port,
            )
            for line in device.lines
        ]  # fmt: skip

    def _lines_at(self, customer: str | None, site: str | None) -> list[ProbedLine]:
        scope = self.identity.scope
        if customer is not None or site is not None:
            scope = self._place(customer, site).scope
        with self._services.inventory.read() as reader:
            return [
                ProbedLine(
                    row.provider, row.customer, row.site, row.mac, row.device_type, row.port, row.line_port
                )
                for batch in reader.line_batches(scope)
                for row in batch
            ]


def reach_counts(lines: list[ProbedLine]) -> dict[ReachOutcome, int]:
    """Return lines by outcome, in the order of `ReachOutcome`, without those that are none."""
    counted = Counter(line.outcome for line in lines)
    return {outcome: counted[outcome] for outcome in ReachOutcome if counted[outcome]}
