"""The overview: is my fleet healthy, where not, and how old is that knowledge."""

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from importlib import resources

import pandas as pd

from devlib.language import Language, Message, message
from devlib.portal import Portal, connect
from devlib.ui.words import STATES, state_texts

_STALE_AFTER = 3600


class Overview:
    """Lines by state, for the whole scope and for each site, sites in trouble first.

    Args:
        counts: what `Portal.summary` gives.
        language: of the texts.
        now: for the age of the data, UTC.
        simulated: whether the states come from the simulator, which must be said.
    """

    def __init__(self, counts: pd.DataFrame, language: Language, now: datetime, *, simulated: bool) -> None:
        self._counts = counts
        self._language: Language = language
        self._now = now
        self._simulated = simulated

    def __repr__(self) -> str:
        totals = ", ".join(f"{state}={self._total(state)}" for state in STATES)
        return f"<Overview of {self._total('lines')} lines: {totals}>"

    def _repr_html_(self) -> str:
        if self._counts.empty:
            empty = message("No snapshot yet. Collect one with `devlib collect`.")
            body = f"<p>{self._words(empty)}</p>"
        else:
            body = self._age() + self._tiles() + self._table()
        title = self._words(message("Line states"))
        style = resources.files("devlib.ui").joinpath("overview.css").read_text(encoding="utf-8")
        section = f'<section class="devlib" lang="{self._language}"><h2>{title}</h2>{body}</section>'
        return f"<style>{style}</style>{section}"

    def _words(self, text: Message) -> str:
        return escape(text.in_language(self._language))

    def _state(self, state: str) -> str:
        return escape(state_texts(self._language)[state])

    def _total(self, name: str) -> int:
        return int(self._counts[name].sum())

    def _age(self) -> str:
        observed = self._counts["observed_at"].min().to_pydatetime().replace(tzinfo=UTC)
        minutes = max(int((self._now - observed).total_seconds() // 60), 0)
        stale = minutes * 60 > _STALE_AFTER
        text = message(
            "Data of {at} UTC, {minutes} minutes old.", at=f"{observed:%Y-%m-%d %H:%M}", minutes=minutes
        )
        parts = [f'<p class="{"stale" if stale else "age"}">{self._words(text)}']
        if self._simulated:
            parts.append(" " + self._words(message("These states come from the simulator, not from phones.")))
        return "".join(parts) + "</p>"

    def _tiles(self) -> str:
        lines = self._total("lines")
        share = 100 * self._total("registered") / lines if lines else 0.0
        of_lines = self._words(message("of lines registered"))
        shown = f"{share:.1f}".replace(".", "," if self._language == "fr" else ".")
        tiles = [f"<div class='tile'><b>{shown}\N{NO-BREAK SPACE}%</b><span>{of_lines}</span></div>"]
        for state in STATES:
            word = self._state(state)
            number = f"{self._total(state):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
            tiles.append(f"<div class='tile'><b class='{state}'>{number}</b><span>{word}</span></div>")
        return f'<div class="tiles">{"".join(tiles)}</div>'

    def _table(self) -> str:
        site, lines = self._words(message("Site")), self._words(message("Lines"))
        cells = f"<th>{site}</th><th class='n'>{lines}</th>"
        for state in STATES:
            cells += f"<th class='n'>{self._state(state)}</th>"
        rows = "".join(self._rows())
        head = f"<thead><tr>{cells}<th class='wide'></th></tr></thead>"
        return f"<div class='scroll'><table>{head}<tbody>{rows}</tbody></table></div>"

    def _rows(self) -> Iterator[str]:
        counts = self._counts.assign(share=self._counts["registered"] / self._counts["lines"])
        for row in counts.sort_values(["share", "customer", "site"]).to_dict("records"):
            numbers = "".join(f"<td class='n'>{int(row[state])}</td>" for state in STATES)
            widths = "".join(
                f"<i class='{state}' style='width:{100 * row[state] / row['lines']:.2f}%'></i>"
                for state in STATES
            )
            yield (
                f"<tr><td>{escape(str(row['site']))} <small>{escape(str(row['customer']))}</small></td>"
                f"<td class='n'>{int(row['lines'])}</td>{numbers}"
                f"<td class='wide'><div class='bar' aria-hidden='true'>{widths}</div></td></tr>"
            )


def overview(language: Language | None = None, portal: Portal | None = None) -> Overview:
    """Return the overview of everything that the identity may see.

    Args:
        language: of the texts; by default the one of the settings.
        portal: by default one is opened for this account, and closed again.
    """
    if portal is not None:
        return _overview(portal, language)
    with connect() as opened:
        return _overview(opened, language)


def _overview(portal: Portal, language: Language | None) -> Overview:
    now = portal.clock.now()
    return Overview(portal.summary(), language or portal.language, now, simulated=portal.simulated)
