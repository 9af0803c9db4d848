"""Whether what a phone says it is contradicts its device type, with the tolerance that names need."""

import re
from enum import StrEnum

from devlib.model.catalogue import Catalogue, DeviceKind, DeviceType, normal_form

_SERIES = re.compile(r"[a-z]*[0-9]+")
_VENDOR_LETTERS = 4  # "Poly" and "Polycom" are one maker


class Contradiction(StrEnum):
    """What differs."""

    VENDOR = "other vendor"
    MODEL = "other model"


def contradiction(
    device_type: str, said_vendor: str | None, said_model: str | None, catalogue: Catalogue
) -> Contradiction | None:
    """Return in what a phone contradicts the type of its device; `None` where it does not.

    The catalogue's names and its aliases are one name ("CP-8851", "8851-3PCC"). A spelling that the catalogue
    does not know is taken for a variant where one name holds the other ("8865NR", "E350" for "Edge E350"). Of
    a DECT base the series is enough: its manager registers for it under a name of its own ("W80DM", "W80B").

    Args:
        device_type: as the inventory has it; one that the catalogue does not know contradicts nothing.
        said_vendor: maker that the phone says; `None` where it is not recognised.
        said_model: model that it says; `None` where it is not recognised.
        catalogue: the known types.
    """
    kind = catalogue.find(device_type)
    if kind is None or said_vendor is None:
        return None
    if said_vendor.casefold()[:_VENDOR_LETTERS] != kind.vendor.casefold()[:_VENDOR_LETTERS]:
        return Contradiction.VENDOR
    if said_model is None or _is_same_model(kind, said_model, catalogue):
        return None
    return Contradiction.MODEL


def _is_same_model(kind: DeviceType, said: str, catalogue: Catalogue) -> bool:
    known = catalogue.find(f"{kind.vendor} {said}")
    if known is not None:
        return known.name == kind.name
    ours, theirs = normal_form(kind.model), normal_form(said)
    if kind.kind is DeviceKind.DECT_BASE:
        series = (_SERIES.match(ours), _SERIES.match(theirs))
        return all(series) and len({each[0] for each in series if each}) == 1
    return ours in theirs or theirs in ours
