"""The working copy of one step, and the questions that the rules ask of it."""

from dataclasses import dataclass, field

from devlib.config import ExportPolicy
from devlib.export.admission_events import Happening
from devlib.export.admission_state import AdmissionState, ExportKey, Result, Ticket, TicketState, in_order


@dataclass(slots=True)
class Turn:
    """The working copy of one step: state, moment and limits, with the bells and happenings so far."""

    state: AdmissionState
    policy: ExportPolicy
    bells: list[str] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)

    @property
    def now(self) -> float:
        """The moment of the step."""
        return self.state.now


def candidates(state: AdmissionState) -> list[Ticket]:
    """Return the tickets that may become real exports, first come first."""
    return in_order(ticket for ticket in state.tickets.values() if ticket.candidate)


def running(state: AdmissionState) -> list[Ticket]:
    """Return the real exports under way, in no order."""
    return [ticket for ticket in state.tickets.values() if ticket.state is TicketState.RUNNING]


def followers(state: AdmissionState, leader: Ticket) -> list[Ticket]:
    """Return the tickets that share the result of `leader`, oldest first."""
    return in_order(
        ticket
        for ticket in state.tickets.values()
        if ticket.leader == leader.id and ticket.state is TicketState.FOLLOWING
    )


def fresh_result(turn: Turn, key: ExportKey) -> Result | None:
    """Return the cached result of `key` (article S3), if its time has not run out."""
    result = turn.state.results.get(key.text)
    return result if result is not None and turn.now < result.expires else None


def runner_of(state: AdmissionState, key: ExportKey) -> Ticket | None:
    """Return the real export of `key` under way."""
    return next((ticket for ticket in running(state) if ticket.key == key), None)


def leader_for(turn: Turn, key: ExportKey) -> Ticket | None:
    """Return the ticket that a new request for `key` may share (article S3).

    A running export whose customer has changed since its start is none: the newcomer may have made the
    change. A delayed one is none either: the newcomer's own session is not delayed.
    """
    runner = runner_of(turn.state, key)
    if runner is not None and not runner.outdated:
        return runner
    return next((t for t in candidates(turn.state) if t.key == key and turn.now >= t.not_before), None)


def session_name(ticket: Ticket) -> str:
    """Return the name under which starts of the session are stamped."""
    return f"s:{ticket.session}"


def customer_name(ticket: Ticket) -> str:
    """Return the name under which starts of the customer are stamped."""
    return f"c:{ticket.key.customer_text}"


def first_moment(turn: Turn, session: str) -> float:
    """Return before when a new request of `session` is delayed (article S1).

    With another live request of the session: its arrival and the period. Without: the last start of the
    session and the period.
    """
    state = turn.state
    if any(ticket.session == session and ticket.state.live for ticket in state.tickets.values()):
        return turn.now + turn.policy.period
    return state.last_start.get(f"s:{session}", -turn.policy.period) + turn.policy.period


def earliest_start(ticket: Ticket, last_start: dict[str, float], period: float) -> float:
    """Return when `ticket` may start at the earliest (article S2: once per session and per customer)."""
    stamps = (last_start.get(session_name(ticket)), last_start.get(customer_name(ticket)))
    return max([ticket.not_before, *(stamp + period for stamp in stamps if stamp is not None)])


def mean_run(turn: Turn) -> float:
    """Return how long an export takes, from those that succeeded; the period before there is one."""
    return turn.policy.period if turn.state.mean_run is None else turn.state.mean_run
