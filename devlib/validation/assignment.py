"""The rules for assigning a line of a device to a user."""

import re
from typing import NamedTuple

from devlib.language import message, visible
from devlib.model import DeviceType
from devlib.validation.problems import Code, Problem, problem

LONGEST_ADDRESS = 161  # Characters: 80, the sign @, 80.
LONGEST_PART = 80
# RFC 3261 §25.1 `user` without parameters (`;`, `?`, `/`), and `hostname` or an IPv4 address, without a port.
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,]|%[0-9A-Fa-f]{2})+")
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?"
    r"|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}"
)
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_EXTENSION = re.compile(r"[0-9]{2,10}")


class WrittenLine(NamedTuple):
    """The assignment of a line as a person wrote it; phone number and extension may be empty.

    Args:
        port: number of the port on the device, from 1.
        line_port: SIP address `user@domain` under which the line registers.
        user_id: account of the user who is to hold it.
        phone_number: E.164 number, with its plus sign.
        extension: short number.
    """

    port: int
    line_port: str
    user_id: str
    phone_number: str = ""
    extension: str = ""


def check_assignment(written: WrittenLine, device_type: DeviceType) -> tuple[Problem, ...]:
    """Return everything that is wrong with an assignment; rows are 0.

    Args:
        written: the assignment, as a person wrote it; nothing is trimmed.
        device_type: type of the device, which says how many lines it has.
    """
    found = (
        _port_problem(written.port, device_type),
        line_port_problem(written.line_port),
        user_id_problem(written.user_id),
        phone_number_problem(written.phone_number),
        extension_problem(written.extension),
    )
    return tuple(each for each in found if each is not None)


def line_port_problem(text: str) -> Problem | None:
    """Return why a text is no line port: `user@domain`, a subset of RFC 3261 §25.1, at most 80@80."""
    if not text:
        return problem(Code.LINE_PORT_MISSING, "line_port", message("The line port is missing."))
    user, _, domain = text.partition("@")
    if max(len(user), len(domain)) <= LONGEST_PART and _USER.fullmatch(user) and _DOMAIN.fullmatch(domain):
        return None
    return problem(
        Code.LINE_PORT_INVALID,
        "line_port",
        message(
            "{text} is no line port: user@domain is needed, without sip: and parameters.", text=visible(text)
        ),
    )


def user_id_problem(text: str) -> Problem | None:
    """Return why a text is no user ID: printable, without white space, at most 161 characters."""
    if not text:
        return problem(Code.USER_ID_MISSING, "user_id", message("The user ID is missing."))
    if len(text) <= LONGEST_ADDRESS and text.isprintable() and " " not in text:
        return None
    return problem(
        Code.USER_ID_INVALID,
        "user_id",
        message(
            "{text} is no user ID: at most {longest} characters without blanks are needed.",
            text=visible(text),
            longest=LONGEST_ADDRESS,
        ),
    )


def phone_number_problem(text: str) -> Problem | None:
    """Return why a text is neither empty nor an E.164 number: a plus sign and at most 15 digits."""
    if not text or _E164.fullmatch(text):
        return None
    said = message(
        "{text} is no E.164 number: a plus sign, the country code, at most 15 digits.", text=visible(text)
    )
    return problem(Code.PHONE_NUMBER_INVALID, "phone_number", said)


def extension_problem(text: str) -> Problem | None:
    """Return why a text is neither empty nor an extension of 2 to 10 digits."""
    if not text or _EXTENSION.fullmatch(text):
        return None
    said = message("{text} is no extension: 2 to 10 digits are needed.", text=visible(text))
    return problem(Code.EXTENSION_INVALID, "extension", said)


def _port_problem(port: int, device_type: DeviceType) -> Problem | None:
    if 1 <= port <= device_type.lines:
        return None
    said = message(
        "There is no port {port}: {type} has the ports 1 to {lines}.",
        port=port,
        type=device_type.name,
        lines=device_type.lines,
    )
    return problem(Code.PORT_INVALID, "port", said)
