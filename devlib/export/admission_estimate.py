"""How long it will take: place in the queue, seconds to go, and when a refused request may come again."""

import heapq
import zlib

from devlib.export.admission_events import Why, whole_seconds
from devlib.export.admission_state import Ticket, TicketState
from devlib.export.admission_turn import (
    Turn,
    candidates,
    customer_name,
    earliest_start,
    mean_run,
    running,
    session_name,
)

SAFETY_POLL = 1.0
"""Seconds after which a waiting request asks again though no bell rang; bells may get lost."""

SHORTEST_POLL = 0.01
"""Never zero: a waiting request must not spin (a prototype polled a thousand times a second)."""

_JITTER = 3


def place(turn: Turn, ticket: Ticket) -> int:
    """Return the place of `ticket` among those that await a start, from 1; 0 for any other ticket."""
    waiting = [other.id for other in candidates(turn.state)]
    return waiting.index(ticket.id) + 1 if ticket.id in waiting else 0


def seconds_to_go(turn: Turn, ticket: Ticket) -> float:
    """Return an estimate of the seconds until the rows of `ticket` are there.

    It plays the queue forward with the mean run time, the slots and the spacing; it does not foresee
    cancellations, crashes and newcomers.
    """
    leader = turn.state.tickets.get(ticket.leader)
    if leader is not None:
        return seconds_to_go(turn, leader)
    if ticket.state is TicketState.RUNNING:
        return max(0.0, ticket.started + mean_run(turn) - turn.now)
    return max(0.0, _ends(turn).get(ticket.id, turn.now) - turn.now)


def _ends(turn: Turn) -> dict[str, float]:
    now, mean = turn.now, mean_run(turn)
    slots = [max(now, ticket.started + mean) for ticket in running(turn.state)]
    slots += [now] * (turn.policy.max_running - len(slots))
    heapq.heapify(slots)
    last_start = dict(turn.state.last_start)
    ends = {}
    for ticket in candidates(turn.state):
        start = max(heapq.heappop(slots), earliest_start(ticket, last_start, turn.policy.period))
        last_start[session_name(ticket)] = last_start[customer_name(ticket)] = start
        ends[ticket.id] = start + mean
        heapq.heappush(slots, start + mean)
    return ends


def wake_in(turn: Turn, ticket: Ticket) -> float:
    """Return after how many seconds `ticket` should ask again: its next own moment, or the safety poll."""
    moments = [ticket.give_up]
    if ticket.candidate:
        moments.append(earliest_start(ticket, turn.state.last_start, turn.policy.period))
        moments.append(ticket.not_before)
    ahead = [moment - turn.now for moment in moments if moment > turn.now]
    return max(SHORTEST_POLL, min([SAFETY_POLL, *ahead]))


def retry_after(turn: Turn, ticket: Ticket, why: Why) -> float:
    """Return when a refused request may come again (RFC 9110 §10.2.3).

    - queue full: the mean run, once for each request waiting, over the slots. A few seconds that differ
      from request to request are added, so that the refused do not come back as one herd;
    - the session's seats taken: when its next request may start;
    - too many share one export: when that export should be over.
    """
    mean = mean_run(turn)
    if why is Why.QUEUE_FULL:
        waiting = max(1, len(turn.state.in_states(TicketState.WAITING)))
        return (
            whole_seconds(mean * waiting / turn.policy.max_running) + zlib.crc32(ticket.id.encode()) % _JITTER
        )
    if why is Why.SESSION_FULL:
        own = [other for other in candidates(turn.state) if other.session == ticket.session]
        period = turn.policy.period
        return whole_seconds(
            min(earliest_start(other, turn.state.last_start, period) for other in own) - turn.now
        )
    return whole_seconds(mean)
