"""What went wrong: flapping lines, lines that aged, sites that fell."""

from datetime import datetime, timedelta

import pandas as pd

from devlib.analytics.answering import answer, periods_of
from devlib.analytics.history import CHANGED
from devlib.errors import UsageError
from devlib.language import message
from devlib.model import AGED_LINES, FLAPPING_LINES, OUTAGES, Scope
from devlib.storage import Lake

_LAST = ", ".join(
    f"arg_max({name}, since) AS {name}"
    for name in ("provider", "customer", "site", "mac", "device_type", "port", "line_port", "user_id",
                 "phone_number", "state")
)  # fmt: skip

_FLAPPING = f"""
WITH often AS (
    SELECT line_key, count(*) AS changes, count(*) FILTER (state_before = 'registered') AS falls,
        max(since) AS changed_at
    FROM {{periods}} WHERE {CHANGED} GROUP BY line_key HAVING count(*) >= $changes
), life AS (
    SELECT line_key, {_LAST},
        sum(epoch_us(until) - epoch_us(since)) FILTER (state = 'registered') AS registered_us,
        sum(epoch_us(until) - epoch_us(since)) FILTER (state <> 'unknown') AS known_us
    FROM {{periods}} SEMI JOIN often USING (line_key) GROUP BY line_key
)
SELECT *, coalesce(registered_us, 0) / nullif(known_us, 0) AS share
FROM often JOIN life USING (line_key)
ORDER BY changes DESC, provider, customer, site, mac, port
"""  # noqa: S608 - own texts

_AGED = f"""
WITH aged AS (
    SELECT *, since AS aged_at FROM {{periods}} WHERE state = 'aged' AND {CHANGED}
), life AS (
    SELECT line_key, since, state, ended FROM {{periods}} SEMI JOIN aged USING (line_key)
), returned AS (
    SELECT line_key, since AS registered_at FROM life WHERE state = 'registered'
), last AS (
    SELECT line_key, if(arg_max(struct_pack(ended), since).ended = 'removed', NULL, arg_max(state, since))
        AS last_state
    FROM life GROUP BY line_key
)
SELECT aged.* REPLACE (last_state AS state), registered_at
FROM aged JOIN last USING (line_key)
ASOF LEFT JOIN returned ON aged.line_key = returned.line_key AND aged.aged_at < returned.registered_at
ORDER BY aged_at, provider, customer, site, mac, port
"""  # noqa: S608 - own texts

# Falls of a site that follow one another within the tolerance are one outage.
_OUTAGES = f"""
WITH falls AS (
    SELECT provider, customer, site, line_key, since AS seen_at
    FROM {{periods}} WHERE {CHANGED} AND state_before = 'registered'
), numbered AS (
    SELECT *, count(*) FILTER (apart) OVER of_site AS number
    FROM (
        SELECT *, seen_at > lag(seen_at) OVER of_site + $tolerance AS apart
        FROM falls WINDOW of_site AS (PARTITION BY provider, customer, site ORDER BY seen_at, line_key)
    ) WINDOW of_site AS (PARTITION BY provider, customer, site ORDER BY seen_at, line_key)
), groups AS (
    SELECT provider, customer, site, number, min(seen_at) AS began_at, max(seen_at) AS fell_until,
        count(DISTINCT line_key) AS lines
    FROM numbered GROUP BY ALL HAVING count(DISTINCT line_key) >= $least
), standing AS (
    SELECT provider, customer, site, number, count(DISTINCT line_key) AS site_lines
    FROM groups JOIN {{periods}} AS held USING (provider, customer, site)
    WHERE if(state = 'unknown', state_before, state) = 'registered' AND since < began_at
        AND until >= began_at
    GROUP BY ALL
), large AS (
    SELECT *, least(lines / site_lines, 1) AS share
    FROM groups JOIN standing USING (provider, customer, site, number) WHERE lines >= $share * site_lines
), fallen AS (
    SELECT provider, customer, site, number, line_key, max(seen_at) AS seen_at
    FROM numbered JOIN large USING (provider, customer, site, number) GROUP BY ALL
), returned AS (
    SELECT line_key, since AS back_at FROM {{periods}} SEMI JOIN fallen USING (line_key)
    WHERE state = 'registered'
), ended AS (
    SELECT provider, customer, site, number, count(back_at) AS recovered,
        if(count(back_at) = count(*), max(back_at), NULL) AS ended_at
    FROM fallen ASOF LEFT JOIN returned
        ON fallen.line_key = returned.line_key AND fallen.seen_at < returned.back_at
    GROUP BY ALL
)
SELECT * FROM large JOIN ended USING (provider, customer, site, number)
ORDER BY began_at, provider, customer, site
"""  # noqa: S608 - own texts


def flapping_lines(
    lake: Lake,
    scope: Scope,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    changes: int = 4,
) -> pd.DataFrame:
    """Which lines changed their state again and again in a window?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        since: beginning of the window, UTC.
        until: its end, UTC.
        changes: fewest changes between known states.

    Returns:
        A frame with the columns of `FLAPPING_LINES`, most changes first.
    """
    periods = periods_of(lake, scope, since, until)
    return answer(
        lake, FLAPPING_LINES, _FLAPPING.format(periods=periods.sql), periods.inputs, changes=changes
    )


def aged_lines(
    lake: Lake, scope: Scope, since: datetime | None = None, until: datetime | None = None
) -> pd.DataFrame:
    """Which lines became aged in a window, and are they registered again?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        since: beginning of the window, UTC.
        until: its end, UTC; what comes after it is not looked at.

    Returns:
        A frame with the columns of `AGED_LINES`, in the order of time; a line for each time that it aged.
    """
    periods = periods_of(lake, scope, since, until)
    return answer(lake, AGED_LINES, _AGED.format(periods=periods.sql), periods.inputs)


def outages(
    lake: Lake,
    scope: Scope,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    share: float = 0.5,
    least: int = 3,
    tolerance: timedelta = timedelta(minutes=30),
) -> pd.DataFrame:
    """When did many lines of one site fall together, and when were they back?

    Lines of a site that lost its connection do not fall at one moment but as their registrations end, each
    seen by the next observation; so falls that follow one another within the tolerance are one outage.

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        since: beginning of the window, UTC.
        until: its end, UTC.
        share: the least share of the site's registered lines that fell, from 0 to 1.
        least: fewest lines that fell.
        tolerance: longest time between two falls of one outage.

    Returns:
        A frame with the columns of `OUTAGES`, in the order of time.

    Raises:
        UsageError: the share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise UsageError(message("The share must lie between 0 and 1."))
    periods = periods_of(lake, scope, since, until)
    values = {"share": share, "least": least, "tolerance": tolerance}
    return answer(lake, OUTAGES, _OUTAGES.format(periods=periods.sql), periods.inputs, **values)
