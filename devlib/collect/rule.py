"""The rule of the three states, once as a pure function and once as SQL for many lines.

Both must say the same; a property test holds them together. The rule (design, "The three states"):

- a live or permanent binding: `registered`;
- none, and an event feed told how it ended: `unregistered` after a sign-off, `aged` after an expiry (exact);
- none, and the last known expiry has passed, no longer ago than the retention: `aged`;
- none, the last known expiry is still ahead, but the registrar restarted since and keeps its bindings in
  memory only: `unknown`, since it has forgotten the binding and the phone does not know;
- none, and the last known expiry was still ahead when the binding vanished (the phone signed off), or the
  retention is over, or the line was never seen: `unregistered`, until a binding is seen again;
- the network could not be asked: `unknown`, with the last known state beside it;
- an event feed told something newer than the answer, while other lines were still asked: what it told stays.

Exact evidence is `live`, `permanent`, `signed off` and `expiry reported`; `expired` and `vanished` are
inferred from two looks and may be wrong about what happened between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from devlib.model import Binding, LineState

# A registrar counts whole seconds and its clock is read at another instant than ours, so a binding may
# vanish this much before the expiry that we computed (Kamailio 5.6.3, measured: within one second).
EXPIRY_SLACK = timedelta(seconds=2)
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Evidence(StrEnum):
    """Why a line has its state."""

    LIVE = "live"
    PERMANENT = "permanent"
    EXPIRED = "expired"
    EXPIRY_REPORTED = "expiry reported"
    SIGNED_OFF = "signed off"
    VANISHED = "vanished"
    FORGOTTEN = "registrar restarted"
    RETENTION_OVER = "retention over"
    NEVER_SEEN = "never seen"
    NOT_ASKED = "not asked"


_EXACT_ENDS = frozenset({Evidence.SIGNED_OFF, Evidence.EXPIRY_REPORTED})


@dataclass(frozen=True, slots=True)
class Known:
    """What the last snapshot that could ask knew of a line.

    Args:
        state: the state then.
        expires_at: last known expiry, UTC; `None` for a permanent binding or none ever.
        evidence: why it was in that state, where that is known.
        known_at: when that was observed, UTC; `None` where it is not known.
        contact: of the binding that spoke for it last.
    """

    state: LineState
    expires_at: datetime | None
    evidence: Evidence | None = None
    known_at: datetime | None = None
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and why."""

    state: LineState
    evidence: Evidence


def newest(bindings: Sequence[Binding], now: datetime | None = None, *, dect: bool = False) -> Binding | None:
    """Return the binding that speaks for the line.

    Args:
        bindings: of the line.
        now: the moment at which a binding must be live to be preferred, UTC; `None` where all are.
        dect: whether the line is a handset's, which leaves its old contact behind at each base that it
            leaves: then the contact that registered last speaks, at the base where the handset is.

    Returns:
        A live one before one that has ended; of these a permanent one, or the one that ends last.
    """

    def weight(each: Binding) -> tuple[bool, bool, datetime, datetime, str]:
        live = now is None or each.live(now)
        ends, registered = each.expires_at or _BEGINNING, each.registered_at or _BEGINNING
        if dect:
            return live, False, registered, ends, each.contact
        return live, each.expires_at is None, ends, registered, each.contact

    return max(bindings, key=weight, default=None)


def judge(
    bindings: Sequence[Binding] | None,
    known: Known | None,
    now: datetime,
    retention: timedelta,
    *,
    knows_since: datetime | None = None,
    told: Evidence | None = None,
    read_at: datetime | None = None,
    dect: bool = False,
) -> Verdict:
    """Return the state of one line.

    Args:
        bindings: what the registrar holds for its line port; `None` where it could not be asked.
        known: what the last snapshot that could ask knew; `None` for a line never observed.
        now: when the registrar's answer had arrived, UTC: expiries are compared with that moment.
        retention: how long after its last expiry a line is `aged`.
        knows_since: when the memory of a registrar began that keeps its bindings in memory only, UTC.
        told: how the last binding ended, as the event feed told: `SIGNED_OFF` or `EXPIRY_REPORTED`.
        read_at: when `known` was read, UTC, where it may be newer than the answer; `None` where it is not.
        dect: whether the line is a handset's; see `newest`.
    """
    if bindings is None:
        return Verdict(LineState.UNKNOWN, Evidence.NOT_ASKED)
    last = newest(bindings, now, dect=dect)
    if known is not None and told is None and _outlives(known, last, now, read_at):
        return Verdict(known.state, known.evidence or Evidence.NOT_ASKED)
    if last is not None and last.live(now):
        permanent = last.expires_at is None
        return Verdict(LineState.REGISTERED, Evidence.PERMANENT if permanent else Evidence.LIVE)
    if told is not None:
        return Verdict(LineState.AGED if told is Evidence.EXPIRY_REPORTED else LineState.UNREGISTERED, told)
    if last is None:
        return _gone(known, now, retention, knows_since)
    return _by_expiry(last.expires_at, now, retention, reported=_was_reported(known))


def _outlives(known: Known, last: Binding | None, now: datetime, read_at: datetime | None) -> bool:
    """Return whether what is known is newer than the answer, so that the answer must not replace it."""
    if known.known_at is None or known.evidence is None or read_at is None or known.known_at > read_at:
        return False  # a moment still to come is of a clock that was set back: it must not freeze a state
    if known.known_at > now:
        return True
    # A feed counts whole seconds: an end may be newer than its moment says. It is, if the answer still has
    # the binding that ended, registered before that; another phone's on the same line does not matter.
    ended = known.evidence in _EXACT_ENDS and known.known_at > now - EXPIRY_SLACK
    if not ended or last is None or last.registered_at is None:
        return False
    return last.contact == known.contact and last.registered_at < known.known_at


def _gone(known: Known | None, now: datetime, retention: timedelta, knows_since: datetime | None) -> Verdict:
    """Return the state of a line without any binding, of which nothing was told."""
    if known is None:
        return Verdict(LineState.UNREGISTERED, Evidence.NEVER_SEEN)
    if known.state is LineState.UNREGISTERED:
        return Verdict(LineState.UNREGISTERED, _why_still_gone(known))
    reported = _was_reported(known)
    if _is_ahead(known.expires_at, now) and not reported:
        return _vanished(known, knows_since)
    return _by_expiry(known.expires_at, now, retention, reported=reported)


def _was_reported(known: Known | None) -> bool:
    return known is not None and known.state is LineState.AGED and known.evidence is Evidence.EXPIRY_REPORTED


def _is_ahead(expiry: datetime | None, now: datetime) -> bool:
    return expiry is None or expiry > now + EXPIRY_SLACK


def _vanished(known: Known, knows_since: datetime | None) -> Verdict:
    forgotten = knows_since is not None and (
        known.known_at is None or known.known_at < knows_since + EXPIRY_SLACK
    )
    if forgotten:
        return Verdict(LineState.UNKNOWN, Evidence.FORGOTTEN)
    return Verdict(LineState.UNREGISTERED, Evidence.VANISHED)


def _by_expiry(expiry: datetime | None, now: datetime, retention: timedelta, *, reported: bool) -> Verdict:
    if expiry is not None and expiry < now - retention:
        return Verdict(LineState.UNREGISTERED, Evidence.RETENTION_OVER)
    return Verdict(LineState.AGED, Evidence.EXPIRY_REPORTED if reported else Evidence.EXPIRED)


def _why_still_gone(known: Known) -> Evidence:
    if known.evidence is not None and known.evidence is not Evidence.NOT_ASKED:
        return known.evidence
    return Evidence.VANISHED if known.expires_at else Evidence.NEVER_SEEN


# A SIP domain is compared without regard to case (RFC 3261 §19.1.4), a user part with it: what the inventory
# and a registrar write is brought to one form, as `devlib.network.network_form` does for one line port.
def network_form_sql(line_port: str) -> str:
    """Return SQL of the form under which the line ports of two writers are the same.

    Args:
        line_port: SQL of a text `user@domain`.
    """
    return (
        f"if({line_port} = lower({line_port}), {line_port}, regexp_extract({line_port}, '^(.*@)?', 0) "
        f"|| lower(regexp_extract({line_port}, '[^@]*$', 0)))"
    )


def device_name_sql(contact: str) -> str:
    """Return SQL of the device name in a contact that tells its MAC (`SEP` and twelve digits), else ''.

    Contacts differ from line to line, what is recognised in them from device to device: so a phone is
    recognised once, not once for each of its lines. See `devlib.model.identification`.

    Args:
        contact: SQL of a contact.
    """
    return f"if(contains({contact}, 'SEP'), regexp_extract({contact}, '{DEVICE_NAME}'), '')"


# One digit more than a MAC has is let in, so that `identify` can see that it is none.
DEVICE_NAME = r"\bSEP[0-9A-Fa-f]{12,13}"
"""Form of a device name (RE2)."""


# What a phone says of itself; see `devlib.collect.identifying`.
SAID = ("said_vendor", "said_model", "firmware", "said_mac", "said_mac_from")

PAST = (
    "line_key", "state", "state_before", "state_known_at", "evidence", "evidence_before", "expires_at",
    "last_registered_at", "contact", "user_agent", "public_address", "private_address", "instance", "call_id",
    *SAID, "current_base", "bindings", "ghosts",
)  # fmt: skip
"""Columns of the last observation that the rule reads."""

_SAME_SAID = f"""last.user_agent IS NOT DISTINCT FROM known.user_agent
            AND last.instance IS NOT DISTINCT FROM known.instance
            AND {device_name_sql("last.contact")} IS NOT DISTINCT FROM {device_name_sql("known.contact")}"""


def _said(name: str) -> str:
    return (
        f"CASE WHEN last IS NULL OR (same_said AND known.said_vendor IS NOT NULL) THEN known.{name} "
        f"ELSE identified.{name} END"
    )


# The same rule for all lines of a collection. Relation: `aligned`, the lines of the inventory with, beside
# each: what was asked (network, answered, asked_at: when the answer had come; knows_since, told, reason),
# how many live bindings it has (`live`), the one that speaks for it (`last`), its last observation (`known`)
# and, where it is news, what its phone says of itself (`identified`); see
# `devlib.collect.alignment`. There is no join: rows come out in the order in which they go in.
# Parameters: $now (of the whole collection), $retention and $slack (seconds), $read_at (when the past was
# read; NULL where it is not newer than any answer). Expiries are compared with `asked_at`, as `judge` does:
# a binding that ends while others are asked has expired, not vanished. What outlives an answer (`_outlives`)
# takes the answer's binding away: then everything of the line stays as it was.
_STATES_SQL = f"""
WITH beside AS (
    SELECT * EXCLUDE (live, last), coalesce(line.live, 0) AS live,
        coalesce(answered AND told IS NULL AND known.evidence IS NOT NULL AND known.state_known_at <= $read_at
            AND (known.state_known_at > asked_at OR (
                known.evidence IN ('signed off', 'expiry reported')
                AND known.state_known_at > asked_at - to_seconds($slack)
                AND line.last.contact IS NOT DISTINCT FROM known.contact
                AND line.last.registered_at < known.state_known_at)), false) AS outlived,
        if(outlived, NULL, line.last) AS last,
        known IS NOT NULL AND known.state IS NOT NULL AS seen
    FROM aligned line
), joined AS (
    SELECT *,
        CASE WHEN last IS NOT NULL THEN last.expires_at ELSE known.expires_at END AS expiry,
        last IS NULL AND known.state IS NOT DISTINCT FROM 'unregistered' AS still_gone,
        known.state IS NOT DISTINCT FROM 'aged' AND known.evidence IS NOT DISTINCT FROM 'expiry reported'
            AS reported
    FROM beside
), judged AS (
    SELECT *, if(kind IS NOT DISTINCT FROM 'dect_base', greatest(live - 1, 0), 0) AS ghost_count,
        {_SAME_SAID} AS same_said,
    CASE
        WHEN NOT answered THEN 'not asked'
        WHEN outlived THEN known.evidence
        WHEN live > 0 THEN if(last.expires_at IS NULL, 'permanent', 'live')
        WHEN told IS NOT NULL THEN told
        WHEN last IS NULL AND NOT seen THEN 'never seen'
        WHEN still_gone THEN coalesce(known.evidence, if(expiry IS NULL, 'never seen', 'vanished'))
        WHEN last IS NULL AND NOT reported AND (expiry IS NULL OR expiry > asked_at + to_seconds($slack))
            THEN if(knows_since + to_seconds($slack) > coalesce(known.state_known_at, TIMESTAMP '0001-01-01'),
                'registrar restarted', 'vanished')
        WHEN expiry < asked_at - to_seconds($retention) THEN 'retention over'
        ELSE if(reported, 'expiry reported', 'expired') END AS evidence
    FROM joined
)
SELECT provider, customer, site, mac, device_name, device_type, port, line_port, line_type, user_id,
    first_name, last_name, phone_number, extension,
    CASE WHEN evidence IN ('not asked', 'registrar restarted') THEN 'unknown'
        WHEN evidence IN ('live', 'permanent') THEN 'registered'
        WHEN evidence IN ('expired', 'expiry reported') THEN 'aged' ELSE 'unregistered' END AS state,
    expiry AS expires_at,
    coalesce(last.registered_at, known.last_registered_at) AS last_registered_at,
    coalesce(last.contact, known.contact) AS contact,
    coalesce(last.user_agent, known.user_agent) AS user_agent,
    coalesce(nullif(regexp_extract(last.received, '^sips?:(?:[^@]*@)?([^;>?]+)', 1), ''),
        known.public_address) AS public_address,
    if(last.contact IS NOT DISTINCT FROM known.contact, known.private_address, coalesce(
        nullif(regexp_extract(last.contact, '^sips?:(?:[^@]*@)?([^;>?]+)', 1), ''), known.private_address))
        AS private_address,
    base_station_id, $now AS observed_at,
    CASE WHEN outlived THEN known.bindings WHEN answered THEN live - ghost_count END AS bindings,
    known.state AS state_before,
    if(outlived OR evidence IN ('not asked', 'registrar restarted'), known.state_known_at, asked_at)
        AS state_known_at,
    evidence, network, line_key, vendor, kind, chain_id,
    coalesce(last.instance, known.instance) AS instance,
    coalesce(last.call_id, known.call_id) AS call_id,
    {", ".join(f"{_said(name)} AS {name}" for name in SAID)},
    CASE WHEN outlived THEN known.ghosts WHEN answered THEN ghost_count END AS ghosts,
    CASE WHEN kind IS NOT DISTINCT FROM 'dect_base'
        THEN if(last IS NULL, known.current_base, coalesce({_said("said_mac")}, known.current_base)) END
        AS current_base,
    if(evidence = 'registrar restarted', 'The registrar restarted at '
        || strftime(knows_since, '%Y-%m-%d %H:%M:%S') || ' UTC and keeps its bindings in memory only.',
        reason) AS reason,
    known.evidence AS evidence_before
FROM judged
"""  # noqa: S608 - own texts


def states_sql(now: datetime, retention: float, slack: float, read_at: datetime | None) -> str:
    """Return the rule as SQL over the relation `aligned`, with columns as those of `OBSERVATIONS`.

    Its parameters stand in it: DuckDB plans it so in two thirds of the time.

    Args:
        now: of the whole collection, UTC.
        retention: seconds.
        slack: seconds.
        read_at: when the past was read, UTC; `None` where it is not newer than any answer.
    """
    values = {
        "$now": _moment_sql(now),
        "$read_at": "NULL::TIMESTAMP" if read_at is None else _moment_sql(read_at),
        "$retention": f"{retention:f}",
        "$slack": f"{slack:f}",
    }
    sql = _STATES_SQL
    for name, value in values.items():
        sql = sql.replace(name, value)
    return sql


def _moment_sql(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC).replace(tzinfo=None).isoformat(' ')}'"


# The lines of which a table of all bindings may be wrong, since a registrar writes its table some time after
# its memory: the last observation has a registered line that the table lacks before its expiry, or the feed
# told of a sign-off and the table still has a binding. Relations: `asked` (line_key, line_port), `held`,
# `previous`. Parameters: $at (when the table was read), $slack (seconds).
DOUBT_SQL = f"""
WITH live AS (
    SELECT DISTINCT {network_form_sql("line_port")} AS form FROM held
    WHERE expires_at IS NULL OR expires_at > $at
), known AS (
    SELECT line_key, expires_at, if(state = 'unknown', state_before, state) AS state,
        if(state = 'unknown', evidence_before, evidence) AS evidence
    FROM previous
)
SELECT asked.line_key, asked.line_port
FROM asked JOIN known USING (line_key) LEFT JOIN live ON live.form = {network_form_sql("asked.line_port")}
WHERE (live.form IS NULL AND known.state = 'registered'
        AND (known.expires_at IS NULL OR known.expires_at > $at + to_seconds($slack)))
    OR (live.form IS NOT NULL AND known.evidence = 'signed off')
"""  # noqa: S608 - own texts
