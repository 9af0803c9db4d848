"""What all coordinators share: lock, load, step, save, ring."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import replace

from devlib.config import ExportPolicy
from devlib.errors import Conflict, NotFound
from devlib.export.admission import (
    AdmissionState,
    Answer,
    Cancel,
    Check,
    Event,
    Fail,
    Finish,
    Happening,
    Invalidate,
    Look,
    OwnersDied,
    Poll,
    Release,
    Submit,
    Ticket,
    TicketState,
    Why,
    step,
    view,
)
from devlib.export.coordinator_values import ExportRequest, Locked, Overview, QueuedExport
from devlib.language import message

OUTCOME_KEPT = 600.0
"""Seconds for which the outcome of an idempotency key is kept (§1.6: ten minutes)."""

EVENTS_KEPT = 5000
"""Events kept for the list of recent exports."""


class SteppingCoordinator(ABC):
    """A coordinator around the reducer; a subclass adds the store, its lock, its clock and its bells.

    Args:
        policy: the limits.
    """

    def __init__(self, policy: ExportPolicy) -> None:
        self.policy = policy

    @abstractmethod
    def _locked(self) -> AbstractContextManager[Locked]:
        """Hold the store's lock; leaving without an error makes what was saved last."""

    @abstractmethod
    def _ring(self, bells: tuple[str, ...]) -> None:
        """Wake those who wait at `bells`; a lost ring costs them at most a second."""

    @property
    @abstractmethod
    def owner(self) -> str:
        """The name of this process in the store."""

    def submit(self, request: ExportRequest, *, ticket: str, bell: str = "") -> Answer:
        """Ask for an export, under a fresh random name `ticket`."""
        return self._transact(
            Submit(
                ticket=ticket,
                owner="",
                bell=bell,
                principal=request.principal,
                session=request.session,
                key=request.key,
                idempotency=request.idempotency,
                payload=request.payload,
            )
        )

    def poll(self, ticket: str) -> Answer:
        """Return where `ticket` stands."""
        return self._transact(Poll(ticket))

    def cancel(self, ticket: str) -> Answer:
        """Give `ticket` up, in whatever state it is."""
        return self._transact(Cancel(ticket))

    def finish(self, ticket: str, epoch: int, ref: str) -> Answer:
        """End the real export of `ticket` with the rows stored as `ref`."""
        return self._transact(Finish(ticket, epoch, ref))

    def fail(self, ticket: str, epoch: int) -> Answer:
        """End the real export of `ticket` without rows."""
        return self._transact(Fail(ticket, epoch))

    def check(self, ticket: str, epoch: int) -> Answer:
        """Return whether `ticket` still holds its slot, and show that its holder lives."""
        return self._transact(Check(ticket, epoch))

    def invalidate(self, provider: str | None = None, customer: str | None = None) -> None:
        """Forget cached rows of a customer whose fleet changed; `None` stands for all."""
        self._transact(Invalidate(provider, customer))

    def release(self, ticket: str, *, force: bool = False) -> Answer:
        """Free the slot of a holder that gave no sign of life for `hard_ttl` seconds (§1.6).

        Args:
            ticket: the running export, by its whole name.
            force: free it also before.

        Raises:
            NotFound: no such export runs.
            Conflict: its holder showed a sign of life not long ago.
        """
        answer = self._transact(Release(ticket, force=force))
        if answer.why == Why.UNKNOWN:
            raise NotFound(
                message("No export with this number is running."),
                where=ticket,
                remedy=message("Take the number from `devlib exports`."),
            )
        if answer.why == Why.ALIVE:
            raise Conflict(
                message("The holder of this export showed a sign of life not long ago."),
                where=ticket,
                remedy=message("Wait for it, or release it with --force."),
                retry_after=answer.retry_after,
            )
        return answer

    def overview(self, recent: int = 50) -> Overview:
        """Return what runs and waits now, and the newest `recent` events."""
        with self._locked() as store:
            state, _, bells = self._stepped(store, Look())
            events = store.recent(recent)
        self._ring(bells)
        queued = [_queued(state, *each) for each in view(state, self.policy)]

        def those(wanted: TicketState) -> tuple[QueuedExport, ...]:
            return tuple(each for each in queued if each.state is wanted)

        return Overview(
            those(TicketState.RUNNING), those(TicketState.WAITING), those(TicketState.FOLLOWING), events
        )

    def _transact(self, event: Event) -> Answer:
        with self._locked() as store:
            _, answer, bells = self._stepped(store, event)
        # After the lock is free, so that nobody wakes up only to wait for it.
        self._ring(bells)
        return answer

    def _stepped(self, store: Locked, event: Event) -> tuple[AdmissionState, Answer, tuple[str, ...]]:
        state, now = store.load()
        buried: tuple[str, ...] = ()
        happenings: tuple[Happening, ...] = ()
        if dead := store.dead(state.owners() - {self.owner}):
            state, burial, buried = step(state, OwnersDied(dead), now, self.policy)
            happenings = burial.happenings
        if isinstance(event, Submit):
            # Named under the lock: after a fork or a lost connection this process has a new name.
            earlier = store.earlier(event.principal, event.idempotency) if event.idempotency else None
            event = replace(event, owner=self.owner, earlier=earlier)
        state, answer, bells = step(state, event, now, self.policy)
        bells = tuple(dict.fromkeys((*buried, *bells)))
        store.save(state, (*happenings, *answer.happenings), bells)
        return state, answer, bells


def _queued(state: AdmissionState, ticket: Ticket, place: int, seconds_to_go: float) -> QueuedExport:
    runs = ticket.state is TicketState.RUNNING
    return QueuedExport(
        ticket=ticket.id,
        state=ticket.state,
        principal=ticket.principal,
        session=ticket.session,
        key=ticket.key,
        place=place,
        seconds_to_go=seconds_to_go,
        seconds=state.now - (ticket.started if runs else ticket.arrived),
        silent_for=state.now - ticket.seen if runs else 0.0,
        attempts=ticket.attempts,
    )
