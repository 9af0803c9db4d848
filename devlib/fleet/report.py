"""What a bulk import tells: counts, the first problems, and one result row for each row of the file."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from devlib.language import Language, Message, message
from devlib.model import IMPORT_RESULT
from devlib.validation import CheckedRow, Code, Problem, Severity, neutralise_text

_SHOWN = 20


class ImportMode(StrEnum):
    """What an import may change."""

    CHECK = "check"
    ALL_OR_NOTHING = "all or nothing"
    VALID_ROWS = "valid rows"


class Outcome(StrEnum):
    """What became of a row."""

    ADDED = "added"
    PRESENT = "present"
    VALID = "valid"
    REFUSED = "refused"
    NOT_IMPORTED = "not imported"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or would do.

    Args:
        mode: what it was allowed to change.
        rows: rows of the file, empty ones left out.
        outcomes: rows by outcome; those that did not occur are left out.
        codes: problems by code, the most frequent first.
        problems: the first problems, by row.
        notices: what the owner of the file should know, though it is no fault.
        result: the file with one row for each row of the input, where one was asked for.
    """

    mode: ImportMode
    rows: int
    outcomes: Mapping[Outcome, int]
    codes: Mapping[Code, int]
    problems: tuple[Problem, ...] = ()
    notices: tuple[Message, ...] = ()
    result: Path | None = None

    @property
    def added(self) -> int:
        """Devices that were added."""
        return self.outcomes.get(Outcome.ADDED, 0)

    @property
    def refused(self) -> int:
        """Rows that break rules."""
        return self.outcomes.get(Outcome.REFUSED, 0)

    def values(self, language: Language) -> dict[str, object]:
        """Return everything as plain values for JSON, with texts in `language`."""
        return {
            "mode": self.mode.value,
            "rows": self.rows,
            "outcomes": {outcome.value: number for outcome, number in self.outcomes.items()},
            "codes": {code.value: number for code, number in self.codes.items()},
            "problems": [
                {
                    "row": each.row,
                    "field": each.field,
                    "code": each.code.value,
                    "severity": each.severity.value,
                    "message": each.message.in_language(language),
                }
                for each in self.problems
            ],
            "notices": [each.in_language(language) for each in self.notices],
            "result": None if self.result is None else str(self.result),
        }

    def sentences(self) -> list[Message]:
        """Return the report in sentences: notices, counts, the first problems, the result file."""
        found = [*self.notices]
        found += [_COUNTED[outcome](number) for outcome, number in self.outcomes.items()]
        if not self.rows:
            found.append(message("The file holds no rows."))
        found += [
            message("{code}: {count}", code=code.value, count=count) for code, count in self.codes.items()
        ]
        found += [
            message("Row {row}: {problem}", row=each.row, problem=each.message) for each in self.problems
        ]
        # A notice (the device is there already) is counted, but it is no problem to show.
        problems = sum(n for code, n in self.codes.items() if code.severity is not Severity.NOTICE)
        if problems > len(self.problems):
            found.append(message("Only the first {shown} problems are shown.", shown=len(self.problems)))
        if self.result is not None:
            found.append(message("One result row for each row: {path}", path=self.result))
        return found


_COUNTED = {
    Outcome.ADDED: lambda count: message("Added: {count}", count=count),
    Outcome.PRESENT: lambda count: message("Already there: {count}", count=count),
    Outcome.VALID: lambda count: message("Would be added: {count}", count=count),
    Outcome.REFUSED: lambda count: message("Refused: {count}", count=count),
    Outcome.NOT_IMPORTED: lambda count: message("Right, but not imported: {count}", count=count),
}


@dataclass(slots=True)
class Tally:
    """Counts rows as they get their outcome.

    Args:
        accepted: outcome of the rows that are right and new.
    """

    accepted: Outcome
    rows: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    codes: Counter[Code] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def add(self, row: CheckedRow) -> None:
        """Count a row."""
        self.rows += 1
        self.outcomes[outcome_of(row, self.accepted)] += 1
        for each in row.problems:
            self.codes[each.code] += 1
            if each.severity is not Severity.NOTICE and len(self.problems) < _SHOWN:
                self.problems.append(each)

    def report(self, mode: ImportMode, notices: tuple[Message, ...], result: Path | None) -> ImportReport:
        """Return the counts so far."""
        outcomes = {each: self.outcomes[each] for each in Outcome if self.outcomes[each]}
        codes = dict(self.codes.most_common())
        return ImportReport(mode, self.rows, outcomes, codes, tuple(self.problems), notices, result)


def outcome_of(row: CheckedRow, accepted: Outcome) -> Outcome:
    """Return what became of a row; `accepted` is what becomes of those that are right and new."""
    if row.refused:
        return Outcome.REFUSED
    return Outcome.PRESENT if row.present else accepted


def write_results(file: TextIO, rows: Iterable[CheckedRow], accepted: Outcome, language: Language) -> None:
    """Write one result row for each checked row, with headers and messages in `language`.

    Args:
        file: open for writing.
        rows: in file order.
        accepted: what became of the rows that are right and new.
        language: of the reader.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(column.header(language) for column in IMPORT_RESULT)
    writer.writerows(_result(row, outcome_of(row, accepted), language) for row in rows)


def _result(row: CheckedRow, outcome: Outcome, language: Language) -> tuple[object, ...]:
    # Whoever wrote the file may have planted formulas in it; this file is opened in a spreadsheet.
    written = map(neutralise_text, (row.mac, row.device_type, row.site))
    codes = " ".join(each.code.value for each in row.problems)
    fields = " ".join(dict.fromkeys(each.field for each in row.problems if each.field))
    said = " ".join(each.message.in_language(language) for each in row.problems)
    return (row.row, *written, outcome.value, codes, fields, neutralise_text(said))
