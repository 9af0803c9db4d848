"""What a phone says of itself: vendor, model, firmware and MAC, and where the MAC was read.

It is the phone's claim and hostile text: the inventory decides which device a line belongs to. The forms are
those of published REGISTERs and vendors' guides (SIP study, section 8); each has a test.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from devlib.model.mac import Mac

_MOST = 255  # characters looked at; registrars drop longer user agents
_HEX12 = re.compile(
    # One separator throughout: of "MAC:14-00-E9-1B-E2-41" the first letters are not the address.
    r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{12}"
    r"|[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(?:\1[0-9A-Fa-f]{2}){4})(?![0-9A-Fa-f])"
)
_DEVICE_NAME = re.compile(r"\bSEP([0-9A-Fa-f]{12})(?![0-9A-Fa-f])")
NIL_INSTANCE = r"<?urn:uuid:00000000-0000-(?:[01]000-(?:8000|0000)|0000-0000)-(?P<digits>[0-9A-F]{12})>?"
"""Form of an instance that carries a MAC, without regard to case: of a nil UUID, not of a time-based one."""

_NIL_INSTANCE = re.compile(NIL_INSTANCE, re.ASCII | re.IGNORECASE)
_NOBODY = frozenset({0, 0xFFFFFFFFFFFF})


class MacSource(StrEnum):
    """Where a phone's MAC was read; in this order the first one counts."""

    USER_AGENT = "user agent"
    DEVICE_NAME = "device name"
    INSTANCE = "instance"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class Identification:
    """What a phone says it is; `None` where it does not say.

    Args:
        vendor: maker, as the catalogue spells it.
        model: as the phone spells it, without the maker's prefix.
        firmware: version.
        mac: its address.
        mac_from: where that was read.
    """

    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None
    mac: Mac | None = None
    mac_from: MacSource | None = None


# Cisco writes the MAC address behind its version: with it, no two phones would run the same firmware.
_MAC_BEHIND = re.compile(r"_[0-9a-f]{12}(?![0-9a-f]).*", re.ASCII | re.IGNORECASE)
_FIRMWARE = r"(?P<firmware>[0-9][\w.()\-]{0,30})"
_DIGITS = r"(?P<firmware>[0-9][0-9.]{2,20})"

# Start of the user agent in lower case, vendor, form.
_KNOWN = (
    ("cisco-cp-", "Cisco", rf"Cisco-CP-(?P<model>[0-9A-Za-z\-]{{3,20}})/{_FIRMWARE}"),
    ("cisco-cp", "Cisco", rf"Cisco-CP(?P<model>[0-9A-Za-z]{{3,20}})/{_FIRMWARE}"),
    ("cisco-ata", "Cisco", r"Cisco-(?P<model>ATA[0-9A-Za-z]{1,10}(?:-MPP)?)/(?P<firmware>[\w.()\-]{1,30})"),
    ("cisco-dbs", "Cisco", r"Cisco-(?P<model>DBS-?[0-9]{3}(?:-3PC)?)[/ ](?P<firmware>[\w.()\-]{1,30})"),
    ("cisco/", "Cisco", r"Cisco/(?P<model>[A-Z0-9]{3,12})-(?P<firmware>[\w.()\-]{1,30})"),
    ("linksys/", "Cisco", r"Linksys/(?P<model>[A-Z0-9]{3,12})-(?P<firmware>[\w.()\-]{1,30})"),
    (
        "poly",
        "Poly",
        (
            r"Poly(?:com)?(?:VVX-|SoundPointIP-|SoundStationIP-|Edge-|CCX-)?"
            r"(?P<model>[A-Za-z]{1,6}[_ ]?[A-Za-z]?[0-9]{3,4}[A-Za-z]?)-UA/(?P<firmware>[0-9][0-9.]{0,20})"
        ),
    ),
    ("poly", "Poly", r"Poly(?:com)?[ /](?P<model>[\w \-]{2,20})/(?P<firmware>[0-9][0-9.]{0,20})"),
    (
        "yealink",
        "Yealink",
        (
            r"Yealink (?:SIP-)?(?P<model>[A-Z]{0,3}-?[A-Z]?[0-9]{1,4}[0-9A-Z_]{0,6}) "
            r"(?P<firmware>[0-9][0-9.]{0,20})"
        ),
    ),
    ("snom", "Snom", rf"snom ?(?P<model>[A-Z]?[0-9]{{2,4}}[A-Z]?)/{_FIRMWARE}"),
    ("mozilla/4.0 (compatible; snom", "Snom", rf".{{25}}[Ss]nom (?P<model>[A-Z]?[0-9]{{3}}) {_DIGITS}"),
    (
        "grandstream",
        "Grandstream",
        (
            r"Grandstream (?P<model>[A-Z]{2,4}-?[0-9]{3,4}[A-Z0-9]{0,3}) {1,2}"
            rf"(?:V[0-9.]+[A-Z]? )?{_DIGITS}"
        ),
    ),
    ("fanvil", "Fanvil", rf"Fanvil (?P<model>[A-Z]{{0,2}}[0-9]{{1,4}}[A-Z0-9]{{0,3}}) {_DIGITS}"),
    (
        "mitel",
        "Mitel",
        rf"Mitel[ \-]?(?P<model>[0-9]{{4}}[a-z]{{0,2}})(?:-SIP)?(?: MAC:[0-9A-F\-]{{17}} V:|/){_DIGITS}",
    ),
    ("aastra", "Mitel", rf"Aastra (?P<model>[0-9]{{2,4}}[a-z]{{0,2}})/{_DIGITS}"),
    (
        "gigaset",
        "Gigaset",
        r"Gigaset (?P<model>[A-Z]?[0-9]{3}(?: IP| DM)?(?: PRO)?)/(?P<firmware>[0-9][\w.+]{2,40})",
    ),
)


def _by_first_letters() -> Mapping[str, tuple[tuple[str, str, re.Pattern[str]], ...]]:
    found: dict[str, list[tuple[str, str, re.Pattern[str]]]] = {}
    for start, vendor, form in _KNOWN:
        found.setdefault(start[:2], []).append((start, vendor, re.compile(form, re.ASCII)))
    return {letters: tuple(forms) for letters, forms in found.items()}


_FORMS = _by_first_letters()


def identify(
    user_agent: str | None, instance: str | None = None, contact: str | None = None
) -> Identification:
    """Return what a phone says of itself; does not raise, whatever it says.

    Args:
        user_agent: of its REGISTER.
        instance: `+sip.instance`, with or without angle brackets.
        contact: the whole Contact with its parameters, where the network kept it.
    """
    vendor, model, firmware, of_agent = _of_agent((user_agent or "")[:_MOST])
    mac, mac_from = (of_agent, MacSource.USER_AGENT) if of_agent else _elsewhere(instance, contact)
    return Identification(vendor, model, firmware, mac, mac_from)


@lru_cache(maxsize=4096)  # a fleet has thousands of phones and a few dozen user agents
def _of_agent(said: str) -> tuple[str | None, str | None, str | None, Mac | None]:
    vendor, model, firmware, rest = _who(said)
    found = _HEX12.search(said, rest) if vendor else None
    return vendor, model, firmware, _read(found[0]) if found else None


def _who(said: str) -> tuple[str | None, str | None, str | None, int]:
    folded = said.lower()
    for start, vendor, form in _FORMS.get(folded[:2], ()):
        if folded.startswith(start) and (found := form.match(said)):
            firmware = _MAC_BEHIND.sub("", found["firmware"]).rstrip("-._")
            return vendor, found["model"].strip(), firmware or None, found.end("model")
    # A maker that is known, in a form that is not.
    for start, vendor, _ in _FORMS.get(folded[:2], ()):
        if folded.startswith(start):
            return vendor, None, None, len(start)
    return None, None, None, 0


def _elsewhere(instance: str | None, contact: str | None) -> tuple[Mac | None, MacSource | None]:
    named = _DEVICE_NAME.search(contact[:1024]) if contact else None
    if named and (mac := _read(named[1])):
        return mac, MacSource.DEVICE_NAME
    of_instance = _NIL_INSTANCE.fullmatch(instance[:80]) if instance else None
    if of_instance and (mac := _read(of_instance[1])):
        return mac, MacSource.INSTANCE
    return None, None


def _read(text: str) -> Mac | None:
    number = int(text.replace(":", "").replace("-", ""), 16)
    # A group address is no phone's (IEEE 802).
    return None if number in _NOBODY or number >> 40 & 1 else Mac(number)
