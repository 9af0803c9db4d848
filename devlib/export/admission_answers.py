"""What a step answers about one ticket."""

from devlib.export.admission_estimate import place, seconds_to_go, wake_in
from devlib.export.admission_events import Answer, Why
from devlib.export.admission_state import Ticket, TicketState
from devlib.export.admission_turn import Turn, running


def report(turn: Turn, ticket: Ticket) -> Answer:
    """Answer where `ticket` stands; a final answer is handed over once and then forgotten."""
    if not ticket.state.live:
        turn.state.tickets.pop(ticket.id, None)
    return answer_about(turn, ticket, why=ticket.why, again=ticket.retry_after)


def answer_about(turn: Turn, ticket: Ticket, *, why: str, again: float | None) -> Answer:
    """Answer where `ticket` stands, with another reason and another `retry_after` than its own."""
    live = ticket.state.live
    return Answer(
        ticket=ticket.id,
        state=ticket.state,
        why=why,
        ref=ticket.ref,
        epoch=ticket.epoch,
        place=place(turn, ticket),
        seconds_to_go=seconds_to_go(turn, ticket) if live else 0.0,
        wake_in=wake_in(turn, ticket) if live else 0.0,
        watch=tuple(sorted({other.owner for other in running(turn.state)})),
        retry_after=again,
        age=turn.now - ticket.finished if ticket.ref else 0.0,
        delayed=ticket.state is TicketState.WAITING and turn.now < ticket.not_before,
        at=ticket.started if ticket.state is TicketState.RUNNING else turn.now,
    )


def unknown(turn: Turn, name: str, why: Why = Why.UNKNOWN) -> Answer:
    """Answer about a ticket that is not there, or no longer the asker's."""
    return Answer(ticket=name, state=TicketState.FAILED, why=why, at=turn.now)
