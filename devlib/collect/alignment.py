"""Puts beside each line what the network says of it and what was known, so that the rule need not join.

Joining rows of more than forty columns costs more than the rule itself, and DuckDB gives joined rows in any
order. Here only keys are joined: which binding speaks for a line. The rest is taken by position, some
thousand lines at a time, in the order of the file.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from devlib.collect.answers import ASKED, HELD
from devlib.collect.identifying import device_names, said_in
from devlib.collect.rule import SAID, network_form_sql
from devlib.storage import Lake

_SORTED = [(name, "ascending") for name in ("provider", "customer", "site", "mac", "port")]
_OF_ASKED = [name for name in ASKED.names if name not in {"line_key", "line_port"}]
_OF_HELD = [name for name in HELD.names if name not in {"part", "line_port"}]
_SAID = pa.struct([(name, pa.string()) for name in SAID])
_CHUNK = 10_240  # rows; DuckDB's threads share a table by its chunks

# How many live bindings a line has, and the row in `held` of the one that speaks for it, as `newest`
# chooses. Relations: `lines` (line_key, kind), `asked` and `held`, whose rows are numbered. A binding counts
# for a line only within the same part: of the network that was asked for it.
_MATCH_SQL = f"""
WITH found AS MATERIALIZED (
    SELECT line_key, held.row, held.contact, held.expires_at, held.registered_at,
        kind IS NOT DISTINCT FROM 'dect_base' AS dect,
        held.expires_at IS NULL OR held.expires_at > asked_at AS live
    FROM held JOIN asked ON held.part = asked.part
        AND {network_form_sql("held.line_port")} = {network_form_sql("asked.line_port")}
    JOIN lines USING (line_key)
), counted AS (
    SELECT line_key, count(*) AS all_of_it, count(*) FILTER (live) AS live, any_value(row) AS row
    FROM found GROUP BY line_key
)  -- nearly every line has one binding: choosing among several costs ten times as much
SELECT line_key, live, row FROM counted WHERE all_of_it = 1
UNION ALL
SELECT line_key, any_value(counted.live),
    arg_max(found.row, (found.live, expires_at IS NULL AND NOT dect,
        coalesce(if(dect, registered_at, expires_at), TIMESTAMP '0001-01-01'),
        coalesce(if(dect, expires_at, registered_at), TIMESTAMP '0001-01-01'), contact))
FROM found JOIN counted USING (line_key) WHERE all_of_it > 1 GROUP BY line_key
"""  # noqa: S608 - own texts

# What was known of these lines. Relations: `lines` (line_key) and `previous`.
_KNOWN_SQL = f"""
SELECT line_key, expires_at, last_registered_at, contact, user_agent, public_address, private_address,
    instance, call_id, {", ".join(SAID)}, current_base, bindings, ghosts,
    if(state = 'unknown', state_before, state) AS state, state_known_at,
    if(state = 'unknown', evidence_before, evidence) AS evidence
FROM previous SEMI JOIN lines USING (line_key)
"""  # noqa: S608 - own texts


class Alignment:
    """The lines of one snapshot, in the order of its file.

    Args:
        lake: runs the questions.
        lines: of the inventory; those that nobody was asked for are left out.
        asked: who was asked for them, with the schema `ASKED`.
        held: what was said, with the schema `HELD`.
        previous: the columns `PAST` of the last observation of each line: a table, or SQL that gives it.

    Raises:
        StorageUnavailable: the past cannot be read.
    """

    def __init__(
        self, lake: Lake, lines: pa.Table, asked: pa.Table, held: pa.Table, previous: pa.Table | str
    ) -> None:
        self._lake = lake
        self._asked, self._held = asked, held
        numbered = held.select(["part", "line_port", "contact", "expires_at", "registered_at"])
        numbered = numbered.append_column("row", pa.array(np.arange(len(held))))
        keys = _in_chunks(lines.select(["line_key", "kind"]))
        with ThreadPoolExecutor(1) as beside:
            known = beside.submit(self._table, _KNOWN_SQL, {"lines": keys, "previous": previous})
            inputs = {"lines": keys, "asked": _in_chunks(asked), "held": _in_chunks(numbered)}
            match = self._table(_MATCH_SQL, inputs)
            order = pc.sort_indices(lines, _SORTED)
            self._known = known.result()
        of_asked = _places_in(asked, lines.column("line_key").take(order))
        there = pc.is_valid(of_asked)
        self._lines, self._order, self._of_asked = lines, order.filter(there), of_asked.filter(there)
        keys = lines.column("line_key").take(self._order)
        of_match = _places_in(match, keys)
        self._live, self._of_held = match.column("live").take(of_match), match.column("row").take(of_match)
        self._of_known = _places_in(self._known, keys)

    def parts(self, rows: int) -> Iterator[pa.Table]:
        """Yield the relation `aligned` of `states_sql` in parts.

        Args:
            rows: most rows of a part; without any line there is one part, without rows.
        """
        for first in range(0, max(len(self._order), 1), rows):
            yield self._part(first, rows)

    def _part(self, first: int, rows: int) -> pa.Table:
        taken = self._lines.take(self._order.slice(first, rows))
        columns = dict(zip(taken.column_names, taken.columns, strict=True))
        of_asked = self._asked.select(_OF_ASKED).take(self._of_asked.slice(first, rows))
        columns |= dict(zip(_OF_ASKED, of_asked.columns, strict=True))
        columns["live"] = self._live.slice(first, rows)
        columns["last"] = _beside(self._held.select(_OF_HELD), self._of_held.slice(first, rows))
        columns["known"] = _beside(self._known, self._of_known.slice(first, rows))
        columns["identified"] = _identified(columns["last"], columns["known"])
        return _in_chunks(pa.table(columns).combine_chunks())

    def _table(self, sql: str, inputs: dict[str, pa.Table | str]) -> pa.Table:
        with self._lake.connection(inputs) as cursor:
            return cursor.sql(sql).to_arrow_table()


def _identified(last: pa.StructArray, known: pa.StructArray) -> pa.StructArray:
    """Return what phones say of themselves, at least where their last observation does not know it."""
    same = pc.is_valid(pc.struct_field(known, "said_vendor"))
    for name in ("user_agent", "instance", "contact"):
        same = pc.and_(same, pc.equal(pc.struct_field(last, name), pc.struct_field(known, name)))
    # What is not the same word for word may still be nothing new; then it is read once more.
    new = pc.and_(pc.is_valid(last), pc.invert(pc.fill_null(same, fill_value=False)))
    if not new.true_count:
        return pa.nulls(len(last), _SAID)
    numbers = pa.array(np.arange(len(last)))
    told = last.filter(new)
    sayings = {name: pc.struct_field(told, name) for name in ("user_agent", "instance")}
    sayings["named"] = device_names(pc.struct_field(told, "contact"))
    return _beside(said_in(pa.table(sayings)), pc.index_in(numbers, numbers.filter(new)))


def _places_in(table: pa.Table, keys: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return for each key in which row of the table its line is, or nothing."""
    return pc.index_in(keys, table.column("line_key").combine_chunks())


def _beside(table: pa.Table, rows: pa.ChunkedArray | pa.Array) -> pa.StructArray:
    """Return these rows as one column; nothing where there is no row."""
    numbers = rows.combine_chunks() if isinstance(rows, pa.ChunkedArray) else rows
    taken = table.take(numbers)
    columns = [each.combine_chunks() for each in taken.columns]
    return pa.StructArray.from_arrays(columns, names=taken.column_names, mask=pc.is_null(numbers))


def _in_chunks(table: pa.Table) -> pa.Table:
    """Return the table in parts that DuckDB's threads can share; of one piece, one thread reads it all."""
    batches = table.to_batches(max_chunksize=_CHUNK)  # views: nothing is copied
    return pa.Table.from_batches(batches, schema=table.schema)
