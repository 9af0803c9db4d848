"""The rules of admission: who starts, who shares, who waits, who goes without.

Each function changes the working copy of one step, a `Turn`. Where a loop walks over a list of tickets it
asks each ticket's state again, since the ones before it may have changed it.
"""

from devlib.export.admission_events import (
    Happening,
    Outcome,
    Why,
    fingerprint,
    http_status,
    whole_seconds,
)
from devlib.export.admission_state import Result, Ticket, TicketState
from devlib.export.admission_turn import (
    Turn,
    candidates,
    customer_name,
    earliest_start,
    followers,
    fresh_result,
    mean_run,
    runner_of,
    running,
    session_name,
)

ANSWER_KEPT = 600.0
"""Seconds for which an answer that nobody fetched is kept; a dead owner's goes at once."""


def settle(turn: Turn) -> None:
    """Let time do its work: queue timeouts, old answers, starts."""
    expire(turn)
    prune(turn)
    dispatch(turn)


def dispatch(turn: Turn) -> None:
    """Start, answer or attach every candidate whose moment has come, first come first (article S4).

    A delayed ticket does not block those behind it.
    """
    for ticket in candidates(turn.state):
        if not ticket.candidate or turn.now < ticket.not_before:
            continue
        result = fresh_result(turn, ticket.key)
        runner = runner_of(turn.state, ticket.key)
        if result is not None:
            serve(turn, ticket, result, Why.HIT)
        elif runner is not None:
            if not runner.outdated and _room_behind(turn, runner, ticket):
                follow(turn, ticket, runner)
        elif _may_start(turn, ticket):
            start(turn, ticket)


def _may_start(turn: Turn, ticket: Ticket) -> bool:
    if len(running(turn.state)) >= turn.policy.max_running:
        return False
    return turn.now >= earliest_start(ticket, turn.state.last_start, turn.policy.period)


def _room_behind(turn: Turn, leader: Ticket, ticket: Ticket) -> bool:
    """Return whether `ticket` may leave its seat to follow; without room it keeps the seat (§1.4).

    An heir has no seat to keep, and was behind the same export before.
    """
    behind = len(followers(turn.state, leader)) + len(followers(turn.state, ticket)) + 1
    return ticket.orphan or behind <= turn.policy.max_followers


def start(turn: Turn, ticket: Ticket) -> None:
    """Make `ticket` a real export, stamp its session and customer, and let the same export follow it."""
    state = turn.state
    state.epoch += 1
    ticket.state, ticket.leader, ticket.epoch = TicketState.RUNNING, "", state.epoch
    ticket.attempts += 1
    ticket.started = ticket.seen = turn.now
    ticket.outdated = False
    state.last_start[session_name(ticket)] = turn.now
    state.last_start[customer_name(ticket)] = turn.now
    ring(turn, ticket)
    note(turn, ticket, "started")
    for other in candidates(state):
        same = other.candidate and other.key == ticket.key and turn.now >= other.not_before
        if same and _room_behind(turn, ticket, other):
            follow(turn, other, ticket)


def follow(turn: Turn, ticket: Ticket, leader: Ticket) -> None:
    """Let `ticket`, and all that follow it, share the result of `leader`."""
    for other in (ticket, *followers(turn.state, ticket)):
        other.state, other.leader, other.joined = TicketState.FOLLOWING, leader.id, turn.now
    note(turn, ticket, TicketState.FOLLOWING)


def serve(turn: Turn, ticket: Ticket, result: Result, why: Why) -> None:
    """Answer `ticket`, and all that follow it, with rows that are there."""
    for other in (ticket, *followers(turn.state, ticket)):
        other.ref, other.finished = result.ref, result.finished
        end(turn, other, TicketState.CACHED, why)


def succeed(turn: Turn, ticket: Ticket, ref: str) -> None:
    """End a real export well: cache its rows unless the fleet changed meanwhile, answer its followers."""
    state, now = turn.state, turn.now
    took = now - ticket.started
    state.mean_run = took if state.mean_run is None else 0.7 * state.mean_run + 0.3 * took
    ticket.ref, ticket.finished = ref, now
    end(turn, ticket, TicketState.DONE)
    result = Result(ref, now, now + turn.policy.cache_ttl)
    if not ticket.outdated:
        state.results[ticket.key.text] = result
    for other in followers(state, ticket):
        serve(turn, other, result, Why.COLLAPSED)


def fail(turn: Turn, ticket: Ticket, why: Why) -> None:
    """End an export with 500 for itself and all that follow it; nothing is cached (article: 500)."""
    for other in (ticket, *followers(turn.state, ticket)):
        end(turn, other, TicketState.FAILED, why)


def leave(turn: Turn, ticket: Ticket, state: TicketState, why: str = "") -> None:
    """End a live ticket without a result; its oldest follower inherits its place.

    The heir of a running export needs no seat of the queue, so promotion cannot overflow it; the heir of a
    waiting one takes its seat. The time that followers spent behind a running export is given back.
    """
    was = ticket.state
    heirs = followers(turn.state, ticket)
    end(turn, ticket, state, why)
    if was is TicketState.RUNNING:
        for other in heirs:
            other.give_up += turn.now - max(ticket.started, other.joined)
    if not heirs:
        return
    heir, *rest = heirs
    heir.leader, heir.number, heir.attempts = "", ticket.number, ticket.attempts
    for other in rest:
        other.leader = heir.id
    if was is TicketState.WAITING:
        heir.state = TicketState.WAITING
    if heir.attempts >= turn.policy.max_attempts:
        fail(turn, heir, Why.ATTEMPTS)


def expire(turn: Turn) -> None:
    """Answer 408 to those that waited too long (article: 408); behind a running export the clock stands."""
    for ticket in turn.state.in_states(TicketState.WAITING, TicketState.FOLLOWING):
        leader = turn.state.tickets.get(ticket.leader)
        if leader is not None and leader.state is TicketState.RUNNING:
            continue
        if ticket.state.live and turn.now >= ticket.give_up:
            ticket.retry_after = whole_seconds(mean_run(turn))
            leave(turn, ticket, TicketState.EXPIRED, Why.QUEUE_TIMEOUT)


def prune(turn: Turn) -> None:
    """Forget what no rule can ask for again."""
    state, now = turn.state, turn.now
    state.results = {key: result for key, result in state.results.items() if now < result.expires}
    state.last_start = {
        name: stamp for name, stamp in state.last_start.items() if now < stamp + turn.policy.period
    }
    state.tickets = {
        name: ticket
        for name, ticket in state.tickets.items()
        if ticket.state.live or now < ticket.ended + ANSWER_KEPT
    }


def end(turn: Turn, ticket: Ticket, state: TicketState, why: str = "") -> None:
    """Give `ticket` its final state; final states never change (invariant I12)."""
    ticket.state, ticket.why, ticket.ended, ticket.leader = state, why, turn.now, ""
    ring(turn, ticket)
    note(turn, ticket, state)


def ring(turn: Turn, ticket: Ticket) -> None:
    """Remember to ring for `ticket` after the step is stored."""
    if ticket.bell and ticket.bell not in turn.bells:
        turn.bells.append(ticket.bell)


def note(turn: Turn, ticket: Ticket, event: str) -> None:
    """Write down that `event` happened to `ticket`."""
    final = not ticket.state.live
    wait = (ticket.started if ticket.epoch else turn.now) - ticket.arrived
    ran = final and ticket.epoch > 0
    kept = ticket.state in (TicketState.DONE, TicketState.CACHED) or ticket.why in (
        Why.EXPORT_FAILED,
        Why.ATTEMPTS,
    )
    outcome = Outcome(
        ticket.id, fingerprint(ticket.key, ticket.payload), ticket.state, ticket.why, ticket.ref
    )
    turn.happenings.append(
        Happening(
            ticket=ticket.id,
            principal=ticket.principal,
            session=ticket.session,
            customer=ticket.key.customer_text,
            key=ticket.key.text,
            event=str(event),
            http=http_status(ticket.state, ticket.why),
            why=ticket.why,
            wait_ms=round(wait * 1000),
            run_ms=round((turn.now - ticket.started) * 1000) if ran else None,
            idempotency=ticket.idempotency,
            outcome=outcome if kept and ticket.idempotency else None,
        )
    )
