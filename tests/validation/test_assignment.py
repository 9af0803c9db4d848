"""The rules for assigning a line."""

import pytest

from devlib.model import load_catalogue
from devlib.validation import Code, WrittenLine, check_assignment

GOOD = WrittenLine(1, "poste.12@sip.example.com", "accueil@example.com", "+15145550123", "123")


def found(**changes):
    """The codes for an assignment that differs from a good one."""
    faults = check_assignment(GOOD._replace(**changes), load_catalogue().get("Yealink T46U"))
    assert all(fault.row == 0 and len(str(fault.message)) < 250 for fault in faults)
    return [fault.code for fault in faults]


def test_a_good_assignment_has_no_problem():
    """A good assignment has no problem, with or without number and extension."""
    assert found() == []
    assert found(phone_number="", extension="") == []


@pytest.mark.parametrize(
    "line_port",
    [
        "a@b",
        "+15145550123@10.0.0.255",
        "a%20b!~*'()&=+$,@x-1.example.com.",
        "u" * 80 + "@" + "d" * 80,
    ],
)
def test_good_line_ports(line_port):
    """RFC 3261 users at host names and IPv4 addresses are line ports."""
    assert found(line_port=line_port) == []


@pytest.mark.parametrize(
    "line_port",
    [
        "user",
        "@domain",
        "user@",
        "sip:user@domain",
        "user@domain:5060",
        "user;x=1@domain",
        "us er@domain",
        "user@dom@ain",
        "user@-domain.com",
        "user@domain.1",
        "user@256.1.1.1",
        "user@10.0.0.1.",
        "user@a..b",
        "%zz@domain",
        "üser@domain",
        "user@domain\n",
        "u" * 81 + "@d",
        "u@" + "d" * 81,
        "x" * 10_000,
    ],
)
def test_bad_line_ports(line_port):
    """Schemes, ports, parameters, blanks and endless texts are no line ports."""
    assert found(line_port=line_port) == [Code.LINE_PORT_INVALID]


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"line_port": ""}, [Code.LINE_PORT_MISSING]),
        ({"user_id": ""}, [Code.USER_ID_MISSING]),
        ({"user_id": "a b"}, [Code.USER_ID_INVALID]),
        ({"user_id": "a\n"}, [Code.USER_ID_INVALID]),
        ({"user_id": "a" * 162}, [Code.USER_ID_INVALID]),
        ({"user_id": "é" * 161}, []),
        ({"phone_number": "+123456789012345"}, []),
        ({"phone_number": "+1234567890123456"}, [Code.PHONE_NUMBER_INVALID]),
        ({"phone_number": "15145550123"}, [Code.PHONE_NUMBER_INVALID]),
        ({"phone_number": "+0145550123"}, [Code.PHONE_NUMBER_INVALID]),
        ({"phone_number": "+1 514 555"}, [Code.PHONE_NUMBER_INVALID]),
        ({"extension": "12"}, []),
        ({"extension": "1"}, [Code.EXTENSION_INVALID]),
        ({"extension": "12345678901"}, [Code.EXTENSION_INVALID]),
        ({"extension": "١٢٣"}, [Code.EXTENSION_INVALID]),
        ({"port": 16}, []),
        ({"port": 17}, [Code.PORT_INVALID]),
        ({"port": 0}, [Code.PORT_INVALID]),
    ],
)
def test_each_rule(changes, codes):
    """Every field has its own rule and code."""
    assert found(**changes) == codes


def test_all_problems_are_found():
    """An assignment with everything wrong gives every code."""
    assert found(port=99, line_port="x", user_id="", phone_number="x", extension="x") == [
        Code.PORT_INVALID,
        Code.LINE_PORT_INVALID,
        Code.USER_ID_MISSING,
        Code.PHONE_NUMBER_INVALID,
        Code.EXTENSION_INVALID,
    ]
