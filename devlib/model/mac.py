"""The MAC address of a device, however people write it."""

import re
from dataclasses import dataclass
from functools import total_ordering

from devlib.errors import MacInvalid
from devlib.language import message, visible

_PLAIN = re.compile(r"[0-9A-Fa-f]{12}")
_SEPARATED = re.compile(r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}")
_DOTTED = re.compile(r"[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}|[0-9A-Fa-f]{2}(?:\.[0-9A-Fa-f]{2}){5}")
_AS_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)?[Ee]\+?[0-9]+")
_ALL_DIGITS = re.compile(r"[0-9]{1,11}(?:[.,]0+)?")
_SEPARATORS = str.maketrans("", "", ":-.")
_MULTICAST = 1 << 40


@total_ordering
@dataclass(frozen=True, slots=True)
class Mac:
    """A unicast, non-zero EUI-48 address.

    Args:
        value: the 48 bits as an integer.
    """

    value: int

    @classmethod
    def parse(cls, text: str) -> "Mac":
        """Return the address that `text` writes.

        Accepts `00:15:65:AA:BB:CC`, the same with `-` or `.`, `0015.65aa.bbcc` and twelve bare digits, in
        either case, with white space around.

        Args:
            text: what a person or a file wrote.

        Returns:
            The address.

        Raises:
            MacInvalid: with code `MAC_MISSING`, `MAC_MANGLED` (a spreadsheet turned it into a number:
                domain study §6), `MAC_MULTICAST` (IEEE 802: the group bit is set) or `MAC_INVALID`.
        """
        value = mac_number(text)
        if value is None:
            raise mac_fault(text)
        return cls(value)

    @property
    def digits(self) -> str:
        """Twelve upper-case hexadecimal digits without separators."""
        return f"{self.value:012X}"

    def __str__(self) -> str:
        return with_colons(self.digits)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Mac):
            return NotImplemented
        return self.value < other.value


def with_colons(digits: str) -> str:
    """Return twelve digits as people write them, in pairs with colons between."""
    a, b, c = digits[:2], digits[2:4], digits[4:6]
    return f"{a}:{b}:{c}:{digits[6:8]}:{digits[8:10]}:{digits[10:]}"


def mac_number(text: str) -> int | None:
    """Return the 48 bits of the MAC address that `text` writes, or `None`; the fast path of `Mac.parse`."""
    text = text.strip()
    if not (_PLAIN.fullmatch(text) or _SEPARATED.fullmatch(text) or _DOTTED.fullmatch(text)):
        return None
    value = int(text.translate(_SEPARATORS), 16)
    return None if value == 0 or value & _MULTICAST else value


def mac_fault(text: str) -> MacInvalid:
    """Return, not raised, why `text` is no MAC address; `mac_number` gives `None` for it."""
    text = text.strip()
    shown = visible(text, 40)
    if not text:
        return MacInvalid("MAC_MISSING", message("The MAC address is missing."))
    if _AS_NUMBER.fullmatch(text) or _ALL_DIGITS.fullmatch(text):
        return MacInvalid(
            "MAC_MANGLED",
            message("A spreadsheet has turned the MAC address into the number {text}.", text=shown),
            remedy=message(
                "The address cannot be computed back. Format the column as text, then copy the twelve "
                "digits from the label of the device again."
            ),
        )
    digits = text.translate(_SEPARATORS)
    if not _PLAIN.fullmatch(digits):
        return MacInvalid(
            "MAC_INVALID",
            message("{text} is not a MAC address: twelve hexadecimal digits are needed.", text=shown),
        )
    if int(digits, 16) == 0:
        return MacInvalid("MAC_INVALID", message("The MAC address is all zero."))
    if int(digits, 16) & _MULTICAST:
        return MacInvalid(
            "MAC_MULTICAST",
            message("{text} is a group address; no single device can have it.", text=shown),
        )
    return MacInvalid(
        "MAC_INVALID",
        message("{text} mixes separators in a way that no device writes.", text=shown),
    )
