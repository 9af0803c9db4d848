"""Events of a feed, completed with what the registrar really granted.

A REGISTER tells what the phone wished; the registrar may have cut the expiry, or given its own where the
phone named none. So what was set is looked up, for all events that have arrived at once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from devlib.model import Binding
from devlib.network.protocol import Answers, Change, ChangeKind, FeedEvent

_MOST_AT_ONCE = 500
_SET = frozenset({ChangeKind.REGISTERED, ChangeKind.REFRESHED})

Lookup = Callable[[Sequence[str]], Awaitable[Answers]]


async def completed(events: AsyncIterator[FeedEvent], lookup: Lookup) -> AsyncIterator[FeedEvent]:
    """Yield the events in their order, those of REGISTERs with the binding that the registrar holds.

    Args:
        events: of the feed.
        lookup: asks the registrar for line ports.
    """
    arrived: asyncio.Queue[FeedEvent] = asyncio.Queue(maxsize=4 * _MOST_AT_ONCE)

    async def gather() -> None:
        async for event in events:
            await arrived.put(event)

    task = asyncio.ensure_future(gather())
    try:
        while True:
            batch = [await _next(arrived, task)]
            while len(batch) < _MOST_AT_ONCE and not arrived.empty():
                batch.append(arrived.get_nowait())
            for event in await _complete(batch, lookup):
                yield event
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _next(arrived: asyncio.Queue[FeedEvent], task: asyncio.Future[None]) -> FeedEvent:
    """Return the next event; an error of the feed ends the waiting."""
    waiting = asyncio.ensure_future(arrived.get())
    both: set[asyncio.Future[Any]] = {waiting, task}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            task.result()
        return await waiting
    finally:
        waiting.cancel()


async def _complete(batch: list[FeedEvent], lookup: Lookup) -> list[FeedEvent]:
    set_now = {each.line_port for each in batch if isinstance(each, Change) and each.kind in _SET}
    if not set_now:
        return batch
    held = (await lookup(sorted(set_now))).bindings
    return [_with_binding(each, held) if isinstance(each, Change) else each for each in batch]


def _with_binding(change: Change, held: Mapping[str, tuple[Binding, ...]]) -> Change:
    if change.kind not in _SET:
        return change
    wished = change.binding
    for binding in held.get(change.line_port, ()):
        if binding.contact == wished.contact or binding.call_id == wished.call_id:
            return replace(change, binding=binding)
    return change
