"""Who may export when: the pure reducer behind every coordinator of the line-state export.

    submit ─┬─ cached, session not delayed ──► CACHED 200
            ├─ same export running or queued ► FOLLOWING ─ leader done ► CACHED, failed ► FAILED 500
            ├─ slot free, spacing kept ──────► RUNNING ─ finish ► DONE 200, fail ► FAILED 500
            ├─ ten wait already ─────────────► REJECTED 429
            └─ else ─────────────────────────► WAITING ─ slot and spacing ► RUNNING, timeout ► EXPIRED 408

S1 to S5 are the sentences of the article's chapter on limits, numbered in `docs/export-admission.md` with an
example for each; § are sections of the specification. Order of the gates: (authorisation, by the caller) →
delay of the session (S1) → cache and sharing (S3) → spacing per session and customer (S2) → slots (S4) →
queue (S5). Nothing here reads a clock, a file or a random number.
"""

from dataclasses import replace

from devlib.config import ExportPolicy
from devlib.export.admission_answers import answer_about, report, unknown
from devlib.export.admission_arrival import submit
from devlib.export.admission_estimate import place, seconds_to_go
from devlib.export.admission_events import (
    Answer,
    Cancel,
    Check,
    Event,
    Fail,
    Finish,
    Happening,
    Invalidate,
    Look,
    Outcome,
    OwnersDied,
    Poll,
    Release,
    Submit,
    TicketEvent,
    Why,
    whole_seconds,
)
from devlib.export.admission_rules import fail, leave, settle, succeed
from devlib.export.admission_state import (
    FORMAT,
    AdmissionState,
    ExportKey,
    Result,
    Ticket,
    TicketState,
    from_json,
    to_json,
)
from devlib.export.admission_turn import Turn, running

__all__ = [
    "FORMAT",
    "AdmissionState",
    "Answer",
    "Cancel",
    "Check",
    "Event",
    "ExportKey",
    "Fail",
    "Finish",
    "Happening",
    "Invalidate",
    "Look",
    "Outcome",
    "OwnersDied",
    "Poll",
    "Release",
    "Result",
    "Submit",
    "Ticket",
    "TicketState",
    "Why",
    "from_json",
    "step",
    "to_json",
    "view",
]


def step(
    state: AdmissionState, event: Event, now: float, policy: ExportPolicy
) -> tuple[AdmissionState, Answer, tuple[str, ...]]:
    """Return what becomes of `state` when `event` happens at `now`.

    Args:
        state: what the last step returned; it is not changed.
        event: what happens.
        now: seconds of the store's clock; a moment before the last step counts as the last step's.
        policy: the limits.

    Returns:
        The new state, the answer to the one who brought the event, and the bells to ring once the state
        is stored.
    """
    turn = Turn(state.copy(), policy)
    turn.state.now = max(state.now, now)
    settle(turn)
    answer = replace(_apply(turn, event), happenings=tuple(turn.happenings))
    own = _own_bell(state, event)
    return turn.state, answer, tuple(bell for bell in turn.bells if bell != own)


def view(state: AdmissionState, policy: ExportPolicy) -> list[tuple[Ticket, int, float]]:
    """Return the live tickets of `state` with place and seconds to go, running ones first."""
    turn = Turn(state, policy)
    live = state.in_states(TicketState.RUNNING) + state.in_states(TicketState.WAITING, TicketState.FOLLOWING)
    return [(ticket, place(turn, ticket), seconds_to_go(turn, ticket)) for ticket in live]


def _own_bell(state: AdmissionState, event: Event) -> str:
    if isinstance(event, Submit):
        return event.bell
    known = state.tickets.get(getattr(event, "ticket", ""))
    return "" if known is None or isinstance(event, Release) else known.bell


def _apply(turn: Turn, event: Event) -> Answer:
    match event:
        case Submit():
            return submit(turn, event)
        case Invalidate():
            _invalidate(turn, event)
        case OwnersDied():
            _bury(turn, event.owners)
        case Look():
            pass
        case _:
            return _apply_to_ticket(turn, event)
    settle(turn)
    return Answer(ticket="", state=TicketState.DONE, at=turn.now)


def _apply_to_ticket(turn: Turn, event: TicketEvent) -> Answer:
    ticket = turn.state.tickets.get(event.ticket)
    if ticket is None:
        return unknown(turn, event.ticket)
    match event:
        case Poll():
            pass
        case Cancel():
            if ticket.state.live:
                leave(turn, ticket, TicketState.CANCELLED)
        case Release():
            return _release(turn, ticket, force=event.force)
        case _:
            return _holder(turn, ticket, event)
    settle(turn)
    return report(turn, ticket)


def _holder(turn: Turn, ticket: Ticket, event: Finish | Fail | Check) -> Answer:
    # Fencing (§1.6): whoever was released or replaced may no longer end or prolong the export.
    if ticket.state is not TicketState.RUNNING or ticket.epoch != event.epoch:
        return unknown(turn, ticket.id, Why.LOST)
    ticket.seen = turn.now
    if isinstance(event, Finish):
        succeed(turn, ticket, event.ref)
    elif isinstance(event, Fail):
        fail(turn, ticket, Why.EXPORT_FAILED)
    settle(turn)
    return report(turn, ticket)


def _invalidate(turn: Turn, event: Invalidate) -> None:
    """Drop cached rows of a changed customer, and keep running exports of it from being cached (§1.6).

    The mark does what a generation number per customer would do: an export that started before the
    change is running at the change, since both are steps of one document.
    """

    def concerned(key: ExportKey) -> bool:
        return event.provider in (None, key.provider) and event.customer in (None, key.customer)

    for ticket in running(turn.state):
        ticket.outdated = ticket.outdated or concerned(ticket.key)
    turn.state.results = {
        text: result
        for text, result in turn.state.results.items()
        if not concerned(ExportKey.from_text(text))
    }


def _bury(turn: Turn, owners: frozenset[str]) -> None:
    """End what dead processes left behind; nobody will fetch their answers."""
    left = [ticket for ticket in turn.state.tickets.values() if ticket.owner in owners]
    for ticket in left:
        if ticket.state is TicketState.RUNNING:
            leave(turn, ticket, TicketState.FAILED, Why.LOST)
        elif ticket.state.live:
            leave(turn, ticket, TicketState.CANCELLED)
    for ticket in left:
        turn.state.tickets.pop(ticket.id, None)


def _release(turn: Turn, ticket: Ticket, *, force: bool) -> Answer:
    """Free a slot by hand: a slot is never taken from a living process without an operator (§1.6)."""
    if ticket.state is not TicketState.RUNNING:
        return unknown(turn, ticket.id)
    silent = turn.now - ticket.seen
    if silent < turn.policy.hard_ttl and not force:
        again = whole_seconds(turn.policy.hard_ttl - silent)
        return answer_about(turn, ticket, why=Why.ALIVE, again=again)
    leave(turn, ticket, TicketState.FAILED, Why.RELEASED)
    settle(turn)
    # The ticket stays, so that its owner learns at its next sign of life what became of it.
    return answer_about(turn, ticket, why=ticket.why, again=None)
