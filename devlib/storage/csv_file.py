"""CSV files by DuckDB's own writer, with formulas neutralised column by column.

A spreadsheet runs text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return as a formula (OWASP,
CSV injection). User agents and contacts come from phones, so each such text gets an apostrophe in front;
text that has apostrophes and then such a character gets one more, so that reading can take exactly one away.
A plus sign with digits only is a telephone number (E.164) and stays as it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devlib.language import Language
from devlib.model import Column, ColumnType
from devlib.storage.lake import Lake
from devlib.storage.publishing import write_whole
from devlib.storage.snapshot_sql import quoted

# The cheap test before the exact one: bit n of the mask stands for the code points n, n + 64 and so on. It is
# no list, for DuckDB makes a join of a list, and a join gives rows in any order.
_MASK = sum(1 << (ord(character) & 63) for character in "'=+-@\t\r")
_SUSPECT = f"({_MASK}::UBIGINT >> (ascii({{name}}) & 63)::UBIGINT) & 1 = 1"
_FORMULA = r"^''*[=+\-@\t\r]"
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_NUMBER = r"^\+[0-9]{1,15}$"


def csv_expression(column: Column, language: Language) -> str:
    """Return the SQL of one CSV column: a text neutralised, all else as `write_csv` has it written."""
    name = f'"{column.name}"'
    header = column.header(language).replace('"', '""')
    if column.type is ColumnType.TEXT:
        number = "" if column.hostile else f" AND NOT regexp_matches({name}, '{_NUMBER}')"
        dangerous = f"{_SUSPECT.format(name=name)} AND regexp_matches({name}, '{_FORMULA}'){number}"
        # What begins with a letter is most of it. An empty text and a missing one are the same empty field.
        value = (
            f"CASE WHEN {name} >= 'A' THEN {name} WHEN {name} = '' THEN NULL "
            f"WHEN {dangerous} THEN '''' || {name} ELSE {name} END"
        )
    else:
        value = name
    return f'{value} AS "{header}"'


def write_csv(
    lake: Lake,
    rows: str,
    columns: Sequence[Column],
    language: Language,
    target: Path,
    inputs: Mapping[str, Any] | None = None,
) -> int:
    """Write rows of the lake into a CSV file that appears whole or not at all.

    Args:
        lake: runs the query.
        rows: SQL for a FROM clause, in the order wanted.
        columns: what to write, in order.
        language: of the headers.
        target: the file.
        inputs: Arrow tables that `rows` names.

    Returns:
        The number of rows written.
    """
    expressions = ", ".join(csv_expression(column, language) for column in columns)
    select = f"SELECT {expressions} FROM {rows}"  # noqa: S608 - names of our own declaration
    return copied_whole(lake, select, f"FORMAT csv, HEADER, TIMESTAMPFORMAT '{_MOMENT}'", target, inputs)


def copied_whole(
    lake: Lake, select: str, options: str, target: Path, inputs: Mapping[str, Any] | None
) -> int:
    """Let DuckDB write the rows of a query into a file that appears whole or not at all; return their number.

    Args:
        lake: runs the query.
        select: the query.
        options: of DuckDB's `COPY`.
        target: the file.
        inputs: Arrow tables that the query names.
    """
    written = 0

    def write(temporary: Path) -> None:
        nonlocal written
        with lake.connection(inputs) as cursor:
            counted = cursor.execute(f"COPY ({select}) TO '{quoted(temporary)}' ({options})").fetchone()
        written = int(counted[0]) if counted else 0

    write_whole(target, write)
    return written
