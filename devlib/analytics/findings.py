"""Where phones contradict the inventory, from what they said in their last REGISTER."""

from typing import Any

import pyarrow as pa

from devlib.analytics.tables import device_table
from devlib.config import QueryLimits
from devlib.model import FINDINGS, UNRECOGNISED, Catalogue, Scope, contradiction
from devlib.storage import Inventory, Lake, LineFilter, arrow_schema, choose_lines

# What each phone says, beside the device that has the MAC that it says. Of a DECT handset that is the base at
# which it is: another base of the same chain is no other device, and the handset says that base's type.
# Relations: `devices` (all that the asker may see), `lines` (newest observation of each line).
_CLAIMS = """
claims AS (
    SELECT newest.*, other.mac AS known_mac,
        concat_ws(' / ', other.customer, other.site, other.device_type) AS known_as,
        coalesce(newest.kind = 'dect_base' AND other.kind = 'dect_base' AND newest.chain_id <> ''
            AND (other.provider, other.customer, other.chain_id)
                = (newest.provider, newest.customer, newest.chain_id), false) AS same_chain,
        if(same_chain, other.device_type, newest.device_type) AS expected_type
    FROM {lines} AS newest LEFT JOIN devices AS other ON other.mac = newest.said_mac
    WHERE newest.state <> 'unregistered' AND newest.last_registered_at IS NOT NULL
)
"""

_SAYINGS = (
    "WITH {claims} SELECT DISTINCT expected_type, said_vendor, said_model FROM claims "
    "WHERE said_vendor IS NOT NULL"
)

# Relation besides: `differing` (expected_type, said_vendor, said_model, what). A finding is as old as the
# first observation of it after the last one that could ask and did not have it.
_FINDINGS = """
WITH {claims}, found AS (
    SELECT line_key, 'other mac' AS kind, if(known_mac IS NULL, 'medium', 'high') AS severity,
        mac AS inventory_says, said_mac AS phone_says, said_mac_from AS read_from,
        if(known_mac IS NULL, NULL, known_as) AS known_as
    FROM claims WHERE said_mac <> mac AND NOT same_chain
    UNION ALL
    SELECT line_key, what, if(what = 'other vendor', 'medium', 'low'), claims.expected_type,
        concat_ws(' ', claims.said_vendor, claims.said_model), 'user agent', NULL
    FROM claims JOIN differing ON differing.expected_type = claims.expected_type
        AND differing.said_vendor = claims.said_vendor
        AND differing.said_model IS NOT DISTINCT FROM claims.said_model
    UNION ALL
    SELECT line_key, if(kind = 'dect_base', 'ghosts', 'several bindings'),
        if(kind = 'dect_base', 'low', 'medium'), '1', (bindings + ghosts)::VARCHAR, 'registrar', NULL
    FROM claims
    WHERE line_type <> 'Shared' AND bindings + ghosts > 1
), history AS (
    SELECT line_key, found.kind, past.observed_at, CASE found.kind
        WHEN 'other mac' THEN past.mac = claims.mac AND past.said_mac IS NOT DISTINCT FROM claims.said_mac
        WHEN 'several bindings' THEN past.bindings > 1
        WHEN 'ghosts' THEN past.ghosts > 0
        ELSE past.device_type = claims.device_type
            AND past.said_vendor IS NOT DISTINCT FROM claims.said_vendor
            AND past.said_model IS NOT DISTINCT FROM claims.said_model END AS held
    FROM found JOIN claims USING (line_key) JOIN {past} AS past USING (line_key)
    WHERE past.bindings IS NOT NULL
), broken AS (
    SELECT line_key, kind, max(observed_at) FILTER (NOT held) AS until FROM history GROUP BY line_key, kind
), begun AS (
    SELECT line_key, kind, min(observed_at) AS since FROM history JOIN broken USING (line_key, kind)
    WHERE held AND (until IS NULL OR observed_at > until) GROUP BY line_key, kind
)
SELECT provider, customer, site, found.kind, severity, line_port, mac, device_type, inventory_says,
    phone_says, read_from, found.known_as, state, since, observed_at
FROM found JOIN claims USING (line_key) LEFT JOIN begun ON begun.line_key = found.line_key
    AND begun.kind = found.kind
ORDER BY list_position(['high', 'medium', 'low'], severity), provider, customer, site, mac, port, found.kind
"""

_UNRECOGNISED = """
SELECT user_agent, count(*) AS lines FROM {lines}
WHERE state = 'registered' AND user_agent IS NOT NULL AND said_vendor IS NULL
GROUP BY user_agent ORDER BY lines DESC, user_agent
"""

_DIFFERING = pa.schema(
    [(name, pa.string()) for name in ("expected_type", "said_vendor", "said_model", "what")]
)


def findings(inventory: Inventory, lake: Lake, catalogue: Catalogue, scope: Scope, seen: Scope) -> pa.Table:
    """Return where phones contradict the inventory, the gravest first.

    Args:
        inventory: the devices.
        lake: the observations.
        catalogue: the known types.
        scope: whose lines.
        seen: what the asker may see: in it the MAC that a phone says is looked for.

    Returns:
        An Arrow table with the columns of `FINDINGS`, also when empty.
    """
    rows = choose_lines(lake, lake.current(scope), scope, LineFilter(), QueryLimits.model_construct())
    claims = _CLAIMS.format(lines=rows.sql)
    with inventory.read() as reader:
        past = lake.relation(lake.present(reader.manifest(scope)))
    inputs: dict[str, Any] = {**rows.inputs, "devices": device_table(inventory, catalogue, seen)}
    with lake.connection(inputs) as cursor:
        sayings: Any = cursor.sql(_SAYINGS.format(claims=claims)).fetchall()
    inputs["differing"] = _differing(sayings, catalogue)
    with lake.connection(inputs) as cursor:
        found: Any = cursor.sql(_FINDINGS.format(claims=claims, past=past)).to_arrow_table()
    return found.select(list(FINDINGS.names)).cast(arrow_schema(FINDINGS))


def _differing(sayings: list[tuple[str, str, str | None]], catalogue: Catalogue) -> pa.Table:
    rows = [
        {"expected_type": expected, "said_vendor": vendor, "said_model": model, "what": what.value}
        for expected, vendor, model in sayings
        if (what := contradiction(expected, vendor, model, catalogue)) is not None
    ]
    return pa.Table.from_pylist(rows, _DIFFERING)


def unrecognised(lake: Lake, scope: Scope) -> pa.Table:
    """Return the user agents of registered phones that are not recognised, the most frequent first.

    Args:
        lake: the newest observations.
        scope: whose lines.

    Returns:
        An Arrow table with the columns of `UNRECOGNISED`, also when empty.
    """
    rows = choose_lines(lake, lake.current(scope), scope, LineFilter(), QueryLimits.model_construct())
    with lake.connection(rows.inputs) as cursor:
        found: Any = cursor.sql(_UNRECOGNISED.format(lines=rows.sql)).to_arrow_table()
    return found.select(list(UNRECOGNISED.names)).cast(arrow_schema(UNRECOGNISED))
