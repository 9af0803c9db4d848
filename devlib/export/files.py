"""Names of exported files: what, whose, and of when."""

import re
import unicodedata
from datetime import datetime

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")


def plain(name: str) -> str:
    """Return a name as a part of a file name: ASCII letters, digits and hyphens, at most 60 of them."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _NOT_PLAIN.sub("-", ascii_name).strip("-").lower()[:60] or "unnamed"


def file_name(kind: str, customer: str, site: str | None, observed_at: datetime, filtered: str = "") -> str:
    """Return the name of an exported file.

    Args:
        kind: what it holds, such as `line-states`.
        customer: whose.
        site: one site, or `None` for all.
        observed_at: the time of the data, UTC.
        filtered: a mark of the filter; empty for everything.
    """
    parts = [kind, plain(customer), plain(site) if site else "all-sites", f"{observed_at:%Y%m%dT%H%M%SZ}"]
    if filtered:
        parts.append(f"filtered-{filtered}")
    return "_".join(parts) + ".csv"
