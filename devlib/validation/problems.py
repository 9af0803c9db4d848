"""What can be wrong with a row, and what is known of a row that was checked."""

from enum import StrEnum
from typing import NamedTuple

from devlib.language import Message
from devlib.model import Mac, NewDevice


class Severity(StrEnum):
    """How much a problem matters: only an `ERROR` keeps a row out."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


class Code(StrEnum):
    """What is wrong, for programs; people read the message."""

    FIELD_COUNT = "FIELD_COUNT"
    QUOTES_INVALID = "QUOTES_INVALID"
    SITE_MISSING = "SITE_MISSING"
    SITE_UNKNOWN = "SITE_UNKNOWN"
    TYPE_MISSING = "TYPE_MISSING"
    TYPE_UNKNOWN = "TYPE_UNKNOWN"
    TYPE_NOT_APPROVED_FOR_SITE = "TYPE_NOT_APPROVED_FOR_SITE"
    MAC_MISSING = "MAC_MISSING"
    MAC_INVALID = "MAC_INVALID"
    MAC_MANGLED = "MAC_MANGLED"
    MAC_MULTICAST = "MAC_MULTICAST"
    DUPLICATE_IN_FILE = "DUPLICATE_IN_FILE"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ALREADY_EXISTS_OTHER_SITE = "ALREADY_EXISTS_OTHER_SITE"
    ALREADY_PRESENT = "ALREADY_PRESENT"
    OUI_MISMATCH = "OUI_MISMATCH"
    TEXT_TOO_LONG = "TEXT_TOO_LONG"
    TEXT_INVALID = "TEXT_INVALID"
    USER_ID_MISSING = "USER_ID_MISSING"
    USER_ID_INVALID = "USER_ID_INVALID"
    LINE_PORT_MISSING = "LINE_PORT_MISSING"
    LINE_PORT_INVALID = "LINE_PORT_INVALID"
    PHONE_NUMBER_INVALID = "PHONE_NUMBER_INVALID"
    EXTENSION_INVALID = "EXTENSION_INVALID"
    PORT_INVALID = "PORT_INVALID"

    @property
    def severity(self) -> Severity:
        """How much it matters. Lists of vendors age, so an unexpected vendor is never an error."""
        if self is Code.OUI_MISMATCH:
            return Severity.WARNING
        return Severity.NOTICE if self is Code.ALREADY_PRESENT else Severity.ERROR


class Problem(NamedTuple):
    """One thing that is wrong, or worth knowing.

    Args:
        row: number of the row in the file, the header being row 1; 0 where there is no file.
        field: column name of `IMPORT_TEMPLATE`, or field of a line; empty for the row as a whole.
        code: what it is, for programs.
        message: what it is, for people.
        severity: whether it keeps the row out.
    """

    row: int
    field: str
    code: Code
    message: Message
    severity: Severity


class Target(NamedTuple):
    """Where a faultless row leads, in the words of the inventory and the catalogue."""

    device_type: str
    site: str


class CheckedRow(NamedTuple):
    """One row of a bulk file, checked.

    Args:
        row: number of the row in the file, the header being row 1; 0 where there is no file.
        line: line of the file on which it begins.
        mac: as written.
        device_type: as written.
        site: as written.
        name: as it would be kept.
        description: as it would be kept.
        number: the MAC address as an integer; `None` where it cannot be read.
        target: type and site of the device to add; `None` for a row with errors and one that is present.
        present: whether the same device is already at that site; importing it again changes nothing.
        problems: everything that was found, in the order of the columns.
    """

    row: int
    line: int
    mac: str
    device_type: str
    site: str
    name: str
    description: str
    number: int | None
    target: Target | None
    present: bool
    problems: tuple[Problem, ...]

    @property
    def device(self) -> NewDevice | None:
        """The device to add; `None` for a row with errors and for one that is present."""
        # Made when it is asked for: most of the time of a check without an import would go into it.
        if self.target is None or self.number is None:
            return None
        return NewDevice(
            Mac(self.number), self.target.device_type, self.target.site, self.name, self.description
        )

    @property
    def refused(self) -> bool:
        """Whether an error keeps the row out."""
        return self.target is None and not self.present


def problem(code: Code, field: str, text: Message, row: int = 0) -> Problem:
    """Return a problem with the severity of its code."""
    return Problem(row, field, code, text, code.severity)
