"""Moments as people write them: local time at the edge, UTC inside."""

import re
from datetime import UTC, datetime, timedelta

from devlib.errors import UsageError
from devlib.language import message, visible

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,5}(?:\.\d+)?)\s*([mhdw])")


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the moment that a person means.

    Args:
        text: `24h`, `30m`, `7d` or `2w` ago; or a day or a moment in ISO 8601, of local time where it has no
            zone: `2026-11-25`, `2026-11-25 08:30`, `2026-11-25T07:30Z`; or `now`.
        now: UTC.

    Returns:
        The moment in UTC.

    Raises:
        UsageError: it means nothing.
    """
    wanted = text.strip()
    if wanted.lower() == "now":
        return now
    if found := _AGO.fullmatch(wanted.lower()):
        return now - timedelta(**{_UNITS[found[2]]: float(found[1])})
    try:
        # A moment without a zone is one of this machine's.
        return datetime.fromisoformat(wanted).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            message("{text} is no moment.", text=visible(text, 40)),
            remedy=message("Write for example 24h, 7d, 2026-11-25 or 2026-11-25T08:30."),
        ) from None


def parse_span(text: str) -> timedelta:
    """Return the length of time that `15m`, `1h` or `1d` means.

    Raises:
        UsageError: it means nothing, or no time at all.
    """
    found = _AGO.fullmatch(text.strip().lower())
    span = timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else timedelta()
    if not span:
        raise UsageError(
            message("{text} is no span of time.", text=visible(text, 40)),
            remedy=message("Write for example 15m, 1h or 1d."),
        )
    return span
