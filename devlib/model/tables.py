"""One declaration per table: column name, type, unit, meaning and display name in both languages.

The DDL of the snapshots, the headers of every CSV, empty frames and `docs/tables.md` follow from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from devlib.language import Language


class ColumnType(StrEnum):
    """Types that Parquet, DuckDB, pandas and CSV share; `MOMENT` is UTC to the microsecond."""

    TEXT = "VARCHAR"
    INTEGER = "BIGINT"
    REAL = "DOUBLE"
    MOMENT = "TIMESTAMP"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        name: in SQL and in frames.
        type: what it holds.
        english: header in English files and screens.
        french: header in French ones.
        meaning: one sentence for the documentation.
        hostile: whether a phone or a person wrote it freely, so that CSV neutralises formulas in it.
    """

    name: str
    type: ColumnType
    english: str
    french: str
    meaning: str
    hostile: bool = False

    def header(self, language: Language) -> str:
        """Return the display name in `language`."""
        return self.french if language == "fr" else self.english


@dataclass(frozen=True, slots=True)
class Table:
    """A named list of columns, in their order."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column called `name`.

        Raises:
            KeyError: the table has none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def part(self, name: str, meaning: str, columns: tuple[str, ...]) -> "Table":
        """Return a table of some of these columns, in the order given."""
        return Table(name, meaning, tuple(self.column(each) for each in columns))
