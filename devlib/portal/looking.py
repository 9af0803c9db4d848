"""The acts that change nothing: sites, types, devices, lines, SQL, one device's status."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from devlib.analytics import (
    analyst_tables,
    device_list,
    own_tables,
    run_sql,
    site_table,
    state_counts,
    type_table,
)
from devlib.collect import DeviceStatus, ask_device
from devlib.export import device_columns
from devlib.model import ARTICLE_COLUMNS, DEVICE_LIST, OBSERVATIONS, Customer, Device, DeviceKind, Mac
from devlib.portal.acts import Act
from devlib.portal.desk import Desk
from devlib.storage import DeviceFilter, LineFilter, choose_lines, to_frame


class Looking(Desk):
    """What an identity may look at."""

    def customers(self) -> list[Customer]:
        """Return the customers of the identity's scope."""
        with self._gate.act(Act.SEE, "customers"), self._services.inventory.read() as reader:
            return reader.customers(self.identity.scope)

    def sites(self, customer: str | None = None) -> pd.DataFrame:
        """Return the sites of the scope, one row for each type approved there.

        Args:
            customer: only this one's sites.

        Returns:
            A frame with the columns of `SITE_TYPES`.
        """
        with self._gate.act(Act.SEE, f"sites {customer or '*'}"):
            scope = self.identity.scope if customer is None else self._place(customer).scope
            return to_frame(site_table(self._services.inventory, scope))

    def types(self, customer: str | None = None, site: str | None = None) -> pd.DataFrame:
        """Return the device types of the catalogue, or those approved for one site.

        Args:
            customer: whose site.
            site: only the types approved there (article: only approved types can be added).

        Returns:
            A frame with the columns of `SUPPORTED_DEVICES`.
        """
        with self._gate.act(Act.SEE, f"types {site or '*'}"):
            approved = None
            if site is not None:
                place = self._place(customer, site)
                with self._services.inventory.read() as reader:
                    approved = reader.site(place.scope, place.customer.name, site).approved_types
            return to_frame(type_table(self._services.catalogue, approved))

    def devices(
        self,
        customer: str | None = None,
        site: str | None = None,
        *,
        device_type: str | None = None,
        search: str = "",
        min_available: int | None = None,
        columns: Sequence[str] | None = ARTICLE_COLUMNS,
    ) -> pd.DataFrame:
        """Return the device list.

        Args:
            customer: only this one's devices.
            site: only this site's.
            device_type: only this type, by any name that people use for it.
            search: a part of the MAC, type or name.
            min_available: only devices with at least so many free lines.
            columns: names of columns of `DEVICE_LIST`; `None` for all; by default the article's four.

        Returns:
            A frame with these columns, in order, also when empty.
        """
        with self._gate.act(Act.SEE, f"devices {customer or '*'} / {site or '*'}"):
            scope = self._scope(customer, site)
            kind = self._services.catalogue.get(device_type).name if device_type else None
            chosen = DeviceFilter(search=search, device_type=kind, min_available=min_available)
            services = self._services
            names = DEVICE_LIST.names if columns is None else [c.name for c in device_columns(columns)]
            table = device_list(services.inventory, services.lake, services.catalogue, scope, chosen)
            return to_frame(table.select(list(names)))

    def device(self, mac: str | Mac) -> Device:
        """Return one device with its lines, as the inventory knows it; no network is asked.

        Args:
            mac: its address, as people write it.

        Raises:
            MacInvalid: the text is no MAC address.
            NotFound: the scope has no such device.
        """
        with self._gate.act(Act.SEE, f"device {mac}"):
            return self._device(mac)

    def status(self, mac: str | Mac) -> DeviceStatus:
        """Ask the network now for one device.

        Args:
            mac: its address, as people write it.

        Returns:
            State, lines, expiry and user agent; `unknown` where the network did not answer.
        """
        with self._gate.act(Act.SEE, f"status {mac}") as doing:
            device = self._device(mac)
            services = self._services
            kind = services.catalogue.find(device.device_type)
            status = ask_device(
                device,
                services.networks,
                services.lake,
                services.clock,
                services.settings.aged_retention,
                dect=kind is not None and kind.kind is DeviceKind.DECT_BASE,
            )
            doing.detail = status.state or "no lines"
            return status

    def line_states(
        self, customer: str | None = None, site: str | None = None, line_filter: LineFilter | None = None
    ) -> pd.DataFrame:
        """Return the newest known state of each line, from the lake.

        Args:
            customer: only this one's lines.
            site: only this site's.
            line_filter: states, types, text, SQL condition.

        Returns:
            A frame with the columns of `OBSERVATIONS`.
        """
        with self._gate.act(Act.SEE, f"line states {customer or '*'} / {site or '*'}"):
            scope = self._scope(customer, site)
            chosen = self._known_types(line_filter or LineFilter())
            lake = self._services.lake
            limits = self._services.settings.query
            rows = choose_lines(lake, lake.current(scope), scope, chosen, limits)
            with lake.connection(rows.inputs) as cursor:
                table: Any = cursor.sql(f"SELECT * FROM {rows.sql}").to_arrow_table()  # noqa: S608
            return to_frame(table.select(list(OBSERVATIONS.names)))

    def summary(self, customer: str | None = None, site: str | None = None) -> pd.DataFrame:
        """Return lines by state for each site, from the newest snapshots."""
        with self._gate.act(Act.SEE, f"summary {customer or '*'} / {site or '*'}"):
            return state_counts(self._services.lake, self._scope(customer, site))

    def sql(self, text: str, tables: Mapping[str, pd.DataFrame] | None = None) -> pd.DataFrame:
        """Run an analyst's SQL over the tables of the identity's scope.

        Args:
            text: one statement in DuckDB's dialect; `SHOW TABLES` names the tables.
            tables: frames of one's own that the statement can name too, such as a CSV export of tickets.

        Returns:
            The answer.

        Raises:
            QueryRefused: the SQL is wrong or reaches outside.
            UsageError: a frame of one's own has the name of a table that is there already.
            QueryTimeout: it ran too long or needed too much memory.
        """
        with self._gate.act(Act.QUERY, text):
            services = self._services
            there = analyst_tables(services.inventory, services.lake, services.catalogue, self.identity.scope)
            brought = own_tables(tables or {}, [each.name for each in there])
            return run_sql(text, [*there, *brought], services.settings.query)
