"""The rule of the three states, once as a pure function and once as the SQL of one join.

Both must say the same; a property test holds them together. The rule (design, "The three states"):

- a live or permanent binding: `registered`;
- none, and the last known expiry has passed, no longer ago than the retention: `aged`;
- none, and the last known expiry was still ahead when the binding vanished (the phone signed off), or the
  retention is over, or the line was never seen: `unregistered`, until a binding is seen again;
- the network could not be asked: `unknown`, with the last known state beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from devlib.model import Binding, LineState

# A registrar counts whole seconds and its clock is read at another instant than ours, so a binding may
# vanish this much before the expiry that we computed (Kamailio 5.6.3, measured: within one second).
EXPIRY_SLACK = timedelta(seconds=2)


class Evidence(StrEnum):
    """Why a line has its state."""

    LIVE = "live"
    PERMANENT = "permanent"
    EXPIRED = "expired"
    VANISHED = "vanished"
    RETENTION_OVER = "retention over"
    NEVER_SEEN = "never seen"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Known:
    """What the last snapshot that could ask knew of a line.

    Args:
        state: the state then.
        expires_at: last known expiry, UTC; `None` for a permanent binding or none ever.
        evidence: why it was in that state, where that is known.
    """

    state: LineState
    expires_at: datetime | None
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and why."""

    state: LineState
    evidence: Evidence


def newest(bindings: Sequence[Binding]) -> Binding | None:
    """Return the binding that speaks for the line: a permanent one, or the one that ends last."""
    return max(bindings, key=_weight, default=None)


def _weight(each: Binding) -> tuple[bool, float, float, str]:
    ends = each.expires_at.timestamp() if each.expires_at else 0.0
    registered = each.registered_at.timestamp() if each.registered_at else 0.0
    return each.expires_at is None, ends, registered, each.contact


def judge(
    bindings: Sequence[Binding] | None, known: Known | None, now: datetime, retention: timedelta
) -> Verdict:
    """Return the state of one line.

    Args:
        bindings: what the registrar holds for its line port; `None` where it could not be asked.
        known: what the last snapshot that could ask knew; `None` for a line never observed.
        now: when the registrar's answer had arrived, UTC: expiries are compared with that moment.
        retention: how long after its last expiry a line is `aged`.
    """
    if bindings is None:
        return Verdict(LineState.UNKNOWN, Evidence.NOT_ASKED)
    last = newest(bindings)
    if last is not None and last.live(now):
        permanent = last.expires_at is None
        return Verdict(LineState.REGISTERED, Evidence.PERMANENT if permanent else Evidence.LIVE)
    if last is not None:
        return _by_expiry(last.expires_at, now, retention)
    if known is None:
        return Verdict(LineState.UNREGISTERED, Evidence.NEVER_SEEN)
    if known.state is LineState.UNREGISTERED:
        return Verdict(LineState.UNREGISTERED, _why_still_gone(known))
    return _by_expiry(known.expires_at, now, retention)


def _by_expiry(expires_at: datetime | None, now: datetime, retention: timedelta) -> Verdict:
    if expires_at is None or expires_at > now + EXPIRY_SLACK:
        return Verdict(LineState.UNREGISTERED, Evidence.VANISHED)
    if expires_at < now - retention:
        return Verdict(LineState.UNREGISTERED, Evidence.RETENTION_OVER)
    return Verdict(LineState.AGED, Evidence.EXPIRED)


def _why_still_gone(known: Known) -> Evidence:
    if known.evidence is not None and known.evidence is not Evidence.NOT_ASKED:
        return known.evidence
    return Evidence.VANISHED if known.expires_at else Evidence.NEVER_SEEN


# The same rule for all lines of a collection. Relations: `lines` (inventory), `asked` (line_key, network,
# answered, asked_at: when the answer had arrived), `held` (bindings by line_port), `previous` (last
# observation of each line).
# Parameters: $now (of the whole collection), $retention and $slack (seconds). Expiries are compared with
# `asked_at`, as `judge` does: a binding that ends while others are asked has expired, not vanished.
STATES_SQL = """
WITH best AS (
    SELECT line_port,
        count(*) FILTER (expires_at IS NULL OR expires_at > asked_at) AS live,
        arg_max(struct_pack(contact, user_agent, received, expires_at, registered_at),
            (expires_at IS NULL, coalesce(expires_at, TIMESTAMP '0001-01-01'),
             coalesce(registered_at, TIMESTAMP '0001-01-01'), contact)) AS last
    FROM held JOIN lines USING (line_port) JOIN asked USING (line_key) GROUP BY line_port
), known AS (
    SELECT line_key, expires_at, last_registered_at, contact, user_agent, public_address, private_address,
        if(state = 'unknown', state_before, state) AS state, state_known_at,
        if(evidence = 'not asked', NULL, evidence) AS evidence
    FROM previous
), joined AS (
    SELECT lines.*, asked.network, asked.answered, asked.asked_at, coalesce(best.live, 0) AS live, best.last,
        known.line_key IS NOT NULL AND known.state IS NOT NULL AS seen, known,
        CASE WHEN best.last IS NOT NULL THEN best.last.expires_at ELSE known.expires_at END AS expiry,
        best.last IS NULL AND known.state IS NOT DISTINCT FROM 'unregistered' AS still_gone
    FROM lines JOIN asked USING (line_key)
    LEFT JOIN best USING (line_port) LEFT JOIN known USING (line_key)
), judged AS (
    SELECT *, CASE
        WHEN NOT answered THEN 'not asked'
        WHEN live > 0 THEN if(last.expires_at IS NULL, 'permanent', 'live')
        WHEN last IS NULL AND NOT seen THEN 'never seen'
        WHEN still_gone THEN coalesce(known.evidence, if(expiry IS NULL, 'never seen', 'vanished'))
        WHEN expiry IS NULL OR expiry > asked_at + to_seconds($slack) THEN 'vanished'
        WHEN expiry < asked_at - to_seconds($retention) THEN 'retention over'
        ELSE 'expired' END AS evidence
    FROM joined
)
SELECT provider, customer, site, mac, device_name, device_type, port, line_port, line_type, user_id,
    first_name, last_name, phone_number, extension,
    CASE evidence WHEN 'not asked' THEN 'unknown' WHEN 'live' THEN 'registered'
        WHEN 'permanent' THEN 'registered' WHEN 'expired' THEN 'aged' ELSE 'unregistered' END AS state,
    expiry AS expires_at,
    coalesce(last.registered_at, known.last_registered_at) AS last_registered_at,
    coalesce(last.contact, known.contact) AS contact,
    coalesce(last.user_agent, known.user_agent) AS user_agent,
    coalesce(nullif(regexp_extract(last.received, '^sips?:(?:[^@]*@)?([^;>?]+)', 1), ''),
        known.public_address) AS public_address,
    coalesce(nullif(regexp_extract(last.contact, '^sips?:(?:[^@]*@)?([^;>?]+)', 1), ''),
        known.private_address) AS private_address,
    base_station_id, $now AS observed_at, if(answered, live, NULL) AS bindings,
    known.state AS state_before, if(answered, asked_at, known.state_known_at) AS state_known_at,
    evidence, network, line_key, vendor, kind, chain_id
FROM judged
ORDER BY provider, customer, site, mac, port
"""
