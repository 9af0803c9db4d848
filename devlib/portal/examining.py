"""The acts that hold what phones say against the inventory: DECT stations and handsets, findings, trials."""

from collections import defaultdict
from collections.abc import Callable

import pandas as pd
import pyarrow as pa

from devlib.analytics import dect_handsets, dect_stations, findings, unrecognised
from devlib.model import DeviceKind
from devlib.network import TrialLine, trial_line
from devlib.portal.acts import Act
from devlib.portal.desk import Desk
from devlib.storage import DeviceFilter, to_frame

_Base = tuple[str, str]


class Examining(Desk):
    """What an identity may find out about its phones."""

    def dect_stations(
        self, customer: str | None = None, site: str | None = None, station: str | None = None
    ) -> pd.DataFrame:
        """Return the DECT base stations, with the handsets that are assigned to each and that are there now.

        Args:
            customer: only this one's.
            site: only this site's.
            station: only the one with this multicell station ID.

        Returns:
            A frame with the columns of `DECT_STATIONS`.
        """
        with self._gate.act(Act.SEE, f"DECT stations {customer or '*'} / {site or '*'}"):
            return to_frame(self._dect(dect_stations, customer, site, station))

    def dect_handsets(
        self, customer: str | None = None, site: str | None = None, station: str | None = None
    ) -> pd.DataFrame:
        """Return the DECT handsets: home base, the base at which each is now, and since when.

        Args:
            customer: only this one's.
            site: only handsets whose home is there.
            station: only handsets whose home or current base has this multicell station ID.

        Returns:
            A frame with the columns of `DECT_HANDSETS`.
        """
        with self._gate.act(Act.SEE, f"DECT handsets {customer or '*'} / {site or '*'}"):
            return to_frame(self._dect(dect_handsets, customer, site, station))

    def findings(self, customer: str | None = None, site: str | None = None) -> pd.DataFrame:
        """Return where phones contradict the inventory, the gravest first. The inventory decides.

        Args:
            customer: only this one's lines.
            site: only this site's.

        Returns:
            A frame with the columns of `FINDINGS`, from the last collections.
        """
        with self._gate.act(Act.SEE, f"findings {customer or '*'} / {site or '*'}") as doing:
            services = self._services
            scope = self._scope(customer, site)
            found = findings(
                services.inventory, services.lake, services.catalogue, scope, self.identity.scope
            )
            doing.detail = f"{len(found)} findings"
            return to_frame(found)

    def unrecognised(self, customer: str | None = None, site: str | None = None) -> pd.DataFrame:
        """Return the user agents of registered phones that are not recognised, with their number of lines.

        Args:
            customer: only this one's lines.
            site: only this site's.

        Returns:
            A frame with the columns of `UNRECOGNISED`.
        """
        with self._gate.act(Act.SEE, f"unrecognised {customer or '*'} / {site or '*'}"):
            return to_frame(unrecognised(self._services.lake, self._scope(customer, site)))

    def _dect(
        self, question: Callable[..., pa.Table], customer: str | None, site: str | None, station: str | None
    ) -> pa.Table:
        services = self._services
        if site is None:
            scope, name = self._scope(customer, None), None
        else:
            # Handsets of other sites may be here, so they are looked for in the whole customer.
            place = self._place(customer, site)
            scope = self._place(f"{place.customer.provider}/{place.customer.name}").scope
            name = place.site
        return question(services.inventory, services.lake, services.catalogue, scope, name, station)

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
