"""The first numbers of a page, rendered by the server before any kernel or script has a say."""

from collections.abc import Mapping
from html import escape

from devlib.clock import Clock
from devlib.errors import DevlibError
from devlib.language import Language, message
from devlib.portal import Portal, Services, sign_in
from devlib.ui.figures import (
    age_class,
    age_of,
    counts_of,
    oldest,
    past_of,
    tiles_html,
    tiles_of,
    verdict_html,
    verdict_of,
)
from devlib.ui.link import LineQuery
from devlib.ui.server.tickets import Tickets

_WITH_NUMBERS = ("overview", "lines")


class First:
    """Answers with the numbers that a visitor sees first.

    Args:
        services: of this home.
        tickets: takes the tickets of links.
        clock: for the age of the data.
    """

    def __init__(self, services: Services, tickets: Tickets, clock: Clock) -> None:
        self._services = services
        self.tickets = tickets
        self.clock = clock

    @property
    def language(self) -> Language:
        """The language of the settings."""
        return self._services.settings.language

    def html(self, principal: str, name: str, language: Language, query: Mapping[str, list[bytes]]) -> str:
        """Return what stands on the page until its widgets are there.

        Args:
            principal: who asks.
            name: of the dashboard.
            language: of the texts.
            query: the filters in the link.

        Raises:
            NotAllowed: there is no such identity any more.
        """
        portal = sign_in(self._services, principal)
        waiting = message("The figures are being loaded…").in_language(language)
        body = ""
        if name in _WITH_NUMBERS:
            try:
                body = self._numbers(portal, name, LineQuery.from_link(query), language)
            except DevlibError as error:
                body = f'<p class="dl-fault">{escape(error.in_language(language))}</p>'
        return (
            f'<div class="dl dl-first" id="devlib-first">{body}<p class="dl-soft">{escape(waiting)}</p></div>'
        )

    def _numbers(self, portal: Portal, name: str, wanted: LineQuery, language: Language) -> str:
        """Return the numbers that the page's widgets will show, so that nothing jumps when they are there."""
        past = wanted.past(self.clock) if name == "lines" else None
        verdict = ""
        if name == "lines":
            seen = portal.view_lines(wanted.customer, wanted.site, wanted.line_filter(self.clock), at=past)
            counts, observed_at = {state.value: count for state, count in seen.counts.items()}, seen.oldest
        else:
            found = portal.summary(wanted.customer, wanted.site)
            counts, observed_at = counts_of(found), oldest(found)
            verdict = verdict_html(verdict_of(found, language))
        if past is None:
            age = age_of(observed_at, self.clock.now(), language)
        else:
            age = past_of(past, observed_at, language)
        kind = age_class(age)
        return f'{verdict}<p class="{kind}">{escape(age.text)}</p>' + tiles_html(tiles_of(counts, language))
