"""How well: time in each state, and the share of registered lines over time.

Time for which the network could not be asked is no part of a share; it is told beside it.
"""

from datetime import UTC, datetime, timedelta

import pandas as pd

from devlib.analytics.answering import answer, one_of, periods_of
from devlib.errors import UsageError
from devlib.language import message
from devlib.model import AVAILABILITY, TIME_IN_STATE, Scope, Table
from devlib.storage import Lake

_STATES = ("registered", "aged", "unregistered", "unknown")
_LINE = (
    "provider", "customer", "site", "mac", "device_type", "port", "line_port", "user_id", "phone_number",
    "line_key",
)  # fmt: skip
_GROUPS = {
    "line": _LINE,
    "site": ("provider", "customer", "site"),
    "customer": ("provider", "customer"),
    "provider": ("provider",),
    "all": (),
}
_SUMS = ", ".join(f"coalesce(sum(us) FILTER (state = '{each}'), 0) AS {each}_us" for each in _STATES)
_SECONDS = ", ".join(f"round({each}_us / 1e6) AS {each}_seconds" for each in _STATES)
_SHARE = "registered_us / nullif(registered_us + aged_us + unregistered_us, 0) AS share"

_TIME_IN_STATE = f"""
SELECT *, {_SECONDS}, {_SHARE}
FROM (
    SELECT {{columns}} count(DISTINCT line_key) AS lines, {_SUMS}
    FROM (SELECT *, epoch_us(until) - epoch_us(since) AS us FROM {{periods}})
    {{grouping}}
)
ORDER BY {{order}}
"""  # noqa: S608 - own texts

# Ten texts as the key of a group, or read for each span of a month, cost three times as much as the sums.
# They are those of the last span at a place: nearly all are in the tail, which is in memory; only where a
# line is no longer at a place are its spans looked at again.
_WHERE = "line_key, provider, customer, site"
_NAMES = "mac, device_type, port, line_port, user_id, phone_number"
_BY_LINE = f"""
WITH sums AS (
    SELECT {_WHERE}, {_SUMS} FROM (SELECT *, epoch_us(until) - epoch_us(since) AS us FROM {{periods}})
    GROUP BY {_WHERE}
), near AS (
    SELECT {_WHERE}, arg_max(struct_pack({_NAMES}), until) AS named FROM {{tail}} GROUP BY {_WHERE}
), far AS (
    SELECT {_WHERE}, arg_max(struct_pack({_NAMES}), until) AS named
    FROM {{periods}} SEMI JOIN (SELECT * FROM sums ANTI JOIN near USING ({_WHERE})) USING (line_key)
    GROUP BY {_WHERE}
), named AS (
    SELECT * FROM near UNION ALL SELECT * FROM far ANTI JOIN near USING ({_WHERE})
)
SELECT *, 1 AS lines, {_SECONDS}, {_SHARE}
FROM (SELECT sums.*, unnest(named) FROM sums JOIN named USING ({_WHERE}))
ORDER BY share NULLS LAST, {", ".join(_LINE)}
"""  # noqa: S608 - own texts

# Spans are not split at each bucket that they cross (100 000 lines cross 720 hours a month): each beginning
# and each end counts for its own bucket, and what holds all through a bucket is what began before less what
# ended before.
_AVAILABILITY = f"""
WITH steps AS (
    SELECT {{columns}} state, since AS seen_at, 1 AS step FROM {{periods}} WHERE until > since
    UNION ALL
    SELECT {{columns}} state, until, -1 FROM {{periods}} WHERE until > since
), places AS (
    SELECT {{columns}} state, time_bucket($bucket, seen_at, $since) AS bucket, sum(step) AS steps,
        sum(step * (epoch_us(time_bucket($bucket, seen_at, $since) + $bucket) - epoch_us(seen_at)))
            AS within_us
    FROM steps GROUP BY ALL
), buckets AS (
    SELECT * FROM (SELECT DISTINCT {{columns}} state FROM places)
    CROSS JOIN (SELECT unnest(generate_series($since, $last, $bucket)) AS bucket)
), held AS (
    SELECT buckets.*, coalesce(within_us, 0) + epoch_us($bucket) * coalesce(sum(steps) OVER earlier, 0) AS us
    FROM buckets LEFT JOIN places USING ({{columns}} state, bucket)
    WINDOW earlier AS (
        PARTITION BY {{columns}} state ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
)
SELECT *, {_SECONDS}, {_SHARE}
FROM (SELECT {{columns}} bucket, {_SUMS} FROM held GROUP BY {{columns}} bucket)
ORDER BY {{columns}} bucket
"""  # noqa: S608 - own texts


def time_in_state(
    lake: Lake,
    scope: Scope,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    by: str = "site",
) -> pd.DataFrame:
    """For how long were lines in each state in a window, and which share of the known time registered?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        since: beginning of the window, UTC.
        until: its end, UTC.
        by: one row for each `line`, `site`, `customer`, `provider`, or one for `all`.

    Returns:
        A frame with those columns of `TIME_IN_STATE` that the groups have; worst share first. A line that
        was at two sites counts at each for its time there; its device and user are those that it had there
        last.
    """
    names = _GROUPS[one_of(by, tuple(_GROUPS))]
    periods = periods_of(lake, scope, since, until)
    if by == "line":
        sql = _BY_LINE.format(periods=periods.sql, tail=next(iter(periods.inputs)))
    else:
        sql = _TIME_IN_STATE.format(
            periods=periods.sql,
            columns="".join(f"{name}, " for name in names),
            grouping="GROUP BY ALL" if names else "HAVING count(*) > 0",
            order=", ".join(["share NULLS LAST", *names]),
        )
    wanted = (*(n for n in TIME_IN_STATE.names if n in names or n.endswith("seconds")), "lines", "share")
    table = _part(TIME_IN_STATE, wanted)
    return answer(lake, table, sql, periods.inputs)


def availability(
    lake: Lake,
    scope: Scope,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    by: str = "customer",
    bucket: timedelta = timedelta(hours=1),
) -> pd.DataFrame:
    """Which share of the lines was registered, over time?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        since: beginning of the window, UTC; spans are whole ones of UTC.
        until: its end, UTC.
        by: one series for each `site`, `customer`, `provider`, or one for `all`.
        bucket: length of a span; at least a minute, and at most 10 000 spans in the window.

    Returns:
        A frame with those columns of `AVAILABILITY` that the groups have, series by series in the order of
        time; line-seconds in each state.
    """
    names = _GROUPS[one_of(by, tuple(each for each in _GROUPS if each != "line"))]
    periods = periods_of(lake, scope, since, until)
    start = _start(periods.span.since, bucket)
    steps = (periods.span.until - start) // bucket
    if bucket < timedelta(minutes=1) or steps > _MOST_BUCKETS:
        raise UsageError(
            message("The spans are too short: {count} of them.", count=steps + 1),
            remedy=message("Choose longer spans or a shorter window; a minute is the least."),
        )
    sql = _AVAILABILITY.format(periods=periods.sql, columns="".join(f"{name}, " for name in names))
    values = {"bucket": bucket, "since": start, "last": start + steps * bucket}
    table = _part(AVAILABILITY, (*names, *AVAILABILITY.names[3:]))
    return answer(lake, table, sql, periods.inputs, **values)


def heat_map(
    lake: Lake, scope: Scope, since: datetime | None = None, until: datetime | None = None
) -> pd.DataFrame:
    """Which share of its lines had each site registered, hour by hour?

    Args:
        lake: the snapshots.
        scope: what the asker may see.
        since: beginning of the window, UTC.
        until: its end, UTC.

    Returns:
        A frame with the columns of `AVAILABILITY`: one row for each site and hour (UTC) of the window.
    """
    return availability(lake, scope, since, until, by="site")


_MOST_BUCKETS = 10_000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _start(since: datetime, bucket: timedelta) -> datetime:
    """Return the beginning of the span in which the window begins: whole hours, days … of UTC."""
    return since - (since - _EPOCH) % bucket


def _part(table: Table, names: tuple[str, ...]) -> Table:
    return table.part(table.name, table.meaning, tuple(name for name in table.names if name in names))
