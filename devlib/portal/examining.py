"""The acts that hold what phones say against the inventory: DECT stations and handsets, findings, trials."""

from collections import defaultdict

from devlib.model import DeviceKind
from devlib.network import TrialLine, trial_line
from devlib.portal.acts import Act
from devlib.portal.desk import Desk
from devlib.storage import DeviceFilter

_Base = tuple[str, str]


class Examining(Desk):
    """What an identity may find out about its phones."""

    def trial_lines(self, customer: str | None = None, site: str | None = None) -> list[TrialLine]:
        """Return the assigned lines as simulated phones, which say what their device types say.

        A DECT handset can move to the other bases of its chain that lie within the same scope.

        Args:
            customer: only this one's lines.
            site: only this site's.
        """
        with self._gate.act(Act.SEE, f"trial lines {customer or '*'} / {site or '*'}"):
            services, scope = self._services, self._scope(customer, site)
            chains: defaultdict[tuple[str, str], list[_Base]] = defaultdict(list)
            with services.inventory.read() as reader:
                for each in reader.devices(scope, services.catalogue, DeviceFilter()):
                    if each.chain_id and self._is_base(each.device_type):
                        chains[each.customer, each.chain_id].append((each.device_type, str(each.mac)))
                rows = [row for batch in reader.line_batches(scope) for row in batch]
            return [
                trial_line(
                    row.line_port,
                    row.device_type,
                    row.mac,
                    [base for base in chains[row.customer, row.chain_id] if base[1] != row.mac],
                )
                for row in rows
            ]

    def _is_base(self, device_type: str) -> bool:
        kind = self._services.catalogue.find(device_type)
        return kind is not None and kind.kind is DeviceKind.DECT_BASE
