"""The acts that ask about history: each question of `devlib.analytics` within the identity's scope, audited.

Moments are UTC; one without a zone is taken for UTC, as the columns of every answer have it. A window without
a beginning starts with the first observation, one without an end ends with the last.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pandas as pd

from devlib import analytics
from devlib.model import LineState, Mac, Scope
from devlib.portal.acts import Act
from devlib.portal.looking import Looking
from devlib.storage import Lake


class Analysing(Looking):
    """Questions over states now and over time."""

    def state_counts(
        self,
        by: Sequence[str] = ("customer", "site"),
        *,
        customer: str | None = None,
        site: str | None = None,
        at: datetime | None = None,
    ) -> pd.DataFrame:
        """Return lines by state for each group, now or at a moment; see `devlib.analytics.state_counts`."""
        with self._asked(f"state counts by {', '.join(by)}", customer, site) as (lake, scope):
            return analytics.state_counts(lake, scope, by, at=_utc(at))

    def states_at(
        self, moment: datetime, *, customer: str | None = None, site: str | None = None
    ) -> pd.DataFrame:
        """Return the state of each line at a moment; see `devlib.analytics.states_at`."""
        with self._asked(f"states at {moment}", customer, site) as (lake, scope):
            return analytics.states_at(lake, scope, _moment(moment))

    def state_changes(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        states: Sequence[LineState] = (),
        customer: str | None = None,
        site: str | None = None,
    ) -> pd.DataFrame:
        """Return changes between known states in a window; see `devlib.analytics.state_changes`."""
        with self._asked(f"changes {_window(since, until)}", customer, site) as (lake, scope):
            return analytics.state_changes(lake, scope, _utc(since), _utc(until), states=tuple(states))

    def line_history(
        self, line: str | Mac, since: datetime | None = None, until: datetime | None = None
    ) -> pd.DataFrame:
        """Return the life of a line, or of the lines of a device; see `devlib.analytics.line_history`.

        Args:
            line: a line port `user@domain`, or a MAC address as people write it.
            since: beginning of the window.
            until: its end.
        """
        with self._asked(f"history of {line} {_window(since, until)}") as (lake, scope):
            return analytics.line_history(lake, scope, _line(line), _utc(since), _utc(until))

    def time_in_state(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        by: str = "site",
        customer: str | None = None,
        site: str | None = None,
    ) -> pd.DataFrame:
        """Return time in each state and the share registered; see `devlib.analytics.time_in_state`."""
        with self._asked(f"time in state by {by} {_window(since, until)}", customer, site) as (lake, scope):
            return analytics.time_in_state(lake, scope, _utc(since), _utc(until), by=by)

    def flapping_lines(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        changes: int = 4,
        customer: str | None = None,
        site: str | None = None,
    ) -> pd.DataFrame:
        """Return lines with many changes in a window; see `devlib.analytics.flapping_lines`."""
        with self._asked(f"flapping {_window(since, until)}", customer, site) as (lake, scope):
            return analytics.flapping_lines(lake, scope, _utc(since), _utc(until), changes=changes)

    def aged_lines(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        customer: str | None = None,
        site: str | None = None,
    ) -> pd.DataFrame:
        """Return lines that became aged in a window; see `devlib.analytics.aged_lines`."""
        with self._asked(f"aged {_window(since, until)}", customer, site) as (lake, scope):
            return analytics.aged_lines(lake, scope, _utc(since), _utc(until))

    def outages(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        share: float = 0.5,
        least: int = 3,
        tolerance: timedelta = timedelta(minutes=30),
        customer: str | None = None,
        site: str | None = None,
    ) -> pd.DataFrame:
        """Return when many lines of one site fell together; see `devlib.analytics.outages`."""
        with self._asked(f"outages {_window(since, until)}", customer, site) as (lake, scope):
            return analytics.outages(
                lake, scope, _utc(since), _utc(until), share=share, least=least, tolerance=tolerance
            )

    def compare(
        self, first: datetime, second: datetime, *, customer: str | None = None, site: str | None = None
    ) -> pd.DataFrame:
        """Return two moments line by line; see `devlib.analytics.compare`."""
        with self._asked(f"compare {_window(first, second)}", customer, site) as (lake, scope):
            return analytics.compare(lake, scope, _moment(first), _moment(second))

    def comparison_summary(
        self, first: datetime, second: datetime, *, customer: str | None = None, site: str | None = None
    ) -> pd.DataFrame:
        """Return how many lines went from which state to which; see `devlib.analytics.comparison_summary`."""
        with self._asked(f"comparison {_window(first, second)}", customer, site) as (lake, scope):
            return analytics.comparison_summary(lake, scope, _moment(first), _moment(second))

    def firmware_census(self, *, customer: str | None = None, site: str | None = None) -> pd.DataFrame:
        """Return which firmware runs where; see `devlib.analytics.firmware_census`."""
        with self._asked("firmware census", customer, site) as (lake, scope):
            return analytics.firmware_census(lake, scope)

    def user_agent_census(self, *, customer: str | None = None, site: str | None = None) -> pd.DataFrame:
        """Return what phones say of themselves; see `devlib.analytics.user_agent_census`."""
        with self._asked("user agent census", customer, site) as (lake, scope):
            return analytics.user_agent_census(lake, scope)

    def capacity(self, *, customer: str | None = None, site: str | None = None) -> pd.DataFrame:
        """Return lines free and used by site and type; see `devlib.analytics.capacity`."""
        with self._asked("capacity", customer, site) as (lake, scope):
            return analytics.capacity(self._services.inventory, lake, self._services.catalogue, scope)

    def availability(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        by: str = "customer",
        bucket: timedelta = timedelta(hours=1),
        customer: str | None = None,
        site: str | None = None,
    ) -> pd.DataFrame:
        """Return the share registered over time; see `devlib.analytics.availability`."""
        with self._asked(f"availability by {by} {_window(since, until)}", customer, site) as (lake, scope):
            return analytics.availability(lake, scope, _utc(since), _utc(until), by=by, bucket=bucket)

    def heat_map(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        customer: str | None = None,
        site: str | None = None,
    ) -> pd.DataFrame:
        """Return the share registered of each site, hour by hour; see `devlib.analytics.heat_map`."""
        with self._asked(f"heat map {_window(since, until)}", customer, site) as (lake, scope):
            return analytics.heat_map(lake, scope, _utc(since), _utc(until))

    def sunburst(self, *, customer: str | None = None, site: str | None = None) -> pd.DataFrame:
        """Return lines by customer, site, type and state; see `devlib.analytics.sunburst`."""
        with self._asked("sunburst", customer, site) as (lake, scope):
            return analytics.sunburst(lake, scope)

    @contextmanager
    def _asked(
        self, question: str, customer: str | None = None, site: str | None = None
    ) -> Iterator[tuple[Lake, Scope]]:
        with self._gate.act(Act.SEE, f"{question}: {customer or '*'} / {site or '*'}"):
            yield self._services.lake, self._scope(customer, site)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else _moment(moment)


def _moment(moment: datetime) -> datetime:
    plain = moment.to_pydatetime() if isinstance(moment, pd.Timestamp) else moment
    return plain.replace(tzinfo=UTC) if plain.tzinfo is None else plain.astimezone(UTC)


def _line(line: str | Mac) -> str:
    """Return a line port as it is written, or a MAC address as the lake has it."""
    if isinstance(line, str) and "@" in line:
        return line.strip()
    return str(line if isinstance(line, Mac) else Mac.parse(line))


def _window(since: datetime | None, until: datetime | None) -> str:
    return f"{since or '…'} to {until or '…'}"
