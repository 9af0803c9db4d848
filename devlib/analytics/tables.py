"""The tables that an analyst's SQL can name, each limited to one scope."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from devlib.model import (
    DEVICE_LIST,
    SITE_TYPES,
    SUPPORTED_DEVICES,
    Catalogue,
    Column,
    ColumnType,
    Scope,
    Table,
)
from devlib.storage import (
    Collected,
    DeviceFilter,
    Inventory,
    Lake,
    Source,
    arrow_schema,
    newest_observations,
    observations,
    period_dataset,
)

SNAPSHOTS = Table(
    "snapshots",
    "The manifest: one row for each snapshot that touches the scope.",
    (
        Column("id", ColumnType.INTEGER, "Number", "Numéro", "Number of the snapshot."),
        Column("observed_at", ColumnType.MOMENT, "Observed At", "Observé le", "When it was asked (UTC)."),
        Column("provider", ColumnType.TEXT, "Service Provider", "Fournisseur de service", "Empty for all."),
        Column("customer", ColumnType.TEXT, "Customer", "Client", "Empty for all."),
        Column("site", ColumnType.TEXT, "Site", "Site", "Empty for all."),
        Column("rows", ColumnType.INTEGER, "Rows", "Lignes", "Lines in it; empty where others' are too."),
    ),
)

INVENTORY_COLUMNS = (
    "provider", "customer", "site", "mac", "device_type", "available_lines", "total_lines", "assigned_lines",
    "name", "description", "vendor", "kind", "base_station_id", "chain_id",
)  # fmt: skip


def analyst_tables(inventory: Inventory, lake: Lake, catalogue: Catalogue, scope: Scope) -> list[Source]:
    """Return the tables for SQL over one scope.

    Args:
        inventory: devices, sites and the manifest.
        lake: the rows of the snapshots.
        catalogue: line counts.
        scope: what the asker may see.

    Returns:
        `line_states` (newest row of each line), `observations` (every row), `state_periods` (spans of time
        in one state), `devices`, `sites`, `snapshots`.
    """
    return [
        Source("line_states", lambda: newest_observations(lake, lake.current(scope), scope)),
        Source("observations", lambda: observations(_all_files(inventory, lake, scope), scope)),
        Source("state_periods", lambda: period_dataset(lake, scope)),
        Source("devices", lambda: device_table(inventory, catalogue, scope)),
        Source("sites", lambda: site_table(inventory, scope)),
        Source("snapshots", lambda: snapshot_table(inventory, scope)),
    ]


def _all_files(inventory: Inventory, lake: Lake, scope: Scope) -> list[Path]:
    with inventory.read() as reader:
        entries = list(reader.manifest(scope))
    return lake.local(each.path for each in lake.present(entries))


def device_table(
    inventory: Inventory, catalogue: Catalogue, scope: Scope, chosen: DeviceFilter | None = None
) -> pa.Table:
    """Return the devices of the scope, with line counts, as the inventory knows them now."""
    table = DEVICE_LIST.part("devices", DEVICE_LIST.meaning, INVENTORY_COLUMNS)
    rows: list[dict[str, object]] = []
    with inventory.read() as reader:
        for row in reader.devices(scope, catalogue, chosen or DeviceFilter()):
            kind = catalogue.find(row.device_type)
            values = {name: getattr(row, name, None) for name in INVENTORY_COLUMNS}
            values |= {"mac": str(row.mac), "vendor": kind.vendor if kind else None}
            rows.append(values | {"kind": kind.kind.value if kind else None})
    return pa.Table.from_pylist(rows, arrow_schema(table))


def site_table(inventory: Inventory, scope: Scope) -> pa.Table:
    """Return the sites of the scope, one row for each type approved there (none: an empty type)."""
    with inventory.read() as reader:
        rows = [
            {"customer": site.customer, "site": site.name, "device_type": name}
            for site in reader.sites(scope)
            for name in site.approved_types or (None,)
        ]
    return pa.Table.from_pylist(rows, arrow_schema(SITE_TYPES))


def snapshot_table(inventory: Inventory, scope: Scope) -> pa.Table:
    """Return the manifest rows that touch the scope, newest first.

    The count of a snapshot that reaches beyond the scope is left out: it tells of others' lines.
    """
    with inventory.read() as reader:
        rows = [
            {
                "id": each.id,
                "observed_at": each.observed_at.replace(tzinfo=None),
                "provider": each.collected.provider,
                "customer": each.collected.customer,
                "site": each.collected.site,
                "rows": each.rows if _within(each.collected, scope) else None,
            }
            for each in reader.manifest(scope)
        ]
    return pa.Table.from_pylist(rows, arrow_schema(SNAPSHOTS))


def _within(collected: Collected, scope: Scope) -> bool:
    return (
        scope.provider in (None, collected.provider)
        and scope.customer in (None, collected.customer)
        and (scope.sites is None or collected.site in scope.sites)
    )


def type_table(catalogue: Catalogue, only: Sequence[str] | None = None) -> pa.Table:
    """Return the device types of the catalogue, or those called `only`."""
    rows = [
        {
            "device_type": each.name,
            "vendor": each.vendor,
            "kind": each.kind.value,
            "lines": each.lines,
            "certainty": each.certainty.value,
        }
        for each in catalogue.types
        if only is None or each.name in only
    ]
    return pa.Table.from_pylist(rows, arrow_schema(SUPPORTED_DEVICES))
