"""The MAC address, however people write it."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devlib.errors import MacInvalid
from devlib.model import Mac, mac_number
from devlib.model.mac import mac_fault

unicast = st.integers(1, 2**48 - 1).filter(lambda number: not number & (1 << 40))


def spellings(number):
    """Every way in which people and devices write an address."""
    digits = f"{number:012X}"
    pairs = [digits[place : place + 2] for place in range(0, 12, 2)]
    yield digits
    for separator in ":-.":
        yield separator.join(pairs)
    yield ".".join(digits[place : place + 4] for place in (0, 4, 8))


@given(unicast, st.sampled_from(["", " ", "\t", "\u00a0\n"]))
def test_every_spelling_gives_the_same_address(number, blank):
    """All spellings, in either case and with blanks around, give one address, which prints one way."""
    for text in spellings(number):
        for written in (text, text.lower(), blank + text + blank):
            assert Mac.parse(written) == Mac(number)
            assert mac_number(written) == number
    assert Mac.parse(str(Mac(number))) == Mac(number)
    assert Mac(number).digits == f"{number:012X}"


@given(st.text(max_size=24))
def test_other_text_is_refused_with_a_reason(text):
    """What is no address raises MacInvalid with a code and a remedy, and never anything else."""
    if mac_number(text) is None:
        with pytest.raises(MacInvalid) as caught:
            Mac.parse(text)
        assert caught.value.code in {"MAC_MISSING", "MAC_INVALID", "MAC_MANGLED", "MAC_MULTICAST"}
        assert caught.value.remedy is not None
        assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "MAC_MISSING"),
        (" \t\n", "MAC_MISSING"),
        ("4.13742E+11", "MAC_MANGLED"),
        ("4,13742e11", "MAC_MANGLED"),
        ("1E10", "MAC_MANGLED"),
        ("413741767", "MAC_MANGLED"),
        ("1565123456.00", "MAC_MANGLED"),
        ("01:00:5E:00:00:01", "MAC_MULTICAST"),
        ("FFFFFFFFFFFF", "MAC_MULTICAST"),
        ("000000000000", "MAC_INVALID"),
        ("00:15:65:AA:BB", "MAC_INVALID"),
        ("00:15:65:AA:BB:CC:DD", "MAC_INVALID"),
        ("00:15-65:AA:BB:CC", "MAC_INVALID"),
        ("0:15:65:a:b:c", "MAC_INVALID"),
        ("００１５６５ＡＡＢＢＣＣ", "MAC_INVALID"),  # noqa: RUF001 - full-width digits are the point
        ("1234567890123", "MAC_INVALID"),
    ],
)
def test_each_fault_has_its_code(text, code):
    """Missing, mangled, group and wrong addresses are told apart."""
    assert mac_fault(text).code == code
    with pytest.raises(MacInvalid):
        Mac.parse(text)


def test_a_hexadecimal_address_that_looks_like_a_number_is_an_address():
    """Twelve digits are an address also where a spreadsheet would read a number."""
    assert Mac.parse("0015651E2345").value == 0x0015651E2345
    assert Mac.parse("001565123456").value == 0x001565123456


def test_hostile_text_is_shown_bounded_and_visible():
    """The message holds no control characters and at most 40 characters of the text."""
    text = str(mac_fault("\x1b[2J" + "9" * 1000).what)
    assert "\\x1b[2J" in text
    assert "9" * 41 not in text


def test_addresses_are_ordered_hashed_and_pickled():
    """Addresses sort by number, are keys, and cross process borders."""
    assert sorted([Mac(3), Mac(1), Mac(2)]) == [Mac(1), Mac(2), Mac(3)]
    assert Mac(1) < Mac(2) >= Mac(2)
    assert len({Mac(1), Mac(1)}) == 1
    assert pickle.loads(pickle.dumps(Mac(7))) == Mac(7)
    with pytest.raises(TypeError):
        assert Mac(1) < 2
