"""Exports: which run, wait and ended lately, and why there are limits."""

from collections.abc import Sequence

import ipywidgets
import pandas as pd

from devlib.config import ExportPolicy
from devlib.export import ExportKey, Overview
from devlib.language import Message, message
from devlib.portal import Portal
from devlib.storage import frame_pages
from devlib.ui.figures import Tile, number_text
from devlib.ui.grid import Grid
from devlib.ui.page import Visit
from devlib.ui.tiles import Tiles

_LIVE = ("state", "place", "customer", "site", "principal", "seconds", "seconds_to_go")
_RECENT = ("at", "event", "http", "customer", "site", "principal", "wait_ms", "run_ms")
_SHOWN = 200


class ExportsPage:
    """The page of one visit.

    Args:
        visit: who looks.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        language, words = visit.language, visit.words
        self.tiles = Tiles(language)
        found = visit.portal.exports(_SHOWN)
        self.live = Grid(
            frame_pages(_live(found)), language, label=words(message("Running and waiting")), columns=_LIVE,
            height=240, searchable=False,
        )  # fmt: skip
        self.recent = Grid(
            frame_pages(_recent(found)), language, label=words(message("Lately")), columns=_RECENT, height=420
        )
        self._figures(found)
        visit.every_tick(self._refresh)

    def widgets(self) -> Sequence[ipywidgets.Widget]:
        """Return the page from top to bottom."""
        return [self.tiles, self.live, self.recent]

    def _refresh(self) -> None:
        found = self._visit.portal.exports(_SHOWN)
        self.live.show(frame_pages(_live(found)), keeps_place=True)
        self.recent.show(frame_pages(_recent(found)), keeps_place=True)
        self._figures(found)

    def _figures(self, found: Overview) -> None:
        language, words = self._visit.language, self._visit.words
        labels = (
            (len(found.running), message("running")),
            (len(found.waiting), message("waiting")),
            (len(found.following), message("sharing a running one")),
        )
        tiles = [Tile(number_text(count, language), words(label)) for count, label in labels]
        self.tiles.say(tiles, words(limits_text(self._visit.portal)))


def limits_text(portal: Portal) -> Message:
    """Return the limits of exports in words."""
    policy: ExportPolicy = portal.services.settings.export
    return message(
        "At most {running} exports run at the same time and {waiting} wait; one login starts one every {period} s. "
        "The same export of two readers runs once. A full queue answers 429: try again when a place is free. "
        "Whoever waits longer than {timeout} s gets 408.",
        running=policy.max_running,
        waiting=policy.max_waiting,
        period=f"{policy.period:g}",
        timeout=f"{policy.queue_timeout:g}",
    )


def _live(found: Overview) -> pd.DataFrame:
    rows = [
        [each.state.value, each.place or None, each.key.customer, each.key.site or "*", each.principal,
         round(each.seconds, 1), round(each.seconds_to_go, 1)]
        for each in (*found.running, *found.waiting, *found.following)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(_LIVE))
    return frame.astype({"place": "Int64", "seconds": "Float64", "seconds_to_go": "Float64"})


def _recent(found: Overview) -> pd.DataFrame:
    rows: list[list[object]] = []
    for each in found.recent:
        key = ExportKey.from_text(each.key)
        what = [each.at.replace(tzinfo=None), each.event, each.http, key.customer, key.site or "*"]
        rows.append([*what, each.principal, each.wait_ms, each.run_ms])
    frame = pd.DataFrame(rows, columns=list(_RECENT))
    numbers = {"http": "Int64", "wait_ms": "Int64", "run_ms": "Int64", "at": "datetime64[us]"}
    return frame.astype(numbers)


def build(visit: Visit) -> Sequence[ipywidgets.Widget]:
    """Return the page's widgets."""
    return ExportsPage(visit).widgets()
