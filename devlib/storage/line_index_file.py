"""Writing the line index: one file for one state of the manifest; an older one goes when a newer is there."""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from devlib.config import QueryLimits
from devlib.model import EVERYTHING
from devlib.storage.lake import Lake
from devlib.storage.line_index import (
    ABOUT,
    BETWEEN,
    CODED,
    DIGITS,
    SEARCHED,
    SEARCHED_TOGETHER,
    LineIndex,
    open_index,
)
from devlib.storage.line_rows import LineFilter, choose_lines
from devlib.storage.manifest import Snapshot
from devlib.storage.publishing import write_whole

_PIECE = 122_880
_END = ".lines"


class IndexShelf:
    """Where the line index of a home lies.

    Args:
        folder: only this account may read it, as the lake.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> LineIndex | None:
        """Return the newest index, `None` where there is none."""
        with suppress(OSError, pa.ArrowInvalid):  # replaced or removed while we looked
            if paths := self._paths():
                return open_index(paths[-1])
        return None

    def write(self, lake: Lake, snapshots: Sequence[Snapshot], columns: Sequence[str], now: datetime) -> Path:
        """Write the index of these snapshots, and remove older ones: whoever has them mapped keeps them.

        Args:
            lake: holds the snapshots.
            snapshots: of `Lake.current` for everything; at least one.
            columns: of `OBSERVATIONS`, which the index gives back; what is filtered is among them.
            now: the moment, UTC.

        Raises:
            StorageUnavailable: the folder cannot be written, or a snapshot cannot be read.
        """
        about = {
            "entries": [each.id for each in snapshots],
            "observed_at": max(each.observed_at for each in snapshots).isoformat(),
            "written_at": now.isoformat(),
        }
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = self._paths()
        number = int(before[-1].name.partition("-")[0]) + 1 if before else 1
        path = self.folder / f"{number:012d}-{uuid4().hex[:8]}{_END}"
        whole = _table(lake, snapshots, columns).replace_schema_metadata({ABOUT: json.dumps(about)})

        def write(target: Path) -> None:
            target.touch(mode=0o600)
            with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, whole.schema) as writer:
                writer.write_table(whole, max_chunksize=_PIECE)

        write_whole(path, write)
        for old in before:
            old.unlink(missing_ok=True)
        return path

    def clear(self) -> None:
        """Remove every index."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"[0-9]*{_END}"))


def _table(lake: Lake, snapshots: Sequence[Snapshot], columns: Sequence[str]) -> pa.Table:
    rows = choose_lines(lake, snapshots, EVERYTHING, LineFilter(), QueryLimits.model_construct())
    names, together = ", ".join(columns), ", ".join(SEARCHED_TOGETHER)
    sql = (
        f"SELECT {names}, lower(concat_ws('{BETWEEN}', {together})) AS {SEARCHED}, "  # noqa: S608 - own texts
        f"replace(mac, ':', '') AS {DIGITS} FROM {rows.sql}"
    )
    with lake.connection(rows.inputs) as cursor:
        reader = cursor.sql(sql).to_arrow_reader(_PIECE)
        schema = pa.schema([_coded(field) for field in reader.schema])
        return pa.Table.from_batches([batch.cast(schema) for batch in reader], schema).unify_dictionaries()


def _coded(field: pa.Field) -> pa.Field:
    return field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in CODED else field
