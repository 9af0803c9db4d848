"""State periods: the rule that makes spans of time out of observations, as one SQL query.

A line has a state from the observation that showed it until the next observation that shows another state or
another site, or until a whole snapshot covers its place and has no row of it: then it was removed. Where no
network could be asked the state is `unknown`, which is a state of its own here. What an event feed told of
single lines counts like any observation, but covers no place.

Most lines keep one state all day. They are found by counting alone (a row in each snapshot that covers their
place, all of one state); only the others are put in order line by line, which costs ten times as much.
"""

from datetime import datetime

from devlib.model import STATE_PERIODS

LINE = ("provider", "customer", "site", "mac", "device_type", "port", "line_port", "user_id", "phone_number")
"""What a period tells of its line besides the key."""

READ = ("line_key", *LINE, "state", "evidence", "observed_at")
"""Columns of the observations that the rule reads."""

_LINE = ", ".join(LINE)
_OF_CARRY = ", ".join(f"carry.{name}" for name in LINE)
_PLACE = ("provider", "customer", "site")
_SAME_PLACE = " AND ".join(f"{{0}}.{name} = {{1}}.{name}" for name in _PLACE)
_ONE_PLACE = " AND ".join(f"min({name}) = max({name})" for name in (*_PLACE, "state"))
_COVERED = " AND ".join(f"coalesce(asked.{name}, places.{name}) = places.{name}" for name in _PLACE)


def moment_literal(moment: datetime) -> str:
    """Return a UTC moment as SQL."""
    return f"TIMESTAMP '{moment.replace(tzinfo=None)}'"


# Relations: `rows` (READ and `told`: whether an event feed said it), `asked` (moment, provider, customer,
# site of each whole snapshot of the span), `carry` (the last period of each line that was open before it).
# {start} and {end} are the ends of the span; no row and no moment lies outside of them.
PERIODS_SQL = f"""
WITH counted AS (
    SELECT line_key, {", ".join(f"any_value({name}) AS {name}" for name in LINE)},
        any_value(state) AS state, arg_min(evidence, observed_at) AS evidence,
        min(observed_at) AS first_at, max(observed_at) AS last_at, count(*) FILTER (NOT told) AS times
    FROM rows GROUP BY line_key HAVING {_ONE_PLACE}
), places AS (
    SELECT DISTINCT provider, customer, site FROM rows UNION SELECT provider, customer, site FROM carry
), cover AS (
    SELECT places.*, moment FROM places JOIN asked ON {_COVERED}
), covered AS (
    SELECT provider, customer, site, count(*) AS times FROM cover GROUP BY ALL
), steady AS (
    SELECT counted.*, carry.line_key IS NOT NULL AS known, carry.state AS old_state,
        carry.state_since AS old_since, carry.evidence AS old_evidence, carry.state_before AS old_before,
        carry.seen_before_at AS old_before_at, carry.last_seen_at AS old_seen_at
    FROM counted JOIN covered USING (provider, customer, site, times) LEFT JOIN carry USING (line_key)
    WHERE carry.line_key IS NULL OR {_SAME_PLACE.format("carry", "counted")}
), marks AS (
    SELECT line_key, {_LINE}, state, evidence, observed_at AS seen_at, NULL::TIMESTAMP AS old_since,
        NULL::VARCHAR AS old_before, NULL::TIMESTAMP AS old_before_at
    FROM rows ANTI JOIN steady USING (line_key)
    UNION ALL
    SELECT line_key, {_LINE}, state, evidence, last_seen_at, state_since, state_before,
        seen_before_at
    FROM carry ANTI JOIN steady USING (line_key)
), pieces AS (
    SELECT marks.*, cover.moment AS gone_at, lead(seen_at) OVER of_line AS next_at
    FROM marks ASOF LEFT JOIN cover
        ON {_SAME_PLACE.format("marks", "cover")} AND marks.seen_at < cover.moment
    WINDOW of_line AS (PARTITION BY line_key ORDER BY seen_at)
), ends AS (
    SELECT *, coalesce(gone_at < next_at, gone_at IS NOT NULL) AS removed FROM pieces
), begins AS (
    SELECT *, CASE
        WHEN lag(line_key) OVER of_line IS NULL THEN if(old_since IS NULL, 'added', 'carried')
        WHEN lag(removed) OVER of_line THEN 'added'
        WHEN provider <> lag(provider) OVER of_line OR customer <> lag(customer) OVER of_line
            OR site <> lag(site) OVER of_line THEN 'moved'
        WHEN state <> lag(state) OVER of_line THEN 'changed' END AS began
    FROM ends WINDOW of_line AS (PARTITION BY line_key ORDER BY seen_at)
), numbered AS (
    SELECT *, count(began) OVER of_line AS run, count(*) FILTER (began = 'added') OVER of_line AS life
    FROM begins WINDOW of_line AS (PARTITION BY line_key ORDER BY seen_at)
), runs AS (
    SELECT line_key, run, any_value(life) AS life, any_value(began) AS began, any_value(state) AS state,
        {", ".join(f"arg_min({name}, seen_at) AS {name}" for name in LINE)},
        arg_min(evidence, seen_at) AS evidence, coalesce(any_value(old_since), min(seen_at)) AS state_since,
        any_value(old_before) AS old_before, any_value(old_before_at) AS old_before_at,
        max(seen_at) AS last_seen_at,
        arg_max_null(if(removed, gone_at, next_at), seen_at) AS stopped_at,
        arg_max(removed, seen_at) AS removed
    FROM numbered GROUP BY line_key, run
), told AS (
    SELECT *, coalesce(
            last_value(nullif(state, 'unknown') IGNORE NULLS) OVER before, any_value(old_before) OVER of_life
        ) AS state_before, coalesce(
            last_value(if(state <> 'unknown', last_seen_at, NULL) IGNORE NULLS) OVER before,
            any_value(old_before_at) OVER of_life
        ) AS seen_before_at,
        CASE WHEN removed THEN 'removed' ELSE lead(began) OVER of_line END AS ended
    FROM runs WINDOW
        of_line AS (PARTITION BY line_key ORDER BY run),
        of_life AS (PARTITION BY line_key, life),
        before AS (PARTITION BY line_key, life ORDER BY run ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), periods AS (
    SELECT line_key, {_LINE}, state, greatest(state_since, {{start}}) AS since,
        coalesce(stopped_at, {{end}}) AS until, state_since, evidence, state_before,
        seen_before_at, began, ended, last_seen_at
    FROM told
    UNION ALL  -- those that kept one state all the time, with what they had before
    SELECT line_key, {_LINE}, state, if(known AND old_state = state, {{start}}, first_at), {{end}},
        if(known AND old_state = state, old_since, first_at),
        if(known AND old_state = state, old_evidence, evidence),
        if(old_state IN (state, 'unknown'), old_before, old_state),
        if(old_state IN (state, 'unknown'), old_before_at, old_seen_at),
        CASE WHEN NOT known THEN 'added' WHEN old_state = state THEN 'carried' ELSE 'changed' END,
        NULL, last_at
    FROM steady
    UNION ALL  -- and that state, where it was another one
    SELECT line_key, {_LINE}, old_state, {{start}}, first_at, old_since, old_evidence, old_before,
        old_before_at, 'carried', 'changed', old_seen_at
    FROM steady WHERE known AND old_state <> state
)
SELECT {", ".join(STATE_PERIODS.names)} FROM periods WHERE since < until OR ended IS NULL OR began = 'carried'
"""  # noqa: S608 - own texts
