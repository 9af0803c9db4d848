"""A request arrives: replay, cache, share, start, wait, or go; in the order of the gates (§1.3)."""

from devlib.export.admission_answers import report
from devlib.export.admission_estimate import retry_after
from devlib.export.admission_events import Answer, Submit, Why, fingerprint
from devlib.export.admission_rules import dispatch, end, follow, note, serve
from devlib.export.admission_state import Ticket, TicketState
from devlib.export.admission_turn import Turn, first_moment, followers, fresh_result, leader_for, running


def submit(turn: Turn, event: Submit) -> Answer:
    """Answer a new request (article S1, S3), or the replay of an old one (§1.6)."""
    if event.idempotency and (answer := _replay(turn, event)) is not None:
        return answer
    ticket = _new_ticket(turn, event)
    if turn.now >= ticket.not_before:
        if (result := fresh_result(turn, ticket.key)) is not None:
            serve(turn, ticket, result, Why.HIT)
            return report(turn, ticket)
        if (leader := leader_for(turn, ticket.key)) is not None:
            return _share(turn, ticket, leader)
    return _queue(turn, ticket)


def _share(turn: Turn, ticket: Ticket, leader: Ticket) -> Answer:
    """Let the ticket follow; followers hold no seat of the queue but have a bound of their own (§1.4)."""
    if len(followers(turn.state, leader)) >= turn.policy.max_followers:
        return _reject(turn, ticket, Why.FOLLOWERS_FULL)
    turn.state.tickets[ticket.id] = ticket
    follow(turn, ticket, leader)
    return report(turn, ticket)


def _queue(turn: Turn, ticket: Ticket) -> Answer:
    """Start the ticket if it may start now; otherwise give it a seat, if there is one (article S5)."""
    state, policy = turn.state, turn.policy
    waiting = state.in_states(TicketState.WAITING)
    own = sum(other.session == ticket.session for other in waiting)
    taken = len(waiting) + (len(running(state)) if policy.queue_counts_running else 0)
    state.tickets[ticket.id] = ticket
    dispatch(turn)
    if ticket.state is TicketState.WAITING:
        if policy.max_waiting_per_session is not None and own >= policy.max_waiting_per_session:
            return _reject(turn, ticket, Why.SESSION_FULL)
        if taken >= policy.max_waiting:
            return _reject(turn, ticket, Why.QUEUE_FULL)
        note(turn, ticket, TicketState.WAITING)
    return report(turn, ticket)


def _reject(turn: Turn, ticket: Ticket, why: Why) -> Answer:
    turn.state.tickets.pop(ticket.id, None)
    ticket.retry_after = retry_after(turn, ticket, why)
    end(turn, ticket, TicketState.REJECTED, why)
    return report(turn, ticket)


def _new_ticket(turn: Turn, event: Submit) -> Ticket:
    turn.state.sequence += 1
    return Ticket(
        id=event.ticket,
        number=turn.state.sequence,
        state=TicketState.WAITING,
        owner=event.owner,
        bell=event.bell,
        principal=event.principal,
        session=event.session,
        key=event.key,
        idempotency=event.idempotency,
        payload=event.payload,
        arrived=turn.now,
        not_before=first_moment(turn, event.session),
        give_up=turn.now + turn.policy.queue_timeout,
    )


def _replay(turn: Turn, event: Submit) -> Answer | None:
    """Answer a repeated idempotency key: attach to the live ticket, or return the stored outcome."""
    asked = (event.principal, event.idempotency)
    wanted = fingerprint(event.key, event.payload)
    for ticket in turn.state.tickets.values():
        if ticket.state.live and (ticket.principal, ticket.idempotency) == asked:
            if fingerprint(ticket.key, ticket.payload) != wanted:
                return _refuse_payload(turn, event)
            return report(turn, ticket)
    stored = event.earlier
    if stored is None:
        return None
    if stored.payload != wanted:
        return _refuse_payload(turn, event)
    return Answer(ticket=stored.ticket, state=stored.state, why=stored.why, ref=stored.ref, at=turn.now)


def _refuse_payload(turn: Turn, event: Submit) -> Answer:
    return Answer(ticket=event.ticket, state=TicketState.REJECTED, why=Why.OTHER_PAYLOAD, at=turn.now)
