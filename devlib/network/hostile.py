"""Text and numbers that a phone or a registrar sent: bounded, printable, and never a reason to fail."""

from datetime import UTC, datetime

TEXT_LIMIT = 512
USER_AGENT_LIMIT = 255  # Kamailio drops longer ones to "n/a" (SIP study §2)

_SQL_INTEGER = 2**63 - 1
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the end of what `datetime` can hold
_ABSENT = frozenset({"", "[not set]", "n/a"})


def clean_text(value: object, limit: int = TEXT_LIMIT) -> str | None:
    """Return what a field may keep of `value`.

    Control characters, line breaks, surrogates and invisible marks (bidirectional overrides among them)
    are taken away; markup and formulas stay, for the doors escape what they show.

    Args:
        value: anything that JSON or SIP can carry.
        limit: most characters to keep.

    Returns:
        Printable text; `None` where it is no text, empty, or one of Kamailio's words for absent.
    """
    if not isinstance(value, str) or value in _ABSENT:
        return None
    if len(value) <= limit and value.isprintable():
        return value
    # The cut before the search bounds the work; four to one leaves room for what is dropped.
    kept = "".join(filter(str.isprintable, value[: 4 * limit]))[:limit].strip()
    return kept or None


def clean_integer(value: object) -> int | None:
    """Return `value` where it is a whole number from 0 that a database column can hold, else `None`."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _SQL_INTEGER:
        return value
    return None


def clean_moment(value: object) -> datetime | None:
    """Return the moment that `value`, in seconds since 1970, means; `None` where it means none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LAST_SECOND:
        return datetime.fromtimestamp(value, UTC)
    return None
