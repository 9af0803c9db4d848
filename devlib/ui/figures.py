"""Key figures of line states: the same for the server's first numbers and for the widget after them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import pandas as pd

from devlib.language import Language, Message, message
from devlib.ui.words import STATES, state_texts

STALE_AFTER = 3600
WELL_FROM = 0.9
"""Share of registered lines from which a site counts as well; the same as in `check_health`."""

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure.

    Args:
        value: as it is shown.
        label: below it.
        state: the line state it counts; empty for none.
    """

    value: str
    label: str
    state: str = ""


def number_text(value: int, language: Language) -> str:
    """Return a whole number with its thousands apart, as people of the language write it."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}" if language == "fr" else ",")


def share_text(part: int, whole: int, language: Language) -> str:
    """Return a share in per cent; a share that is not everything never shows as 100."""
    share = 100 * part / whole if whole else 0.0
    shown = 99.9 if part < whole and share > 99.9 else share  # noqa: PLR2004 - the text's own digits
    text = f"{shown:.1f}"
    return f"{text.replace('.', ',')}\N{NO-BREAK SPACE}%" if language == "fr" else f"{text}%"


def counts_of(frame: pd.DataFrame) -> dict[str, int]:
    """Return lines by state, from what `Portal.summary` gives."""
    return {state: int(frame[state].sum()) for state in STATES}


def tiles_of(counts: Mapping[str, int], language: Language) -> list[Tile]:
    """Return the share of lines registered, and the lines in each state.

    Args:
        counts: lines by state.
        language: of labels and numbers.
    """
    lines = sum(counts.values())
    share = message("of {count} lines registered", count=number_text(lines, language))
    first = Tile(share_text(counts["registered"], lines, language), share.in_language(language))
    return [first, *(_tile(state, counts[state], language) for state in STATES)]


def _tile(state: str, count: int, language: Language) -> Tile:
    return Tile(number_text(count, language), state_texts(language)[state], state)


def tiles_html(tiles: list[Tile]) -> str:
    """Return tiles as HTML, in the same shape as the widget draws them."""
    items = "".join(
        f'<li class="dl-tile"{_state(each)}><b>{escape(each.value)}</b><span>{escape(each.label)}</span></li>'
        for each in tiles
    )
    return f'<ul class="dl-tiles">{items}</ul>'


def _state(tile: Tile) -> str:
    return f' data-state="{tile.state}"' if tile.state else ""


@dataclass(frozen=True, slots=True)
class Age:
    """How old the data are.

    Args:
        text: in words.
        stale: whether they are too old to be trusted as "now".
        at: moment of the oldest newest row, ISO 8601 in UTC; empty where there is nothing yet.
        past: whether a moment of the past is looked at, and not now.
    """

    text: str
    stale: bool
    at: str
    past: bool = False


def age_of(observed_at: datetime | None, now: datetime, language: Language) -> Age:
    """Return the age of data in words.

    Args:
        observed_at: when the oldest of them were asked, UTC; `None` for no data.
        now: the moment, UTC.
        language: of the words.
    """
    if observed_at is None:
        text = message("No snapshot yet. Collect one: devlib collect --every 5m")
        return Age(text.in_language(language), stale=True, at="")
    observed = observed_at if observed_at.tzinfo else observed_at.replace(tzinfo=UTC)
    minutes = max(int((now - observed).total_seconds() // 60), 0)
    stale = minutes * 60 > STALE_AFTER
    values = {"at": f"{observed:%Y-%m-%d %H:%M}", "age": _distance(minutes)}
    fresh = message("Data of {at} UTC, {age} old.", **values)
    old = message(
        "Data of {at} UTC, {age} old: nobody collects. Start it: devlib collect --every 5m", **values
    )
    return Age((old if stale else fresh).in_language(language), stale, f"{observed:%Y-%m-%dT%H:%M:%SZ}")


def age_class(age: Age) -> str:
    """Return the class that the style sheet has for an age."""
    if age.past:
        return "dl-past"
    return "dl-warning" if age.stale else "dl-age"


def past_of(moment: datetime, observed_at: datetime | None, language: Language) -> Age:
    """Return in words that the past is looked at, and what of it is known.

    Args:
        moment: the moment looked at, UTC.
        observed_at: when the oldest of the data were asked, UTC; `None` for no data.
        language: of the words.
    """
    at = f"{moment:%Y-%m-%d %H:%M}"
    if observed_at is None:
        text = message(
            "This is the past, not now: nothing that passes the filters is known of {at} UTC.", at=at
        )
        return Age(text.in_language(language), stale=True, at="", past=True)
    text = message(
        "This is the past, not now: states as of {at} UTC, from data of {observed} UTC.",
        at=at,
        observed=f"{observed_at:%Y-%m-%d %H:%M}",
    )
    return Age(text.in_language(language), stale=True, at=f"{observed_at:%Y-%m-%dT%H:%M:%SZ}", past=True)


def _distance(minutes: int) -> Message:
    if minutes < 120:  # noqa: PLR2004 - two hours
        return message("{count} min", count=minutes)
    hours = minutes // 60
    if hours < 48:  # noqa: PLR2004 - two days
        return message("{count} h", count=hours)
    return message("{count} d", count=hours // 24)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer in one sentence: is the fleet well, and where not.

    Args:
        text: in words.
        well: whether every site is.
    """

    text: str
    well: bool


def site_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the sites with their share of registered lines, the smallest first.

    Args:
        counts: what `Portal.summary` gives; lines that could not be asked count for nothing.
    """
    known = counts["lines"] - counts["unknown"]
    share = (counts["registered"] / known.where(known > 0)).astype("Float64")
    return counts.assign(share=share).sort_values(["share", "lines"], ascending=[True, False], kind="stable")


def verdict_of(counts: pd.DataFrame, language: Language) -> Verdict | None:
    """Return whether all sites are well and which are worst, `None` where nothing is known of any.

    Args:
        counts: what `Portal.summary` gives.
        language: of the words.
    """
    known = site_shares(counts).dropna(subset=["share"])
    if known.empty:
        return None
    ill = known[known["share"] < WELL_FROM]
    least = f"{WELL_FROM:.0%}" if language == "en" else f"{100 * WELL_FROM:.0f}\N{NO-BREAK SPACE}%"
    count = number_text(len(known), language)
    if ill.empty:
        text = message("No site has less than {least} of its lines registered ({count} sites).",
                       least=least, count=count)  # fmt: skip
        return Verdict(text.in_language(language), well=True)
    named = ", ".join(
        f"{row['site']} ({share_text(int(row['registered']), int(row['lines'] - row['unknown']), language)})"
        for row in ill.head(_MOST_NAMED).to_dict("records")
    )
    text = message(
        "Sites with less than {least} of their lines registered: {ill} of {count} – {named}",
        ill=number_text(len(ill), language),
        count=count,
        least=least,
        named=named + (", …" if len(ill) > _MOST_NAMED else ""),
    )
    return Verdict(text.in_language(language), well=False)


def verdict_html(verdict: Verdict | None) -> str:
    """Return a verdict as HTML, in the same shape as the widget draws it."""
    if verdict is None:
        return ""
    return f'<p class="{"dl-well" if verdict.well else "dl-ill"}">{escape(verdict.text)}</p>'


def oldest(frame: pd.DataFrame) -> datetime | None:
    """Return the time of the oldest data in what `Portal.summary` gives, `None` for no data."""
    if frame.empty:
        return None
    moment: datetime = frame["observed_at"].min().to_pydatetime()
    return moment


def warnings_of(counts: Mapping[str, int], language: Language, *, simulated: bool) -> list[str]:
    """Return what a reader of the numbers must know: lines that nobody could ask, and a simulated network."""
    found: list[Message] = []
    if counts["unknown"]:
        found.append(
            message(
                "{count} lines could not be asked: their network does not answer. This says nothing "
                "about the phones. Check it: devlib doctor",
                count=number_text(counts["unknown"], language),
            )
        )
    if simulated:
        found.append(message("These states come from the simulator, not from phones."))
    return [each.in_language(language) for each in found]
