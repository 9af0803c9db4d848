"""The overview: is my fleet healthy, where not, and how old is that knowledge."""

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape

import pandas as pd

from devlib.language import Language, Message, message
from devlib.portal import Portal, connect

_STATES = ("registered", "aged", "unregistered", "unknown")
_STALE_AFTER = 3600
_STYLE = """
<style>
.devlib{--ink:#1c2430;--soft:#5b6675;--card:#f4f6f9;--line:#d9dfe7;
 --registered:#1d7d46;--aged:#9a5b00;--unregistered:#c0282d;--unknown:#6b4fa3;color:var(--ink);font:15px/1.45 system-ui,sans-serif;max-width:70rem}
@media (prefers-color-scheme:dark){.devlib{--ink:#e8ecf2;--soft:#a3adba;--card:#1d242e;--line:#364150;
 --registered:#4cc37f;--aged:#f0a63c;--unregistered:#ff7b7b;--unknown:#b79cf2;background:#12171e}}
.devlib h2{font-size:1.25rem;margin:.2rem 0 .6rem}
.devlib .tiles{display:flex;flex-wrap:wrap;gap:.7rem;margin:.6rem 0 1rem}
.devlib .tile{background:var(--card);border-radius:.6rem;padding:.7rem 1rem;min-width:8.5rem;flex:1}
.devlib .tile b{display:block;font-size:1.7rem;line-height:1.2}
.devlib .tile span,.devlib .age{color:var(--soft)}
.devlib .stale{color:var(--aged);font-weight:600}
.devlib table{border-collapse:collapse;width:100%}
.devlib th,.devlib td{text-align:left;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line)}
.devlib td.n,.devlib th.n{text-align:right;font-variant-numeric:tabular-nums}
.devlib .bar{display:flex;height:.6rem;min-width:6rem;border-radius:.3rem;overflow:hidden;
 background:var(--line)}
.devlib .bar i{display:block}
.devlib .registered{color:var(--registered)}.devlib .aged{color:var(--aged)}
.devlib .unregistered{color:var(--unregistered)}.devlib .unknown{color:var(--unknown)}
.devlib i.registered{background:var(--registered)}.devlib i.aged{background:var(--aged)}
.devlib i.unregistered{background:var(--unregistered)}.devlib i.unknown{background:var(--unknown)}
@media (max-width:40rem){.devlib .wide{display:none}.devlib .tile{min-width:40%}}
</style>
"""


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
        totals = ", ".join(f"{state}={self._total(state)}" for state in _STATES)
        return f"<Overview of {self._total('lines')} lines: {totals}>"

    def _repr_html_(self) -> str:
        if self._counts.empty:
            empty = message("No snapshot yet. Collect one with `devlib collect`.")
            body = f"<p>{self._words(empty)}</p>"
        else:
            body = self._age() + self._tiles() + self._table()
        title = self._words(message("Line states"))
        return f'{_STYLE}<section class="devlib" lang="{self._language}"><h2>{title}</h2>{body}</section>'

    def _words(self, text: Message) -> str:
        return escape(text.in_language(self._language))

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
        tiles = [f"<div class='tile'><b>{share:.1f} %</b><span>{of_lines}</span></div>"]
        for state in _STATES:
            word = self._words(_state_word(state))
            number = f"{self._total(state):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
            tiles.append(f"<div class='tile'><b class='{state}'>{number}</b><span>{word}</span></div>")
        return f'<div class="tiles">{"".join(tiles)}</div>'

    def _table(self) -> str:
        cells = "".join(f"<th>{self._words(head)}</th>" for head in (message("Customer"), message("Site")))
        cells += f"<th class='n'>{self._words(message('Lines'))}</th>"
        for state in _STATES:
            cells += f"<th class='n'>{self._words(_state_word(state))}</th>"
        rows = "".join(self._rows())
        return f"<table><thead><tr>{cells}<th class='wide'></th></tr></thead><tbody>{rows}</tbody></table>"

    def _rows(self) -> Iterator[str]:
        counts = self._counts.assign(share=self._counts["registered"] / self._counts["lines"])
        for row in counts.sort_values(["share", "customer", "site"]).to_dict("records"):
            numbers = "".join(f"<td class='n'>{int(row[state])}</td>" for state in _STATES)
            widths = "".join(
                f"<i class='{state}' style='width:{100 * row[state] / row['lines']:.2f}%'></i>"
                for state in _STATES
            )
            yield (
                f"<tr><td>{escape(str(row['customer']))}</td><td>{escape(str(row['site']))}</td>"
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
    settings = portal.services.settings
    simulated = any(network.kind == "simulator" for network in settings.networks)
    now = portal.services.clock.now()
    return Overview(portal.summary(), language or settings.language, now, simulated=simulated)


def _state_word(state: str) -> Message:
    return {
        "registered": message("registered"),
        "aged": message("aged"),
        "unregistered": message("unregistered"),
        "unknown": message("unknown"),
    }[state]
