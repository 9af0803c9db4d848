"""The rules for one device: site, type and MAC address of the Add form (article), names, and vendors.

A verdict on a pair of site and type is kept, since a file of a million rows has a few hundred of them.
"""

import csv
import difflib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from devlib.language import Message, message, visible
from devlib.model import Catalogue, DeviceType, Mac
from devlib.model.mac import mac_fault
from devlib.validation.formulas import restore_text
from devlib.validation.known import KnownFleet, Located, SiteRules, site_key
from devlib.validation.problems import Code, Problem, Target, problem

OUI_SHIFT = 24  # The vendor's half of an address.
# A file whose every row has another type must neither fill the memory nor search the catalogue each time.
_MOST_PAIRS = 10_000
_MOST_NAMES = 10_000
_MOST_SUGGESTIONS = 500
_MOST_NAMED = 10

_SiteFound = tuple[SiteRules | None, frozenset[str], Problem | None]
_TypeFound = tuple[DeviceType | None, Problem | None]


class Pair(NamedTuple):
    """The verdict on a site and a type as written in a row.

    Args:
        site: the site, where it is known.
        kind: the type, where it is known.
        problems: what is wrong with the two.
        vendor: maker of the type; empty where the type is unknown.
        target: where a row with the two leads, where nothing is wrong.
    """

    site: SiteRules | None
    kind: DeviceType | None
    problems: tuple[Problem, ...]
    vendor: str
    target: Target | None


class DeviceRules:
    """The rules for one device, against one fleet and catalogue; `pairs[site, type]` keeps the verdicts.

    Args:
        known: what is known of the fleet.
        catalogue: the device types.
    """

    def __init__(self, known: KnownFleet, catalogue: Catalogue) -> None:
        self._known = known
        self._catalogue = catalogue
        self.pairs = _Pairs(self)
        self._site = lru_cache(_MOST_NAMES)(self._look_up_site)
        self._type = lru_cache(_MOST_NAMES)(self._look_up_type)
        self._suggestions = 0

    def judge(self, written_site: str, written_type: str) -> Pair:
        """Return the verdict on a site and a type, both as written."""
        site, approved, no_site = self._site(written_site)
        kind, no_type = self._type(written_type)
        problems = [each for each in (no_site, no_type) if each is not None]
        if site is None or kind is None:
            return Pair(site, kind, tuple(problems), "" if kind is None else kind.vendor, None)
        if kind.name not in approved:
            return Pair(site, kind, (_not_approved(kind, site, sorted(approved)),), kind.vendor, None)
        return Pair(site, kind, (), kind.vendor, Target(kind.name, site.name))

    def _look_up_site(self, written: str) -> _SiteFound:
        text = restore_text(written).strip()
        rules = self._known.site(text) if text else None
        if rules is None:
            return None, frozenset(), _no_site(text)
        kinds = ((name, self._catalogue.find(name)) for name in rules.approved_types)
        return rules, frozenset(name if kind is None else kind.name for name, kind in kinds), None

    def _look_up_type(self, written: str) -> _TypeFound:
        text = written.strip()
        kind = self._catalogue.find(text) if text else None
        return kind, self._no_type(text) if kind is None else None

    def _no_type(self, text: str) -> Problem:
        if not text:
            return problem(Code.TYPE_MISSING, "device_type", message("The device type is missing."))
        near = self._nearest(text[:80])
        if not near:
            said = message("The device type {name} is not in the catalogue.", name=visible(text))
        else:
            said = message(
                "The device type {name} is not in the catalogue; the nearest names are {near}.",
                name=visible(text),
                near=", ".join(near),
            )
        return problem(Code.TYPE_UNKNOWN, "device_type", said)

    def _nearest(self, text: str) -> tuple[str, ...]:
        self._suggestions += 1
        if self._suggestions > _MOST_SUGGESTIONS:
            return ()
        names = {name.casefold(): name for name in self._catalogue.lines}
        return tuple(names[each] for each in difflib.get_close_matches(text.casefold(), names, n=3))

    def existing(self, number: int, found: Located, pair: Pair, row: int = 0) -> Problem:
        """Return what it means that a MAC address exists already.

        Args:
            number: the address.
            found: where it is.
            pair: the verdict on the site and type that the row wants for it.
            row: number of that row.

        Returns:
            `ALREADY_PRESENT` at the same site with the same type, else `ALREADY_EXISTS` or
            `ALREADY_EXISTS_OTHER_SITE`; a site that the asker may not see is not named.
        """
        mac = Mac(number)
        if not found.visible:
            code, text = (
                Code.ALREADY_EXISTS_OTHER_SITE,
                message("The device {mac} exists already at another site.", mac=mac),
            )
        elif pair.site is None or not _same_site(pair.site, found):
            code, text = (
                Code.ALREADY_EXISTS_OTHER_SITE,
                message(
                    "The device {mac} exists already at the site {site}.", mac=mac, site=visible(found.site)
                ),
            )
        elif pair.kind is None or pair.kind != self._catalogue.find(found.device_type):
            code, text = (
                Code.ALREADY_EXISTS,
                message(
                    "The device {mac} exists already at this site as {type}.",
                    mac=mac,
                    type=visible(found.device_type),
                ),
            )
        else:
            code, text = (
                Code.ALREADY_PRESENT,
                message("The device {mac} is already there; nothing to do.", mac=mac),
            )
        return problem(code, "mac", text, row)


class _Pairs(dict[tuple[str, str], Pair]):
    """Verdicts by site and type; a missing one is made. A dictionary, since every row asks it."""

    def __init__(self, rules: DeviceRules) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, written: tuple[str, str]) -> Pair:
        if len(self) >= _MOST_PAIRS:
            self.clear()
        found = self[written] = self._rules.judge(*written)
        return found


def mac_problem(text: str, row: int = 0) -> Problem:
    """Return why a cell is not the MAC address of one device.

    Args:
        text: a cell for which `mac_number` gives `None`.
        row: number of its row.
    """
    error = mac_fault(text)
    said = message("{what} {remedy}", what=error.what, remedy=error.remedy)
    return problem(Code(error.code), "mac", said, row)


def vendor_problem(number: int, kind: DeviceType, row: int = 0) -> Problem | None:
    """Return a warning where the MAC address belongs to another vendor than the type.

    Addresses of unknown vendors give none: such lists age, and makers buy hardware (domain study §5).
    """
    owner = vendor_of_oui().get(number >> OUI_SHIFT)
    if owner is None or owner == kind.vendor:
        return None
    return problem(
        Code.OUI_MISMATCH,
        "mac",
        message(
            "The address {mac} is one of {owner}, but the type is {type}: check the label.",
            mac=Mac(number),
            owner=owner,
            type=kind.name,
        ),
        row,
    )


@lru_cache(maxsize=1)
def vendor_of_oui() -> Mapping[int, str]:
    """Return the vendors by the first 24 bits of their addresses (IEEE OUI list, domain study §5)."""
    text = resources.files("devlib.validation").joinpath("vendor_ouis.csv").read_text(encoding="utf-8")
    return {int(row["oui"], 16): row["vendor"] for row in csv.DictReader(text.splitlines())}


def _same_site(wanted: SiteRules, found: Located) -> bool:
    return wanted.customer == found.customer and site_key(wanted.name) == site_key(found.site)


def _no_site(text: str) -> Problem:
    if not text:
        return problem(Code.SITE_MISSING, "site", message("The site is missing."))
    said = message("There is no site {name} that you may manage.", name=visible(text))
    return problem(Code.SITE_UNKNOWN, "site", said)


def _not_approved(kind: DeviceType, rules: SiteRules, approved: list[str]) -> Problem:
    said: Message = message(
        "{type} is not approved for the site {site}.", type=kind.name, site=visible(rules.name)
    )
    if approved:
        named = ", ".join(approved[:_MOST_NAMED]) + (", …" if len(approved) > _MOST_NAMED else "")
        said = message("{what} Approved are: {types}.", what=said, types=named)
    return problem(Code.TYPE_NOT_APPROVED_FOR_SITE, "device_type", said)
