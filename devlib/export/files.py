"""Names of exported files: what, whose, and of when."""

import re
import unicodedata
from datetime import datetime
from hashlib import sha256

from devlib.language import Language

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")
_FAITHFUL = re.compile(r"[A-Za-z0-9]+(?: [A-Za-z0-9]+)*")
_ALL_SITES = "all-sites"
_LONGEST = 60


def plain(name: str) -> str:
    """Return a name as a part of a file name: ASCII letters, digits and hyphens.

    A name that loses anything but case and blanks on the way gets six digits of its own, so that "Paris 1"
    and "Paris-1", or two names without a Latin letter, never share a file.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    shown = _NOT_PLAIN.sub("-", ascii_name).strip("-").lower()[:_LONGEST]
    if _FAITHFUL.fullmatch(name) and len(name) <= _LONGEST and shown != _ALL_SITES:
        return shown
    return f"{shown or 'unnamed'}-{short_hash(name)}"


def short_hash(text: str) -> str:
    """Return six hexadecimal digits that tell texts apart."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]


def file_name(
    kind: str,
    customer: str,
    site: str | None,
    observed_at: datetime,
    *,
    mark: str = "",
    language: Language = "en",
    end: str = "csv",
) -> str:
    """Return the name of an exported file.

    Args:
        kind: what it holds, such as `line-states`.
        customer: whose.
        site: one site, or `None` for all.
        observed_at: the time of the data, UTC.
        mark: tells the filter and the columns apart; empty for everything.
        language: of the headers; English is not named.
        end: of the name, by the form of the file.
    """
    parts = [kind, plain(customer), plain(site) if site else _ALL_SITES, f"{observed_at:%Y%m%dT%H%M%SZ}"]
    parts += [f"part-{mark}"] if mark else []
    parts += [language] if language != "en" else []
    return "_".join(parts) + f".{end}"
