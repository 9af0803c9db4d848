"""The rules for a device, for a line, and for a whole bulk file."""

from devlib.validation.assignment import WrittenLine, check_assignment
from devlib.validation.check import check_device, check_one, check_rows
from devlib.validation.chunks import WrittenDevice
from devlib.validation.formulas import neutralise_text, restore_text
from devlib.validation.known import FixedFleet, KnownFleet, Located, SiteRules, site_key
from devlib.validation.problems import CheckedRow, Code, Problem, Severity, Target
from devlib.validation.reading import BulkTable, Chunk, Record, open_table

__all__ = [
    "BulkTable",
    "CheckedRow",
    "Chunk",
    "Code",
    "FixedFleet",
    "KnownFleet",
    "Located",
    "Problem",
    "Record",
    "Severity",
    "SiteRules",
    "Target",
    "WrittenDevice",
    "WrittenLine",
    "check_assignment",
    "check_device",
    "check_one",
    "check_rows",
    "neutralise_text",
    "open_table",
    "restore_text",
    "site_key",
]
