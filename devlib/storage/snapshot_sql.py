"""SQL that reads the rows of snapshots from their files, whatever layout the files have."""

from collections.abc import Sequence
from pathlib import Path

from devlib.model import FIRST_LAYOUT_COLUMNS, OBSERVATIONS, OBSERVATIONS_LAYOUT
from devlib.storage.manifest import Snapshot

SNAPSHOT_ID = "snapshot_id"
"""The column of a day file that tells from which snapshot a row is."""


def rows_sql(folder: Path, snapshots: Sequence[Snapshot]) -> str:
    """Return SQL, for a FROM clause, of all rows of these snapshots; an empty relation for none.

    Args:
        folder: of the lake.
        snapshots: living ones, in any order.
    """
    if not snapshots:
        nothing = ", ".join(f"NULL::{column.type} AS {column.name}" for column in OBSERVATIONS)
        return f"(SELECT {nothing} WHERE false)"
    parts = []
    for layout in sorted({each.layout for each in snapshots}, reverse=True):
        of_layout = [each for each in snapshots if each.layout == layout]
        own = [folder / each.path for each in of_layout if not each.in_day_file]
        moved = [each for each in of_layout if each.in_day_file]
        parts += [(layout, files_sql(own))] if own else []
        parts += [(layout, _from_day_files(folder, moved))] if moved else []
    if len(parts) == 1 and parts[0][0] == OBSERVATIONS_LAYOUT:
        return parts[0][1]
    return f"({' UNION ALL BY NAME '.join(_filled_up(*each) for each in parts)})"


def quoted(path: Path) -> str:
    """Return a path as it stands between the quotes of an SQL literal."""
    return str(path).replace("'", "''")


def files_sql(paths: Sequence[Path]) -> str:
    """Return SQL, for a FROM clause, of all rows of these files; they have one layout."""
    files = ", ".join(f"'{quoted(path)}'" for path in paths)
    # Without the last setting a folder called `customer=X` on the way would be a column.
    return f"read_parquet([{files}], hive_partitioning = false)"


def _from_day_files(folder: Path, snapshots: Sequence[Snapshot]) -> str:
    files = files_sql(sorted({folder / each.path for each in snapshots}))
    numbers = ", ".join(str(each.id) for each in snapshots)
    return f"(SELECT * EXCLUDE ({SNAPSHOT_ID}) FROM {files} WHERE {SNAPSHOT_ID} IN ({numbers}))"  # noqa: S608


def _filled_up(layout: int, rows: str) -> str:
    """Return SQL of rows of an older layout with the columns that came later, empty."""
    later = OBSERVATIONS.columns[FIRST_LAYOUT_COLUMNS:] if layout < OBSERVATIONS_LAYOUT else ()
    nothing = "".join(f", NULL::{column.type} AS {column.name}" for column in later)
    return f"SELECT *{nothing} FROM {rows}"  # noqa: S608 - own texts
