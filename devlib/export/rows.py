"""The one door that every line-state export passes: admission, then the rows of one snapshot.

The real run asks the network for the whole customer or site, whoever asks, and its snapshot is what others
may share; filter, columns, language and scope are the reader's own (admission study §1.2).
"""

from collections.abc import Callable
from dataclasses import dataclass

from devlib.collect import Collection
from devlib.errors import ExportFailed
from devlib.export.coordinator import Coordinator
from devlib.export.coordinator_values import Authorise, ExportRequest
from devlib.export.coordinator_waiting import Grant, OnProgress, acquire
from devlib.language import message
from devlib.model import LineState

Collect = Callable[[Callable[[], None]], Collection]
"""Collects the rows; calls its argument before each request to the backend."""


@dataclass(frozen=True, slots=True)
class ExportRows:
    """The rows that an export may be written from.

    Args:
        snapshot: number of the snapshot.
        shared: whether another export had asked the network for them.
        age: seconds since the shared rows were finished; 0 for one's own.
        collapsed: whether it waited for that other export, rather than finding its rows there.
    """

    snapshot: int
    shared: bool
    age: float
    collapsed: bool = False


def obtain_rows(
    coordinator: Coordinator,
    request: ExportRequest,
    collect: Collect,
    *,
    authorise: Authorise,
    on_progress: OnProgress,
) -> ExportRows:
    """Return rows for one export, by a real run or shared with others, as the admission rules say.

    Args:
        coordinator: where exports are entered.
        request: who asks for what.
        collect: the real run.
        authorise: raises if the asker may not have the rows; asked before admission and at delivery.
        on_progress: told place and seconds to go while the request waits.

    Raises:
        ExportRejected: the queue is full (429).
        ExportQueueTimeout: the request waited for too long (408).
        ExportFailed: no network answered, or the collection failed (500); for all who waited for it.
    """
    with acquire(coordinator, request, authorise=authorise, on_progress=on_progress) as grant:
        if grant.real:
            _run(coordinator, request, collect, grant)
            return ExportRows(int(grant.result), shared=False, age=0.0)
        return ExportRows(int(grant.result), shared=True, age=grant.age or 0.0, collapsed=grant.collapsed)


def _run(coordinator: Coordinator, request: ExportRequest, collect: Collect, grant: Grant) -> None:
    grant.check()
    collection = collect(grant.check)
    if collection.failures and collection.states[LineState.UNKNOWN] == collection.snapshot.rows:
        raise ExportFailed(
            message("No line could be asked: {reason}", reason=collection.failures[0].reason),
            where=collection.failures[0].network,
            remedy=message(
                "Check the network with `devlib doctor`. The last known states stand in the columns "
                "state_before and state_known_at: devlib export --from-snapshot --columns all"
            ),
        )
    if collection.failures:
        # Whoever waited shares what there is; but rows with gaps are not kept for later readers (§1.6).
        coordinator.invalidate(request.key.provider, request.key.customer)
    grant.finish(str(collection.snapshot.id))
